"""A trained classifier in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.errors import UsageError
from recurra.inference.opening import evaluate_run, evaluate_splits, is_own, open_task
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks import Classification
from recurra.tasks.classification import Encoded
from recurra.tasks.examples import find_held_out


class Prediction(NamedTuple):
    """What a classifier says of an example."""

    label: str
    probability: float
    probabilities: dict[str, float]  # of all labels, the likeliest first
    attention: list[float] | None  # how much each step counted, where the read-out is attention


class TrainedClassifier:
    """The model of a run, ready to use.

    Args:
        run: the run folder.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, or of another task.
        UsageError: no such device.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        self.run = run
        self.task = Classification.restore(run)
        self.trained_steps = open_task(self.task, run, device)
        self.labels = self.task.labels

    def predict(self, contents: Sequence[Any]) -> list[Prediction]:
        """The label of each text, or of each series (time, channels).

        Raises:
            UsageError: a single text instead of a list.
            ShapeError: a series of another number of axes or channels.
            DataError: a series with a value that is not finite.
        """
        if isinstance(contents, str):
            raise UsageError(f"predict: expected a list, got one text; write predict([{contents[:20]!r}])")
        sequences = [self.task.inputs.encode(content) for content in contents]
        found: dict[int, Prediction] = {}
        for indices, verdict in self.task.verdicts(Encoded(sequences, np.zeros(len(sequences), np.int64)), Progress()):
            probabilities = verdict.logits.double().softmax(1).tolist()
            for place, index in enumerate(indices.tolist()):
                weights = verdict.attention
                attention = None if weights is None else weights[: len(sequences[index]), place].tolist()
                found[index] = self.prediction(probabilities[place], attention)
        return [found[index] for index in range(len(sequences))]

    def prediction(self, probabilities: list[float], attention: list[float] | None) -> Prediction:
        """What probabilities in the order of the labels say."""
        ranked = dict(sorted(zip(self.labels, probabilities, strict=True), key=lambda pair: -pair[1]))
        label, probability = next(iter(ranked.items()))
        return Prediction(label, probability, ranked, attention)

    def evaluate(self, data: str | Path | None = None, progress: Progress | None = None) -> Json:
        """Scores of the model and, beside it, of plain models trained on the same examples.

        Args:
            data: labelled examples of the kind it was trained on, whose validation and test examples count where they
                are split; by default the held-out examples of the run.
            progress: told how far it is.

        Returns:
            Scores by model ("model", "majority", "linear", "mlp") and by split. The baselines are missing where the
            training examples are no longer there.

        Raises:
            DataError: the examples cannot be used, or those of the run are no longer what they were.
        """
        progress = progress or Progress()
        if is_own(data, self.task):
            return evaluate_run(self.task, self.run, progress)
        splits = find_held_out(self.task.inputs.options.model_copy(update={"path": str(data)}), progress)
        return evaluate_splits(self.task, self.run, splits, progress)
