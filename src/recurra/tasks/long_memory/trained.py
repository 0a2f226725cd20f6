"""A network trained on a memory problem, in use."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from recurra.errors import DataError, ShapeError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.long_memory.task import LongMemory
from recurra.tasks.trained import Input, NoOptions, TrainedModel, Verb


class Recalled(NamedTuple):
    """The answer to one sequence."""

    input: str  # file and line of the sequence
    answer: float | list[int]  # the sum; or the ten symbols

    @property
    def text(self) -> str:
        """The sum with four digits, or the symbols between spaces."""
        return f"{self.answer:.4f}" if isinstance(self.answer, float) else " ".join(map(str, self.answer))

    def as_json(self) -> Json:
        """All fields."""
        return self._asdict()

    def as_table(self) -> None:
        """None."""
        return


def predict(
    model: "TrainedLongMemory",
    inputs: list[Input],
    options: NoOptions,  # noqa: ARG001
    progress: Progress,
) -> list[Recalled]:
    """The answer to each sequence, of any length.

    A sequence of adding is numbers and marks (time, 2); of copying, ids (time,): 0 to 7 for symbols, 8 for the blank, 9
    for the delimiter, and ten blanks last.

    Raises:
        ShapeError: sequences of another kind.
    """
    problem = model.task.problem
    answers = (model.task.predict(problem.parse(one.value, one.name), progress) for one in inputs)
    return [Recalled(one.name, problem.decode(answer)) for one, answer in zip(inputs, answers, strict=True)]


class TrainedLongMemory(TrainedModel[LongMemory]):
    """A network trained on a memory problem, ready to use; arguments and errors as of `TrainedModel`."""

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(NoOptions, predict)}

    @property
    def reads_files(self) -> bool:
        """Sequences are given as files."""
        return True

    @property
    def endings(self) -> tuple[str, ...]:
        """Of files with JSON lines."""
        return ".json", ".jsonl"

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The sequences of a file, a JSON array in each line.

        Raises:
            DataError: no such file, or a line that is not JSON or no sequence of the model's problem.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from None
        for number, line in enumerate(lines, 1):
            name = f"{path} line {number}"
            try:
                sequence = json.loads(line)
                self.task.problem.parse(sequence, name)  # here, so that the lines before a bad one are answered
            except ShapeError as error:
                raise DataError(str(error)) from None
            except ValueError as error:
                raise DataError(f"{name}: expected a JSON array, got {line[:40]!r}: {error}") from None
            yield Input(name, sequence)


TRAINED = TrainedLongMemory
