"""What commands print: tables for people, JSON for programs, progress for whoever waits."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from recurra.progress import Progress

RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="Folder that `recurra train` made.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Device = Annotated[str, typer.Option("--device", help="Torch device, such as cpu or cuda.")]


def progress(quiet: bool) -> "Progress":
    """Who listens: standard error, or nobody."""
    from recurra.progress import ConsoleProgress, Progress

    return Progress() if quiet else ConsoleProgress()


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """A table on standard output; columns of numbers stand to the right."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = index > 0 and all(row[index][:1] in "-0123456789" for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=False).print(table, markup=False)


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Metrics of the model and its baselines, one line a text, and in words which is better."""
    from recurra.training.card import figure, metric_rows

    rows = metric_rows(metrics)
    columns = list(dict.fromkeys(name for _, _, values in rows for name in values))
    print_table(
        ["", "on", *(name.replace("_", " ") for name in columns)],
        [[who, split, *(figure(values.get(name)) for name in columns)] for who, split, values in rows],
    )
    print(verdict(metrics))


def verdict(metrics: Mapping[str, Any]) -> str:
    """Whether the model beats the best baseline on the last text, in plain words."""
    baselines = {name: splits for name, splits in metrics.items() if name not in ("model", "training")}
    if not baselines:
        return "No baseline to compare with."
    split = list(metrics["model"])[-1]
    mine = metrics["model"][split]["perplexity"]
    name, best = min(
        ((name, splits[split]["perplexity"]) for name, splits in baselines.items()), key=lambda pair: pair[1]
    )
    if mine < best:
        return f"On {split} the model beats the best baseline ({name}): perplexity {mine:,.4g} against {best:,.4g}."
    return (
        f"On {split} the model does NOT beat the {name} baseline: perplexity {mine:,.4g} against {best:,.4g}. "
        "Train longer, on more text, or with another shape."
    )
