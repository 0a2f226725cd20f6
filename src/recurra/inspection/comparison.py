"""Several runs of one task in one chart and one table, as an HTML page that needs nothing else."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recurra.errors import RunError, UsageError
from recurra.figures.pages import titled, write_page
from recurra.inspection.curves import baselines
from recurra.runs import HISTORY, METRICS, Json, Run
from recurra.tasks import Metric, task_of
from recurra.training.card import figure as as_figure

HEIGHT = 520  # pixels


class Contender(NamedTuple):
    """A finished run among others."""

    name: str
    run: Run
    task: str
    primary_metric: Metric
    history: list[Json]
    metrics: Json

    @property
    def split(self) -> str:
        """What it is judged on: the last split, test where there is one."""
        split: str = list(self.metrics["model"])[-1]
        return split


def compare_runs(runs: Sequence[Run | str | Path], path: str | Path) -> Path:
    """Draw what several runs are judged by, epoch by epoch on validation, above what they reach on the test data.

    Args:
        runs: finished runs of one task, two or more.
        path: the page to write.

    Returns:
        The page.

    Raises:
        UsageError: fewer than two runs, or runs of different tasks or judged by different metrics.
        RunError: a run that is not there, not finished, or damaged.
        SaveError: the page cannot be written.
    """
    return comparison_page(read_contenders(runs), Path(path))


def read_contenders(runs: Sequence[Run | str | Path]) -> list[Contender]:
    """Runs that can be compared.

    Raises:
        UsageError: fewer than two runs, or runs of different tasks or judged by different metrics.
        RunError: a run that is not there, not finished, or damaged.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    if len({run.folder.resolve() for run in opened}) < max(len(opened), 2):
        raise UsageError(f"compare: expected at least two runs, each once, got {' '.join(map(str, opened)) or 'none'}")
    names = [run.folder.name for run in opened]
    contenders = [
        read_contender(run, str(run) if names.count(name) > 1 else name)
        for run, name in zip(opened, names, strict=True)
    ]
    first = contenders[0]
    for other in contenders[1:]:
        if (other.task, other.primary_metric) != (first.task, first.primary_metric):
            raise UsageError(
                f"compare: expected runs of one task that are judged by the same metric; {first.run} is of {first.task}"
                f", by {first.primary_metric.name}, and {other.run} of {other.task}, by {other.primary_metric.name}"
            )
    return contenders


def read_contender(run: Run, name: str) -> Contender:
    """A finished run under a name.

    Raises:
        RunError: it is not there, not finished, or damaged.
    """
    description = run.read_model()
    primary_metric = task_of(run).restore(run).primary_metric
    if not run.path(METRICS).exists():
        raise RunError(f"run {run}: not finished, so nothing to compare; go on with recurra train --resume {run}")
    rows, metrics = run.read_rows(HISTORY), run.read_json(METRICS)
    return Contender(name, run, description["task"], primary_metric, rows, metrics)


def baselines_in_common(contenders: Sequence[Contender]) -> dict[str, Json]:
    """Baselines that reach the very same in all runs, by name.

    Where there is none the runs are not judged by the same: no constant guess and no last value agrees. What learns
    from more than the targets (words, characters, covariates) may differ where these are read otherwise.
    """
    first, *others = (one.metrics for one in contenders)
    return {
        who: splits
        for who, splits in first.items()
        if who not in ("model", "training") and all(other.get(who) == splits for other in others)
    }


def same_data(contenders: Sequence[Contender]) -> bool:
    """Whether all are judged by the same data."""
    return bool(baselines_in_common(contenders))


def reached(contenders: Sequence[Contender]) -> dict[str, Mapping[str, float]]:
    """What each run reaches on the test data, and the baselines that all have in common."""
    split = contenders[0].split
    found = {
        one.name if one.split == split else f"{one.name} (on {one.split})": one.metrics["model"][one.split]
        for one in contenders
    }
    return found | {baseline_name(who): splits[split] for who, splits in baselines_in_common(contenders).items()}


def baseline_name(who: str) -> str:
    """What a baseline is called among runs."""
    return f"{who} (baseline)"


def comparison_page(contenders: Sequence[Contender], path: Path) -> Path:
    """Write the page of some runs.

    Raises:
        SaveError: it cannot be written.
    """
    first = contenders[0]
    note = "" if same_data(contenders) else "<p>These runs are not judged by the same data.</p>"
    table = metrics_table(contenders)
    heading = f"<h2>On {first.split}</h2>"
    title = f"{first.task}: {first.primary_metric.name.replace('_', ' ')} of {len(contenders)} runs"
    return write_page(path, title, [curves_figure(contenders), heading, note, table])


def curves_figure(contenders: Sequence[Contender]) -> Any:
    """The primary_metric on validation by epoch; dotted, what the baselines reach."""
    import plotly.graph_objects as go

    measure = contenders[0].primary_metric
    key = f"valid_{measure.name}"
    shared = baselines_in_common(contenders)
    levels = {who: level for who, level in baselines(contenders[0].run, measure.name).items() if who in shared}
    values = [row[key] for one in contenders for row in one.history] + list(levels.values())
    figure = go.Figure()
    for one in contenders:
        figure.add_scatter(
            x=[row["epoch"] for row in one.history],
            y=[row[key] for row in one.history],
            name=html.escape(one.name),
            mode="lines+markers",
            text=[f"{row['seconds']:,.0f} s" for row in one.history],
            hovertemplate="epoch %{x}: %{y:.4g} after %{text}",
        )
    last = max(len(one.history) for one in contenders)
    for who, level in levels.items():  # as lines of their own: plotly puts the text of add_hline wrongly on a log axis
        figure.add_scatter(x=[1, last], y=[level, level], name=baseline_name(who), mode="lines", line_dash="dot")
    is_log = not measure.higher_is_better and all(value > 0 for value in values)
    figure.update_yaxes(title=measure.name.replace("_", " "), type="log" if is_log else "linear")
    figure.update_xaxes(title="epoch")
    return titled(figure.update_layout(showlegend=True), "On validation, by epoch", HEIGHT)


def metrics_table(contenders: Sequence[Contender]) -> str:
    """What each reaches on the test data."""
    rows = reached(contenders)
    columns = list(dict.fromkeys(name for values in rows.values() for name in values))
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}" for name in ("", *columns))
    body = "".join(
        f"<tr><td>{html.escape(who)}{''.join(f'<td>{as_figure(values.get(name))}' for name in columns)}"
        for who, values in rows.items()
    )
    return f"<table><tr>{head}{body}</table>"
