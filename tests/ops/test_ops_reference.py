"""Every cell, on every backend that can run it, against the NumPy equations and finite differences, in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from op_table import CASES, TIME, Case, sequence
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.ops.cells import CELLS, find_cell

pytestmark = pytest.mark.usefixtures("each_backend")


def close(ours: Tensor, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-10, atol=1e-10)


def arrays(tensors: tuple[Tensor, ...]) -> object:
    """A state as `reference` takes it: the tuple (h, c), or h alone."""
    parts = tuple(tensor.detach().numpy() for tensor in tensors)
    return parts if len(parts) > 1 else parts[0]


def tuple_of(state: object) -> tuple[np.ndarray, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", CELLS)
def test_equals_equations(name: str) -> None:
    case, (forward, backward) = CASES[name], CELLS[name].reference
    x, state, weights = sequence(), case.state(), case.weights()
    output, final = case.call(x, state, weights)
    d_output, *d_final = (torch.randn_like(part) for part in (output, *final))
    arguments = {name: weight.detach().numpy() for name, weight in weights.items()}
    h_all, h_n, cache = forward(x.detach().numpy(), arrays(state), **arguments)
    close(output, h_all)
    for ours, theirs in zip(final, tuple_of(h_n), strict=True):
        close(ours, theirs)

    leaves = [x, *state, *weights.values()]
    gradients = torch.autograd.grad([output, *final], leaves, [d_output, *d_final])
    truth = backward(d_output.numpy(), arrays(tuple(d_final)), cache)
    expected = [truth.d_x, *tuple_of(truth.d_state), *(getattr(truth, f"d_{name}") for name in weights)]
    for ours, theirs in zip(gradients, expected, strict=True):
        close(ours, theirs)


def small(case: Case) -> Case:
    """The same operator for hidden=2: finite differences call it once for every element."""
    return case.projected(1) if case.projection else case


def function_of_leaves(case: Case, lengths: Tensor | None, reverse: bool) -> Callable[..., tuple]:
    parts = len(case.cell.parts)

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        weights = dict(zip(case.weights(), rest[parts:], strict=True))
        output, final = case.call(x, rest[:parts], weights, lengths=lengths, reverse=reverse)
        return output, *final

    return run


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_finite_differences(name: str, reverse: bool) -> None:
    case = small(CASES[name])
    leaves = [sequence(time=4, batch=3, inputs=1), *case.state(batch=3, hidden=2)]
    leaves += case.weights(inputs=1, hidden=2).values()
    run = function_of_leaves(case, torch.tensor([2, 0, 4]), reverse)
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("name", CASES)
def test_second_gradient_equals_finite_differences(name: str) -> None:
    case = small(CASES[name])
    leaves = [sequence(time=3, batch=2, inputs=1), *case.state(batch=2, hidden=2)]
    leaves += case.weights(inputs=1, hidden=2).values()
    run = function_of_leaves(case, torch.tensor([3, 2]), False)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("name", CASES)
def test_without_bias_equals_zero_bias(name: str) -> None:
    case = CASES[name]
    x, state, weights = sequence(), case.state(), case.weights()
    zero = {name: torch.zeros_like(w) if name.startswith("bias") else w for name, w in weights.items()}
    none = {name: w for name, w in weights.items() if not name.startswith("bias")}
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
    single = {name: weight.float() for name, weight in weights.items()}
    output, _ = case.call(x.float(), tuple(part.float() for part in state), single)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.double(), case.call(x, state, weights)[0], rtol=1e-5, atol=1e-6)


def test_unknown_nonlinearity() -> None:
    with pytest.raises(UsageError, match="RNN nonlinearity: expected one of tanh, relu, sigmoid, got 'gelu'"):
        find_cell("RNN", nonlinearity="gelu")


def test_lengths_of_another_batch() -> None:
    case = CASES["lstm"]
    with pytest.raises(ShapeError, match=f"must lie in 0..{TIME}"):
        case.call(sequence(), case.state(), case.weights(), lengths=torch.tensor([TIME + 1, 0]))
