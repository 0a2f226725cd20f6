"""The jobs Recurra does: one file a task."""

from recurra.errors import UsageError
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


__all__ = ["TASKS", "LanguageModelling", "StepLoss", "Task", "task_type"]
