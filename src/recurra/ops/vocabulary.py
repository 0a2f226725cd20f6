"""Softmax cross-entropy of a linear layer over a large vocabulary, never holding all logits."""

from typing import Any

import torch
from torch import Tensor

from recurra.ops.instructions import kernels_in_use
from recurra.ops.kernels import Logits
from recurra.ops.products import linear, product, runs_kernels, transposed

BLOCK = 3_000_000  # logits at a time: few enough to stay in the processor's cache


class LinearCrossEntropy(torch.autograd.Function):
    """Total loss, with its gradient found in the same pass.

    A block of positions at a time: its logits, their exponentials where they lie, and at once what these mean for the
    gradients. The exponentials stay without the factor that makes probabilities of them: it goes into the few features
    of a position instead.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, with_gradient: bool) -> Tensor:
        """Total loss of hidden (positions, features) against targets (positions,) of 0 and above."""
        rows = max(1, BLOCK // len(weight))
        losses: list[Tensor] = []
        d_hidden: list[Tensor] = []
        turned, d_bias = hidden.new_zeros(weight.shape[::-1]), torch.zeros_like(bias)
        for block, wanted in zip(hidden.split(rows), targets.split(rows), strict=True):
            logits = linear(block, weight, bias)  # (rows, types)
            loss, shares = exponentiate(logits, wanted, with_gradient)
            losses.append(loss.sum())
            if with_gradient:
                d_hidden.append(product(logits, weight).mul_(shares))
                turned.add_(product((block * shares).t(), logits))  # (features, types)
                d_bias.addmv_(logits.t(), shares.squeeze(1))
        ctx.gradients = [torch.cat(d_hidden), transposed(turned), d_bias] if with_gradient else None
        return torch.stack(losses).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients found in the forward pass."""
        if torch._C._autograd._get_current_graph_task_keep_graph():
            return *(gradient * d_loss for gradient in ctx.gradients), None, None
        gradients, ctx.gradients = ctx.gradients, None  # nobody else's any more: no copy
        return *(gradient.mul_(d_loss) for gradient in gradients), None, None


def exponentiate(logits: Tensor, targets: Tensor, save: bool) -> tuple[Tensor, Tensor]:
    """Losses of logits (rows, types); and where `save`, in their place their gradients, but for a factor for each row.

    Returns:
        Losses (rows,), and the factors (rows, 1).
    """
    losses, shares = logits.new_empty(len(logits)), logits.new_empty(len(logits), 1)
    if not runs_kernels(logits):
        largest = logits.amax(1, keepdim=True)
        wanted = logits.gather(1, targets.unsqueeze(1)) - largest
        total = logits.sub_(largest).exp_().sum(1, keepdim=True)
        logits.scatter_add_(1, targets.unsqueeze(1), -total)
        return (total.log() - wanted).squeeze(1), 1 / total
    call = Logits()
    call.is_double, call.save = logits.dtype == torch.float64, save
    call.rows, call.types = logits.shape
    call.values, call.targets = logits.data_ptr(), targets.data_ptr()
    call.losses, call.shares = losses.data_ptr(), shares.data_ptr()
    kernels_in_use().cross_entropy(call, torch.get_num_threads())
    return losses, shares
