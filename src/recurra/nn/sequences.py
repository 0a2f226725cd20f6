"""Between a batch of sequences and one vector for each, and between packed and padded batches."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.errors import ShapeError
from recurra.lengths import check_lengths


def last_valid_step(output: Tensor, lengths: Tensor) -> Tensor:
    """Pick each sequence's output at its own last step.

    Args:
        output: (time, batch, features).
        lengths: valid steps of each sequence, integer (batch,).

    Returns:
        output[length - 1] of each sequence, 0 where the length is 0, (batch, features).

    Raises:
        ShapeError: output has not three axes, or lengths do not belong to it.
    """
    if output.dim() != 3:
        raise ShapeError(f"last_valid_step output: expected (time, batch, features), got {tuple(output.shape)}")
    time, batch, features = output.shape
    check_lengths(lengths, time, batch)
    if time == 0:
        return output.new_zeros(batch, features)
    lengths = lengths.to(output.device, torch.long)
    last = output[(lengths - 1).clamp(min=0), torch.arange(batch, device=output.device)]  # (batch, features)
    return torch.where(lengths.unsqueeze(1) > 0, last, 0.0)


def both_ends(forward: Tensor, backward: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Read a whole sequence out of a bidirectional layer: where each direction has seen all of it.

    That is the last valid step of the forward direction and the first step of the backward one. A layer with
    merge="none" returns the two; with merge="concat" they are `output.chunk(2, dim=2)`.

    Args:
        forward: output of the forward direction, (time, batch, features).
        backward: output of the backward direction, (time, batch, features).
        lengths: valid steps of each sequence, integer (batch,); None when all are.

    Returns:
        (batch, 2*features); 0 where the length is 0.

    Raises:
        ShapeError: outputs that are not of one shape with three axes, or lengths that do not belong to them.
    """
    if forward.dim() != 3 or forward.shape != backward.shape:
        shapes = f"{tuple(forward.shape)} and {tuple(backward.shape)}"
        raise ShapeError(f"both_ends: expected two outputs of one shape (time, batch, features), got {shapes}")
    time, batch, _ = forward.shape
    if lengths is None:
        lengths = torch.full((batch,), time, device=forward.device)
    first = last_valid_step(backward, lengths.clamp(max=1))  # (batch, features)
    return torch.cat([last_valid_step(forward, lengths), first], 1)


def pack_like(output: Tensor, packed: PackedSequence) -> PackedSequence:
    """Pack a padded batch in the layout of an already packed one.

    Args:
        output: (time, batch, features), sequences in the order of the caller.
        packed: the batch whose lengths and order count.

    Returns:
        The valid steps of output.
    """
    batch = int(packed.batch_sizes[0])
    if packed.sorted_indices is not None:
        output = output.index_select(1, packed.sorted_indices)
    valid = torch.arange(batch) < packed.batch_sizes.unsqueeze(1)  # (time, batch)
    data = output[valid.to(output.device)]  # (steps of all sequences, features)
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
