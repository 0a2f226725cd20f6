"""What tasks share that are judged on examples: these are kept by split, and scored beside baselines."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from recurra.config import Section
from recurra.data.splits import held_out_splits
from recurra.errors import DataError, UsageError, shortened
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import Metrics, Report

Example = TypeVar("Example")  # what there is an answer to, with the answer
Encoded = TypeVar("Encoded")  # examples as the model reads them


class JudgedTask(ABC, Generic[Example, Encoded]):
    """A task whose data are examples: how these are kept, and how the model is scored on those held out."""

    may_differ: ClassVar[tuple[str, ...]]  # keys of `[data]` of how files are read, which other data may have otherwise

    recipe: Any
    splits: dict[str, list[Example]]
    encoded: dict[str, Encoded]

    @abstractmethod
    def read_held_out(self, options: Any, progress: Progress) -> dict[str, list[Example]]:
        """Examples to judge by: those of every split but the training one, or all where there are no splits.

        Args:
            options: which, and how they are read; of the type of the recipe's `[data]`.
            progress: told what was left out.

        Raises:
            DataError: they cannot be used; the message names the place.
        """

    @abstractmethod
    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Examples as the model reads them."""

    @abstractmethod
    def judge_split(
        self, split: str, examples: Sequence[Example], encoded: Encoded, progress: Progress
    ) -> tuple[Metrics, Json]:
        """Scores of the model on the examples of a split, and what figures are drawn from."""

    @abstractmethod
    def baselines(self, splits: Mapping[str, Sequence[Example]], progress: Progress) -> dict[str, dict[str, Metrics]]:
        """What plain means reach, by name and split."""

    @property
    def data_options(self) -> Section:
        """How other examples are read, where nothing else is said."""
        options: Section = self.recipe.data
        return options

    def find_held_out(self, path: str, progress: Progress, layout: Mapping[str, Any]) -> dict[str, list[Example]]:
        """Examples to judge by, by split.

        Args:
            path: of these.
            progress: told what was left out.
            layout: keys in which their files differ from those that were trained on, with their values.

        Raises:
            DataError: they cannot be used; the message names the place.
            UsageError: a key that says what the model reads, or a value that cannot be.
        """
        for key in layout:
            if key not in self.may_differ:
                known = ", ".join(self.may_differ)
                raise UsageError(f"{key}: is fixed by the training; other data may differ in {known}")
        options = type(self.data_options).parse({**dict(self.data_options), "path": path, **layout}, path)
        return self.read_held_out(options, progress)

    def take(self, splits: dict[str, list[Example]]) -> None:
        """Encode examples by split."""
        self.splits, self.encoded = splits, {split: self.encode(examples) for split, examples in splits.items()}

    def encoding_of(self, split: str, examples: Sequence[Example]) -> Encoded:
        """Examples as the model reads them: those of the task itself are at hand."""
        return self.encoded[split] if examples is self.splits.get(split) else self.encode(examples)

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on the validation and test examples."""
        held_out = held_out_splits(self.splits)
        metrics, details = self.evaluate(held_out, progress)
        return Report({"model": metrics, **self.baselines(held_out, progress)}, details)

    def evaluate(self, splits: Mapping[str, Sequence[Example]], progress: Progress) -> tuple[dict[str, Metrics], Json]:
        """Scores of the model by split, and what figures are drawn from."""
        metrics, details = {}, {}
        for split, examples in splits.items():
            encoded = self.encoding_of(split, examples)
            metrics[split], details[split] = self.judge_split(split, examples, encoded, progress)
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
