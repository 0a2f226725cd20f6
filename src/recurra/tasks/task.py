"""What the training loop and the commands ask of a task."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

from torch import Tensor, nn

from recurra.config import Recipe
from recurra.errors import RunError, UsageError
from recurra.progress import Progress
from recurra.runs import RECIPE, Json, Run

Metrics = dict[str, float]


class Metric(NamedTuple):
    """A metric by which models are compared."""

    name: str
    higher_is_better: bool = False

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is the better figure; what is not finite never is."""
        return math.isfinite(one) and (one > other if self.higher_is_better else one < other)


class Report(NamedTuple):
    """What a model and its baselines reach on the held-out splits."""

    metrics: Json  # by who ("model" first), split and metric
    details: Json  # of the model by split, as plain values that figures are drawn from; may be empty


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


class StepLoss(NamedTuple):
    """Result of the forward pass over one batch."""

    mean: Tensor  # what is minimized, a scalar
    num_items: int  # how many predictions the mean is over
    state: Any  # to hand to the next batch, or None; tensors in nested tuples


class Batches(Protocol):
    """The batches of one epoch, by number: a resumed epoch goes on where it stood."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Task(Protocol):
    """A job: data, model, loss, metrics and baselines under one name."""

    name: ClassVar[str]
    recipe_type: ClassVar[type[Recipe]]
    item: ClassVar[str]  # what a prediction is about, for "tokens per second"

    recipe: Any

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    @property
    def primary_metric(self) -> Metric:
        """By which metric of a report the model is compared with its baselines."""
        ...

    @property
    def selection_metric(self) -> Metric:
        """Which metric of `validate` chooses the best epoch."""
        ...

    @classmethod
    def start(cls, recipe: Any, progress: Progress) -> Self:
        """A new model for the data the recipe names."""
        ...

    @classmethod
    def check(cls, recipe: Any, progress: Progress) -> Json:
        """What there is to know of the data before training: tables by title, and "problems" in words."""
        ...

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and data."""
        ...

    def load_data(self, progress: Progress) -> None:
        """Read what the recipe names, in the form the restored model was trained on."""
        ...

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Digest of the data of each split, as the model reads it; a run is resumed on the same only."""
        ...

    def batches(self, epoch: int) -> Batches:
        """Training batches of an epoch, counted from 0; the same for the same epoch."""
        ...

    def loss(self, batch: Any, state: Any) -> StepLoss:
        """Loss of a batch; `state` is that of the batch before, None at the first of an epoch."""
        ...

    @staticmethod
    def describe_loss(loss: float) -> str:
        """A loss in words, with what it means beside it."""
        ...

    def validate(self, progress: Progress) -> Metrics:
        """Metrics on the validation data: "loss", the criterion and the primary_metric among them."""
        ...

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on every held-out split."""
        ...

    def samples(self) -> list[Json]:
        """A few inputs to compare outputs on wherever the run goes, each with what else is worth storing."""
        ...

    def outputs_of(self, sample: Json) -> list[float]:
        """What the model makes of a sample: log-probabilities, or predicted values."""
        ...


def refuse_other_architecture(run: Run, there: Json, here: Json) -> None:
    """Refuse a run whose two descriptions of its model do not agree.

    Args:
        run: whose.
        there: what model.json says the model is built from. Options that are younger than the run it does not have;
            their defaults leave the model as it was.
        here: what recipe.toml leads to.

    Raises:
        RunError: they differ.
    """
    if there != {key: here.get(key) for key in there}:
        raise RunError(f"run {run}: recipe.toml and model.json describe different models; restore a copy")


def parse_recipe(run: Run, kind: type[AnyRecipe]) -> tuple[Json, AnyRecipe]:
    """What model.json of a run says, and its recipe.

    Raises:
        RunError: missing, damaged, or of another task.
    """
    description, name = run.read_model(), kind.model_fields["task"].default
    if description["task"] != name:
        raise RunError(f"run {run}: of task {description['task']}, expected {name}")
    try:
        return description, kind.parse(run.read_recipe(), f"{run}/{RECIPE}")
    except UsageError as error:
        raise RunError(f"{error}; the recipe of a run is not for editing, restore a copy") from None
