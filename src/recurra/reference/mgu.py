"""The minimal gated unit: one step, a sequence, and the gradient of each by hand.

T time, B batch, I input, H hidden. Gates stand in the order f, n in every weight and bias; f lets new values in:
h' = (1 - f) * h + f * n. u is what the input brings to each gate.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.reference.activations import sigmoid
from recurra.reference.jacobian import diagonal, rows
from recurra.reference.shapes import Array, check_sequence, check_shape, check_step
from recurra.reference.truncation import check_window, is_cut


class MGUCache(NamedTuple):
    """What one step keeps for its backward pass; it refers to the arguments, it does not copy them."""

    x: Array  # (B, I)
    h: Array  # (B, H)
    f: Array  # (B, H), forget gate
    n: Array  # (B, H), candidate
    weight_ih: Array  # (2H, I)
    weight_hh: Array  # (2H, H)


class MGUGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_x: Array  # (B, I) for a step, (T, B, I) for a sequence
    d_state: Array  # (B, H), at the state before the first step
    d_weight_ih: Array  # (2H, I)
    d_weight_hh: Array  # (2H, H)
    d_bias_ih: Array  # (2H,)
    d_bias_hh: Array  # (2H,)


def mgu_cell_forward(
    x: Array, h: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[Array, MGUCache]:
    """One step: h' = (1 - f) * h + f * n with n = tanh(W_in x + b_in + W_hn (f * h) + b_hn).

    Args:
        x: input of the step, (batch, input).
        h: state before the step, (batch, hidden).
        weight_ih: (2*hidden, input), rows f, n.
        weight_hh: (2*hidden, hidden).
        bias_ih: (2*hidden,).
        bias_hh: (2*hidden,).

    Returns:
        h_next (batch, hidden), and the cache for `mgu_cell_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Zhou et al. 2016; docs/equations.md, MGU.
    """
    check_step("MGU", 2, x, {"h": h}, (weight_ih, weight_hh, bias_ih, bias_hh))
    u_f, u_n = np.split(x @ weight_ih.T + bias_ih, 2, axis=1)  # each (B, H)
    w_f, w_n = np.split(weight_hh, 2)  # each (H, H)
    b_f, b_n = np.split(bias_hh, 2)  # each (H,)
    f = sigmoid(u_f + h @ w_f.T + b_f)
    n = np.tanh(u_n + (f * h) @ w_n.T + b_n)
    h_next = (1.0 - f) * h + f * n
    return h_next, MGUCache(x, h, f, n, weight_ih, weight_hh)


def mgu_cell_backward(d_h_next: Array, cache: MGUCache) -> MGUGradients:
    """Gradient of one step.

    Args:
        d_h_next: loss gradient at the state after the step, (batch, hidden).
        cache: what `mgu_cell_forward` returned; left untouched.

    Returns:
        MGUGradients: d_x (batch, input), d_state (batch, hidden), then one array a weight and bias.

    Raises:
        ShapeError: d_h_next does not belong to the cached step.

    Source: docs/equations.md, MGU, backward.
    """
    x, h, f, n, weight_ih, weight_hh = cache
    check_shape("MGU d_h_next", d_h_next, n.shape, "the shape of h_next")
    w_f, w_n = np.split(weight_hh, 2)  # each (H, H)
    d_a_n = d_h_next * f * (1.0 - n**2)  # (B, H)
    d_gated_h = d_a_n @ w_n
    d_a_f = (d_h_next * (n - h) + d_gated_h * h) * f * (1.0 - f)
    d_a = np.concatenate([d_a_f, d_a_n], axis=1)  # (B, 2H)
    return MGUGradients(
        d_x=d_a @ weight_ih,
        d_state=d_h_next * (1.0 - f) + d_gated_h * f + d_a_f @ w_f,
        d_weight_ih=d_a.T @ x,
        d_weight_hh=np.concatenate([d_a_f.T @ h, d_a_n.T @ (f * h)]),
        d_bias_ih=d_a.sum(axis=0),
        d_bias_hh=d_a.sum(axis=0),
    )


def mgu_cell_jacobian(cache: MGUCache) -> Array:
    """d h' / d h, (batch, hidden, hidden).

    Source: docs/equations.md, What vanishes and what explodes.
    """
    w_f, w_n = np.split(cache.weight_hh, 2)  # each (H, H)
    f, n, h = cache.f, cache.n, cache.h
    f_by_h = rows(f * (1.0 - f), w_f)  # (B, H, H)
    a_n_by_h = w_n @ (diagonal(f) + rows(h, f_by_h))
    return diagonal(1.0 - f) + rows(n - h, f_by_h) + rows(f * (1.0 - n**2), a_n_by_h)


def mgu_forward(
    x: Array, h0: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[Array, Array, list[MGUCache]]:
    """A sequence: the same cell, step after step.

    Args:
        x: inputs, (time, batch, input), at least one step.
        h0: state before the first step, (batch, hidden).
        weight_ih: (2*hidden, input), rows f, n.
        weight_hh: (2*hidden, hidden).
        bias_ih: (2*hidden,).
        bias_hh: (2*hidden,).

    Returns:
        h_all (time, batch, hidden), h_n (batch, hidden), and the cache: one cell cache a step.

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: an array that is not float64.

    Source: Zhou et al. 2016; docs/equations.md, MGU.
    """
    check_sequence("MGU", 2, x, (weight_ih, weight_hh, bias_ih, bias_hh))
    h, states, cache = h0, [], []
    for x_t in x:
        h, step = mgu_cell_forward(x_t, h, weight_ih, weight_hh, bias_ih, bias_hh)
        states.append(h)
        cache.append(step)
    return np.stack(states), h, cache


def mgu_backward(d_h_all: Array, d_h_n: Array, cache: Sequence[MGUCache], window: int | None = None) -> MGUGradients:
    """Gradient of a sequence: the gradients of its steps, summed over time.

    Args:
        d_h_all: loss gradient at every state, as an output, (time, batch, hidden).
        d_h_n: loss gradient at the final state, as a carried state, (batch, hidden).
        cache: what `mgu_forward` returned; left untouched.
        window: steps after which the gradient of the carried state is cut; None for full backpropagation.

    Returns:
        MGUGradients: d_x (time, batch, input), d_state at h0 (batch, hidden), then one array a weight and bias.

    Raises:
        ShapeError: a gradient does not belong to the cached forward pass.
        UsageError: a window below one step.

    Source: Werbos 1990; Williams & Peng 1990; docs/equations.md, Through time.
    """
    check_window(window)
    check_shape("MGU d_h_all", d_h_all, (len(cache), *cache[0].n.shape), "the shape of h_all")
    check_shape("MGU d_h_n", d_h_n, cache[0].n.shape, "the shape of h_n")
    d_h, steps = d_h_n, []
    for t in reversed(range(len(cache))):
        step = mgu_cell_backward(d_h_all[t] + d_h, cache[t])
        steps.append(step)
        d_h = np.zeros_like(d_h) if is_cut(t, window) else step.d_state
    return MGUGradients(
        d_x=np.stack([step.d_x for step in reversed(steps)]),
        d_state=d_h,
        d_weight_ih=np.sum([step.d_weight_ih for step in steps], axis=0),
        d_weight_hh=np.sum([step.d_weight_hh for step in steps], axis=0),
        d_bias_ih=np.sum([step.d_bias_ih for step in steps], axis=0),
        d_bias_hh=np.sum([step.d_bias_hh for step in steps], axis=0),
    )
