"""The generated problems of long memory: their sequences, loss, scores and baseline."""

import math
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recurra.data.builtin.long_memory import (
    BLANK,
    DELIMITER,
    NUM_COPIED,
    NUM_SYMBOLS,
    GeneratedBatches,
    adding,
    copying,
)
from recurra.errors import ShapeError
from recurra.tasks.task import Metric, Scores

SOLVED = 0.04  # error of a sum below which it counts as right, as in Hochreiter & Schmidhuber 1997


class Problem(Protocol):
    """A generator of sequences with targets, and what depends on the kind of target."""

    primary_metric: ClassVar[Metric]
    baseline: ClassVar[str]  # name of the best predictor without memory
    input_size: ClassVar[int]  # features of a step
    output_size: ClassVar[int]  # features of an answer of the network

    @property
    def steps(self) -> int:
        """Steps of a sequence."""
        ...

    @property
    def num_answers(self) -> int:
        """Number of last steps whose outputs are trained."""
        ...

    def draw(self, batch_size: int, num_batches: int, seed: int, part: int) -> GeneratedBatches:
        """Batches; see `recurra.data.builtin.long_memory`."""
        ...

    def read(self, inputs: Tensor) -> Tensor:
        """Sequences as input of the network, (time, batch, input_size)."""
        ...

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """The loss to minimize, a scalar; answers (num_answers, batch, output_size)."""
        ...

    def scores(self, answers: Tensor, targets: Tensor) -> Scores:
        """Scores of answers (num_answers, batch, output_size)."""
        ...

    def answers_without_memory(self, targets: Tensor) -> Tensor:
        """The best answers that are possible without memory, in the shape of those of the network."""
        ...

    def parse(self, sequence: ArrayLike, name: str) -> Tensor:
        """A sequence of a user as a batch of one.

        Args:
            sequence: an array, or nested lists.
            name: begins messages; may be empty.

        Raises:
            ShapeError: it is no sequence of this problem.
        """
        ...

    def decode(self, answers: Tensor) -> Any:
        """The answer to a batch of one: the sum, or the ten symbols."""
        ...

    def outputs(self, answers: Tensor) -> list[float]:
        """The outputs for a batch of one as a flat list."""
        ...


class Adding:
    """The sum of two marked numbers of a sequence.

    Args:
        length: steps of a sequence.
    """

    primary_metric: ClassVar[Metric] = Metric("mse")
    baseline: ClassVar[str] = "always_1"
    input_size: ClassVar[int] = 2
    output_size: ClassVar[int] = 1
    num_answers: ClassVar[int] = 1

    def __init__(self, length: int) -> None:
        self.steps = length

    def draw(self, batch_size: int, num_batches: int, seed: int, part: int) -> GeneratedBatches:
        """Numbers and marks (time, batch, 2), and the sums (batch,)."""
        return adding(self.steps, batch_size, num_batches, seed, part)

    def read(self, inputs: Tensor) -> Tensor:
        """The same: numbers and marks are the two features."""
        return inputs

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of the sum."""
        return F.mse_loss(answers[-1, :, 0], targets)

    def scores(self, answers: Tensor, targets: Tensor) -> Scores:
        """Mean squared error, and the share of sums with an error below SOLVED."""
        error = (answers[-1, :, 0] - targets).double()
        solved = (error.abs() < SOLVED).double().mean()
        return {"mse": float(error.square().mean()), "solved": float(solved), "sequences": len(targets)}

    def answers_without_memory(self, targets: Tensor) -> Tensor:
        """The mean of a sum of two numbers from 0 to 1."""
        return torch.ones(1, len(targets), 1)

    def parse(self, sequence: ArrayLike, name: str) -> Tensor:
        """Numbers and marks (time, 2) as (time, 1, 2).

        Raises:
            ShapeError: another shape, or anything but finite numbers.
        """
        expected = f"{name}{': ' if name else ''}adding: expected numbers and marks (time, 2)"
        values = array_of(sequence, expected)
        if values.ndim != 2 or values.shape[1] != 2 or not len(values):
            raise ShapeError(f"{expected}, got an array {values.shape}")
        if values.dtype.kind not in "iufb" or not np.isfinite(values).all():
            raise ShapeError(f"{expected}, all finite, got an array of {values.dtype} with others")
        return torch.from_numpy(values.astype(np.float32))[:, None]

    def decode(self, answers: Tensor) -> float:
        """The sum."""
        return float(answers[-1, 0, 0])

    def outputs(self, answers: Tensor) -> list[float]:
        """The sum."""
        return [self.decode(answers)]


class Copying:
    """Ten symbols to repeat in order after a delay.

    Args:
        delay: steps between the last symbol and the first answer.
    """

    primary_metric: ClassVar[Metric] = Metric("accuracy", higher_is_better=True)
    baseline: ClassVar[str] = "no_memory"
    input_size: ClassVar[int] = DELIMITER + 1
    output_size: ClassVar[int] = BLANK + 1

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self.steps = self.num_answers = delay + 2 * NUM_COPIED

    def draw(self, batch_size: int, num_batches: int, seed: int, part: int) -> GeneratedBatches:
        """Symbols, blanks and the delimiter as ids (time, batch), and the symbols to output (time, batch)."""
        return copying(self.delay, batch_size, num_batches, seed, part)

    def read(self, inputs: Tensor) -> Tensor:
        """One feature for each symbol, the blank and the delimiter."""
        return F.one_hot(inputs, self.input_size).float()

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy of a step, nats."""
        return F.cross_entropy(answers.flatten(0, 1), targets.flatten())

    def scores(self, answers: Tensor, targets: Tensor) -> Scores:
        """Cross entropy, accuracy of the ten symbols, and the share of sequences with all ten right."""
        right = answers[-NUM_COPIED:].argmax(2) == targets[-NUM_COPIED:]  # (ten, batch)
        return {
            "loss": float(self.loss(answers.double(), targets)),
            "accuracy": float(right.double().mean()),
            "solved": float(right.all(0).double().mean()),
            "sequences": targets.shape[1],
        }

    def answers_without_memory(self, targets: Tensor) -> Tensor:
        """Probability 1 for each blank, and the same for each of the eight symbols."""
        logits = torch.full((*targets.shape, self.output_size), -math.inf)
        logits[:-NUM_COPIED, :, BLANK] = 0
        logits[-NUM_COPIED:, :, :NUM_SYMBOLS] = 0
        return logits

    def parse(self, sequence: ArrayLike, name: str) -> Tensor:
        """Ids (time,) as (time, 1).

        Raises:
            ShapeError: not integers from 0 to 9, or fewer than the ten symbols and ten answers take.
        """
        expected = (
            f"{name}{': ' if name else ''}copying: expected ids 0 to {DELIMITER} (time,) of at least {2 * NUM_COPIED} "
            "steps"
        )
        ids = array_of(sequence, expected)
        if (
            ids.ndim != 1
            or len(ids) < 2 * NUM_COPIED
            or ids.dtype.kind not in "iu"
            or not {*ids} <= {*range(self.input_size)}
        ):
            raise ShapeError(f"{expected}, got an array {ids.shape} of {ids.dtype}")
        return torch.from_numpy(ids.astype(np.int64))[:, None]

    def decode(self, answers: Tensor) -> list[int]:
        """The ten recalled symbols."""
        symbols: list[int] = answers[-NUM_COPIED:, 0].argmax(1).tolist()
        return symbols

    def outputs(self, answers: Tensor) -> list[float]:
        """Log-probabilities of each of the ten answers."""
        found: list[float] = answers[-NUM_COPIED:, 0].log_softmax(1).flatten().tolist()
        return found


def array_of(sequence: ArrayLike, expected: str) -> NDArray[Any]:
    """A sequence as an array.

    Raises:
        ShapeError: nested lists of different lengths.
    """
    try:
        return np.asarray(sequence)
    except ValueError:
        raise ShapeError(f"{expected}, got lists of different lengths: {str(sequence)[:40]}") from None


def problem_of(name: str, length: int) -> Problem:
    """The problem of a name.

    Args:
        name: "adding" or "copy".
        length: steps of a sequence of the first, delay of the second.
    """
    return Adding(length) if name == "adding" else Copying(length)
