"""What tasks share whose data are examples with answers: kept by split, evaluated split by split.

A task takes these functions as its methods: `evaluate = supervised.evaluate`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from recurra.config import Section
from recurra.data.splits import held_out_splits
from recurra.errors import DataError, UsageError, shortened
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import Scores


class SupervisedTask(Protocol):
    """What these functions need of a task."""

    other_data_keys: ClassVar[tuple[str, ...]]  # keys of `[data]` about how files are read, not about the model

    splits: dict[str, list[Any]]  # examples
    encoded: dict[str, Any]  # the same as the model reads them

    @property
    def data_options(self) -> Section:
        """The options by which other data is read."""
        ...

    def read_other(self, options: Any, progress: Progress) -> dict[str, list[Any]]:
        """Read examples to evaluate on: all splits except the training split, or "all" where there are no splits."""
        ...

    def encode(self, examples: Sequence[Any]) -> Any:
        """Examples as the model reads them."""
        ...

    def evaluate_split(
        self, split: str, examples: Sequence[Any], encoded: Any, progress: Progress
    ) -> tuple[Scores, Json]:
        """Scores of the model on one split, and the details that the evaluation page is drawn from."""
        ...


def keep(task: SupervisedTask, splits: dict[str, list[Any]]) -> None:
    """Encode examples by split and keep both."""
    task.splits, task.encoded = splits, {split: task.encode(examples) for split, examples in splits.items()}


def held_out(task: SupervisedTask) -> dict[str, list[Any]]:
    """The validation and test examples."""
    return held_out_splits(task.splits)


def read_held_out(
    task: SupervisedTask, data: Any, options: Mapping[str, Any], progress: Progress
) -> dict[str, list[Any]]:
    """Other examples to evaluate on, by split.

    Args:
        task: reads and encodes them.
        data: their path.
        options: keys of `[data]` in which their files differ from those of training, with their values.
        progress: receives notes about what was left out.

    Raises:
        DataError: they cannot be used; the message names the place.
        UsageError: a key that is fixed by training, or an impossible value.
    """
    for key in options:
        if key not in task.other_data_keys:
            known = ", ".join(task.other_data_keys)
            raise UsageError(f"{key}: is fixed by the training; other data may differ in {known}")
    chosen = {**dict(task.data_options), "path": str(data), **options}
    return task.read_other(type(task.data_options).parse(chosen, str(data)), progress)


def encoding_of(task: SupervisedTask, split: str, examples: Sequence[Any]) -> Any:
    """Examples as the model reads them; those that the task keeps are not encoded again."""
    return task.encoded[split] if examples is task.splits.get(split) else task.encode(examples)


def evaluate(
    task: SupervisedTask, splits: Mapping[str, Sequence[Any]], progress: Progress
) -> tuple[dict[str, Scores], Json]:
    """Scores of the model by split, and the details that the evaluation page is drawn from."""
    metrics, details = {}, {}
    for split, examples in splits.items():
        encoded = encoding_of(task, split, examples)
        metrics[split], details[split] = task.evaluate_split(split, examples, encoded, progress)
    return metrics, details


def refuse_unknown(name: str, labels: Sequence[str], found: Iterable[tuple[str, str]]) -> None:
    """Refuse a label that training lacks.

    Args:
        name: what a label is called, "label" or "tag".
        labels: those of training.
        found: labels, each with its place.

    Raises:
        DataError: there is one.
    """
    known = frozenset(labels)
    for label, place in found:
        if label not in known:
            raise DataError(
                f"{place}: {name} {shortened(label)!r} is none of the {len(labels)} that were trained on "
                f"({', '.join(map(shortened, labels[:8]))}{', ...' if len(labels) > 8 else ''}); correct it, or count "
                f"what has it as wrong with --unknown-{name}s wrong"
            )
