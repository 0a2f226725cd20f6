"""Losses that recurrent models need and torch does not have in one piece."""

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.ops.cross_entropy import LinearCrossEntropy


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    """Total cross-entropy of `softmax(hidden @ weight.T + bias)`, never holding all logits.

    Equal to `F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum", label_smoothing=...)`, at a
    fraction of the memory and, over a large vocabulary, in half of the time. Inside torch.compile it is just that.

    Args:
        hidden: (..., features).
        weight: (types, features).
        bias: (types,).
        targets: type at each position, integer (...); a negative one counts nothing, and costs nothing.
        label_smoothing: share of the target that is spread over all types evenly, 0..1 (Szegedy et al. 2016).

    Returns:
        Sum of the losses in nats, a scalar. It can be differentiated once.

    Raises:
        ShapeError: hidden, weight, bias and targets do not fit together.
        UsageError: tensors of different types, targets that are no integers or beyond the types, smoothing outside its
            range.
    """
    fits = (
        hidden.shape[:-1] == targets.shape and hidden.shape[-1:] == weight.shape[1:] and bias.shape == weight.shape[:1]
    )
    if not fits:
        raise ShapeError(
            "linear_cross_entropy: expected hidden (..., features), weight (types, features), bias (types,), targets "
            f"(...), got {', '.join(str(tuple(t.shape)) for t in (hidden, weight, bias, targets))}"
        )
    if torch.is_autocast_enabled(weight.device.type):
        hidden = hidden.to(weight.dtype)
    if {hidden.dtype, bias.dtype} != {weight.dtype}:
        found = f"hidden {hidden.dtype}, weight {weight.dtype}, bias {bias.dtype}"
        raise UsageError(f"linear_cross_entropy: expected one type, got {found}; convert with .to(dtype)")
    if targets.is_floating_point():
        raise UsageError(f"linear_cross_entropy targets: expected integers, got {targets.dtype}")
    if not 0 <= label_smoothing <= 1:
        raise UsageError(f"linear_cross_entropy label_smoothing: expected 0..1, got {label_smoothing}")
    hidden, targets = hidden.flatten(0, -2), targets.flatten().long()  # (positions, features), (positions,)
    if torch.compiler.is_compiling():
        logits, counted = F.linear(hidden, weight, bias), targets.clamp_min(-1)
        return F.cross_entropy(logits, counted, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing)
    counts = targets >= 0
    if not counts.all():
        hidden, targets = hidden[counts], targets[counts]
    if not len(targets):
        return hidden.sum() + weight[:0].sum() + bias[:0].sum()
    if int(targets.max()) >= len(weight):
        raise UsageError(f"linear_cross_entropy targets: expected types below {len(weight)}, got {int(targets.max())}")
    # Inside a Function nobody can tell any more whether a gradient is wanted.
    with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (hidden, weight, bias))
    loss: Tensor = LinearCrossEntropy.apply(hidden.contiguous(), weight, bias, targets, with_gradient)
    if not label_smoothing:
        return loss
    # What smoothing adds is the logit of the target less the mean of all, and that needs no logits: it is linear.
    above_mean = (hidden * (F.embedding(targets, weight) - weight.mean(0))).sum() + (bias[targets] - bias.mean()).sum()
    return loss + label_smoothing * above_mean
