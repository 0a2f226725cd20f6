"""Every mistake is named with what was expected, what came and where."""

import re
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from recurra.errors import ShapeError, UsageError
from recurra.nn import GRU, LSTM, RNN, both_ends, explain, last_valid_step, use_backend

X = torch.zeros(20, 32, 63)
H, C = torch.zeros(2, 32, 8), torch.zeros(2, 32, 8)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (
            LSTM(64, 8),
            (X,),
            "LSTM input: expected (time, batch, 64), got (20, 32, 63); the last axis must equal input_size",
        ),
        (
            GRU(64, 8, batch_first=True),
            (X,),
            "GRU input: expected (batch, time, 64), got (20, 32, 63); the last axis must equal input_size",
        ),
        (
            RNN(64, 8),
            (X[0],),
            "RNN input: expected (time, batch, 64) or (time, 64), got (32, 63); the last axis must equal input_size",
        ),
        (
            RNN(63, 8),
            (X[0, 0],),
            "RNN input: expected (time, batch, 63) or (time, 63), got (63,); it must have two or three axes",
        ),
        (
            GRU(64, 8),
            (pack_sequence([X[:, 0]]),),
            "GRU input: expected packed steps of 64 features, got (20, 63); the last axis must equal input_size",
        ),
        (GRU(63, 8, 3), (X, H), "GRU hx: h_0: expected (layers*directions, batch, width) = (3, 32, 8), got (2, 32, 8)"),
        (
            LSTM(63, 8, 2),
            (X, (H, C[:, :5])),
            "LSTM hx: c_0: expected (layers*directions, batch, width) = (2, 32, 8), got (2, 5, 8)",
        ),
        (
            LSTM(63, 8, 2),
            (X[:, 0], (H, C)),
            "LSTM hx: h_0: expected (layers*directions, width) = (2, 8), got (2, 32, 8)",
        ),
        (LSTM(63, 8, 2), (X, H), "LSTM hx: expected (h_0, c_0), got one tensor (2, 32, 8)"),
        (LSTM(63, 8, 2), (X, (H,)), "LSTM hx: expected (h_0, c_0), got 1 parts"),
        (GRU(63, 8, 2), (X, (H, C)), "GRU hx: h_0: expected one tensor, got tuple"),
        (
            GRU(63, (8, 9)),
            (X, H),
            "GRU hx: h_0: expected a tuple of 2 tensors, one a layer, got one of shape (2, 32, 8)",
        ),
        (GRU(63, (8, 9)), (X, (H,)), "GRU hx: h_0: expected a tuple of 2 tensors, one a layer, got 1"),
        (
            GRU(63, (8, 9)),
            (X, (H[:1], H[:1])),
            "GRU hx: h_0[1]: expected (directions, batch, width) = (1, 32, 9), got (1, 32, 8)",
        ),
    ],
)
def test_shapes(layer: torch.nn.Module, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        layer(*arguments)


@pytest.mark.parametrize("lengths", [[21] * 32, [-1] * 32, [3] * 31, [[3]] * 32, [2.0] * 32])
def test_lengths_that_do_not_fit(lengths: list[Any]) -> None:
    with pytest.raises(ShapeError, match="lengths"):
        GRU(63, 8)(X, lengths=torch.tensor(lengths))


@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_count_the_batch_not_time(batch_first: bool) -> None:
    x = X.transpose(0, 1) if batch_first else X
    with pytest.raises(ShapeError, match=r"expected shape \(32,\)"):
        GRU(63, 8, batch_first=batch_first)(x, lengths=torch.full((20,), 3))


def test_lengths_where_there_is_no_padding() -> None:
    with pytest.raises(UsageError, match="a PackedSequence brings its own"):
        GRU(63, 8)(pack_sequence([X[:, 0]]), lengths=torch.tensor([20]))
    with pytest.raises(UsageError, match="one sequence without a batch axis"):
        GRU(63, 8)(X[:, 0], lengths=torch.tensor([20]))


def test_input_of_another_type() -> None:
    with pytest.raises(UsageError, match=r"expected torch.float32, the weights' type, got torch.float64"):
        GRU(63, 8)(X.double())


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (GRU, {"input_size": 0, "hidden_size": 4}, "GRU input_size: expected an integer above 0, got 0"),
        (GRU, {"input_size": 3.0, "hidden_size": 4}, "GRU input_size: expected an integer above 0, got 3.0"),
        (GRU, {"hidden_size": 0}, "GRU hidden_size: expected integers above 0, got 0"),
        (GRU, {"hidden_size": (4, -1)}, "GRU hidden_size: expected integers above 0, got (4, -1)"),
        (GRU, {"hidden_size": []}, "GRU: expected at least one layer"),
        (GRU, {"hidden_size": 4, "num_layers": 0}, "GRU: expected at least one layer"),
        (GRU, {"hidden_size": [4, 5], "num_layers": 3}, "hidden_size lists 2 layers, got num_layers=3"),
        (LSTM, {"hidden_size": 4, "proj_size": 4}, "LSTM proj_size: expected 0 (none) or less than every width"),
        (LSTM, {"hidden_size": 4, "dropout": 1.5}, "LSTM dropout: expected a probability in 0..1, got 1.5"),
        (LSTM, {"hidden_size": 4, "merge": "mean"}, "concat, sum, average, multiply, none, got 'mean'"),
        (LSTM, {"hidden_size": 4, "initial_state": "one"}, "zero, random, learned, got 'one'"),
        (RNN, {"hidden_size": 4, "nonlinearity": "gelu"}, "RNN nonlinearity: expected one of tanh, relu, sigmoid"),
    ],
)
def test_options(make: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make(**{"input_size": 3} | options)


def test_readouts() -> None:
    with pytest.raises(ShapeError, match=r"last_valid_step output: expected \(time, batch, features\), got \(20, 32\)"):
        last_valid_step(X[:, :, 0], torch.full((32,), 3))
    with pytest.raises(ShapeError, match=r"one shape \(time, batch, features\), got \(20, 32, 63\) and \(20, 32, 62\)"):
        both_ends(X, X[:, :, 1:])


def test_explain_names_the_backend_of_each_layer_and_direction() -> None:
    model = torch.nn.ModuleList([LSTM(3, [4, 5], bidirectional=True), LSTM(3, 6, proj_size=2)])
    told = explain(model, torch.randn(2, 1, 3))
    assert told.count("kernels, compiled for ") == 4
    assert "l1_reverse: kernels" in told
    assert "l0: steps, the kernels have no projection" in told
    with use_backend("steps"):
        assert explain(model[0], torch.randn(2, 1, 3)).count("steps, chosen") == 4
