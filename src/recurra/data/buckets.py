"""Batches of sequences of about one length, so that little is padding."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

AnyBatch = TypeVar("AnyBatch")

POOL = 50  # batches whose sequences are sorted among each other


def buckets(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Which sequences are in each batch of an epoch: a new order each epoch, the same for the same epoch.

    Args:
        lengths: of all sequences.
        batch_size: sequences in a batch at the most.
        seed: of the order.
        epoch: counted from 0.
    """
    random = np.random.default_rng((seed, epoch))
    order, lengths_there = random.permutation(len(lengths)), np.asarray(lengths)
    found: list[NDArray[np.int64]] = []
    for first in range(0, len(order), POOL * batch_size):
        pool = order[first : first + POOL * batch_size]
        pool = pool[np.argsort(lengths_there[pool], kind="stable")]
        found += [pool[start : start + batch_size] for start in range(0, len(pool), batch_size)]
    return [found[index] for index in random.permutation(len(found))]


class Collated(Generic[AnyBatch]):
    """Batches by number.

    Args:
        groups: which sequences are side by side in each.
        collate: makes a batch of some of them.
    """

    def __init__(self, groups: Sequence[NDArray[np.int64]], collate: Callable[[NDArray[np.int64]], AnyBatch]) -> None:
        self.groups, self.collate = groups, collate

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> AnyBatch:
        return self.collate(self.groups[index])


def by_length(lengths: Sequence[int], batch_size: int) -> list[NDArray[np.int64]]:
    """Batches for judging: the longest first, so that what does not fit into memory shows at once."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def padded(sequences: Sequence[NDArray[np.int64]], filling: int) -> tuple[Tensor, Tensor]:
    """Ids side by side, (longest, sequences), and the length of each."""
    lengths = [len(sequence) for sequence in sequences]
    found = np.full((max(lengths, default=0), len(sequences)), filling, np.int64)
    for column, sequence in enumerate(sequences):
        found[: len(sequence), column] = sequence
    return torch.from_numpy(found), torch.tensor(lengths, dtype=torch.int64)
