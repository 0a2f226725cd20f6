"""The output layer: a linear map, softmax, mean cross-entropy, and its gradient by hand.

N positions (the product of the leading axes, such as time x batch), H hidden, K classes.
"""

from typing import NamedTuple

import numpy as np

from recurra.errors import ShapeError
from recurra.reference.indices import check_indices
from recurra.reference.shapes import Array, Integers, check_shape


class OutputCache(NamedTuple):
    """What the forward pass keeps; it refers to the arguments, it does not copy them."""

    h: Array  # (..., H)
    weight: Array  # (K, H)
    targets: Integers  # (...)
    probabilities: Array  # (..., K)


class OutputGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_h: Array  # (..., H)
    d_weight: Array  # (K, H)
    d_bias: Array  # (K,)


def log_softmax(logits: Array) -> Array:
    """Logarithm of softmax over the last axis; no logit is too large, and no small probability becomes log 0.

    Args:
        logits: (..., classes).

    Source: docs/equations.md, Output.
    """
    shifted: Array = logits - logits.max(axis=-1, keepdims=True)
    log_total: Array = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))  # (..., 1)
    return shifted - log_total


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis; no logit is too large.

    Args:
        logits: (..., classes).

    Source: docs/equations.md, Output.
    """
    return np.exp(log_softmax(logits))


def output_forward(h: Array, weight: Array, bias: Array, targets: Integers) -> tuple[float, Array, OutputCache]:
    """Mean cross-entropy of y = softmax(W_y h + b_y).

    Args:
        h: hidden states, (..., hidden): one position or a whole (time, batch, hidden).
        weight: W_y, (classes, hidden).
        bias: b_y, (classes,).
        targets: the right class at each position, integers in 0..classes-1, (...).

    Returns:
        The loss in nats per position, the probabilities (..., classes), and the cache for `output_backward`.

    Raises:
        ShapeError: arrays that do not fit each other, or no position.
        UsageError: targets that are no integers or outside the classes; an array that is not float64.

    Source: docs/equations.md, Output.
    """
    check_shape("output weight", weight, ("classes", "hidden"))
    num_classes, hidden_size = weight.shape
    check_shape("output bias", bias, (num_classes,), "its length must equal the rows of weight")
    check_indices("output targets", targets, num_classes)
    check_shape("output h", h, (*targets.shape, hidden_size), "(axes of targets, columns of weight)")
    if targets.size == 0:
        raise ShapeError(f"output targets: expected at least one position, got shape {targets.shape}")
    log_probabilities = log_softmax(h @ weight.T + bias)  # (..., K)
    chosen = np.take_along_axis(log_probabilities, targets[..., np.newaxis], axis=-1)  # (..., 1)
    probabilities = np.exp(log_probabilities)
    return float(-chosen.mean()), probabilities, OutputCache(h, weight, targets, probabilities)


def output_backward(cache: OutputCache, d_loss: float = 1.0) -> OutputGradients:
    """Gradient of the mean cross-entropy: probability minus one-hot target, through the linear map.

    Args:
        cache: what `output_forward` returned; left untouched.
        d_loss: gradient at the loss itself.

    Returns:
        OutputGradients: d_h (..., hidden), d_weight (classes, hidden), d_bias (classes,).

    Source: docs/equations.md, Output, backward.
    """
    h, weight, targets, probabilities = cache
    num_classes, hidden_size = weight.shape
    one_hot = np.eye(num_classes)[targets]  # (..., K)
    d_logits = (probabilities - one_hot) * (d_loss / targets.size)  # (..., K)
    rows = d_logits.reshape(-1, num_classes)  # (N, K)
    return OutputGradients(
        d_h=d_logits @ weight,
        d_weight=rows.T @ h.reshape(-1, hidden_size),
        d_bias=rows.sum(axis=0),
    )
