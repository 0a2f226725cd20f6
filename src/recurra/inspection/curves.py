"""The learning curve of a run, as a self-contained HTML file."""

from pathlib import Path
from typing import Any

from recurra.errors import RunError
from recurra.runs import HISTORY, METRICS, Json, Run, write_atomically
from recurra.tasks import task_of
from recurra.tasks.task import describe_loss, restore

FILE = "learning_curve.html"


def learning_curve(run: Run | str | Path) -> Path:
    """Write `learning_curve.html` of a run: loss and primary metric by epoch, the baselines as horizontal lines.

    Args:
        run: a run with at least one completed epoch.

    Returns:
        The file.

    Raises:
        RunError: no such run, or one without a completed epoch.
        SaveError: the file cannot be written.
    """
    from plotly.subplots import make_subplots

    run = run if isinstance(run, Run) else Run(run)
    task = restore(task_of(run).task, run)
    rows = run.read_rows(HISTORY)
    if not rows:
        raise RunError(
            f"run {run}: no epoch was completed, so there is no curve; go on with recurra train --resume {run}"
        )
    panels = ("loss", task.primary_metric.name)
    figure = make_subplots(1, 2, subplot_titles=[panel.replace("_", " ") for panel in panels])
    add_losses(figure, rows, task)
    add_metric(figure, rows, task.primary_metric.name)
    for column, panel in enumerate(panels, 1):
        for name, value in baseline_levels(run, panel).items():
            figure.add_hline(value, line_dash="dot", annotation_text=f"{name}, {value:,.4g}", row=1, col=column)
    figure.update_xaxes(title="epoch")
    figure.update_layout(
        title=f"{run.folder.name} by epoch",
        template="plotly_white",
        legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"},
    )
    path = run.path(FILE)
    write_atomically(path, figure.to_html(include_plotlyjs=True, full_html=True).encode())
    return path


def add_losses(figure: Any, rows: list[Json], task: Any) -> None:
    """Draw training and validation loss into the left panel; hovering shows the loss as the task describes it."""
    epochs = [row["epoch"] for row in rows]
    for key, name in (("train_loss", "training (with dropout)"), ("valid_loss", "validation")):
        losses = [row[key] for row in rows]
        hints = [f"{name}<br>epoch {e}: {describe_loss(task, x)}" for e, x in zip(epochs, losses, strict=True)]
        figure.add_scatter(
            x=epochs, y=losses, name=name, mode="lines+markers", hovertext=hints, hoverinfo="text", row=1, col=1
        )


def add_metric(figure: Any, rows: list[Json], metric: str) -> None:
    """Draw the metric on validation into the right panel, in the color of the validation loss."""
    epochs, values = [row["epoch"] for row in rows], [row[f"valid_{metric}"] for row in rows]
    hints = [f"validation<br>epoch {e}: {x:.4g}" for e, x in zip(epochs, values, strict=True)]
    shown = {"mode": "lines+markers", "hovertext": hints, "hoverinfo": "text", "showlegend": False}
    color = figure.data[1].line.color
    figure.add_scatter(x=epochs, y=values, line_color=color, name="validation", **shown, row=1, col=2)


def baseline_levels(run: Run, metric: str) -> dict[str, float]:
    """A metric of each baseline on the validation split, for the baselines that have it."""
    metrics: Json = run.read_json(METRICS) if run.path(METRICS).exists() else {}
    found = {
        name: splits.get("valid", {}).get(metric)
        for name, splits in metrics.items()
        if name not in ("model", "training")
    }
    return {name: value for name, value in found.items() if value is not None}
