"""Gradients kept from exploding: each entry within a limit, or all arrays together within a norm."""

from collections.abc import Sequence

import numpy as np

from recurra.errors import UsageError
from recurra.reference.shapes import Array

# Added to the norm before dividing, as torch.nn.utils.clip_grad_norm_ does, so that zero gradients divide by no zero.
EPSILON = 1e-6


def clip_by_value(gradients: Sequence[Array], limit: float) -> list[Array]:
    """Each entry moved into -limit..limit; may turn the gradient's direction.

    Args:
        gradients: arrays of any shapes; left untouched.
        limit: largest absolute value, above 0.

    Raises:
        UsageError: limit is not above 0.

    Source: docs/equations.md, Clipping.
    """
    if not limit > 0:
        raise UsageError(f"limit: expected a number above 0, got {limit}")
    return [np.clip(gradient, -limit, limit) for gradient in gradients]


def clip_by_norm(gradients: Sequence[Array], max_norm: float) -> tuple[list[Array], float]:
    """All arrays scaled by one factor where their common Euclidean norm is above max_norm; the direction stays.

    Args:
        gradients: arrays of any shapes; left untouched.
        max_norm: largest norm of all entries together, above 0.

    Returns:
        The clipped arrays, and the norm before clipping.

    Raises:
        UsageError: max_norm is not above 0.

    Source: Pascanu et al. 2013; docs/equations.md, Clipping.
    """
    if not max_norm > 0:
        raise UsageError(f"max_norm: expected a number above 0, got {max_norm}")
    norm = float(np.sqrt(sum(np.sum(gradient**2) for gradient in gradients)))
    factor = min(1.0, max_norm / (norm + EPSILON))
    return [gradient * factor for gradient in gradients], norm
