"""A trained model of the toy task in use."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from recurra.config import Section
from recurra.progress import Progress
from recurra.tasks.trained import Input, TrainedModel, Verb
from toy_task.data import read_lines
from toy_task.task import Sums


class SumAnswer(NamedTuple):
    """A predicted sum."""

    line: str
    sum: float

    @property
    def text(self) -> str:
        return f"{self.sum:.3f}"

    def as_json(self) -> dict[str, Any]:
        return self._asdict()

    def as_table(self) -> None:
        return


class SumPredictOptions(Section):
    """Options of `predict`."""

    factor: float = Field(1.0, description="what sums are multiplied with")


def predict(
    model: "TrainedSums",
    inputs: list[Input],
    options: SumPredictOptions,
    progress: Progress,  # noqa: ARG001
) -> list[SumAnswer]:
    mean, std = model.task.preprocessor
    lines = [np.array([float(word) for word in one.value.split()], np.float32) for one in inputs]
    outputs = model.task.predict(model.task.encode(lines)) * std + mean
    return [SumAnswer(one.name, float(output) * options.factor) for one, output in zip(inputs, outputs, strict=True)]


class TrainedSums(TrainedModel[Sums]):
    """A toy model, ready to use."""

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(SumPredictOptions, predict)}

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        for line in read_lines(path, **options):
            text = " ".join(map(str, line.tolist()))
            yield Input(text, text)


TRAINED = TrainedSums
