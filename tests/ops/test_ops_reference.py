"""The composed operators against the NumPy equations and against finite differences, in double precision."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from op_table import CASES, TIME, Case, sequence
from torch import Tensor

from recurra import reference
from recurra.errors import ShapeError, UsageError
from recurra.ops import Weights, rnn

pytestmark = pytest.mark.usefixtures("each_path")

RNN = (reference.rnn_forward, reference.rnn_backward)
GRU = (reference.gru_forward, reference.gru_backward)
EQUATIONS: dict[str, tuple[Callable, Callable, dict[str, object]]] = {
    "rnn_tanh": (*RNN, {}),
    "rnn_relu": (*RNN, {"nonlinearity": "relu"}),
    "rnn_sigmoid": (*RNN, {"nonlinearity": "sigmoid"}),
    "lstm": (reference.lstm_forward, reference.lstm_backward, {}),
    "gru": (*GRU, {}),
    "gru_reset_before": (*GRU, {"reset_after": False}),
}


def close(ours: Tensor, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-10, atol=1e-10)


def arrays(tensors: tuple[Tensor, ...]) -> object:
    """A state as `reference` takes it: the tuple (h, c), or h alone."""
    parts = tuple(tensor.detach().numpy() for tensor in tensors)
    return parts if len(parts) > 1 else parts[0]


def tuple_of(state: object) -> tuple[np.ndarray, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", EQUATIONS)
def test_equals_equations(name: str) -> None:
    case = CASES[name]
    forward, backward, options = EQUATIONS[name]
    x, state, weights = sequence(), case.state(), case.weights()
    output, final = case.call(x, state, weights)
    d_output, *d_final = (torch.randn_like(part) for part in (output, *final))
    h_all, h_n, cache = forward(
        x.detach().numpy(), arrays(state), *(w.detach().numpy() for w in weights[:4]), **options
    )
    close(output, h_all)
    for ours, theirs in zip(final, tuple_of(h_n), strict=True):
        close(ours, theirs)

    leaves = [x, *state, *weights[:4]]
    gradients = torch.autograd.grad([output, *final], leaves, [d_output, *d_final])
    truth = backward(d_output.numpy(), arrays(tuple(d_final)), cache)
    expected = [truth.d_x, *tuple_of(truth.d_state)]
    expected += [truth.d_weight_ih, truth.d_weight_hh, truth.d_bias_ih, truth.d_bias_hh]
    for ours, theirs in zip(gradients, expected, strict=True):
        close(ours, theirs)


def small(case: Case) -> Case:
    """The same operator for hidden=2: finite differences call it once for every element."""
    return case._replace(projection=1) if case.projection else case


def function_of_leaves(case: Case, parts: int, lengths: Tensor | None, reverse: bool) -> Callable[..., tuple]:
    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        output, final = case.call(x, rest[:parts], Weights(*rest[parts:]), lengths=lengths, reverse=reverse)
        return output, *final

    return run


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_finite_differences(name: str, reverse: bool) -> None:
    case = small(CASES[name])
    leaves = [sequence(time=4, batch=3, inputs=1), *case.state(batch=3, hidden=2)]
    leaves += [weight for weight in case.weights(inputs=1, hidden=2) if weight is not None]
    run = function_of_leaves(case, case.parts, torch.tensor([2, 0, 4]), reverse)
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("name", CASES)
def test_second_gradient_equals_finite_differences(name: str) -> None:
    case = small(CASES[name])
    leaves = [sequence(time=3, batch=2, inputs=1), *case.state(batch=2, hidden=2)]
    leaves += [weight for weight in case.weights(inputs=1, hidden=2) if weight is not None]
    run = function_of_leaves(case, case.parts, torch.tensor([3, 2]), False)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("name", CASES)
def test_without_bias_equals_zero_bias(name: str) -> None:
    case = CASES[name]
    x, state, weights = sequence(), case.state(), case.weights()
    zero = weights._replace(bias_ih=torch.zeros_like(weights.bias_ih), bias_hh=torch.zeros_like(weights.bias_hh))
    none = weights._replace(bias_ih=None, bias_hh=None)
    torch.testing.assert_close(case.call(x, state, none), case.call(x, state, zero), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_reverse_is_forward_on_the_turned_sequence(name: str) -> None:
    case = CASES[name]
    x, state, weights = sequence(), case.state(), case.weights()
    output, final = case.call(x, state, weights, reverse=True)
    turned, turned_final = case.call(x.flip(0), state, weights)
    torch.testing.assert_close(output, turned.flip(0), rtol=0, atol=1e-14)
    torch.testing.assert_close(final, turned_final, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_no_steps_leave_the_state_alone(name: str) -> None:
    case = CASES[name]
    state = case.state()
    output, final = case.call(sequence(time=0), state, case.weights())
    assert output.shape == (0, *state[0].shape)
    for before, after in zip(state, final, strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("name", CASES)
def test_results_are_contiguous(name: str) -> None:
    case = CASES[name]
    output, final = case.call(sequence(), case.state(), case.weights())
    assert all(part.is_contiguous() for part in (output, *final))


def test_single_precision_stays_near_double() -> None:
    case = CASES["lstm"]
    x, state, weights = sequence(), case.state(), case.weights()
    single = Weights(*(None if weight is None else weight.float() for weight in weights))
    output, _ = case.call(x.float(), tuple(part.float() for part in state), single)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.double(), case.call(x, state, weights)[0], rtol=1e-5, atol=1e-6)


def test_unknown_nonlinearity() -> None:
    case = CASES["rnn_tanh"]
    with pytest.raises(UsageError, match="tanh, relu, sigmoid, got 'gelu'"):
        rnn(sequence(), case.state()[0], case.weights(), nonlinearity="gelu")


def test_lengths_of_another_batch() -> None:
    case = CASES["lstm"]
    with pytest.raises(ShapeError, match=f"must lie in 0..{TIME}"):
        case.call(sequence(), case.state(), case.weights(), lengths=torch.tensor([TIME + 1, 0]))
