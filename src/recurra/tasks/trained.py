"""A run opened for use, and judged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from recurra.data.catalogue import find
from recurra.devices import device_of
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks import Captioning, Classification, Speech, Tagging, Task, Translation, load_data

AnyTask = TypeVar("AnyTask", bound=Task)
AnyLabelling = TypeVar("AnyLabelling", Classification, Tagging)
AnyAnswering = TypeVar("AnyAnswering", Classification, Tagging, Translation, Captioning, Speech)


class TrainedModel(Generic[AnyTask]):
    """The model of a run, ready to use.

    Args:
        run: the run folder.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, or of another task.
        UsageError: no such device.
    """

    task_type: type[AnyTask]

    def __init__(self, run: Run, device: str = "cpu") -> None:
        self.run = run
        self.task = self.task_type.restore(run)
        self.trained_steps: int = run.load_weights(self.task.model)["step"]  # after which its weights were kept
        self.task.model.to(device_of(device)).eval()

    def evaluate_held_out(self, progress: Progress) -> Json:
        """Scores of the model and its baselines on what was held out of the run.

        Raises:
            DataError: it is no longer what it was.
        """
        load_data(self.task, self.run, progress)
        return self.task.report(progress).metrics

    def beside_baselines(self, metrics: Json, baselines: Callable[[], Json], needed: str, progress: Progress) -> Json:
        """Scores of the model on other data, and of its baselines where what they learn from is still there.

        Args:
            metrics: of the model.
            baselines: trains and judges them, once the data of the run is loaded.
            needed: what they learn from, in words.
            progress: told where that is gone.
        """
        try:
            load_data(self.task, self.run, progress)
        except DataError as error:
            progress.note(f"no baselines, they need the {needed}: {error}")
            return {"model": metrics}
        return {"model": metrics, **baselines()}


class TrainedOnExamples(TrainedModel[AnyAnswering]):
    """A model that was trained on examples with their answers; arguments and errors as of `TrainedModel`."""

    def evaluate(self, data: str | Path | None = None, progress: Progress | None = None, **layout: Any) -> Json:
        """Scores of the model and, beside it, of plain models trained on the same data.

        Args:
            data: examples with answers, of the kind it was trained on, whose validation and test parts count where it
                is split; by default what was held out of the run.
            progress: told how far it is.
            **layout: keys of the recipe's `[data]` of how files are read, such as `label_column="stars"`, where they
                differ from those that were trained on.

        Returns:
            Scores by model ("model" and the baselines) and by split. The baselines are missing where the training data
            is no longer there.

        Raises:
            DataError: the data cannot be used, or that of the run is no longer what it was.
            UsageError: a key that says what the model reads, a value that cannot be, or keys for the run's own data,
                where the files do not say what was held out.
        """
        progress = progress or Progress()
        if is_own(data, self.task) and not layout:
            return self.evaluate_held_out(progress)
        path = self.task.recipe.data.path if data is None else str(data)
        splits = self.task.find_held_out(path, progress, layout)
        if list(splits) == ["all"]:
            if is_own(data, self.task):
                raise UsageError(
                    f"{path}: the model was trained on a part of it, and its files do not say which; name other data, "
                    f"or leave {', '.join(layout)} out"
                )
            progress.note(f"{path}: says no split, so all of it judges the model; training should have had none of it")
        metrics, _ = self.task.evaluate(splits, progress)
        return self.beside_baselines(metrics, lambda: self.task.baselines(splits, progress), "training data", progress)


class TrainedLabeller(TrainedOnExamples[AnyLabelling]):
    """A model that gives labels, ready to use; arguments and errors as of `TrainedModel`."""

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.labels = self.task.labels


def refuse_one(contents: Any, method: str) -> None:
    """Refuse a single text or path, where a list of them is meant.

    Args:
        contents: what a method was given.
        method: its name.

    Raises:
        UsageError: it is one.
    """
    if isinstance(contents, str | Path):
        kind = "text" if isinstance(contents, str) else "path"
        raise UsageError(f"{method}: expected a list, got one {kind}; write {method}([{str(contents)[:20]!r}])")


def is_own(data: str | Path | None, task: Task) -> bool:
    """Whether data is that of the run itself, of which nothing but what was held out may judge the model."""
    return data is None or len({find(name) or Path(name) for name in (str(data), task.recipe.data.path)}) == 1
