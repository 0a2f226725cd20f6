"""What every task consists of, and what all tasks share: restoring from a run, fingerprints, reports."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.config import Recipe
from recurra.errors import DataError, RunError, UsageError
from recurra.progress import Progress
from recurra.runs import RECIPE, SAMPLES, Json, Run

Scores = dict[str, float]  # by metric
ReadFile = Callable[[str], str]  # text of a file of a run
PATHS = frozenset({"path", "valid", "test"})  # keys of [data] that name files, which may move

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


class Metric(NamedTuple):
    """A metric by which models are compared."""

    name: str
    higher_is_better: bool = False

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is better than `other`; NaN and infinity never are."""
        return math.isfinite(one) and (one > other if self.higher_is_better else one < other)


class Report(NamedTuple):
    """Scores of a model and its baselines on the held-out splits."""

    metrics: Json  # by model ("model", then the baselines), split and metric
    details: Json  # of the model by split: plain values that the evaluation page is drawn from; may be empty


class StepLoss(NamedTuple):
    """Result of the forward pass over one batch."""

    mean: Tensor  # the loss to minimize, a scalar
    num_items: int  # number of predictions that the mean is taken over
    state: Any  # carried to the next batch: tensors in nested tuples, or None


class Batches(Protocol):
    """The batches of one epoch by number, so that a resumed epoch goes on at the same batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Encoded(Protocol):
    """The examples of one split as the model reads them."""

    @property
    def digest(self) -> str:
        """SHA-256 of the encoded examples."""
        ...


class Preprocessor(Protocol):
    """What was learned from the training data before training: vocabulary, labels, means and deviations.

    A task is built from its recipe and its preprocessor. The preprocessor saves and loads itself.
    """

    def values(self) -> Json:
        """Plain values for model.json."""
        ...

    def files(self) -> Mapping[str, str]:
        """Further files of the run: text by name."""
        ...

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Any) -> Self:
        """Undo `values` and `files`.

        Args:
            values: what `values` returned.
            read: gives the text of a file of the run.
            recipe: of the run.
        """
        ...


class NoPreprocessor:
    """For tasks in which nothing is learned from the data before training."""

    def values(self) -> Json:
        """Nothing."""
        return {}

    def files(self) -> Mapping[str, str]:
        """None."""
        return {}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Recipe) -> Self:  # noqa: ARG003
        """A new one."""
        return cls()


class Task(Protocol):
    """Data, model, loss, metrics and baselines under one name."""

    name: ClassVar[str]
    recipe_type: ClassVar[type[Recipe]]
    preprocessor_type: ClassVar[type[Preprocessor]]
    item: ClassVar[str]  # noun for one prediction, as in "tokens per second"
    usage: ClassVar[str]  # arguments of `recurra` that use a trained model; {run} stands for its folder

    recipe: Any
    preprocessor: Any

    def __init__(self, recipe: Any, preprocessor: Any) -> None:
        """Build the model, with freshly drawn weights."""

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    @property
    def primary_metric(self) -> Metric:
        """The metric of a report by which the model is compared with its baselines."""
        ...

    @property
    def selection_metric(self) -> Metric:
        """The metric of `validate` that selects the best epoch."""
        ...

    @property
    def encoded(self) -> Mapping[str, Encoded]:
        """The data of each split as the model reads it; empty until `set_data`."""
        ...

    @classmethod
    def start(cls, recipe: Any, progress: Progress) -> Self:
        """Read the data of a recipe, fit the preprocessor, and build a new model with the data loaded."""
        ...

    @classmethod
    def check(cls, recipe: Any, progress: Progress) -> Json:
        """Statistics of the data of a recipe: tables by title, and "problems", a list of sentences."""
        ...

    def read_data(self, progress: Progress) -> Any:
        """Read the data of the recipe, by split, in the form that this model was trained on."""
        ...

    def set_data(self, splits: Any) -> None:
        """Encode what `read_data` returned and keep it."""
        ...

    def batches(self, epoch: int) -> Batches:
        """Training batches of an epoch, counted from 0; the same for the same epoch."""
        ...

    def loss(self, batch: Any, state: Any) -> StepLoss:
        """Loss of a batch; `state` is that of the previous batch, None at the first one of an epoch."""
        ...

    def validate(self, progress: Progress) -> Scores:
        """Scores on the validation data: "loss", the selection metric and the primary metric among them."""
        ...

    def held_out(self) -> dict[str, Any]:
        """The data of every split except the training split, in the form that `evaluate` takes."""
        ...

    def read_held_out(self, data: Any, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Read other data to evaluate on, by split; "all" where it has no splits.

        Args:
            data: a path, or whatever else this task evaluates on.
            options: keys of `[data]` in which its files differ from those of the recipe.
            progress: receives notes about what was left out.
        """
        ...

    def evaluate(self, splits: Mapping[str, Any], progress: Progress) -> tuple[dict[str, Scores], Json]:
        """Scores of the model by split, and the details that the evaluation page is drawn from."""
        ...

    def baselines(self, splits: Mapping[str, Any], progress: Progress) -> dict[str, dict[str, Scores]]:
        """Scores of the baselines, fitted to the training data, by name and split."""
        ...

    def samples(self) -> list[Json]:
        """A few validation examples, stored with the run so that its outputs can be compared anywhere."""
        ...

    def outputs_of(self, sample: Json) -> list[float]:
        """Outputs of the model for a sample: log-probabilities, or predicted values."""
        ...


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Switch off gradients and dropout inside; afterwards the model is in the mode it was in before."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def device_of_model(model: nn.Module) -> torch.device:
    """The device of the weights."""
    return next(model.parameters()).device


def num_parameters(task: Task) -> int:
    """Number of trainable values of the model."""
    return sum(parameter.numel() for parameter in task.model.parameters())


def describe_loss(task: Task, loss: float) -> str:
    """A loss in words, with the perplexity where the task is judged by it."""
    perplexity = f"  perplexity {math.exp(min(loss, 700)):.4g}" if task.primary_metric.name == "perplexity" else ""
    return f"loss {loss:.4g}{perplexity}"


def report(task: Task, progress: Progress) -> Report:
    """Evaluate the model and its baselines on the validation and test data."""
    splits = task.held_out()
    metrics, details = task.evaluate(splits, progress)
    return Report({"model": metrics, **task.baselines(splits, progress)}, details if any(details.values()) else {})


# --- what a run keeps of a task -------------------------------------------------------------------------------------


def architecture_of(recipe: Any) -> Json:
    """The sections of a recipe that determine the model and how it reads data."""
    data = {key: value for key, value in recipe.data.model_dump(mode="json").items() if key not in PATHS}
    return {"model": recipe.model.model_dump(mode="json"), "data": data}


def fingerprint(task: Task) -> dict[str, str]:
    """Digest of the encoded data of each split; a run is resumed on the same data only."""
    return {split: encoded.digest for split, encoded in task.encoded.items()}


def describe(task: Task) -> tuple[Json, Mapping[str, str]]:
    """What model.json holds about a task with its data loaded, and the files that belong to the model."""
    description = {
        "architecture": architecture_of(task.recipe),
        "preprocessor": task.preprocessor.values(),
        "data": fingerprint(task),
    }
    return description, task.preprocessor.files()


def restore(kind: type[Task], run: Run) -> Task:
    """Build the task of a run, without its weights and data.

    Raises:
        RunError: a file is missing or damaged, or the run is of another task.
    """
    description, recipe = parse_recipe(run, kind.recipe_type)
    stored, here = description["architecture"], architecture_of(recipe)
    for section, values in stored.items():  # keys younger than the run are missing there: their defaults change nothing
        if values != {key: here[section].get(key) for key in values}:
            raise RunError(f"run {run}: recipe.toml and model.json describe different models; restore a copy")
    return kind(recipe, kind.preprocessor_type.load(description["preprocessor"], run.read, recipe))


def parse_recipe(run: Run, schema: type[AnyRecipe]) -> tuple[Json, AnyRecipe]:
    """The content of model.json of a run, and its recipe.

    Raises:
        RunError: missing, damaged, or of another task.
    """
    description, name = run.read_model(), schema.model_fields["task"].default
    if description["task"] != name:
        raise RunError(f"run {run}: of task {description['task']}, expected {name}")
    try:
        return description, schema.parse(run.read_recipe(), f"{run}/{RECIPE}")
    except UsageError as error:
        raise RunError(f"{error}; the recipe of a run must not be edited, restore a copy") from None


def load_data(task: Task, run: Run, progress: Progress) -> None:
    """Load the data that a run was started with into its task.

    Raises:
        DataError: it cannot be used, or it has changed since.
    """
    task.set_data(task.read_data(progress))
    now, begun = fingerprint(task), run.read_model()["data"]
    changed = sorted(split for split in now.keys() | begun.keys() if now.get(split) != begun.get(split))
    if changed:
        raise DataError(
            f"run {run}: its data has changed since training began ({', '.join(changed)}); restore it, or name other "
            "data to evaluate on"
        )


def check_samples(task: Task, run: Run) -> float:
    """Largest difference between the stored sample outputs of a run and the same outputs computed now.

    Raises:
        RunError: the samples are missing or damaged.
    """
    pairs = [(row.pop("outputs", []), task.outputs_of(row)) for row in run.read_rows(SAMPLES)]
    deviations: list[float] = [
        abs(there - here) for stored, now in pairs for there, here in zip(stored, now, strict=True)
    ]
    if not deviations:
        raise RunError(f"run {run}: {SAMPLES} is damaged, it holds no sample; restore a copy")
    return max(deviations)


def digest_of(arrays: Iterable[NDArray[Any]], *others: NDArray[Any]) -> str:
    """SHA-256 of arrays: the bytes of `others`, then shape and bytes of each of `arrays`."""
    digest = hashlib.sha256()
    for array in others:
        digest.update(np.ascontiguousarray(array).tobytes())
    for array in arrays:
        digest.update(f"{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
