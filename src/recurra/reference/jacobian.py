"""How a later state depends on an earlier one: the Jacobian of each cell, and their product over time.

States are numbered 0..T: state 0 is the initial one, state t stands after t steps; cache[t] leads from t to t + 1.
A Jacobian is (B, H, H): row = unit of the later state, column = unit of the earlier.
T time, B batch, H hidden.
"""

from collections.abc import Sequence

import numpy as np

from recurra.errors import UsageError
from recurra.reference.activations import activation
from recurra.reference.gru import GRUCache
from recurra.reference.lstm import LSTMCache
from recurra.reference.rnn import RNNCache
from recurra.reference.shapes import Array


def rows(scale: Array, matrix: Array) -> Array:
    """diag(scale) @ matrix for each sequence: (B, H) and (H, H) or (B, H, H) to (B, H, H)."""
    return scale[:, :, np.newaxis] * matrix


def diagonal(entries: Array) -> Array:
    """diag(entries) for each sequence: (B, H) to (B, H, H)."""
    return rows(entries, np.eye(entries.shape[1]))


def rnn_cell_jacobian(cache: RNNCache) -> Array:
    """d h' / d h = diag(phi'(a)) W_hh, (batch, hidden, hidden).

    Source: Bengio et al. 1994; docs/equations.md, What vanishes and what explodes.
    """
    return rows(activation(cache.nonlinearity).slope(cache.h_next), cache.weight_hh)


def lstm_cell_jacobian(cache: LSTMCache) -> Array:
    """d (h', c') / d (h, c), (batch, 2*hidden, 2*hidden); h before c in rows and columns.

    Source: docs/equations.md, What vanishes and what explodes.
    """
    w_i, w_f, w_g, w_o = np.split(cache.weight_hh, 4)  # each (H, H)
    i, f, g, o, c = cache.i, cache.f, cache.g, cache.o, cache.c
    tanh_c = np.tanh(cache.c_next)
    c_by_h = (
        rows(g * i * (1.0 - i), w_i) + rows(c * f * (1.0 - f), w_f) + rows(i * (1.0 - g**2), w_g)
    )  # (B, H, H), through the gates
    c_by_c = diagonal(f)  # the additive path: nothing but the forget gate
    through_c = o * (1.0 - tanh_c**2)  # d h' / d c', (B, H)
    h_by_h = rows(through_c, c_by_h) + rows(tanh_c * o * (1.0 - o), w_o)
    h_by_c = rows(through_c, c_by_c)
    return np.block([[h_by_h, h_by_c], [c_by_h, c_by_c]])


def gru_cell_jacobian(cache: GRUCache) -> Array:
    """d h' / d h, (batch, hidden, hidden).

    Source: docs/equations.md, What vanishes and what explodes.
    """
    w_r, w_z, w_n = np.split(cache.weight_hh, 3)  # each (H, H)
    r, z, n, h = cache.r, cache.z, cache.n, cache.h
    r_by_h = rows(r * (1.0 - r), w_r)
    reset_after = rows(r, w_n) + rows(cache.v_n, r_by_h)
    reset_before = w_n @ (diagonal(r) + rows(h, r_by_h))
    a_n_by_h = reset_after if cache.reset_after else reset_before
    by_candidate = rows((1.0 - z) * (1.0 - n**2), a_n_by_h)
    by_update = rows((h - n) * z * (1.0 - z), w_z)
    return diagonal(z) + by_candidate + by_update


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


def lstm_cell_path(cache: Sequence[LSTMCache], earlier: int, later: int) -> Array:
    """The additive path alone: d c[later] / d c[earlier] with every gate held still, the product of forget gates.

    Args:
        cache: what `lstm_forward` returned; left untouched.
        earlier: state from which, 0..later.
        later: state to which, earlier..T.

    Returns:
        (batch, hidden), the diagonal of that Jacobian; ones where earlier equals later.

    Raises:
        UsageError: states that do not exist or stand in the wrong order.

    Source: Gers et al. 2000; docs/equations.md, What vanishes and what explodes.
    """
    check_states(earlier, later, len(cache))
    product = np.ones_like(cache[0].f)
    for step in cache[earlier:later]:
        product = product * step.f
    return product


def check_states(earlier: int, later: int, num_steps: int) -> None:
    """Refuse states that do not exist or stand in the wrong order (UsageError)."""
    if not 0 <= earlier <= later <= num_steps:
        raise UsageError(f"states: expected 0 <= earlier <= later <= {num_steps}, got {earlier} and {later}")
