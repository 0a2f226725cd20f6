"""What every array of the reference must be: float64, and of the shape its place in the equation asks for."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ShapeError, UsageError

Array = NDArray[np.float64]
Integers = NDArray[np.integer]
Weights = tuple[Array, Array, Array, Array]


def check_shape(what: str, array: Array, expected: Sequence[int | str], reason: str = "") -> None:
    """Refuse an array that is not float64 or not of the expected shape.

    Args:
        what: the array's place, as the message names it: "LSTM x".
        array: the array.
        expected: one entry an axis: a number that must match, or a name for an axis of any size.
        reason: why, or what to do; ends the message.

    Raises:
        ShapeError: another number of axes, or another size.
        UsageError: not a NumPy array of float64.
    """
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        kind = str(array.dtype) if isinstance(array, np.ndarray) else type(array).__name__
        raise UsageError(f"{what}: expected a float64 array, got {kind}; convert with np.asarray(..., dtype=float)")
    sizes = [size if isinstance(wanted, str) else wanted for wanted, size in zip(expected, array.shape, strict=False)]
    if array.ndim != len(expected) or array.shape != tuple(sizes):
        wanted = "(" + ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "") + ")"
        raise ShapeError(f"{what}: expected {wanted}, got {array.shape}" + (f"; {reason}" if reason else ""))


def check_weights(layer: str, num_gates: int, weights: Weights) -> tuple[int, int]:
    """Refuse weights that do not fit each other; returns (input_size, hidden_size).

    Args:
        layer: its name in the message.
        num_gates: blocks of rows in each weight: 1 Elman, 3 GRU, 4 LSTM.
        weights: weight_ih, weight_hh, bias_ih, bias_hh.

    Raises:
        ShapeError: a weight of another shape.
        UsageError: a weight that is not float64.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    check_shape(f"{layer} weight_hh", weight_hh, (f"{num_gates}*hidden", "hidden"))
    hidden_size = weight_hh.shape[1]
    rows = num_gates * hidden_size
    reason = f"{num_gates} x the {hidden_size} columns of weight_hh"
    check_shape(f"{layer} weight_hh", weight_hh, (rows, hidden_size), f"its rows must be {reason}")
    check_shape(f"{layer} weight_ih", weight_ih, (rows, "input"), f"its rows must be {reason}")
    check_shape(f"{layer} bias_ih", bias_ih, (rows,), f"its length must be {reason}")
    check_shape(f"{layer} bias_hh", bias_hh, (rows,), f"its length must be {reason}")
    return weight_ih.shape[1], hidden_size


def check_step(layer: str, num_gates: int, x: Array, state: Mapping[str, Array], weights: Weights) -> None:
    """Refuse the arguments of one step: x (batch, input), each state (batch, hidden), and the weights."""
    input_size, hidden_size = check_weights(layer, num_gates, weights)
    check_shape(f"{layer} x", x, ("batch", input_size), "the last axis must equal the columns of weight_ih")
    for name, array in state.items():
        check_shape(f"{layer} {name}", array, (x.shape[0], hidden_size), "(batch of x, columns of weight_hh)")


def check_sequence(layer: str, num_gates: int, x: Array, weights: Weights) -> None:
    """Refuse a sequence that is not (time, batch, input) or has no step; the steps check the rest."""
    input_size, _ = check_weights(layer, num_gates, weights)
    check_shape(f"{layer} x", x, ("time", "batch", input_size), "the last axis must equal the columns of weight_ih")
    if x.shape[0] == 0:
        raise ShapeError(f"{layer} x: expected at least one step, got {x.shape}")
