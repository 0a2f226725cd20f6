"""RNN, LSTM and GRU take the place of torch.nn's: weights, results, gradients, forms of input."""

import copy
import inspect
import io
import pickle
from itertools import product

import pytest
import torch
from layer_table import (
    BATCH,
    DOUBLE,
    HIDDEN,
    INPUT,
    OURS,
    SHARED,
    THEIRS,
    TIME,
    assert_same,
    draw,
    first_state,
    pair,
    tensors,
)
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from recurra.ops.backends import use_backend

STACKS = [
    {"num_layers": layers, "bidirectional": both, "bias": bias}
    for layers, both, bias in product((1, 2), (False, True), (True, False))
]


@pytest.mark.parametrize("options", STACKS, ids=str)
@pytest.mark.parametrize("name", SHARED)
def test_results_and_gradients(name: str, options: dict) -> None:
    ours, theirs = pair(name, **options)
    x, hx = draw(TIME, BATCH, INPUT, seed=1), first_state(ours)
    assert_same(ours, theirs, lambda layer: layer(x, hx), [x, *tensors(hx)])


@pytest.mark.parametrize("name", SHARED)
def test_state_left_out_is_zero(name: str) -> None:
    ours, theirs = pair(name, num_layers=2)
    x = draw(TIME, BATCH, INPUT, seed=1)
    assert_same(ours, theirs, lambda layer: layer(x), [x])


@pytest.mark.parametrize("name", SHARED)
def test_batch_first(name: str) -> None:
    ours, theirs = pair(name, num_layers=2, bidirectional=True, batch_first=True)
    x, hx = draw(BATCH, TIME, INPUT, seed=1), first_state(ours)
    assert_same(ours, theirs, lambda layer: layer(x, hx), [x, *tensors(hx)])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", SHARED)
def test_one_sequence_without_batch(name: str, batch_first: bool) -> None:
    ours, theirs = pair(name, num_layers=2, bidirectional=True, batch_first=batch_first)
    x, hx = draw(TIME, INPUT, seed=1), first_state(ours, batch=None)
    assert_same(ours, theirs, lambda layer: layer(x, hx), [x, *tensors(hx)])
    assert [part.shape for part in tensors(ours(x))] == [part.shape for part in tensors(theirs(x))]


@pytest.mark.parametrize(("lengths", "in_order"), [([5, 5, 2], True), ([2, 5, 1], False)])
@pytest.mark.parametrize("name", SHARED)
def test_packed(name: str, lengths: list[int], in_order: bool) -> None:
    ours, theirs = pair(name, num_layers=2, bidirectional=True)
    x, hx = draw(TIME, BATCH, INPUT, seed=1), first_state(ours)

    def call(layer: nn.Module) -> object:
        return layer(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=in_order), hx)

    assert_same(ours, theirs, call, [x, *tensors(hx)])
    for mine, torchs in zip(call(ours)[0], call(theirs)[0], strict=True):
        if torchs is None:
            assert mine is None
        else:
            torch.testing.assert_close(mine, torchs)


def test_packed_list_without_state() -> None:
    ours, theirs = pair("gru", bidirectional=True)
    sequences = [draw(length, INPUT, seed=length) for length in (4, 7, 1, 7)]
    assert_same(ours, theirs, lambda layer: layer(pack_sequence(sequences, enforce_sorted=False)), sequences)


@pytest.mark.parametrize("name", SHARED)
def test_dropout_draws_torchs_masks(name: str) -> None:
    ours, theirs = pair(name, num_layers=3, dropout=0.4)
    x = draw(TIME, BATCH, INPUT, seed=1)

    def call(layer: nn.Module) -> object:
        torch.manual_seed(3)
        return layer(x)

    assert_same(ours, theirs, call, [x])
    ours.eval(), theirs.eval()
    assert_same(ours, theirs, lambda layer: layer(x), [x])


@pytest.mark.parametrize("cell", OURS)
def test_same_seed_same_weights(cell: str) -> None:
    options = {"num_layers": 3, "bidirectional": True} | ({"proj_size": 2} if cell == "LSTM" else {})
    torch.manual_seed(0)
    theirs = THEIRS[cell](INPUT, HIDDEN, **options)
    torch.manual_seed(0)
    ours = OURS[cell](INPUT, HIDDEN, **options)
    their_state, our_state = theirs.state_dict(), ours.state_dict()
    assert list(our_state) == list(their_state)
    for name, weight in their_state.items():
        assert torch.equal(our_state[name], weight)
    assert [len(group) for group in ours.all_weights] == [len(group) for group in theirs.all_weights]
    theirs.load_state_dict(OURS[cell](INPUT, HIDDEN, **options).state_dict())


@pytest.mark.parametrize("cell", OURS)
def test_same_constructor_arguments(cell: str) -> None:
    """Positions, names and defaults of all that torch documents."""
    torchs = {
        "RNN": ["nonlinearity", "bias", "batch_first", "dropout", "bidirectional", "device", "dtype"],
        "LSTM": ["bias", "batch_first", "dropout", "bidirectional", "proj_size", "device", "dtype"],
        "GRU": ["bias", "batch_first", "dropout", "bidirectional", "device", "dtype"],
    }
    parameters = inspect.signature(OURS[cell]).parameters
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ["input_size", "hidden_size", "num_layers", *torchs[cell]]
    layer, theirs = OURS[cell](INPUT, HIDDEN), THEIRS[cell](INPUT, HIDDEN)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"):
        assert getattr(layer, name) == getattr(theirs, name)


@pytest.mark.parametrize("name", SHARED)
def test_copies_run_alike(name: str) -> None:
    ours, _ = pair(name, num_layers=2, bidirectional=True)
    ours.flatten_parameters()
    x = draw(TIME, BATCH, INPUT, seed=1)
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), torch.load(file, weights_only=False)):
        torch.testing.assert_close(other(x), ours(x), rtol=0, atol=0)


def test_functional_call_uses_the_weights_given() -> None:
    ours, theirs = pair("lstm")
    x = draw(TIME, BATCH, INPUT, seed=1)
    doubled = {name: 2 * weight for name, weight in theirs.state_dict().items()}
    output, _ = torch.func.functional_call(ours, doubled, (x,))
    theirs.load_state_dict(doubled)
    torch.testing.assert_close(output, theirs(x)[0], rtol=0, atol=1e-12)


def test_repr_names_what_is_not_the_default() -> None:
    assert repr(OURS["LSTM"](3, 4)) == "LSTM(3, 4)"
    assert repr(OURS["LSTM"](3, (5, 4), locked_dropout=True)) == "LSTM(3, (5, 4), locked_dropout=True)"
    shown = repr(OURS["GRU"](3, 4, 2, bidirectional=True, merge="sum", reset_after=False))
    assert shown == "GRU(3, 4, num_layers=2, bidirectional=True, merge=sum, reset_after=False)"


def test_dropout_with_one_layer_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="with one layer it does nothing"):
        OURS["LSTM"](3, 4, dropout=0.5)


def test_single_precision() -> None:
    ours, theirs = pair("lstm", num_layers=2, dtype=torch.float32)
    x = draw(TIME, BATCH, INPUT, seed=1).float()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    assert ours.to(DOUBLE)(x.double())[0].dtype == DOUBLE


def kept_for_backward(layer: nn.Module, x: torch.Tensor) -> int:
    """Bytes that a forward pass keeps for the way back, weights and inputs apart; shared memory counts once."""
    storages = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output, _ = layer(x)
    assert output.requires_grad, "the graph must live while what it keeps is counted"
    for given in (x, *layer.parameters()):
        storages.pop(given.untyped_storage().data_ptr(), None)
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize(("name", "share"), [("rnn_tanh", 1), ("lstm", 0.4), ("gru", 0.75)])
def test_training_keeps_no_more_than_torch(name: str, share: float) -> None:
    ours, theirs = pair(name, hidden_size=48, dtype=torch.float32)
    x = draw(20, 24, INPUT, seed=1).float()
    with use_backend("kernels"):
        ours_kept = kept_for_backward(ours, x)
    assert 0 < ours_kept <= share * kept_for_backward(theirs, x)


@pytest.mark.parametrize(("name", "share"), [("LSTM", 0.35), ("GRU", 0.21)])
def test_recompute_keeps_the_states_alone(name: str, share: float) -> None:
    x = draw(20, 24, INPUT, seed=1).float()
    with use_backend("kernels"):
        plain, saving = (kept_for_backward(OURS[name](INPUT, 48, recompute=r), x) for r in (False, True))
    assert 0 < saving <= share * plain
