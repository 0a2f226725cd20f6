"""The Elman network: one step, a sequence, and the gradient of each by hand.

T time, B batch, I input, H hidden.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.reference.activations import Nonlinearity, activation
from recurra.reference.jacobian import rows
from recurra.reference.shapes import Array, check_sequence, check_shape, check_step
from recurra.reference.truncation import check_window, is_cut


class RNNCache(NamedTuple):
    """What one step keeps for its backward pass; it refers to the arguments, it does not copy them."""

    x: Array  # (B, I)
    h: Array  # (B, H)
    h_next: Array  # (B, H)
    weight_ih: Array  # (H, I)
    weight_hh: Array  # (H, H)
    nonlinearity: Nonlinearity


class RNNGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_x: Array  # (B, I) for a step, (T, B, I) for a sequence
    d_state: Array  # (B, H), at the state before the first step
    d_weight_ih: Array  # (H, I)
    d_weight_hh: Array  # (H, H)
    d_bias_ih: Array  # (H,)
    d_bias_hh: Array  # (H,)


def rnn_cell_forward(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Array, RNNCache]:
    """One step: h' = phi(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        x: input of the step, (batch, input).
        h: state before the step, (batch, hidden).
        weight_ih: (hidden, input).
        weight_hh: (hidden, hidden).
        bias_ih: (hidden,).
        bias_hh: (hidden,).
        nonlinearity: phi: tanh, relu or sigmoid.

    Returns:
        h_next (batch, hidden), and the cache for `rnn_cell_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64, or an unknown nonlinearity.

    Source: Elman 1990; docs/equations.md, Elman network.
    """
    check_step("RNN", 1, x, {"h": h}, (weight_ih, weight_hh, bias_ih, bias_hh))
    a = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh  # (B, H)
    h_next = activation(nonlinearity).function(a)
    return h_next, RNNCache(x, h, h_next, weight_ih, weight_hh, nonlinearity)


def rnn_cell_backward(d_h_next: Array, cache: RNNCache) -> RNNGradients:
    """Gradient of one step.

    Args:
        d_h_next: loss gradient at the state after the step, (batch, hidden).
        cache: what `rnn_cell_forward` returned; left untouched.

    Returns:
        RNNGradients: d_x (batch, input), d_state (batch, hidden), then one array a weight and bias.

    Raises:
        ShapeError: d_h_next does not belong to the cached step.

    Source: docs/equations.md, Elman network, backward.
    """
    x, h, h_next, weight_ih, weight_hh, nonlinearity = cache
    check_shape("RNN d_h_next", d_h_next, h_next.shape, "the shape of h_next")
    d_a = d_h_next * activation(nonlinearity).slope(h_next)  # (B, H)
    return RNNGradients(
        d_x=d_a @ weight_ih,
        d_state=d_a @ weight_hh,
        d_weight_ih=d_a.T @ x,
        d_weight_hh=d_a.T @ h,
        d_bias_ih=d_a.sum(axis=0),
        d_bias_hh=d_a.sum(axis=0),
    )


def rnn_cell_jacobian(cache: RNNCache) -> Array:
    """d h' / d h = diag(phi'(a)) W_hh, (batch, hidden, hidden).

    Source: Bengio et al. 1994; docs/equations.md, What vanishes and what explodes.
    """
    return rows(activation(cache.nonlinearity).slope(cache.h_next), cache.weight_hh)


def rnn_forward(
    x: Array,
    h0: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Array, Array, list[RNNCache]]:
    """A sequence: the same cell, step after step.

    Args:
        x: inputs, (time, batch, input), at least one step.
        h0: state before the first step, (batch, hidden).
        weight_ih: (hidden, input).
        weight_hh: (hidden, hidden).
        bias_ih: (hidden,).
        bias_hh: (hidden,).
        nonlinearity: tanh, relu or sigmoid.

    Returns:
        h_all (time, batch, hidden), h_n (batch, hidden), and the cache: one cell cache a step.

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: an array that is not float64, or an unknown nonlinearity.

    Source: Elman 1990; docs/equations.md, Elman network.
    """
    check_sequence("RNN", 1, x, (weight_ih, weight_hh, bias_ih, bias_hh))
    h, states, cache = h0, [], []
    for x_t in x:
        h, step = rnn_cell_forward(x_t, h, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity)
        states.append(h)
        cache.append(step)
    return np.stack(states), h, cache


def rnn_backward(d_h_all: Array, d_h_n: Array, cache: Sequence[RNNCache], window: int | None = None) -> RNNGradients:
    """Gradient of a sequence: the gradients of its steps, summed over time.

    Args:
        d_h_all: loss gradient at every state, as an output, (time, batch, hidden).
        d_h_n: loss gradient at the final state, as a carried state, (batch, hidden).
        cache: what `rnn_forward` returned; left untouched.
        window: steps after which the gradient of the carried state is cut; None for full backpropagation.

    Returns:
        RNNGradients: d_x (time, batch, input), d_state at h0 (batch, hidden), then one array a weight and bias.

    Raises:
        ShapeError: a gradient does not belong to the cached forward pass.
        UsageError: a window below one step.

    Source: Werbos 1990; Williams & Peng 1990; docs/equations.md, Through time.
    """
    check_window(window)
    check_shape("RNN d_h_all", d_h_all, (len(cache), *cache[0].h_next.shape), "the shape of h_all")
    check_shape("RNN d_h_n", d_h_n, cache[0].h_next.shape, "the shape of h_n")
    d_h, steps = d_h_n, []
    for t in reversed(range(len(cache))):
        step = rnn_cell_backward(d_h_all[t] + d_h, cache[t])
        steps.append(step)
        d_h = np.zeros_like(d_h) if is_cut(t, window) else step.d_state
    return RNNGradients(
        d_x=np.stack([step.d_x for step in reversed(steps)]),
        d_state=d_h,
        d_weight_ih=np.sum([step.d_weight_ih for step in steps], axis=0),
        d_weight_hh=np.sum([step.d_weight_hh for step in steps], axis=0),
        d_bias_ih=np.sum([step.d_bias_ih for step in steps], axis=0),
        d_bias_hh=np.sum([step.d_bias_hh for step in steps], axis=0),
    )
