"""The classic problems of long memory: adding two marked numbers, and copying symbols over a long delay.

Batches are drawn when they are asked for and never stored.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.errors import UsageError

ADDING_BASELINE = 1 / 6  # mean squared error of always predicting 1: the variance of a sum of two uniform numbers
NUM_SYMBOLS = 8  # symbols to copy: 0..7
NUM_COPIED = 10
BLANK, DELIMITER = 8, 9


class ProblemBatch(NamedTuple):
    """A batch of sequences with their targets."""

    inputs: Tensor
    targets: Tensor


class GeneratedBatches:
    """Batches that are drawn by number: each depends on seed, part and its own number only.

    Args:
        draw: makes one batch.
        num_batches: number of batches.
        seed: 0 or above.
        part: number of the random stream of this seed, 0 or above; another one for each epoch and split.
    """

    def __init__(
        self, draw: Callable[[np.random.Generator], ProblemBatch], num_batches: int, seed: int, part: int = 0
    ) -> None:
        assert num_batches > 0
        self.draw, self.num_batches, self.seed, self.part = draw, num_batches, seed, part

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[ProblemBatch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> ProblemBatch:
        assert 0 <= index < self.num_batches
        # spawn_key, since SeedSequence treats seeds (1, 0) and (1,) alike
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.part, index))
        return self.draw(np.random.default_rng(sequence))


def adding(length: int, batch_size: int, num_batches: int, seed: int, part: int = 0) -> GeneratedBatches:
    """The adding problem: the sum of the two marked numbers of a sequence.

    Each step has a number, uniform in [0, 1), and a mark, which is 1 at one step of either half and 0 elsewhere.

    Args:
        length: steps, at least 2.
        batch_size: sequences in a batch.
        num_batches: batches in a pass.
        seed: 0 or above.
        part: see `GeneratedBatches`.

    Returns:
        Batches of inputs (time, batch, 2), number before mark, and targets (batch,), both float32. Always predicting 1
        has the loss `ADDING_BASELINE`.

    Raises:
        UsageError: `length` below 2.

    Source: Hochreiter & Schmidhuber 1997; in this form Le, Jaitly, Hinton 2015 and Arjovsky, Shah, Bengio 2016.
    """
    if length < 2:
        raise UsageError(f"adding length: expected at least 2 steps, got {length}")
    return GeneratedBatches(partial(draw_adding, length=length, batch_size=batch_size), num_batches, seed, part)


def copying(delay: int, batch_size: int, num_batches: int, seed: int, part: int = 0) -> GeneratedBatches:
    """The copying problem: ten symbols, to be repeated in order after a long delay.

    A sequence is the ten symbols, `delay` - 1 blanks, the delimiter, and ten blanks during which to answer; the targets
    are blank up to and at the delimiter, then the symbols.

    Args:
        delay: steps between the last symbol read and the first answered, at least 1.
        batch_size: sequences in a batch.
        num_batches: batches in a pass.
        seed: 0 or above.
        part: see `GeneratedBatches`.

    Returns:
        Batches of inputs in 0..9 and targets in 0..8, both int64 (delay + 20, batch).

    Raises:
        UsageError: `delay` below 1.

    Source: Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah, Bengio 2016.
    """
    if delay < 1:
        raise UsageError(f"copying delay: expected at least 1 step, got {delay}")
    return GeneratedBatches(partial(draw_copying, delay=delay, batch_size=batch_size), num_batches, seed, part)


def copying_baseline(delay: int) -> float:
    """Cross-entropy in nats per step of the best model without memory: 0 for blanks, log 8 for each symbol."""
    return NUM_COPIED * math.log(NUM_SYMBOLS) / (delay + 2 * NUM_COPIED)


def draw_adding(generator: np.random.Generator, length: int, batch_size: int) -> ProblemBatch:
    """One batch of the adding problem."""
    values = generator.random((length, batch_size), np.float32)
    sequences = np.arange(batch_size)
    first = generator.integers(0, length // 2, batch_size)
    second = generator.integers(length // 2, length, batch_size)
    marks = np.zeros_like(values)
    marks[first, sequences] = marks[second, sequences] = 1
    inputs = np.stack([values, marks], 2)  # (time, batch, 2)
    targets = values[first, sequences] + values[second, sequences]  # (batch,)
    return ProblemBatch(torch.from_numpy(inputs), torch.from_numpy(targets))


def draw_copying(generator: np.random.Generator, delay: int, batch_size: int) -> ProblemBatch:
    """One batch of the copying problem."""
    symbols = generator.integers(0, NUM_SYMBOLS, (NUM_COPIED, batch_size))
    inputs = np.full((delay + 2 * NUM_COPIED, batch_size), BLANK)
    targets = inputs.copy()
    inputs[:NUM_COPIED] = symbols
    inputs[-NUM_COPIED - 1] = DELIMITER
    targets[-NUM_COPIED:] = symbols
    return ProblemBatch(torch.from_numpy(inputs), torch.from_numpy(targets))
