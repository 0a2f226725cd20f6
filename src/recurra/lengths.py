"""Sequences of different lengths in one batch: an integer tensor (batch,), 0 allowed; a mask is True where valid."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.errors import ShapeError

IGNORE_INDEX = -1  # target in the padding, which counts in no loss


def check_lengths(lengths: Tensor, time: int, batch: int) -> None:
    """Refuse lengths that do not belong to a batch.

    Args:
        lengths: steps of each sequence, integer (batch,).
        time: steps of the padded batch.
        batch: sequences in the batch.

    Raises:
        ShapeError: not an integer tensor of shape (batch,), or a value outside 0..time.
    """
    if not isinstance(lengths, Tensor):
        raise ShapeError(
            f"lengths: expected an integer tensor, got {type(lengths).__name__}; use torch.tensor(lengths)"
        )
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ShapeError(f"lengths: expected an integer tensor, got {lengths.dtype}")
    if tuple(lengths.shape) != (batch,):
        raise ShapeError(f"lengths: expected shape ({batch},), one a sequence, got {tuple(lengths.shape)}")
    if batch and not (int(lengths.min()) >= 0 and int(lengths.max()) <= time):
        raise ShapeError(f"lengths: every value must lie in 0..{time}, the steps of the batch, got {lengths.tolist()}")


def valid_steps(lengths: Tensor, time: int) -> Tensor:
    """Mask of the steps that belong to a sequence.

    Args:
        lengths: steps of each sequence, integer (batch,).
        time: steps of the padded batch.

    Returns:
        True where valid, (time, batch).
    """
    return torch.arange(time, device=lengths.device).unsqueeze(1) < lengths


def common_length(lengths: Sequence[int]) -> int | None:
    """The length of all sequences if they agree, else None."""
    return lengths[0] if len(set(lengths)) == 1 else None
