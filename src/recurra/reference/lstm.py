"""The LSTM with forget gate: one step, a sequence, and the gradient of each by hand.

T time, B batch, I input, H hidden. Gates stand in the order i, f, g, o in every weight and bias.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.reference.activations import sigmoid
from recurra.reference.jacobian import check_states, diagonal, rows
from recurra.reference.shapes import Array, check_sequence, check_shape, check_step
from recurra.reference.truncation import check_window, is_cut

LSTMState = tuple[Array, Array]


class LSTMCache(NamedTuple):
    """What one step keeps for its backward pass; it refers to the arguments, it does not copy them."""

    x: Array  # (B, I)
    h: Array  # (B, H)
    c: Array  # (B, H)
    i: Array  # (B, H), input gate
    f: Array  # (B, H), forget gate
    g: Array  # (B, H), candidate
    o: Array  # (B, H), output gate
    c_next: Array  # (B, H)
    weight_ih: Array  # (4H, I)
    weight_hh: Array  # (4H, H)


class LSTMGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_x: Array  # (B, I) for a step, (T, B, I) for a sequence
    d_state: LSTMState  # (d_h, d_c), each (B, H), at the state before the first step
    d_weight_ih: Array  # (4H, I)
    d_weight_hh: Array  # (4H, H)
    d_bias_ih: Array  # (4H,)
    d_bias_hh: Array  # (4H,)


def lstm_cell_forward(
    x: Array, state: LSTMState, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[LSTMState, LSTMCache]:
    """One step: c' = f * c + i * g and h' = o * tanh(c').

    Args:
        x: input of the step, (batch, input).
        state: (h, c) before the step, each (batch, hidden).
        weight_ih: (4*hidden, input), rows i, f, g, o.
        weight_hh: (4*hidden, hidden).
        bias_ih: (4*hidden,).
        bias_hh: (4*hidden,).

    Returns:
        (h_next, c_next), each (batch, hidden), and the cache for `lstm_cell_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000; docs/equations.md, LSTM.
    """
    h, c = state
    check_step("LSTM", 4, x, {"h": h, "c": c}, (weight_ih, weight_hh, bias_ih, bias_hh))
    a = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh  # (B, 4H)
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)  # each (B, H)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c_next = f * c + i * g
    h_next = o * np.tanh(c_next)
    return (h_next, c_next), LSTMCache(x, h, c, i, f, g, o, c_next, weight_ih, weight_hh)


def lstm_cell_backward(d_state_next: LSTMState, cache: LSTMCache) -> LSTMGradients:
    """Gradient of one step.

    Args:
        d_state_next: loss gradient at (h_next, c_next), each (batch, hidden). The part of d_c_next that comes through
            h_next is added here.
        cache: what `lstm_cell_forward` returned; left untouched.

    Returns:
        LSTMGradients: d_x (batch, input), d_state (d_h, d_c), then one array a weight and bias.

    Raises:
        ShapeError: a gradient does not belong to the cached step.

    Source: Gers et al. 2000; docs/equations.md, LSTM, backward.
    """
    x, h, c, i, f, g, o, c_next, weight_ih, weight_hh = cache
    d_h_next, d_c_next = d_state_next
    check_shape("LSTM d_h_next", d_h_next, c_next.shape, "the shape of h_next")
    check_shape("LSTM d_c_next", d_c_next, c_next.shape, "the shape of c_next")
    tanh_c = np.tanh(c_next)
    d_c_total = d_c_next + d_h_next * o * (1.0 - tanh_c**2)  # (B, H)
    d_a_i = d_c_total * g * i * (1.0 - i)
    d_a_f = d_c_total * c * f * (1.0 - f)
    d_a_g = d_c_total * i * (1.0 - g**2)
    d_a_o = d_h_next * tanh_c * o * (1.0 - o)
    d_a = np.concatenate([d_a_i, d_a_f, d_a_g, d_a_o], axis=1)  # (B, 4H)
    return LSTMGradients(
        d_x=d_a @ weight_ih,
        d_state=(d_a @ weight_hh, d_c_total * f),
        d_weight_ih=d_a.T @ x,
        d_weight_hh=d_a.T @ h,
        d_bias_ih=d_a.sum(axis=0),
        d_bias_hh=d_a.sum(axis=0),
    )


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


def lstm_forward(
    x: Array, state: LSTMState, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[Array, LSTMState, list[LSTMCache]]:
    """A sequence: the same cell, step after step.

    Args:
        x: inputs, (time, batch, input), at least one step.
        state: (h0, c0) before the first step, each (batch, hidden).
        weight_ih: (4*hidden, input), rows i, f, g, o.
        weight_hh: (4*hidden, hidden).
        bias_ih: (4*hidden,).
        bias_hh: (4*hidden,).

    Returns:
        h_all (time, batch, hidden), (h_n, c_n) each (batch, hidden), and the cache: one cell cache a step.

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: an array that is not float64.

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000; docs/equations.md, LSTM.
    """
    check_sequence("LSTM", 4, x, (weight_ih, weight_hh, bias_ih, bias_hh))
    states, cache = [], []
    for x_t in x:
        state, step = lstm_cell_forward(x_t, state, weight_ih, weight_hh, bias_ih, bias_hh)
        states.append(state[0])
        cache.append(step)
    return np.stack(states), state, cache


def lstm_backward(
    d_h_all: Array, d_state: LSTMState, cache: Sequence[LSTMCache], window: int | None = None
) -> LSTMGradients:
    """Gradient of a sequence: the gradients of its steps, summed over time.

    Args:
        d_h_all: loss gradient at every hidden state, as an output, (time, batch, hidden).
        d_state: loss gradient at the final (h, c), as a carried state, each (batch, hidden).
        cache: what `lstm_forward` returned; left untouched.
        window: steps after which the gradient of the carried state is cut; None for full backpropagation.

    Returns:
        LSTMGradients: d_x (time, batch, input), d_state at (h0, c0), then one array a weight and bias.

    Raises:
        ShapeError: a gradient does not belong to the cached forward pass.
        UsageError: a window below one step.

    Source: Werbos 1990; Williams & Peng 1990; docs/equations.md, Through time.
    """
    check_window(window)
    d_h, d_c = d_state
    check_shape("LSTM d_h_all", d_h_all, (len(cache), *cache[0].c_next.shape), "the shape of h_all")
    check_shape("LSTM d_state h", d_h, cache[0].c_next.shape, "the shape of h_n")
    check_shape("LSTM d_state c", d_c, cache[0].c_next.shape, "the shape of c_n")
    steps = []
    for t in reversed(range(len(cache))):
        step = lstm_cell_backward((d_h_all[t] + d_h, d_c), cache[t])
        steps.append(step)
        d_h, d_c = (np.zeros_like(d_h), np.zeros_like(d_c)) if is_cut(t, window) else step.d_state
    return LSTMGradients(
        d_x=np.stack([step.d_x for step in reversed(steps)]),
        d_state=(d_h, d_c),
        d_weight_ih=np.sum([step.d_weight_ih for step in steps], axis=0),
        d_weight_hh=np.sum([step.d_weight_hh for step in steps], axis=0),
        d_bias_ih=np.sum([step.d_bias_ih for step in steps], axis=0),
        d_bias_hh=np.sum([step.d_bias_hh for step in steps], axis=0),
    )


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
