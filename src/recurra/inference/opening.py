"""A run opened for use, and judged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.data.catalogue import find
from recurra.devices import device_of
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks import Classification, Tagging, Task, load_data


def open_task(task: Task, run: Run, device: str) -> int:
    """Give a restored task the best weights of its run, ready for use on a device.

    Returns:
        The step after which those weights were kept.

    Raises:
        RunError: the weights are missing, damaged or of another shape.
        UsageError: no such device.
    """
    steps: int = run.load_weights(task.model)["step"]
    task.model.to(device_of(device)).eval()
    return steps


def is_own(data: str | Path | None, task: Task) -> bool:
    """Whether data is that of the run itself, of which nothing but what was held out may judge the model."""
    return data is None or (find(str(data)) or Path(data)) == find(task.recipe.data.path)


def evaluate_run(task: Task, run: Run, progress: Progress) -> Json:
    """Scores of a model and its baselines on the held-out data of its run.

    Raises:
        DataError: it is no longer what it was.
    """
    load_data(task, run, progress)
    return task.report(progress).metrics


def evaluate_splits(
    task: Classification | Tagging, run: Run, splits: Mapping[str, Sequence[Any]], progress: Progress
) -> Json:
    """Scores of a model on other data by split, and of its baselines where what they learn from is still there."""
    metrics, _ = task.evaluate(splits, progress)
    try:
        load_data(task, run, progress)
    except DataError as error:
        progress.note(f"no baselines, they need the training data: {error}")
        return {"model": metrics}
    return {"model": metrics, **task.baselines(splits, progress)}
