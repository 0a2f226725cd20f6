"""The jobs Recurra does: one file a task."""

from recurra.errors import RunError, UsageError
from recurra.runs import Run
from recurra.tasks.language_modelling import LanguageModelling
from recurra.tasks.task import StepLoss, Task

TASKS: dict[str, type[Task]] = {"language-modelling": LanguageModelling}


def task_type(name: object) -> type[Task]:
    """The task called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in TASKS:
        raise UsageError(f"task {name!r}: unknown; known: {', '.join(TASKS)}")
    return TASKS[str(name)]


def task_of(run: Run) -> type[Task]:
    """The task of a run.

    Raises:
        RunError: no run there, damaged, or of a task this version does not know.
    """
    name = run.read_model()["task"]
    if name not in TASKS:
        raise RunError(f"run {run}: of task {name!r}, which this version does not know; known: {', '.join(TASKS)}")
    return TASKS[name]


def has_same_data(task: Task, run: Run) -> bool:
    """Whether the data a task has loaded is what its run was begun with."""
    return bool(task.fingerprint() == run.read_model().get("data"))


def num_parameters(task: Task) -> int:
    """Trainable numbers of the model."""
    return sum(parameter.numel() for parameter in task.model.parameters())


__all__ = ["TASKS", "LanguageModelling", "StepLoss", "Task", "has_same_data", "num_parameters", "task_of", "task_type"]
