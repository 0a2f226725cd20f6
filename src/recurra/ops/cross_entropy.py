"""Softmax cross-entropy of a linear layer over a large vocabulary, never holding all logits."""

from typing import Any

import torch
from torch import Tensor

from recurra.ops.gemm import product, runs_kernels, transposed
from recurra.ops.instructions import kernels_in_use
from recurra.ops.kernels import Cell, Logits
from recurra.ops.torch_private import is_batched, keeps_graph

BLOCK = 6_000_000  # logits at a time: few enough for the processor's last cache


class LinearCrossEntropy(torch.autograd.Function):
    """Total loss, with its gradient found in the same pass.

    A block of positions at a time: its logits, their exponentials where they lie, and at once what these mean for the
    gradients. The exponentials stay without the factor that makes probabilities of them: it goes into the few features
    of a position instead.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, with_gradient: bool) -> Tensor:
        """Total loss of hidden (positions, features) against targets (positions,) of 0 and above."""
        vocabulary_size, features = weight.shape
        softmax = Softmax(weight, bias, min(len(hidden), max(1, BLOCK // vocabulary_size)))
        losses: list[Tensor] = []
        d_hidden: list[Tensor] = []
        if with_gradient:
            turned, d_bias = hidden.new_zeros(features, vocabulary_size), torch.zeros_like(bias)
        for block, wanted in zip(hidden.split(softmax.rows), targets.split(softmax.rows), strict=True):
            loss, d_logits, shares = softmax.read(block, wanted)
            losses.append(loss.sum())
            if with_gradient:
                d_hidden.append(product(d_logits, weight).mul_(shares))
                turned.add_(product((block * shares).t(), d_logits))
                d_bias.addmv_(d_logits.t(), shares.squeeze(1))
        if with_gradient:
            ctx.gradients = [torch.cat(d_hidden), transposed(turned), d_bias]
        return torch.stack(losses).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients found in the forward pass."""
        if ctx.gradients is None:
            raise RuntimeError("linear_cross_entropy: gone back a second time; pass retain_graph=True the first time")
        if is_batched(d_loss) or keeps_graph():
            return *(gradient * d_loss for gradient in ctx.gradients), None, None
        gradients, ctx.gradients = ctx.gradients, None  # nobody else's any more: no copy
        return *(gradient.mul_(d_loss) for gradient in gradients), None, None


class Softmax:
    """Reads blocks of positions.

    Args:
        weight: (types, features).
        bias: (types,).
        rows: most positions of a block.
    """

    def __init__(self, weight: Tensor, bias: Tensor, rows: int) -> None:
        self.weight, self.bias, self.rows = weight.contiguous(), bias.contiguous(), rows
        self.logits = weight.new_empty(rows, len(weight))
        if runs_kernels(weight):
            (types, features), is_double = weight.shape, weight.dtype == torch.float64
            layout = (Cell.rnn_tanh, is_double, types, features)
            self.kernels = kernels_in_use()
            self.packed = weight.new_empty(self.kernels.packed_size(*layout, False))
            addresses = (self.weight.data_ptr(), self.packed.data_ptr())
            self.kernels.pack(*layout, *addresses, False, torch.get_num_threads())

    def read(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Losses of a block.

        Returns:
            Losses (positions,); gradients of the logits (positions, types), but for a factor of each row, in memory
            that the next block takes; and these factors (positions, 1).
        """
        logits, rows = self.logits[: len(hidden)], targets.unsqueeze(1)
        if not runs_kernels(logits):
            torch.addmm(self.bias, hidden, self.weight.t(), out=logits)
            largest = logits.amax(1, keepdim=True)
            wanted = logits.gather(1, rows) - largest
            total = logits.sub_(largest).exp_().sum(1, keepdim=True)
            return (total.log() - wanted).squeeze(1), logits.scatter_add_(1, rows, -total), 1 / total
        losses, shares = hidden.new_empty(len(hidden)), hidden.new_empty(len(hidden), 1)
        call = Logits()
        call.is_double = hidden.dtype == torch.float64
        (call.rows, call.features), call.types = hidden.shape, len(self.weight)
        call.hidden, call.weights, call.bias = hidden.data_ptr(), self.packed.data_ptr(), self.bias.data_ptr()
        call.values, call.targets = logits.data_ptr(), targets.data_ptr()
        call.losses, call.shares = losses.data_ptr(), shares.data_ptr()
        self.kernels.cross_entropy(call, torch.get_num_threads())
        return losses, logits, shares
