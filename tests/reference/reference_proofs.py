"""The two proofs that a recurrent layer of the reference is right: finite differences, and torch.nn in float64.

The ordinary tests apply them to the package; test_mutations.py applies the very same ones to copies with a planted
mistake. A proof takes the module that holds the functions, so it does not matter which.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.ops.cells import CELLS, Cell, Sizes

Array = NDArray[np.float64]

SIZES = {"time": 5, "batch": 2, "input_size": 3, "hidden_size": 4}  # all different: a swapped axis cannot hide
SMALL_SIZES = {"time": 3, "batch": 4, "input_size": 1, "hidden_size": 2}  # for what runs many times
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
DIFFERENCE = 1e-5  # error of a central difference: about DIFFERENCE**2 truncated, 1e-16 / DIFFERENCE rounded
GRADIENT_TOLERANCE = 1e-7
TORCH_TOLERANCE = 1e-12


class Layer(NamedTuple):
    """A cell of the reference as its record has it, and its twin in torch."""

    cell: Cell
    twin: Callable[..., torch.nn.Module] | None

    @property
    def module(self) -> str:
        """Module that holds its functions."""
        return self.cell.reference.backward.__module__


def twin_of(cell: Cell) -> Callable[..., torch.nn.Module] | None:
    """The module of torch.nn that is the same layer."""
    if not cell.torch_operator:
        return None
    known = {name: value for name, value in cell.options.items() if name == "nonlinearity"}
    return partial(getattr(torch.nn, cell.family), **known)


LAYERS = {name: Layer(cell, twin_of(cell)) for name, cell in CELLS.items()}
WITH_TWIN = [name for name, layer in LAYERS.items() if layer.twin]


class Functions(NamedTuple):
    """The functions of a layer, options bound."""

    cell_forward: Callable[..., Any]
    cell_backward: Callable[..., Any]
    cell_jacobian: Callable[..., Array]
    forward: Callable[..., Any]
    backward: Callable[..., Any]


def functions(name: str, module: ModuleType | None = None) -> Functions:
    """Those of the package, or of a module that holds copies of them."""
    layer = LAYERS[name]
    module, prefix = module or sys.modules[layer.module], layer.module.rpartition(".")[2]
    return Functions(
        partial(getattr(module, f"{prefix}_cell_forward"), **layer.cell.options),
        getattr(module, f"{prefix}_cell_backward"),
        getattr(module, f"{prefix}_cell_jacobian"),
        partial(getattr(module, f"{prefix}_forward"), **layer.cell.options),
        getattr(module, f"{prefix}_backward"),
    )


class Problem(NamedTuple):
    """A scalar loss of some arrays, and its gradient by hand. Both read the arrays anew at every call."""

    arguments: dict[str, Array]
    loss: Callable[[], float]
    gradients: Callable[[], dict[str, Array]]


def weights(layer: Layer, rng: np.random.Generator, input_size: int, hidden_size: int) -> tuple[Array, ...]:
    shapes = layer.cell.weight_shapes(Sizes(input_size, hidden_size))
    assert tuple(shapes) == WEIGHTS
    return tuple(0.6 * rng.standard_normal(shape) for shape in shapes.values())


def state(layer: Layer, rng: np.random.Generator, batch: int, hidden_size: int) -> Any:
    """Random parts, in a tuple where there are several; two are drawn whether or not both are used."""
    parts = tuple(rng.standard_normal((2, batch, hidden_size))[: len(layer.cell.parts)])
    return parts if len(parts) > 1 else parts[0]


def named(state: Any, weights: tuple[Array, ...], prefix: str = "") -> dict[str, Array]:
    """Leaves by name; takes arguments and gradients alike."""
    states = dict(zip(("h0", "c0"), state, strict=True)) if isinstance(state, tuple) else {"h0": state}
    leaves = states | dict(zip(WEIGHTS, weights, strict=True))
    return {prefix + name: leaf for name, leaf in leaves.items()}


def dot(output: Any, probe: Any) -> float:
    if isinstance(output, (tuple, list)):
        return sum(dot(part, its_probe) for part, its_probe in zip(output, probe, strict=True))
    return float(np.sum(output * probe))


def sequence_problem(
    name: str,
    module: ModuleType | None = None,
    *,
    time: int,
    batch: int,
    input_size: int,
    hidden_size: int,
    seed: int = 0,
) -> Problem:
    """A random linear function of everything that the sequence returns, so no output's gradient goes untested."""
    layer, of, rng = LAYERS[name], functions(name, module), np.random.default_rng(seed)
    x = rng.standard_normal((time, batch, input_size))
    start, ws = state(layer, rng, batch, hidden_size), weights(layer, rng, input_size, hidden_size)
    d_h_all, d_final = rng.standard_normal((time, batch, hidden_size)), state(layer, rng, batch, hidden_size)

    def loss() -> float:
        h_all, final, _ = of.forward(x, start, *ws)
        return dot(h_all, d_h_all) + dot(final, d_final)

    def gradients() -> dict[str, Array]:
        d_x, d_state, *d_weights = of.backward(d_h_all, d_final, of.forward(x, start, *ws)[2])
        return {"x": d_x, **named(d_state, tuple(d_weights))}

    return Problem({"x": x, **named(start, ws)}, loss, gradients)


def cell_problem(name: str, module: ModuleType | None = None) -> Problem:
    """The same for one step."""
    layer, of, rng = LAYERS[name], functions(name, module), np.random.default_rng(1)
    x = rng.standard_normal((SIZES["batch"], SIZES["input_size"]))
    start = state(layer, rng, SIZES["batch"], SIZES["hidden_size"])
    ws = weights(layer, rng, SIZES["input_size"], SIZES["hidden_size"])
    d_next = state(layer, rng, SIZES["batch"], SIZES["hidden_size"])

    def gradients() -> dict[str, Array]:
        d_x, d_state, *d_weights = of.cell_backward(d_next, of.cell_forward(x, start, *ws)[1])
        return {"x": d_x, **named(d_state, tuple(d_weights))}

    return Problem({"x": x, **named(start, ws)}, lambda: dot(of.cell_forward(x, start, *ws)[0], d_next), gradients)


def central_difference(loss: Callable[[], float], argument: Array) -> Array:
    """Gradient of the loss at an array by moving one entry at a time, both ways."""
    difference = np.empty_like(argument)
    for index in np.ndindex(argument.shape):
        value = argument[index]
        argument[index] = value + DIFFERENCE
        above = loss()
        argument[index] = value - DIFFERENCE
        below = loss()
        argument[index] = value
        difference[index] = (above - below) / (2 * DIFFERENCE)
    return difference


def relative_error(actual: Array, expected: Array) -> float:
    """Largest difference, relative to the largest entry of what is expected."""
    assert actual.shape == expected.shape
    largest = np.abs(expected).max()
    assert largest > 0, "nothing to compare with: every entry is zero"
    return float(np.abs(actual - expected).max() / largest)


def gradient_errors(problem: Problem) -> Iterator[tuple[str, float]]:
    """Each argument, with the largest relative error of its gradient by hand against central differences."""
    by_hand = problem.gradients()
    assert by_hand.keys() == problem.arguments.keys()
    for name, argument in problem.arguments.items():
        yield name, relative_error(by_hand[name], central_difference(problem.loss, argument))


def prove_gradients(problem: Problem) -> None:
    """Every gradient by hand equals the central difference, to 1e-7."""
    for name, error in gradient_errors(problem):
        assert error <= GRADIENT_TOLERANCE, f"d_{name}: relative error {error:.1e}"


def torch_layer(name: str, *layer_weights: tuple[Array, ...], **options: Any) -> torch.nn.Module:
    """The twin in torch with these weights, one tuple a layer and direction, in torch's order."""
    twin = LAYERS[name].twin
    assert twin is not None
    first = layer_weights[0]
    module = twin(first[0].shape[1], first[1].shape[1], **options).double()
    parameters = [weight for ws in layer_weights for weight in ws]
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), parameters, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return module


def torch_state(states: list[Any]) -> Any:
    """States of all layers and directions as torch takes them: stacked along a new first axis; they want gradients."""
    if isinstance(states[0], tuple):
        return tuple(torch_state([pair[k] for pair in states]) for k in range(2))
    return torch.from_numpy(np.stack(states)).requires_grad_()


def prove_against_torch(name: str, module: ModuleType | None = None) -> None:
    """Outputs, final state and every gradient equal those of torch.nn in float64, to 1e-12."""
    layer, of, rng = LAYERS[name], functions(name, module), np.random.default_rng(2)
    x = rng.standard_normal((SIZES["time"], SIZES["batch"], SIZES["input_size"]))
    start = state(layer, rng, SIZES["batch"], SIZES["hidden_size"])
    ws = weights(layer, rng, SIZES["input_size"], SIZES["hidden_size"])
    h_all, final, cache = of.forward(x, start, *ws)
    d_h_all, d_final = rng.standard_normal(h_all.shape), state(layer, rng, SIZES["batch"], SIZES["hidden_size"])
    d_x, d_state, *d_weights = of.backward(d_h_all, d_final, cache)

    twin, inputs, begin = torch_layer(name, ws), torch.from_numpy(x).requires_grad_(), torch_state([start])
    outputs, end = twin(inputs, begin)
    outputs.backward(torch.from_numpy(d_h_all), retain_graph=True)
    pair = len(layer.cell.parts) > 1
    torch.autograd.backward(end if pair else [end], torch_state([d_final]) if pair else [torch_state([d_final])])

    expected = {
        "h_all": outputs,
        "x": inputs.grad,
        **named(
            tuple(s.grad[0] for s in begin) if pair else begin.grad[0],
            tuple(parameter.grad for parameter in twin.parameters()),
        ),
    }
    expected |= dict(zip(("h_n", "c_n"), (s[0] for s in end), strict=True)) if pair else {"h_n": end[0]}
    actual = {"h_all": h_all, "x": d_x, **named(d_state, tuple(d_weights))}
    actual |= dict(zip(("h_n", "c_n"), final, strict=True)) if pair else {"h_n": final}
    for key, value in expected.items():
        error = relative_error(actual[key], value.detach().numpy())
        assert error <= TORCH_TOLERANCE, f"{key}: relative error {error:.1e}"
