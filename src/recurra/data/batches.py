"""Batches of sequences of about one length, so that little is padding."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

AnyBatch = TypeVar("AnyBatch")

IGNORED = -1  # a target that is none
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


class Window(NamedTuple):
    """Some consecutive steps of every lane; the state of one window is where the next begins."""

    inputs: Tensor  # (time, batch)
    targets: Tensor  # (time, batch), IGNORED where a lane has ended


class Lanes:
    """A text cut into equally long lanes that are read side by side, window by window.

    Each token is a target exactly once, given the token before it; the very first is given `start`. Where the tokens
    do not fill all lanes the last ones end early. Nothing is copied before a window is asked for.

    Args:
        ids: token ids, (tokens,).
        num_lanes: how many lanes, the batch of each window.
        steps: length of a window.
        start: what stands before the first token.
    """

    def __init__(self, ids: NDArray[np.unsignedinteger], num_lanes: int, steps: int, start: int) -> None:
        assert len(ids) >= num_lanes > 0
        assert steps > 0
        self.ids, self.num_lanes, self.steps, self.start = ids, num_lanes, steps, start
        self.lane_length = -(-len(ids) // num_lanes)

    def __len__(self) -> int:
        """Windows in a pass."""
        return -(-self.lane_length // self.steps)

    def __iter__(self) -> Iterator[Window]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Window:
        first = index * self.steps
        steps = min(self.steps, self.lane_length - first)
        tokens = np.full((steps + 1, self.num_lanes), IGNORED, np.int64)
        for lane in range(self.num_lanes):
            begin = lane * self.lane_length + first - 1
            piece = self.ids[max(begin, 0) : begin + steps + 1]
            skip = max(-begin, 0)
            tokens[skip : skip + len(piece), lane] = piece
            tokens[:skip, lane] = self.start
        window = torch.from_numpy(tokens)
        return Window(window[:-1].clamp_min(0), window[1:])
