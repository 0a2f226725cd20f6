"""One layer, one direction, step by step in torch's operators: any cell, any precision, differentiable to any order.

The input product of all steps is one matrix product; only what depends on the state before runs step by step, with as
few operators as the equations allow. Inside, the batch is the last axis, (gates*hidden, batch): a gate is then one
block of memory, and W h in this order is the product that BLAS runs faster for small batches. Padding is cut off
before the first step, so it reaches neither a result nor a gradient.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.lengths import check_lengths, valid_steps
from recurra.ops.cells import Cell, State, Step, Weights


def run_steps(
    cell: Cell, x: Tensor, state: State, weights: Weights, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """One layer in one direction; arguments and results as of `recurra.ops.backends.run_layer`.

    Raises:
        ShapeError: lengths that do not belong to x.
    """
    padding = Padding.of(x, lengths)
    step, drives = cell.steps(padding.cut(x), weights)
    return scan_steps(step, drives, state, padding, reverse)


class Padding(NamedTuple):
    """Which steps of a batch belong to its sequences."""

    valid: Tensor | None  # (time, batch, 1), None when all steps are
    shortest: int  # steps before this one are valid for all sequences
    longest: int  # steps from this one on are valid for none

    @classmethod
    def of(cls, x: Tensor, lengths: Tensor | None) -> "Padding":
        """The padding of a batch (time, batch, features)."""
        time, batch = x.shape[:2]
        if lengths is None:
            return cls(None, time, time)
        check_lengths(lengths, time, batch)
        shortest, longest = (int(lengths.min()), int(lengths.max())) if batch else (time, time)
        if shortest == time:
            return cls(None, time, time)
        return cls(valid_steps(lengths.to(x.device), time).unsqueeze(2), shortest, longest)

    def cut(self, x: Tensor) -> Tensor:
        """Put 0 where the padding is; whatever stood there, NaN included, has no way on, forward or back."""
        return x if self.valid is None else torch.where(self.valid, x, 0.0)


def scan_steps(
    step: Step, drives: Sequence[Tensor], state: Sequence[Tensor], padding: Padding, reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run `step` along time and collect the first part of the state.

    Args:
        step: from what drives it, each (gates*hidden, batch), and the state before, to the state after.
        drives: what the steps read, each (gates*hidden, time, batch).
        state: parts of the state before the first step, each (batch, hidden).
        padding: where the state must stand still.
        reverse: last step first.

    Returns:
        state[0] after every step, (time, batch, hidden), 0 in the padding; and all parts after the last step.
    """
    valid, shortest, longest = padding
    state = tuple(part.t() for part in state)  # (hidden, batch) each
    moments = list(zip(*(drive.unbind(1) for drive in drives), strict=True))
    outputs = [state[0]] * len(moments)
    for time in reversed(range(longest)) if reverse else range(longest):
        after = step(moments[time], state)
        if valid is not None and time >= shortest:
            here = valid[time].t()  # (1, batch)
            after = tuple(torch.where(here, new, old) for new, old in zip(after, state, strict=True))
        state = after
        outputs[time] = state[0]
    final = tuple(part.t().contiguous() for part in state)  # (batch, hidden) each
    if not outputs:
        return final[0].new_zeros(0, *final[0].shape), final
    output = torch.stack(outputs).transpose(1, 2).contiguous()  # (time, batch, hidden)
    return output if valid is None else torch.where(valid, output, 0.0), final
