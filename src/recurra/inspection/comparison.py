"""Comparison of several runs of one task: learning curves and a table of metrics, as a self-contained HTML page."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recurra.errors import RunError, UsageError
from recurra.figures.pages import set_layout, write_page
from recurra.inspection.curves import baseline_levels
from recurra.runs import HISTORY, METRICS, Json, Run
from recurra.tasks import task_of
from recurra.tasks.task import Metric, restore
from recurra.training.card import figure as as_figure

HEIGHT = 520  # pixels


class ComparedRun(NamedTuple):
    """A finished run, with what the comparison shows of it."""

    name: str
    run: Run
    task: str
    primary_metric: Metric
    history: list[Json]  # one row an epoch
    metrics: Json  # of the model and of each baseline, by split

    @property
    def split(self) -> str:
        """The split that is compared: the last one, which is test if there is one."""
        split: str = list(self.metrics["model"])[-1]
        return split


def compare_runs(runs: Sequence[Run | str | Path], path: str | Path) -> Path:
    """Write a page with the validation curves of several runs, and a table of their metrics on the test split.

    Args:
        runs: finished runs of one task, two or more.
        path: the page to write.

    Returns:
        The page.

    Raises:
        UsageError: fewer than two runs, or runs of different tasks or with different primary metrics.
        RunError: a run is missing, not finished, or damaged.
        SaveError: the page cannot be written.
    """
    return comparison_page(read_compared_runs(runs), Path(path))


def read_compared_runs(runs: Sequence[Run | str | Path]) -> list[ComparedRun]:
    """Read runs and check that they can be compared.

    Raises:
        UsageError: fewer than two runs, or runs of different tasks or with different primary metrics.
        RunError: a run is missing, not finished, or damaged.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    if len({run.folder.resolve() for run in opened}) < max(len(opened), 2):
        raise UsageError(f"compare: expected at least two runs, each once, got {' '.join(map(str, opened)) or 'none'}")
    names = [run.folder.name for run in opened]
    compared = [
        read_compared_run(run, str(run) if names.count(name) > 1 else name)
        for run, name in zip(opened, names, strict=True)
    ]
    first = compared[0]
    for other in compared[1:]:
        if (other.task, other.primary_metric) != (first.task, first.primary_metric):
            raise UsageError(
                f"compare: expected runs of one task with the same primary metric, got {first.run} of {first.task} "
                f"with {first.primary_metric.name} and {other.run} of {other.task} with {other.primary_metric.name}"
            )
    return compared


def read_compared_run(run: Run, name: str) -> ComparedRun:
    """Read a finished run and give it a name.

    Raises:
        RunError: the run is missing, not finished, or damaged.
    """
    description = run.read_model()
    primary_metric = restore(task_of(run).task, run).primary_metric
    if not run.path(METRICS).exists():
        raise RunError(
            f"run {run}: not finished, so it cannot be compared; finish it with recurra train --resume {run}"
        )
    rows, metrics = run.read_rows(HISTORY), run.read_json(METRICS)
    return ComparedRun(name, run, description["task"], primary_metric, rows, metrics)


def common_baselines(compared: Sequence[ComparedRun]) -> dict[str, Json]:
    """Metrics by split of the baselines that are equal in all runs, by name.

    Constant and persistence baselines depend on the targets alone, so runs without a common baseline were evaluated on
    different data. Baselines that learn from the inputs may differ, since runs may read the same data with other
    options.
    """
    first, *others = (one.metrics for one in compared)
    return {
        name: splits
        for name, splits in first.items()
        if name not in ("model", "training") and all(other.get(name) == splits for other in others)
    }


def share_data(compared: Sequence[ComparedRun]) -> bool:
    """Whether all runs were evaluated on the same data, judged by their baselines."""
    return bool(common_baselines(compared))


def final_metrics(compared: Sequence[ComparedRun]) -> dict[str, Mapping[str, float]]:
    """Metrics of each run and of the common baselines on the test split, by name."""
    split = compared[0].split
    found = {
        one.name if one.split == split else f"{one.name} (on {one.split})": one.metrics["model"][one.split]
        for one in compared
    }
    return found | {baseline_name(name): splits[split] for name, splits in common_baselines(compared).items()}


def baseline_name(name: str) -> str:
    """Label of a baseline beside those of the runs."""
    return f"{name} (baseline)"


def comparison_page(compared: Sequence[ComparedRun], path: Path) -> Path:
    """Write the page; see `compare_runs`.

    Raises:
        SaveError: the page cannot be written.
    """
    first = compared[0]
    note = "" if share_data(compared) else "<p>These runs were not evaluated on the same data.</p>"
    table = metrics_table(compared)
    heading = f"<h2>On {first.split}</h2>"
    title = f"{first.task}: {first.primary_metric.name.replace('_', ' ')} of {len(compared)} runs"
    return write_page(path, title, [curves_figure(compared), heading, note, table])


def curves_figure(compared: Sequence[ComparedRun]) -> Any:
    """The primary metric on validation by epoch, the common baselines as dotted lines; a plotly figure.

    The axis is logarithmic if lower is better and every value is positive.
    """
    import plotly.graph_objects as go

    metric = compared[0].primary_metric
    key = f"valid_{metric.name}"
    shared = common_baselines(compared)
    levels = {name: level for name, level in baseline_levels(compared[0].run, metric.name).items() if name in shared}
    values = [row[key] for one in compared for row in one.history] + list(levels.values())
    figure = go.Figure()
    for one in compared:
        figure.add_scatter(
            x=[row["epoch"] for row in one.history],
            y=[row[key] for row in one.history],
            name=html.escape(one.name),
            mode="lines+markers",
            text=[f"{row['seconds']:,.0f} s" for row in one.history],
            hovertemplate="epoch %{x}: %{y:.4g} after %{text}",
        )
    last = max(len(one.history) for one in compared)
    for name, level in levels.items():  # not by add_hline: plotly misplaces its text on a log axis
        figure.add_scatter(x=[1, last], y=[level, level], name=baseline_name(name), mode="lines", line_dash="dot")
    is_log = not metric.higher_is_better and all(value > 0 for value in values)
    figure.update_yaxes(title=metric.name.replace("_", " "), type="log" if is_log else "linear")
    figure.update_xaxes(title="epoch")
    return set_layout(figure.update_layout(showlegend=True), "On validation, by epoch", HEIGHT)


def metrics_table(compared: Sequence[ComparedRun]) -> str:
    """HTML table of `final_metrics`."""
    rows = final_metrics(compared)
    columns = list(dict.fromkeys(name for values in rows.values() for name in values))
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}" for name in ("", *columns))
    body = "".join(
        f"<tr><td>{html.escape(name)}{''.join(f'<td>{as_figure(values.get(column))}' for column in columns)}"
        for name, values in rows.items()
    )
    return f"<table><tr>{head}{body}</table>"
