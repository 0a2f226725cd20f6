"""How a later state depends on an earlier one: what the Jacobian of each cell is made of, and their product over time.

States are numbered 0..T: state 0 is the initial one, state t stands after t steps; cache[t] leads from t to t + 1.
A Jacobian is (B, H, H): row = unit of the later state, column = unit of the earlier.
T time, B batch, H hidden.
"""

from collections.abc import Sequence

import numpy as np

from recurra.errors import UsageError
from recurra.reference.shapes import Array


def rows(scale: Array, matrix: Array) -> Array:
    """diag(scale) @ matrix for each sequence: (B, H) and (H, H) or (B, H, H) to (B, H, H)."""
    return scale[:, :, np.newaxis] * matrix


def diagonal(entries: Array) -> Array:
    """diag(entries) for each sequence: (B, H) to (B, H, H)."""
    return rows(entries, np.eye(entries.shape[1]))


def over_time(cell_jacobians: Sequence[Array], earlier: int, later: int) -> Array:
    """d state[later] / d state[earlier]: the product of the cell Jacobians between them, the latest leftmost.

    Args:
        cell_jacobians: one a step, each (batch, N, N), as `rnn_cell_jacobian` and the others give.
        earlier: state from which, 0..later.
        later: state to which, earlier..T.

    Returns:
        (batch, N, N); the identity where earlier equals later.

    Raises:
        UsageError: states that do not exist or stand in the wrong order.

    Source: Bengio et al. 1994; Pascanu et al. 2013; docs/equations.md, What vanishes and what explodes.
    """
    check_states(earlier, later, len(cell_jacobians))
    batch, size, _ = cell_jacobians[0].shape
    product = np.tile(np.eye(size), (batch, 1, 1))
    for cell_jacobian in cell_jacobians[earlier:later]:
        product = cell_jacobian @ product
    return product


def check_states(earlier: int, later: int, num_steps: int) -> None:
    """Refuse states that do not exist or stand in the wrong order (UsageError)."""
    if not 0 <= earlier <= later <= num_steps:
        raise UsageError(f"states: expected 0 <= earlier <= later <= {num_steps}, got {earlier} and {later}")
