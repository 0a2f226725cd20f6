"""A stream takes step by step what forward takes at once."""

from typing import get_args

import numpy as np
import pytest
import torch

from recurra import nn
from recurra.errors import ShapeError, UsageError
from recurra.nn.layers import LAYERS
from recurra.ops.backends import Backend, use_backend
from recurra.ops.cells import CELLS
from recurra.ops.instructions import INSTRUCTIONS, all_instructions

INPUTS, STEPS = 5, 7
STACKS = {  # options beyond those of the cell
    "rnn_tanh": {"hidden_size": [33, 9]},
    "rnn_relu": {"hidden_size": 20, "num_layers": 2},
    "rnn_sigmoid": {"hidden_size": 3, "bias": False},
    "lstm": {"hidden_size": [7, 40]},
    "lstm_one": {"hidden_size": 17},
    "lstm_projected": {"hidden_size": 9, "num_layers": 2, "proj_size": 4},
    "gru": {"hidden_size": 19, "num_layers": 3},
    "gru_reset_before": {"hidden_size": [18, 6]},
}
VARIANTS = {"lstm_one": "lstm", "lstm_projected": "lstm"} | {name: name for name in CELLS}


def build(name: str, **options: object) -> nn.Recurrent:
    cell = CELLS[VARIANTS[name]]
    return LAYERS[cell.family.lower()](INPUTS, **STACKS.get(name, {"hidden_size": [8, 11]}), **cell.options, **options)


def can_run(name: str, backend: Backend) -> bool:
    cell = CELLS[VARIANTS[name]]
    on_kernels = cell.fused and "proj_size" not in STACKS.get(name, {})
    return bool({"kernels": on_kernels, "torch": cell.torch_operator, "steps": True}[backend])


def parts_of(state: object) -> list[np.ndarray]:
    """All arrays or tensors of a state, flat."""
    if isinstance(state, tuple):
        return [array for part in state for array in parts_of(part)]
    return [np.asarray(state.detach() if isinstance(state, torch.Tensor) else state)]


def random_state(layer: nn.Recurrent, batch: tuple[int, ...]) -> object:
    """A state that is nowhere zero, in the form in which the layer takes it."""
    _, state = layer(torch.randn(4, *batch, INPUTS, dtype=layer.weight_ih_l0.dtype))
    return state


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch's own
@pytest.mark.parametrize("backend", get_args(Backend))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [None, 1, 3, 11])
@pytest.mark.parametrize("name", VARIANTS)
def test_steps_equal_forward(name: str, batch: int | None, dtype: torch.dtype, backend: Backend) -> None:
    torch.manual_seed(3)
    layer = build(name, initial_state="learned", dtype=dtype)
    if not can_run(name, backend):
        with use_backend(backend), pytest.raises(UsageError, match=f"backend {backend}: "):
            layer.stream(batch)
        return
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    middle = () if batch is None else (batch,)
    x = torch.randn(STEPS, *middle, INPUTS, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    with torch.no_grad(), use_backend(backend):
        stream = layer.stream(batch)
        assert backend in repr(stream)
        for first in (None, random_state(layer, middle)):
            if first is not None:
                stream.state = first
            expected, final = layer(x, first)
            found = np.stack([stream.step(step) for step in x.numpy()])
            assert found.dtype == expected.numpy().dtype
            np.testing.assert_allclose(found, expected.numpy(), rtol=tolerance, atol=tolerance)
            for one, other in zip(parts_of(stream.state), parts_of(final), strict=True):
                assert one.shape == other.shape
                np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
        stream.reset()
        expected, _ = layer(x[:1])
        np.testing.assert_allclose(stream.step(x[0].numpy()), expected[0].numpy(), rtol=tolerance, atol=tolerance)


def test_it_owns_its_weights_and_results() -> None:
    layer = nn.GRU(INPUTS, 8, 2, dropout=0.5)  # its n has a bias inside the reset, which is not added up with another
    stream, x = layer.stream(), np.ones(INPUTS)
    first = stream.step(x)
    kept = first.copy()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    state = stream.state
    stream.step(x)
    assert (first == kept).all(), "a result was overwritten by the step after"
    stream.reset()
    assert (stream.step(x) == kept).all(), "the layer's later weights, or dropout, came through"
    stream.state = state
    assert all((one == other).all() for one, other in zip(parts_of(stream.state), parts_of(state), strict=True))


def test_half_precision_streams_as_float32() -> None:
    layer = nn.LSTM(INPUTS, 6).bfloat16()
    expected, _ = layer(torch.ones(1, INPUTS).bfloat16())
    stream = layer.stream()
    assert "steps" in repr(stream)
    np.testing.assert_array_equal(stream.step(np.ones(INPUTS)), expected[0].detach().float().numpy())


def test_what_cannot_stream_is_refused() -> None:
    with pytest.raises(UsageError, match="bidirectional"):
        nn.LSTM(INPUTS, 4, bidirectional=True).stream()
    with pytest.raises(UsageError, match="batch: expected at least 1"):
        nn.LSTM(INPUTS, 4).stream(0)
    stream = nn.LSTM(INPUTS, 4).stream(2)
    with pytest.raises(ShapeError, match=r"expected \(2, 5\), got \(5,\)"):
        stream.step(np.zeros(INPUTS))
    with pytest.raises(ShapeError, match="h_0: expected"):
        stream.state = (np.zeros((1, 1, 4)), np.zeros((1, 2, 4)))


@pytest.mark.parametrize("backend", get_args(Backend))
def test_a_state_that_is_set_is_a_copy_without_history(backend: Backend) -> None:
    layer = nn.GRU(INPUTS, 6, initial_state="random")
    _, h = layer(torch.randn(3, INPUTS))
    with use_backend(backend), torch.inference_mode():
        stream = layer.stream()
    assert not stream.state.any(), "a random state is for training"
    stream.state = h
    array = h.detach().numpy()
    np.testing.assert_array_equal(stream.state, array)
    kept = array.copy()
    array[...] = 7
    np.testing.assert_array_equal(stream.state, kept)
    stream.reset()
    assert not stream.state.any()


@pytest.mark.parametrize("instructions", all_instructions())
def test_every_instruction_set(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSTRUCTIONS, instructions)
    layer = nn.GRU(INPUTS, [40, 9], reset_after=False)
    x = torch.randn(STEPS, 3, INPUTS)
    stream = layer.stream(3)
    with torch.no_grad():
        expected, _ = layer(x)
    np.testing.assert_allclose(np.stack([stream.step(step) for step in x.numpy()]), expected.numpy(), rtol=0, atol=1e-5)
