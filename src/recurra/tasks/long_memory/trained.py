"""A network trained to remember, in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from recurra.errors import UsageError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.long_memory.task import Memory
from recurra.tasks.trained import TrainedModel


class TrainedMemory(TrainedModel[Memory]):
    """A network trained to remember, ready to use; arguments and errors as of `TrainedModel`."""

    task_type = Memory

    def predict(self, sequences: Sequence[ArrayLike]) -> list[Any]:
        """The answer to each sequence, of any length.

        Args:
            sequences: of adding, numbers and marks (time, 2); of copying, ids (time,), 0 to 7 for symbols, 8 for the
                blank, 9 for the delimiter, and ten blanks last.

        Returns:
            The sum of each; or its ten symbols.

        Raises:
            ShapeError: sequences of another kind.
        """
        problem = self.task.problem
        return [problem.tell(self.task.judge(problem.parse(sequence), Progress())) for sequence in sequences]

    def evaluate(self, data: str | Path | None = None, progress: Progress | None = None) -> Json:
        """Scores of the model and, beside it, of what can be had without memory, on the held-out sequences.

        Args:
            data: for other tasks; here sequences are generated, and nothing can be given.
            progress: told how far it is.

        Returns:
            Scores by model ("model", and "always_1" or "no_memory") and by split.

        Raises:
            UsageError: data was given.
            DataError: this version draws other sequences than the run was judged by.
        """
        if data is not None:
            raise UsageError(f"{data}: a memory problem is judged by sequences that it generates; leave the data out")
        return self.evaluate_held_out(progress or Progress())
