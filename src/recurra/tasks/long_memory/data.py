"""The problems of the memory task: what is drawn, what is asked, how an answer is judged."""

import math
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
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
    """Sequences that can be drawn for ever, each with a question at its end."""

    primary_metric: ClassVar[Metric]
    baseline: ClassVar[str]  # what a model without memory does at best
    input_size: ClassVar[int]  # features of a step, as the network reads it
    output_size: ClassVar[int]  # features of an answer

    @property
    def steps(self) -> int:
        """Of a sequence."""
        ...

    @property
    def num_answers(self) -> int:
        """Steps at the end of which each has an answer that is trained on."""
        ...

    def draw(self, batch_size: int, num_batches: int, seed: int, part: int) -> GeneratedBatches:
        """Batches; see `recurra.data.builtin.long_memory`."""
        ...

    def read(self, inputs: Tensor) -> Tensor:
        """What was drawn as the network reads it, (time, batch, input_size)."""
        ...

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """What is minimized; answers (num_answers, batch, output_size)."""
        ...

    def scores(self, answers: Tensor, targets: Tensor) -> Scores:
        """How good answers are."""
        ...

    def answers_without_memory(self, targets: Tensor) -> Tensor:
        """The best answers of who remembers nothing, in the place of those of the network."""
        ...

    def parse(self, sequence: ArrayLike) -> Tensor:
        """A sequence from outside as a batch of one, in the form that is drawn."""
        ...

    def decode(self, answers: Tensor) -> Any:
        """What answers to a batch of one mean."""
        ...

    def outputs(self, answers: Tensor) -> list[float]:
        """What the network says at the end of a batch of one, as numbers."""
        ...


class Adding:
    """The sum of two numbers that were marked somewhere on the way.

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
        """As they are."""
        return inputs

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of the sum."""
        return F.mse_loss(answers[-1, :, 0], targets)

    def scores(self, answers: Tensor, targets: Tensor) -> Scores:
        """Mean squared error, and the share of sums that are right but for SOLVED."""
        error = (answers[-1, :, 0] - targets).double()
        solved = (error.abs() < SOLVED).double().mean()
        return {"mse": float(error.square().mean()), "solved": float(solved), "sequences": len(targets)}

    def answers_without_memory(self, targets: Tensor) -> Tensor:
        """The mean of a sum of two numbers from 0 to 1."""
        return torch.ones(1, len(targets), 1)

    def parse(self, sequence: ArrayLike) -> Tensor:
        """Numbers and marks.

        Raises:
            ShapeError: another shape than (time, 2).
        """
        values = np.asarray(sequence)
        if values.ndim != 2 or values.shape[1] != 2 or not len(values):
            raise ShapeError(f"adding: expected numbers and marks (time, 2), got an array {values.shape}")
        return torch.from_numpy(values.astype(np.float32))[:, None]

    def decode(self, answers: Tensor) -> float:
        """The sum."""
        return float(answers[-1, 0, 0])

    def outputs(self, answers: Tensor) -> list[float]:
        """The sum."""
        return [self.decode(answers)]


class Copying:
    """Ten symbols, to be repeated in order after a delay.

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
        """Symbols, blanks and the delimiter as ids (time, batch), and what to answer at each step (time, batch)."""
        return copying(self.delay, batch_size, num_batches, seed, part)

    def read(self, inputs: Tensor) -> Tensor:
        """One feature for each symbol, the blank and the delimiter."""
        return F.one_hot(inputs, self.input_size).float()

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Mean nats of the right answer of a step."""
        return F.cross_entropy(answers.flatten(0, 1), targets.flatten())

    def scores(self, answers: Tensor, targets: Tensor) -> Scores:
        """Nats per step, share of recalled symbols that are right, and of sequences in which all ten are."""
        right = answers[-NUM_COPIED:].argmax(2) == targets[-NUM_COPIED:]  # (ten, batch)
        return {
            "loss": float(self.loss(answers.double(), targets)),
            "accuracy": float(right.double().mean()),
            "solved": float(right.all(0).double().mean()),
            "sequences": targets.shape[1],
        }

    def answers_without_memory(self, targets: Tensor) -> Tensor:
        """Certain of the blanks, and no idea which symbol."""
        logits = torch.full((*targets.shape, self.output_size), -math.inf)
        logits[:-NUM_COPIED, :, BLANK] = 0
        logits[-NUM_COPIED:, :, :NUM_SYMBOLS] = 0
        return logits

    def parse(self, sequence: ArrayLike) -> Tensor:
        """Ids.

        Raises:
            ShapeError: not whole numbers from 0 to 9, (time,), with room for ten symbols and as many answers.
        """
        ids = np.asarray(sequence)
        if (
            ids.ndim != 1
            or len(ids) < 2 * NUM_COPIED
            or ids.dtype.kind not in "iu"
            or not {*ids} <= {*range(self.input_size)}
        ):
            raise ShapeError(
                f"copying: expected ids 0 to {DELIMITER} (time,) of at least {2 * NUM_COPIED} steps, got an array "
                f"{ids.shape} of {ids.dtype}"
            )
        return torch.from_numpy(ids.astype(np.int64))[:, None]

    def decode(self, answers: Tensor) -> list[int]:
        """The ten symbols recalled."""
        symbols: list[int] = answers[-NUM_COPIED:, 0].argmax(1).tolist()
        return symbols

    def outputs(self, answers: Tensor) -> list[float]:
        """Logarithms of the probabilities of each of the ten answers."""
        found: list[float] = answers[-NUM_COPIED:, 0].log_softmax(1).flatten().tolist()
        return found


def problem_of(name: str, length: int) -> Problem:
    """The problem that DATA names.

    Args:
        name: "adding" or "copy".
        length: steps of a sequence of the first, delay of the second.
    """
    return Adding(length) if name == "adding" else Copying(length)
