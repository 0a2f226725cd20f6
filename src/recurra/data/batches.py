"""Batches of sequences: of about one length, so that little is padding, or windows of a long text."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.lengths import IGNORE_INDEX

AnyBatch = TypeVar("AnyBatch")

POOL = 50  # batches whose sequences are sorted among each other


# --- sequences -----------------------------------------------------------------------------------------------------


def bucket_by_length(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The sequences of each training batch: of about one length, in an order that only seed and epoch decide.

    Sequences are shuffled, sorted by length within pools of `POOL` batches, and the batches shuffled again.

    Args:
        lengths: of all sequences.
        batch_size: most sequences in a batch.
        seed: of the order.
        epoch: counted from 0.

    Returns:
        for each batch the indices of its sequences, (batch,).
    """
    random = np.random.default_rng((seed, epoch))
    order, length_of = random.permutation(len(lengths)), np.asarray(lengths)
    found: list[NDArray[np.int64]] = []
    for first in range(0, len(order), POOL * batch_size):
        pool = order[first : first + POOL * batch_size]
        pool = pool[np.argsort(length_of[pool], kind="stable")]
        found += [pool[start : start + batch_size] for start in range(0, len(pool), batch_size)]
    return [found[index] for index in random.permutation(len(found))]


def longest_first(lengths: Sequence[int], batch_size: int) -> list[NDArray[np.int64]]:
    """The sequences (batch,) of each evaluation batch, longest first: what exceeds the memory fails at once."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


class CollatedBatches(Generic[AnyBatch]):
    """Batches by number, each collated when it is asked for, of the sequences whose indices a group has."""

    def __init__(self, groups: Sequence[NDArray[np.int64]], collate: Callable[[NDArray[np.int64]], AnyBatch]) -> None:
        self.groups, self.collate = groups, collate

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> AnyBatch:
        return self.collate(self.groups[index])


def pad(sequences: Sequence[NDArray[np.int64]], filling: int) -> tuple[Tensor, Tensor]:
    """Sequences of ids, each (time,), as ids (time, batch) with a filling after each, and lengths (batch,), int64."""
    lengths = [len(sequence) for sequence in sequences]
    found = np.full((max(lengths, default=0), len(sequences)), filling, np.int64)
    for column, sequence in enumerate(sequences):
        found[: len(sequence), column] = sequence
    return torch.from_numpy(found), torch.tensor(lengths, dtype=torch.int64)


# --- windows of a text ---------------------------------------------------------------------------------------------


class TextWindow(NamedTuple):
    """Consecutive steps of every stream of a text; the state after one window is that before the next."""

    inputs: Tensor  # (time, batch)
    targets: Tensor  # (time, batch), IGNORE_INDEX after the end of a stream


class TextWindows:
    """Windows for truncated backpropagation: a text cut into streams of equal length that are read side by side.

    Each token is a target exactly once, given the token before it; before the first token stands `start`. Where the
    tokens do not fill all streams the last ones end early. Nothing is copied before a window is asked for.

    Args:
        ids: token ids, (tokens,).
        num_streams: the batch of each window.
        steps: length of a window.
        start: id before the first token.
    """

    def __init__(self, ids: NDArray[np.unsignedinteger], num_streams: int, steps: int, start: int) -> None:
        assert len(ids) >= num_streams > 0
        assert steps > 0
        self.ids, self.num_streams, self.steps, self.start = ids, num_streams, steps, start
        self.stream_length = -(-len(ids) // num_streams)

    def __len__(self) -> int:
        """Windows in a pass over the text."""
        return -(-self.stream_length // self.steps)

    def __iter__(self) -> Iterator[TextWindow]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> TextWindow:
        first = index * self.steps
        steps = min(self.steps, self.stream_length - first)
        tokens = np.full((steps + 1, self.num_streams), IGNORE_INDEX, np.int64)  # with the token before the window
        for stream in range(self.num_streams):
            begin = stream * self.stream_length + first - 1
            piece = self.ids[max(begin, 0) : begin + steps + 1]
            skip = max(-begin, 0)  # 1 at the very first token, which has none before it
            tokens[skip : skip + len(piece), stream] = piece
            tokens[:skip, stream] = self.start
        window = torch.from_numpy(tokens)
        return TextWindow(window[:-1].clamp_min(0), window[1:])
