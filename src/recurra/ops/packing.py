"""The valid steps of a batch side by side in memory, so that nothing is ever computed on padding."""

from typing import NamedTuple

import torch
from torch import Tensor

from recurra.lengths import check_lengths


class Packing(NamedTuple):
    """Step by step the rows of the sequences that are still valid, the longest sequence first."""

    order: Tensor  # (batch,), the sequence that stands at each place
    rows: Tensor  # (valid steps,), where each comes from in (time*batch)
    counts: Tensor  # (time,), sequences valid at each step
    offsets: Tensor  # (time,), where each step begins

    @classmethod
    def of(cls, lengths: Tensor | None, time: int, batch: int) -> "Packing | None":
        """The packing of a batch (time, batch, ...), None where all of it is valid.

        Raises:
            ShapeError: lengths that do not belong to the batch.
        """
        if lengths is None:
            return None
        check_lengths(lengths, time, batch)
        if not batch or int(lengths.min()) == time:
            return None
        ordered, order = lengths.cpu().long().sort(descending=True, stable=True)
        steps = torch.arange(time).unsqueeze(1)
        valid = steps < ordered  # (time, batch)
        counts = valid.sum(1)
        return cls(order, (steps * batch + order)[valid], counts, counts.cumsum(0) - counts)

    def pack(self, x: Tensor) -> Tensor:
        """The valid rows of x (time*batch, features)."""
        return x.index_select(0, self.rows)

    def unpack(self, rows: Tensor, total: int) -> Tensor:
        """Rows back in their places among `total`, 0 in the padding."""
        return rows.new_zeros(total, rows.shape[1]).index_copy_(0, self.rows, rows)

    def sort(self, state: Tensor) -> Tensor:
        """State (batch, ...) in the order of the packing."""
        return state.index_select(0, self.order)

    def unsort(self, state: Tensor) -> Tensor:
        """State back in the order of the caller."""
        return torch.empty_like(state).index_copy_(0, self.order, state)

    def before(self, rows: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        """For each row that of the step before it, or its initial one: what each step started from.

        Args:
            rows: a value for each valid step, (valid steps, features).
            initial: a value for each sequence, (batch, features), in the order of the packing.
            reverse: the step before t is t + 1.
        """
        time, count = len(self.counts), len(rows)
        steps = torch.arange(time).repeat_interleave(self.counts)
        places = torch.arange(count) - self.offsets[steps]
        neighbors = steps + 1 if reverse else steps - 1
        inside = neighbors.clamp(0, time - 1)
        linked = (neighbors == inside) & (places < self.counts[inside])
        return torch.cat([rows, initial]).index_select(
            0, torch.where(linked, self.offsets[inside] + places, count + places)
        )
