"""Dropout for recurrent models: one mask for a whole sequence, and whole words of an embedding table."""

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError, UsageError


def lock_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Drop the same features at every step of a sequence, and scale the others by 1/(1-p).

    Args:
        x: (time, batch, features).
        p: probability of an element of the mask being 0.
        training: when False, x comes back as it is.

    Returns:
        (time, batch, features).

    Source: Gal & Ghahramani 2016, variational dropout.
    """
    if not training or p == 0.0:
        return x
    mask = nn.functional.dropout(torch.ones_like(x[:1]), p)  # (1, batch, features)
    return x * mask


class LockedDropout(nn.Module):
    """Dropout with one mask for all time steps; each sequence and each call draws its own.

    Args:
        p: probability of a feature being dropped from a sequence, 0 to 1.

    Raises:
        UsageError: p outside 0..1.

    Source: Gal & Ghahramani 2016, variational dropout.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise UsageError(f"LockedDropout p: expected a probability in 0..1, got {p}")
        self.p = float(p)

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x.

        Args:
            x: (time, batch, features).

        Returns:
            (time, batch, features).

        Raises:
            ShapeError: x has not three axes.
        """
        if x.dim() != 3:
            raise ShapeError(f"LockedDropout input: expected (time, batch, features), got {tuple(x.shape)}")
        return lock_dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        return f"p={self.p}"


def drop_words(embedding_weight: Tensor, p: float, training: bool) -> Tensor:
    """Drop whole rows of an embedding table, so that a dropped word vanishes wherever it occurs.

    Use it as `F.embedding(tokens, drop_words(embedding.weight, p, self.training))`.

    Args:
        embedding_weight: the table, (words, features).
        p: probability of a word being dropped; the rows of the others are scaled by 1/(1-p).
        training: when False, the table comes back as it is.

    Returns:
        The table to look words up in, (words, features).

    Raises:
        UsageError: p outside 0..1.

    Source: Gal & Ghahramani 2016; Merity et al. 2018, section 4.3.
    """
    if not 0.0 <= p <= 1.0:
        raise UsageError(f"drop_words p: expected a probability in 0..1, got {p}")
    if not training or p == 0.0:
        return embedding_weight
    mask = nn.functional.dropout(torch.ones_like(embedding_weight[:, :1]), p)  # (words, 1)
    return embedding_weight * mask
