"""The GRU, its reset gate after or before the matrix product: one step, a sequence, and the gradient of each by hand.

T time, B batch, I input, H hidden. Gates stand in the order r, z, n in every weight and bias; z keeps the old state:
h' = (1 - z) * n + z * h. u is what the input brings to each gate, v what the state brings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.reference.activations import sigmoid
from recurra.reference.jacobian import diagonal, rows
from recurra.reference.shapes import Array, check_sequence, check_shape, check_step
from recurra.reference.truncation import check_window, is_cut


class GRUCache(NamedTuple):
    """What one step keeps for its backward pass; it refers to the arguments, it does not copy them."""

    x: Array  # (B, I)
    h: Array  # (B, H)
    r: Array  # (B, H), reset gate
    z: Array  # (B, H), update gate
    n: Array  # (B, H), candidate
    v_n: Array  # (B, H), what the state brings to the candidate
    weight_ih: Array  # (3H, I)
    weight_hh: Array  # (3H, H)
    reset_after: bool


class GRUGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_x: Array  # (B, I) for a step, (T, B, I) for a sequence
    d_state: Array  # (B, H), at the state before the first step
    d_weight_ih: Array  # (3H, I)
    d_weight_hh: Array  # (3H, H)
    d_bias_ih: Array  # (3H,)
    d_bias_hh: Array  # (3H,)


def gru_cell_forward(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    *,
    reset_after: bool = True,
) -> tuple[Array, GRUCache]:
    """One step: h' = (1 - z) * n + z * h.

    Args:
        x: input of the step, (batch, input).
        h: state before the step, (batch, hidden).
        weight_ih: (3*hidden, input), rows r, z, n.
        weight_hh: (3*hidden, hidden).
        bias_ih: (3*hidden,).
        bias_hh: (3*hidden,).
        reset_after: True: n = tanh(W_in x + b_in + r * (W_hn h + b_hn)), as torch and cuDNN.
            False: n = tanh(W_in x + b_in + W_hn (r * h) + b_hn), as the paper.

    Returns:
        h_next (batch, hidden), and the cache for `gru_cell_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Cho et al. 2014; docs/equations.md, GRU.
    """
    check_step("GRU", 3, x, {"h": h}, (weight_ih, weight_hh, bias_ih, bias_hh))
    u_r, u_z, u_n = np.split(x @ weight_ih.T + bias_ih, 3, axis=1)  # each (B, H)
    w_r, w_z, w_n = np.split(weight_hh, 3)  # each (H, H)
    b_r, b_z, b_n = np.split(bias_hh, 3)  # each (H,)
    r = sigmoid(u_r + h @ w_r.T + b_r)
    z = sigmoid(u_z + h @ w_z.T + b_z)
    if reset_after:
        v_n = h @ w_n.T + b_n
        n = np.tanh(u_n + r * v_n)
    else:
        v_n = (r * h) @ w_n.T + b_n
        n = np.tanh(u_n + v_n)
    h_next = (1.0 - z) * n + z * h
    return h_next, GRUCache(x, h, r, z, n, v_n, weight_ih, weight_hh, reset_after)


def gru_cell_backward(d_h_next: Array, cache: GRUCache) -> GRUGradients:
    """Gradient of one step.

    Args:
        d_h_next: loss gradient at the state after the step, (batch, hidden).
        cache: what `gru_cell_forward` returned; left untouched.

    Returns:
        GRUGradients: d_x (batch, input), d_state (batch, hidden), then one array a weight and bias.

    Raises:
        ShapeError: d_h_next does not belong to the cached step.

    Source: docs/equations.md, GRU, backward.
    """
    x, h, r, z, n, v_n, weight_ih, weight_hh, reset_after = cache
    check_shape("GRU d_h_next", d_h_next, n.shape, "the shape of h_next")
    w_r, w_z, w_n = np.split(weight_hh, 3)  # each (H, H)
    d_a_n = d_h_next * (1.0 - z) * (1.0 - n**2)  # (B, H)
    d_a_z = d_h_next * (h - n) * z * (1.0 - z)
    if reset_after:
        d_r, d_v_n = d_a_n * v_n, d_a_n * r
        h_to_n, d_h_by_n = h, d_v_n @ w_n
    else:
        d_v_n, d_reset_h = d_a_n, d_a_n @ w_n
        d_r = d_reset_h * h
        h_to_n, d_h_by_n = r * h, d_reset_h * r
    d_a_r = d_r * r * (1.0 - r)
    d_u = np.concatenate([d_a_r, d_a_z, d_a_n], axis=1)  # (B, 3H)
    d_v = np.concatenate([d_a_r, d_a_z, d_v_n], axis=1)  # (B, 3H)
    return GRUGradients(
        d_x=d_u @ weight_ih,
        d_state=d_h_next * z + d_h_by_n + d_a_r @ w_r + d_a_z @ w_z,
        d_weight_ih=d_u.T @ x,
        d_weight_hh=np.concatenate([d_a_r.T @ h, d_a_z.T @ h, d_v_n.T @ h_to_n]),
        d_bias_ih=d_u.sum(axis=0),
        d_bias_hh=d_v.sum(axis=0),
    )


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


def gru_forward(
    x: Array,
    h0: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    *,
    reset_after: bool = True,
) -> tuple[Array, Array, list[GRUCache]]:
    """A sequence: the same cell, step after step.

    Args:
        x: inputs, (time, batch, input), at least one step.
        h0: state before the first step, (batch, hidden).
        weight_ih: (3*hidden, input), rows r, z, n.
        weight_hh: (3*hidden, hidden).
        bias_ih: (3*hidden,).
        bias_hh: (3*hidden,).
        reset_after: where the reset gate acts, see `gru_cell_forward`.

    Returns:
        h_all (time, batch, hidden), h_n (batch, hidden), and the cache: one cell cache a step.

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: an array that is not float64.

    Source: Cho et al. 2014; docs/equations.md, GRU.
    """
    check_sequence("GRU", 3, x, (weight_ih, weight_hh, bias_ih, bias_hh))
    h, states, cache = h0, [], []
    for x_t in x:
        h, step = gru_cell_forward(x_t, h, weight_ih, weight_hh, bias_ih, bias_hh, reset_after=reset_after)
        states.append(h)
        cache.append(step)
    return np.stack(states), h, cache


def gru_backward(d_h_all: Array, d_h_n: Array, cache: Sequence[GRUCache], window: int | None = None) -> GRUGradients:
    """Gradient of a sequence: the gradients of its steps, summed over time.

    Args:
        d_h_all: loss gradient at every state, as an output, (time, batch, hidden).
        d_h_n: loss gradient at the final state, as a carried state, (batch, hidden).
        cache: what `gru_forward` returned; left untouched.
        window: steps after which the gradient of the carried state is cut; None for full backpropagation.

    Returns:
        GRUGradients: d_x (time, batch, input), d_state at h0 (batch, hidden), then one array a weight and bias.

    Raises:
        ShapeError: a gradient does not belong to the cached forward pass.
        UsageError: a window below one step.

    Source: Werbos 1990; Williams & Peng 1990; docs/equations.md, Through time.
    """
    check_window(window)
    check_shape("GRU d_h_all", d_h_all, (len(cache), *cache[0].n.shape), "the shape of h_all")
    check_shape("GRU d_h_n", d_h_n, cache[0].n.shape, "the shape of h_n")
    d_h, steps = d_h_n, []
    for t in reversed(range(len(cache))):
        step = gru_cell_backward(d_h_all[t] + d_h, cache[t])
        steps.append(step)
        d_h = np.zeros_like(d_h) if is_cut(t, window) else step.d_state
    return GRUGradients(
        d_x=np.stack([step.d_x for step in reversed(steps)]),
        d_state=d_h,
        d_weight_ih=np.sum([step.d_weight_ih for step in steps], axis=0),
        d_weight_hh=np.sum([step.d_weight_hh for step in steps], axis=0),
        d_bias_ih=np.sum([step.d_bias_ih for step in steps], axis=0),
        d_bias_hh=np.sum([step.d_bias_hh for step in steps], axis=0),
    )
