"""A trained classifier in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.errors import DataError
from recurra.inference.opening import open_task
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks import Classification, load_data
from recurra.tasks.classification import Encoded, collate
from recurra.tasks.evaluation import inference
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
        """The label of each text, or of each series (time, channels)."""
        sequences = [self.task.inputs.encode(content) for content in contents]
        found = []
        for sequence in sequences:
            with inference(self.task.model):
                verdict = self.task.judge(collate(Encoded([sequence], np.zeros(1, np.int64)), np.zeros(1, np.int64)))
            probabilities = verdict.logits[0].double().softmax(0).tolist()
            ranked = dict(sorted(zip(self.labels, probabilities, strict=True), key=lambda pair: -pair[1]))
            weights = None if verdict.attention is None else verdict.attention[: len(sequence), 0].tolist()
            label, probability = next(iter(ranked.items()))
            found.append(Prediction(label, probability, ranked, weights))
        return found

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
        if data is None:
            load_data(self.task, self.run, progress)
            return self.task.report(progress).metrics
        splits = find_held_out(self.task.recipe.data.model_copy(update={"path": str(data)}), progress)
        metrics, _ = self.task.evaluate(splits, progress)
        try:
            load_data(self.task, self.run, progress)
        except DataError as error:
            progress.note(f"no baselines, they need the training examples: {error}")
            return {"model": metrics}
        return {"model": metrics, **self.task.baselines(splits, progress)}
