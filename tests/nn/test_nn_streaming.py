"""A stream takes step by step what forward takes at once."""

import numpy as np
import pytest
import torch

from recurra import nn, ops
from recurra.errors import ShapeError, UsageError
from recurra.ops.instructions import INSTRUCTIONS, all_instructions

INPUTS, STEPS = 5, 7
LAYERS = {
    "rnn_tanh": lambda **options: nn.RNN(INPUTS, [33, 9], **options),
    "rnn_relu": lambda **options: nn.RNN(INPUTS, 20, 2, nonlinearity="relu", **options),
    "rnn_sigmoid": lambda **options: nn.RNN(INPUTS, 3, nonlinearity="sigmoid", bias=False, **options),
    "lstm": lambda **options: nn.LSTM(INPUTS, [7, 40], **options),
    "lstm_one": lambda **options: nn.LSTM(INPUTS, 17, **options),
    "lstm_projected": lambda **options: nn.LSTM(INPUTS, 9, 2, proj_size=4, **options),
    "gru": lambda **options: nn.GRU(INPUTS, 19, 3, **options),
    "gru_reset_before": lambda **options: nn.GRU(INPUTS, [18, 6], reset_after=False, **options),
}


def parts_of(state: object) -> list[np.ndarray]:
    """All arrays or tensors of a state, flat."""
    if isinstance(state, tuple):
        return [array for part in state for array in parts_of(part)]
    return [np.asarray(state.detach() if isinstance(state, torch.Tensor) else state)]


def random_state(layer: nn.Recurrent, batch: tuple[int, ...]) -> object:
    """A state that is nowhere zero, in the form in which the layer takes it."""
    _, state = layer(torch.randn(4, *batch, INPUTS, dtype=layer.weight_ih_l0.dtype))
    return state


@pytest.mark.parametrize("path", ["fused", "composed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [None, 1, 3, 11])
@pytest.mark.parametrize("name", LAYERS)
def test_steps_equal_forward(name: str, batch: int | None, dtype: torch.dtype, path: str) -> None:
    torch.manual_seed(3)
    layer = LAYERS[name](initial_state="learned", dtype=dtype)
    if name == "lstm_projected" and path == "fused":
        with ops.use_path(path), pytest.raises(UsageError, match="no projection"):
            layer.stream(batch)
        return
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    middle = () if batch is None else (batch,)
    x = torch.randn(STEPS, *middle, INPUTS, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    with torch.no_grad(), ops.use_path(path):
        stream = layer.stream(batch)
        assert path in repr(stream)
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
    assert "composed" in repr(stream)
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


@pytest.mark.parametrize("path", ["fused", "composed"])
def test_a_state_that_is_set_is_a_copy_without_history(path: str) -> None:
    layer = nn.GRU(INPUTS, 6, initial_state="random")
    _, h = layer(torch.randn(3, INPUTS))
    with ops.use_path(path), torch.inference_mode():
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
