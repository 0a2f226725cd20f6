"""The jobs Recurra does: one file a task."""

import difflib
from pathlib import Path

from recurra.errors import DataError, RunError, UsageError
from recurra.progress import Progress
from recurra.runs import SAMPLES, Run
from recurra.tasks.captioning.task import Captioning
from recurra.tasks.classification.task import Classification
from recurra.tasks.forecasting.task import Forecasting
from recurra.tasks.language_modelling.task import LanguageModelling
from recurra.tasks.long_memory.task import Memory
from recurra.tasks.speech.task import Speech
from recurra.tasks.tagging.task import Tagging
from recurra.tasks.task import Metric, Metrics, Report, StepLoss, Task
from recurra.tasks.translation.task import Translation

KNOWN: tuple[type[Task], ...] = (
    LanguageModelling,
    Classification,
    Tagging,
    Forecasting,
    Memory,
    Translation,
    Captioning,
    Speech,
)
TASKS = {task.name: task for task in KNOWN}


def task_type(name: object) -> type[Task]:
    """The task called `name`.

    Raises:
        UsageError: there is none.
    """
    if not isinstance(name, str) or name not in TASKS:
        near = difflib.get_close_matches(str(name), TASKS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if Path(str(name)).exists():
            hint = f"; a task comes first: recurra train {next(iter(TASKS))} {name}"
        raise UsageError(f"task {name!r}: unknown; known: {', '.join(TASKS)}{hint}")
    return TASKS[name]


def task_of(run: Run) -> type[Task]:
    """The task of a run.

    Raises:
        RunError: no run there, damaged, or of a task this version does not know.
    """
    name = run.read_model()["task"]
    if name not in TASKS:
        raise RunError(f"run {run}: of task {name!r}, which this version does not know; known: {', '.join(TASKS)}")
    return TASKS[name]


def load_data(task: Task, run: Run, progress: Progress) -> None:
    """Load the data that a run was begun with into its task.

    Raises:
        DataError: it cannot be used, or is no longer the same.
    """
    task.load_data(progress)
    now, begun = task.fingerprint(), run.read_model()["data"]
    changed = sorted(split for split in now.keys() | begun.keys() if now.get(split) != begun.get(split))
    if changed:
        raise DataError(
            f"run {run}: its data has changed since it was begun ({', '.join(changed)}); restore it, or name a text to "
            "evaluate on"
        )


def check_samples(task: Task, run: Run) -> float:
    """Largest difference between the stored sample outputs of a run and the same computed now.

    Raises:
        RunError: there are none, or they are damaged.
    """
    pairs = [(row.pop("outputs", []), task.outputs_of(row)) for row in run.read_rows(SAMPLES)]
    deviations: list[float] = [
        abs(there - here) for stored, now in pairs for there, here in zip(stored, now, strict=True)
    ]
    if not deviations:
        raise RunError(f"run {run}: {SAMPLES} is damaged, it holds no sample; restore a copy")
    return max(deviations)


def num_parameters(task: Task) -> int:
    """Trainable numbers of the model."""
    return sum(parameter.numel() for parameter in task.model.parameters())


__all__ = [
    "TASKS",
    "Captioning",
    "Classification",
    "Forecasting",
    "LanguageModelling",
    "Memory",
    "Metric",
    "Metrics",
    "Report",
    "Speech",
    "StepLoss",
    "Tagging",
    "Task",
    "Translation",
    "check_samples",
    "load_data",
    "num_parameters",
    "task_of",
    "task_type",
]
