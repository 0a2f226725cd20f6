"""Layers made of layers: two directions side by side, and a stack.

A layer is a pair of plain functions,

    forward(x, state, *weights) -> (h_all, state_n, cache)
    backward(d_h_all, d_state_n, cache, window) -> gradients with d_x and d_state

and so are `rnn_*`, `lstm_*`, `gru_*`. Both compositions keep that form, so they nest: a stack of bidirectional LSTMs is
`stacked_forward(partial(bidirectional_forward, lstm_forward), x, states, *weights)`.

T time, B batch, I input, H hidden, F = features of a layer's output.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from recurra.errors import ShapeError, UsageError
from recurra.reference.shapes import Array, check_shape

Merge = Literal["concat", "sum", "average", "multiply"]


class Gradients(Protocol):
    """What every layer's backward returns, beside the gradients of its own weights."""

    @property
    def d_x(self) -> Array:
        """Gradient at the input, (T, B, I)."""

    @property
    def d_state(self) -> Any:
        """Gradient at the initial state, nested as the state is."""


Forward = Callable[..., tuple[Array, Any, Any]]
Backward = Callable[[Array, Any, Any, int | None], Gradients]


class BidirectionalCache(NamedTuple):
    """What the forward pass keeps: each direction's cache, and both outputs in the order of time."""

    caches: tuple[Any, Any]
    outputs: tuple[Array, Array]  # each (T, B, F)
    merge: Merge


class BidirectionalGradients(NamedTuple):
    """Gradient at input and states, and all that each direction's backward returned."""

    d_x: Array  # (T, B, I)
    d_state: tuple[Any, Any]
    directions: tuple[Any, Any]


class StackedGradients(NamedTuple):
    """Gradient at input and states, and all that each layer's backward returned, the first layer first."""

    d_x: Array  # (T, B, I)
    d_state: list[Any]
    layers: list[Any]


def merge_forward(ahead: Array, reverse: Array, merge: Merge) -> Array:
    """One output of two: (T, B, F) each, to (T, B, 2F) for concat and (T, B, F) otherwise.

    Raises:
        UsageError: an unknown merge.

    Source: docs/equations.md, Two directions.
    """
    match merge:
        case "concat":
            return np.concatenate([ahead, reverse], axis=-1)
        case "sum":
            return ahead + reverse
        case "average":
            return (ahead + reverse) / 2.0
        case "multiply":
            return ahead * reverse
    raise UsageError(f"merge: expected concat, sum, average or multiply, got {merge!r}")


def merge_backward(d_merged: Array, ahead: Array, reverse: Array, merge: Merge) -> tuple[Array, Array]:
    """Gradient at both outputs, (T, B, F) each; arguments as in `merge_forward`, and the gradient at its result.

    Raises:
        ShapeError: d_merged does not belong to the two outputs.
        UsageError: an unknown merge.
    """
    time, batch, features = ahead.shape
    width = 2 * features if merge == "concat" else features
    check_shape("bidirectional d_h_all", d_merged, (time, batch, width), "the shape of the merged output")
    match merge:
        case "concat":
            return d_merged[..., :features], d_merged[..., features:]
        case "sum":
            return d_merged, d_merged
        case "average":
            return d_merged / 2.0, d_merged / 2.0
        case "multiply":
            return d_merged * reverse, d_merged * ahead
    raise UsageError(f"merge: expected concat, sum, average or multiply, got {merge!r}")


def bidirectional_forward(
    forward: Forward,
    x: Array,
    states: tuple[Any, Any],
    weights_ahead: Sequence[Any],
    weights_reverse: Sequence[Any],
    merge: Merge = "concat",
) -> tuple[Array, tuple[Any, Any], BidirectionalCache]:
    """One layer read from the first step to the last, another from the last to the first.

    Args:
        forward: a layer's forward, such as `lstm_forward`; options through functools.partial.
        x: inputs, (time, batch, input).
        states: initial states: the direction ahead before the first step, the reverse one before the last.
        weights_ahead: the layer's weights ahead.
        weights_reverse: the layer's weights in reverse.
        merge: how both outputs of a step become one: concat, sum, average or multiply.

    Returns:
        h_all (time, batch, 2*features) for concat, else (time, batch, features); both final states; and the cache.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an unknown merge.

    Source: Schuster & Paliwal 1997; docs/equations.md, Two directions.
    """
    h_ahead, final_ahead, cache_ahead = forward(x, states[0], *weights_ahead)
    h_flipped, final_reverse, cache_reverse = forward(x[::-1], states[1], *weights_reverse)
    outputs = (h_ahead, h_flipped[::-1])
    cache = BidirectionalCache((cache_ahead, cache_reverse), outputs, merge)
    return merge_forward(*outputs, merge), (final_ahead, final_reverse), cache


def bidirectional_backward(
    backward: Backward,
    d_h_all: Array,
    d_states: tuple[Any, Any],
    cache: BidirectionalCache,
    window: int | None = None,
) -> BidirectionalGradients:
    """Gradient of both directions; they share only the input, where their gradients add up.

    Args:
        backward: the backward that belongs to the layer's forward.
        d_h_all: loss gradient at the merged output.
        d_states: loss gradient at both final states.
        cache: what `bidirectional_forward` returned; left untouched.
        window: steps after which the carried state's gradient is cut, counted in each direction from its own start.

    Returns:
        BidirectionalGradients: d_x (time, batch, input), d_state of both, and `directions`, the gradients of each.
        There the reverse direction's own d_x stands in the order in which it read.

    Raises:
        ShapeError: a gradient does not belong to the cached forward pass.
        UsageError: a window below one step.

    Source: Schuster & Paliwal 1997; docs/equations.md, Two directions.
    """
    d_ahead, d_reverse = merge_backward(d_h_all, *cache.outputs, cache.merge)
    ahead = backward(d_ahead, d_states[0], cache.caches[0], window)
    reverse = backward(d_reverse[::-1], d_states[1], cache.caches[1], window)
    return BidirectionalGradients(
        d_x=ahead.d_x + reverse.d_x[::-1],
        d_state=(ahead.d_state, reverse.d_state),
        directions=(ahead, reverse),
    )


def stacked_forward(
    forward: Forward, x: Array, states: Sequence[Any], *weights: Sequence[Any]
) -> tuple[Array, list[Any], list[Any]]:
    """Layers on top of each other: the output of one is the input of the next.

    Args:
        forward: a layer's forward, such as `lstm_forward`; options through functools.partial.
        x: inputs of the first layer, (time, batch, input).
        states: one initial state a layer, the first layer first.
        weights: one layer's weights after another.

    Returns:
        h_all of the last layer (time, batch, features), the final state of each layer, and the cache: one a layer.

    Raises:
        ShapeError: not one state for each layer's weights, or arrays that do not fit each other.

    Source: Schmidhuber 1992; Graves et al. 2013; docs/equations.md, Stacks.
    """
    if not weights or len(states) != len(weights):
        raise ShapeError(f"stack: expected one state for each layer, got {len(states)} for {len(weights)} layers")
    finals, caches = [], []
    for state, layer_weights in zip(states, weights, strict=True):
        x, final, cache = forward(x, state, *layer_weights)
        finals.append(final)
        caches.append(cache)
    return x, finals, caches


def stacked_backward(
    backward: Backward, d_h_all: Array, d_states: Sequence[Any], cache: Sequence[Any], window: int | None = None
) -> StackedGradients:
    """Gradient of a stack: from the last layer down, d_x of one is d_h_all of the layer below.

    Args:
        backward: the backward that belongs to the layer's forward.
        d_h_all: loss gradient at the last layer's output.
        d_states: loss gradient at each layer's final state.
        cache: what `stacked_forward` returned; left untouched.
        window: steps after which the carried state's gradient is cut in every layer.

    Returns:
        StackedGradients: d_x (time, batch, input), d_state one a layer, and `layers`, the gradients of each.

    Raises:
        ShapeError: not one state gradient a layer, or a gradient that does not belong to the cached forward pass.
        UsageError: a window below one step.

    Source: docs/equations.md, Stacks.
    """
    if len(d_states) != len(cache):
        raise ShapeError(f"stack: expected one d_state for each of {len(cache)} layers, got {len(d_states)}")
    layers: list[Any] = []
    for d_state, layer_cache in zip(reversed(d_states), reversed(cache), strict=True):
        gradients = backward(d_h_all, d_state, layer_cache, window)
        d_h_all = gradients.d_x
        layers.insert(0, gradients)
    return StackedGradients(d_x=d_h_all, d_state=[layer.d_state for layer in layers], layers=layers)
