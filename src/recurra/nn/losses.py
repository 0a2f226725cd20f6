"""Losses that recurrent models need and torch does not have in one piece."""

from typing import Any

import torch
from torch import Tensor

from recurra.errors import ShapeError

LOGITS_AT_ONCE = 1_200_000  # elements of a block of logits: small enough to stay in cache


class LinearCrossEntropy(torch.autograd.Function):
    """Softmax cross-entropy of a linear layer, block by block, with its gradient found in the same pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, with_gradient: bool) -> Tensor:
        """Total loss of hidden (positions, features) against targets (positions,); negative targets count nothing."""
        rows = max(1, LOGITS_AT_ONCE // len(weight))
        d_hidden, d_weight, d_bias = (torch.zeros_like(t) if with_gradient else None for t in (hidden, weight, bias))
        loss = hidden.new_zeros(())
        buffer = hidden.new_empty(min(rows, len(hidden)), len(weight))
        for first in range(0, len(hidden), rows):
            block, wanted = hidden[first : first + rows], targets[first : first + rows]
            valid = wanted >= 0
            logits = torch.addmm(bias, block, weight.t(), out=buffer[: len(block)])  # (rows, types)
            largest = logits.amax(1, keepdim=True)
            picked = logits.gather(1, wanted.clamp_min(0).unsqueeze(1)) - largest
            probabilities = logits.sub_(largest).exp_()
            total = probabilities.sum(1, keepdim=True)
            loss += torch.where(valid, (total.log() - picked).squeeze(1), 0).sum()
            if d_hidden is not None and d_weight is not None and d_bias is not None:
                probabilities.mul_(valid.unsqueeze(1) / total)
                d_logits = probabilities.scatter_add_(
                    1, wanted.clamp_min(0).unsqueeze(1), -valid.unsqueeze(1).to(hidden.dtype)
                )
                torch.mm(d_logits, weight, out=d_hidden[first : first + rows])
                d_weight.addmm_(d_logits.t(), block)
                d_bias.add_(d_logits.sum(0))
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Scale the gradients found in the forward pass."""
        d_hidden, d_weight, d_bias = (gradient * d_loss for gradient in ctx.saved_tensors)
        return d_hidden, d_weight, d_bias, None, None


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Total cross-entropy of `softmax(hidden @ weight.T + bias)`, never holding all logits.

    Equal to `F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum")`, at a fraction of the memory
    and, over a large vocabulary, of the time.

    Args:
        hidden: (..., features).
        weight: (types, features).
        bias: (types,).
        targets: type at each position, (...); a negative one counts nothing.

    Returns:
        Sum of the losses in nats, a scalar. It can be differentiated once.

    Raises:
        ShapeError: hidden, weight, bias and targets do not fit together.
    """
    fits = (
        hidden.shape[:-1] == targets.shape and hidden.shape[-1:] == weight.shape[1:] and bias.shape == weight.shape[:1]
    )
    if not fits:
        raise ShapeError(
            "linear_cross_entropy: expected hidden (..., features), weight (types, features), bias (types,), targets "
            f"(...), got {', '.join(str(tuple(t.shape)) for t in (hidden, weight, bias, targets))}"
        )
    # Inside a Function nobody can tell any more whether a gradient is wanted.
    with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (hidden, weight, bias))
    result: Tensor = LinearCrossEntropy.apply(hidden.flatten(0, -2), weight, bias, targets.flatten(), with_gradient)
    return result
