"""What the training loop and the commands ask of a task."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from torch import Tensor, nn

from recurra.config import Recipe
from recurra.progress import Progress
from recurra.runs import Json, Run

Metrics = dict[str, float]


class StepLoss(NamedTuple):
    """Result of the forward pass over one batch."""

    mean: Tensor  # what is minimised, a scalar
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
    criterion: ClassVar[str]  # which metric of `validate` chooses the best epoch; smaller is better
    item: ClassVar[str]  # what a prediction is about, for "tokens per second"

    recipe: Any

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    @classmethod
    def start(cls, recipe: Any, progress: Progress) -> Self:
        """A new model for the data the recipe names."""
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

    def describe_loss(self, loss: float) -> str:
        """A loss in words, with what it means beside it."""
        ...

    def validate(self, progress: Progress) -> Metrics:
        """Metrics on the validation data, the criterion among them."""
        ...

    def report(self, progress: Progress) -> Json:
        """Metrics of every held-out split, those of the baselines beside them."""
        ...

    def samples(self) -> list[Json]:
        """A few inputs with the model's outputs, to compare with wherever the run goes."""
        ...
