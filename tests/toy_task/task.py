"""The task: model, loss, scores and a baseline."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from recurra.config import Recipe, Section, TrainingOptions
from recurra.nn import GRU, last_valid_step
from recurra.progress import Progress
from recurra.tasks import supervised
from recurra.tasks.task import Metric, Preprocessor, Scores, StepLoss, inference
from toy_task.data import Batch, Encoded, Line, LineOptions, Scale, collate, read_lines


class SumOptions(Section):
    """The `[model]` section."""

    hidden_size: int = Field(5, ge=1, description="units")


class SumRecipe(Recipe):
    """A recipe of the toy task."""

    task: Literal["toy"] = Field("toy", description="name of the task")
    data: LineOptions
    model: SumOptions = SumOptions()
    training: TrainingOptions = TrainingOptions(epochs=2, batch_size=8)


class SumModel(nn.Module):
    """A GRU and a linear layer on its last step."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.recurrent = GRU(1, hidden_size)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.recurrent(inputs, lengths=lengths)
        return self.output(last_valid_step(hidden, lengths))[:, 0]  # (batch,)


class Sums:
    """The sum of the numbers in a line."""

    name: ClassVar[str] = "toy"
    recipe_type: ClassVar[type[Recipe]] = SumRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = Scale
    primary_metric: ClassVar[Metric] = Metric("mse")
    selection_metric: ClassVar[Metric] = Metric("loss")
    item: ClassVar[str] = "line"
    usage: ClassVar[str] = 'predict {run} "1 2 3"'
    other_data_keys: ClassVar[tuple[str, ...]] = ("skip",)

    held_out = supervised.held_out
    read_held_out = supervised.read_held_out
    evaluate = supervised.evaluate

    def __init__(self, recipe: SumRecipe, preprocessor: Scale) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.model = SumModel(recipe.model.hidden_size)
        self.splits: dict[str, list[Line]] = {}
        self.encoded: dict[str, Encoded] = {}

    @classmethod
    def start(cls, recipe: SumRecipe, progress: Progress) -> "Sums":  # noqa: ARG003
        splits = split(read_lines(recipe.data.path, recipe.data.skip))
        task = cls(recipe, Scale.fit(splits["train"]))
        task.set_data(splits)
        return task

    @classmethod
    def check(cls, recipe: SumRecipe, progress: Progress) -> dict[str, Any]:  # noqa: ARG003
        splits = split(read_lines(recipe.data.path, recipe.data.skip))
        return {"splits": {name: {"lines": len(lines)} for name, lines in splits.items()}, "problems": []}

    @property
    def data_options(self) -> LineOptions:
        return self.recipe.data

    def read_data(self, progress: Progress) -> dict[str, list[Line]]:  # noqa: ARG002
        return split(read_lines(self.recipe.data.path, self.recipe.data.skip))

    def set_data(self, splits: dict[str, list[Line]]) -> None:
        supervised.keep(self, splits)

    def read_other(self, options: LineOptions, progress: Progress) -> dict[str, list[Line]]:  # noqa: ARG002
        return {"all": read_lines(options.path, options.skip)}

    def encode(self, examples: Sequence[Line]) -> Encoded:
        mean, std = self.preprocessor
        return Encoded(list(examples), np.array([(line.sum() - mean) / std for line in examples], np.float32))

    def batches(self, epoch: int) -> list[Batch]:
        encoded, size = self.encoded["train"], self.recipe.training.batch_size
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(encoded.lines)).tolist()
        return [collate(encoded, order[first : first + size]) for first in range(0, len(order), size)]

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        mean = nn.functional.mse_loss(self.model(batch.inputs, batch.lengths), batch.targets)
        return StepLoss(mean, len(batch.targets), None)

    def predict(self, encoded: Encoded) -> np.ndarray:
        batch = collate(encoded, range(len(encoded.lines)))
        with inference(self.model):
            return self.model(batch.inputs, batch.lengths).numpy()

    def validate(self, progress: Progress) -> Scores:
        scores, _ = self.evaluate_split("valid", self.splits["valid"], self.encoded["valid"], progress)
        return {"loss": scores["mse"], **scores}

    def evaluate_split(
        self,
        split: str,  # noqa: ARG002
        examples: Sequence[Line],  # noqa: ARG002
        encoded: Encoded,
        progress: Progress,  # noqa: ARG002
    ) -> tuple[Scores, dict[str, Any]]:
        predicted = self.predict(encoded)
        mse = float(np.square(predicted - encoded.targets).mean())
        return {"mse": mse}, {"predicted": predicted.tolist(), "true": encoded.targets.tolist()}

    def baselines(self, splits: Mapping[str, Sequence[Line]], progress: Progress) -> dict[str, dict[str, Scores]]:  # noqa: ARG002
        return {"mean": {name: {"mse": float(np.square(self.encode(s).targets).mean())} for name, s in splits.items()}}

    def samples(self) -> list[dict[str, Any]]:
        return [{"line": line.tolist()} for line in self.splits["valid"][:2]]

    def outputs_of(self, sample: dict[str, Any]) -> list[float]:
        return self.predict(self.encode([np.array(sample["line"], np.float32)])).tolist()


def split(lines: list[Line]) -> dict[str, list[Line]]:
    """Three fifths, a fifth and a fifth, by position."""
    first, second = len(lines) * 3 // 5, len(lines) * 4 // 5
    return {"train": lines[:first], "valid": lines[first:second], "test": lines[second:]}


TASK = Sums
