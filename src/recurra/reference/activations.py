"""The non-linearities, and their slopes written in terms of their own output.

The output is what the forward pass keeps anyway, so no backward pass needs the pre-activation again.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from recurra.errors import UsageError
from recurra.reference.shapes import Array

Nonlinearity = Literal["tanh", "relu", "sigmoid"]


def sigmoid(a: Array) -> Array:
    """Logistic function 1 / (1 + exp(-a)), of any shape, without overflow at either end."""
    return np.exp(-np.logaddexp(0.0, -a))


def relu(a: Array) -> Array:
    """The positive part of a, of any shape."""
    return np.maximum(a, 0.0)


class Activation(NamedTuple):
    """A non-linearity y = function(a) with its derivative dy/da = slope(y)."""

    function: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def activation(name: Nonlinearity) -> Activation:
    """The non-linearity of a name.

    At a = 0, where relu has no derivative, its slope is 0, as in torch.

    Raises:
        UsageError: a name other than tanh, relu, sigmoid.
    """
    match name:
        case "tanh":
            return Activation(np.tanh, lambda y: 1.0 - y**2)
        case "relu":
            return Activation(relu, lambda y: np.where(y > 0.0, 1.0, 0.0))
        case "sigmoid":
            return Activation(sigmoid, lambda y: y * (1.0 - y))
    raise UsageError(f"nonlinearity: expected tanh, relu or sigmoid, got {name!r}")
