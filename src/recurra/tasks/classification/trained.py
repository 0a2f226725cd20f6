"""A trained classifier in use."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.classification.task import Classification, Encoded
from recurra.tasks.trained import Input, NoOptions, Table, TrainedModel, Verb

NUM_OTHERS = 2  # labels shown beside the most probable one
MAX_WIDTH = 60  # characters of an input in a table


class Prediction(NamedTuple):
    """The label of one example."""

    input: str  # the text, or file and position of a series
    label: str
    probability: float
    probabilities: dict[str, float]  # of all labels, the most probable first
    attention: list[float] | None  # weight of each step, where the model pools by attention
    is_text: bool

    @property
    def text(self) -> str:
        """The label."""
        return self.label

    def as_json(self) -> Json:
        """All but the kind of input."""
        return {key: value for key, value in self._asdict().items() if key != "is_text"}

    def as_table(self) -> Table:
        """One row: input, label, probability, and the next labels. A long text keeps its start, a path its end."""
        name = self.input
        if len(name) > MAX_WIDTH:
            name = f"{name[: MAX_WIDTH - 3]}..." if self.is_text else f"...{name[3 - MAX_WIDTH :]}"
        others = list(self.probabilities.items())[1 : 1 + NUM_OTHERS]
        rest = ", ".join(f"{label} {probability:.3f}" for label, probability in others)
        return Table(
            ("input", "label", "probability", "next"), [(name, self.label, f"{self.probability:.4f}", rest)], "rows"
        )


def predict(
    model: "TrainedClassifier",
    inputs: list[Input],
    options: NoOptions,  # noqa: ARG001
    progress: Progress,
) -> list[Prediction]:
    """The label of each text, or of each series (time, channels)."""
    sequences = [model.task.inputs.encode(one.value) for one in inputs]
    found: dict[int, Prediction] = {}
    encoded = Encoded(sequences, np.zeros(len(sequences), np.int64))
    for indices, output in model.task.outputs(encoded, progress):
        probabilities = output.logits.double().softmax(1).tolist()
        for place, index in enumerate(indices.tolist()):
            weights = output.attention
            attention = None if weights is None else weights[: len(sequences[index]), place].tolist()
            ranked = sorted(zip(model.labels, probabilities[place], strict=True), key=lambda pair: -pair[1])
            found[index] = Prediction(inputs[index].name, *ranked[0], dict(ranked), attention, not model.reads_files)
    return [found[index] for index in range(len(sequences))]


class TrainedClassifier(TrainedModel[Classification]):
    """A classifier, ready to use; arguments and errors as of `TrainedModel`."""

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(NoOptions, predict)}

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.labels = self.task.labels

    @property
    def reads_files(self) -> bool:
        """Series are given as files, texts as they are."""
        return self.task.inputs.shape.vocabulary_size is None

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The texts of a table or the lines of a file; or the series of a file."""
        for name, content in self.task.inputs.read(path, self.labels, options):
            yield Input(name, content)


TRAINED = TrainedClassifier
