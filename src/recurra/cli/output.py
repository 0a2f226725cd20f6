"""What commands print: tables for people, JSON for programs, progress for whoever waits."""

import io
import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.progress import ConsoleProgress, Progress

if TYPE_CHECKING:
    from recurra.tasks.task import Metric, Task
    from recurra.tasks.trained import TrainedModel

RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="Folder that `recurra train` made.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Device = Annotated[str, typer.Option("--device", help="Torch device, such as cpu or cuda.")]
STANDARD_INPUT = "-"  # what names it where files or texts stand
WIDEST = 100  # columns of running text
WIDEST_TABLE = 1000  # columns of one that must not fold


def open_model(run: str, device: str = "cpu") -> "TrainedModel[Any]":
    """The model of a run; a note says where its training is not finished."""
    with dying_at_once():
        from recurra.devices import keep_freed_memory
        from recurra.runs import METRICS
        from recurra.tasks.trained import load
    keep_freed_memory()
    model: TrainedModel[Any] = load(run, device)
    if not model.run.path(METRICS).exists():
        print(
            f"{run} is not finished: these are its best weights so far, of step {model.trained_steps:,}",
            file=sys.stderr,
        )
    return model


class NotesOnly(ConsoleProgress):
    """Prints notes on standard error and no state of the work, for jobs that are over at once."""

    stage = Progress.stage


def progress(quiet: bool) -> Progress:
    """Who listens: standard error, or nobody."""
    return Progress() if quiet else ConsoleProgress()


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_text(text: str) -> None:
    """A paragraph on standard output, in lines that fit."""
    print(textwrap.fill(text, min(shutil.get_terminal_size().columns, WIDEST), break_on_hyphens=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None, *, folds: bool = True
) -> None:
    """A table on standard output; columns of numbers stand to the right.

    What does not fit is folded within its column or, since half a number is none, in a table that must not fold, left
    to the terminal.
    """
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = index > 0 and all(row[index][:1] in "-0123456789" for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # Printed by us: where a reader has seen enough, rich would end the process with 1.
    encoding = sys.stdout.encoding or "utf-8"
    drawn = io.TextIOWrapper(io.BytesIO(), encoding, errors="replace")
    width = shutil.get_terminal_size().columns if folds else WIDEST_TABLE
    Console(file=drawn, width=width, force_terminal=sys.stdout.isatty()).print(table, markup=False)
    drawn.seek(0)
    print(drawn.read(), end="")


def print_metrics(metrics: Mapping[str, Any], task: "Task") -> None:
    """Metrics of the model and its baselines, one line a split, and in words which is better."""
    from recurra.training.card import figure, metric_rows

    rows = metric_rows(metrics)
    columns = list(dict.fromkeys(name for _, _, values in rows for name in values))
    print_table(
        ["", "on", *(name.replace("_", " ") for name in columns)],
        [[who, split, *(figure(values.get(name)) for name in columns)] for who, split, values in rows],
        folds=False,
    )
    print_text(verdict(metrics, task.primary_metric))


def verdict(metrics: Mapping[str, Any], measure: "Metric") -> str:
    """Whether the model beats the best baseline on the last split, in plain words."""
    split = list(metrics["model"])[-1]
    mine = metrics["model"][split][measure.name]
    others = {
        name: splits[split][measure.name] for name, splits in metrics.items() if name not in ("model", "training")
    }
    if not others:
        return "No baseline to compare with."
    best = (max if measure.higher_is_better else min)(others, key=lambda name: others[name])
    figures = f"{measure.name.replace('_', ' ')} {mine:,.4g} against {others[best]:,.4g}"
    if measure.better(mine, others[best]):
        return f"On {split} the model beats the best baseline ({best}): {figures}."
    if mine == others[best]:
        return f"On {split} the model and the {best} baseline reach the same: {figures}."
    return (
        f"On {split} the model does NOT beat the {best} baseline: {figures}. "
        "Train longer, on more data, or with another shape."
    )
