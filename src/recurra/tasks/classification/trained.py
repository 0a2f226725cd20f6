"""A trained classifier in use."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.progress import Progress
from recurra.tasks import Classification
from recurra.tasks.classification.task import Encoded
from recurra.tasks.trained import TrainedLabeller, refuse_one


class Prediction(NamedTuple):
    """What a classifier says of an example."""

    label: str
    probability: float
    probabilities: dict[str, float]  # of all labels, the likeliest first
    attention: list[float] | None  # how much each step counted, where the read-out is attention


class TrainedClassifier(TrainedLabeller[Classification]):
    """A classifier, ready to use; arguments and errors as of `TrainedLabeller`."""

    task_type = Classification

    def predict(self, contents: Sequence[Any]) -> list[Prediction]:
        """The label of each text, or of each series (time, channels).

        Raises:
            UsageError: a single text instead of a list.
            ShapeError: a series of another number of axes or channels.
            DataError: a series with a value that is not finite.
        """
        refuse_one(contents, "predict")
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
