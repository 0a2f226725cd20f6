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
    verb_help: str = ""  # its help text, with an example

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
        TaskEntry(
            "language-modelling",
            "recurra.tasks.language_modelling",
            "generate",
            "Write text with a language model, token by token as it is sampled; Ctrl-C ends it.\n\n"
            'Example: recurra generate runs/shakespeare-char "ROMEO:" --length 300 --temperature 0.7',
        ),
        TaskEntry("classification", "recurra.tasks.classification"),
        TaskEntry("tagging", "recurra.tasks.tagging"),
        TaskEntry(
            "forecasting",
            "recurra.tasks.forecasting",
            "forecast",
            "Forecast what follows the end of a table, as CSV, with a chart in the run folder.\n\n"
            "Without a table, the one that the run was trained on.\n\n"
            "Example: recurra forecast runs/etth1-24 newest.csv --horizon 48 --out tomorrow.csv",
        ),
        TaskEntry("long-memory", "recurra.tasks.long_memory"),
        TaskEntry(
            "translation",
            "recurra.tasks.translation",
            "translate",
            "Translate texts, one a line.\n\n"
            'Examples: recurra translate runs/multi30k "ein hund rennt" --num-best 3 --plot; '
            "recurra translate runs/multi30k --file new.de > new.en",
        ),
        TaskEntry(
            "captioning",
            "recurra.tasks.captioning",
            "caption",
            "Write captions for images: one a line, after the name of the file where there are several.\n\n"
            "Examples: recurra caption runs/birds new.jpg --num-best 3 --plot; "
            "recurra caption runs/birds pictures/ > captions.tsv",
        ),
        TaskEntry(
            "speech",
            "recurra.tasks.speech",
            "transcribe",
            "Transcribe recordings: one a line, after the name of the file where there are several.\n\n"
            "Examples: recurra transcribe runs/digits calls/ > calls.tsv; "
            "arecord -f S16_LE -r 16000 -t raw | recurra transcribe runs/digits - --stream",
        ),
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
