"""The list of tasks: for each the package that holds its data, model, trained model, evaluation page and demo."""

import difflib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recurra.errors import RunError, UsageError

if TYPE_CHECKING:
    from recurra.runs import Json, Run
    from recurra.tasks.task import Task


class TaskEntry(NamedTuple):
    """Where a task lives. Each module of its package is imported only when it is asked for."""

    name: str
    package: str
    verb: str = "predict"  # the command that uses a trained model, besides `predict`

    @property
    def task(self) -> "type[Task]":
        """The task itself: `TASK` of its module `task`."""
        found: type[Task] = import_module(f"{self.package}.task").TASK
        return found

    @property
    def trained(self) -> type[Any]:
        """The class of its trained models: `TRAINED` of its module `trained`."""
        found: type[Any] = import_module(f"{self.package}.trained").TRAINED
        return found

    @property
    def figures(self) -> "Callable[[Json], list[Any]]":
        """Draws its evaluation page: `figures` of its module `page`."""
        found: Callable[[Json], list[Any]] = import_module(f"{self.package}.page").figures
        return found

    @property
    def demo(self) -> Any:
        """Its demo: `DEMO` of its module `demo`."""
        return import_module(f"{self.package}.demo").DEMO


TASKS = {
    entry.name: entry
    for entry in (
        TaskEntry("language-modelling", "recurra.tasks.language_modelling", verb="generate"),
        TaskEntry("classification", "recurra.tasks.classification"),
        TaskEntry("tagging", "recurra.tasks.tagging"),
        TaskEntry("forecasting", "recurra.tasks.forecasting", verb="forecast"),
        TaskEntry("long-memory", "recurra.tasks.long_memory"),
        TaskEntry("translation", "recurra.tasks.translation", verb="translate"),
        TaskEntry("captioning", "recurra.tasks.captioning", verb="caption"),
        TaskEntry("speech", "recurra.tasks.speech", verb="transcribe"),
    )
}


def find_task(name: object) -> TaskEntry:
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


def task_of(run: "Run") -> TaskEntry:
    """The task of a run.

    Raises:
        RunError: no run there, damaged, or of a task this version does not know.
    """
    name = run.read_model()["task"]
    if name not in TASKS:
        raise RunError(f"run {run}: of task {name!r}, which this version does not know; known: {', '.join(TASKS)}")
    return TASKS[name]
