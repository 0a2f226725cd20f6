"""The learning curve of a run as one HTML file that needs nothing else."""

from pathlib import Path

from recurra.errors import RunError
from recurra.runs import HISTORY, METRICS, Json, Run, write_atomically
from recurra.tasks import task_of

FILE = "learning_curve.html"


def learning_curve(run: Run | str | Path) -> Path:
    """Draw loss by epoch, and what the task is judged by beside it, into `learning_curve.html` of the run.

    The baselines stand there as lines.

    Args:
        run: a run with at least one whole epoch behind it.

    Returns:
        The file.

    Raises:
        RunError: no such run, or no epoch of it is whole.
        SaveError: the file cannot be written.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    run = run if isinstance(run, Run) else Run(run)
    task = task_of(run).restore(run)
    rows = run.read_rows(HISTORY)
    if not rows:
        raise RunError(
            f"run {run}: no epoch was completed, so there is no curve; go on with recurra train --resume {run}"
        )
    epochs = [row["epoch"] for row in rows]
    panels = ("loss", task.primary_metric.name)
    figure: go.Figure = make_subplots(1, 2, subplot_titles=[panel.replace("_", " ") for panel in panels])
    for key, name in (("train_loss", "training (with dropout)"), ("valid_loss", "validation")):
        losses = [row[key] for row in rows]
        hints = [f"{name}<br>epoch {e}: {task.describe_loss(x)}" for e, x in zip(epochs, losses, strict=True)]
        figure.add_scatter(
            x=epochs, y=losses, name=name, mode="lines+markers", hovertext=hints, hoverinfo="text", row=1, col=1
        )
    values = [row[f"valid_{task.primary_metric.name}"] for row in rows]
    hints = [f"validation<br>epoch {e}: {x:.4g}" for e, x in zip(epochs, values, strict=True)]
    shown = {"mode": "lines+markers", "hovertext": hints, "hoverinfo": "text", "showlegend": False}
    figure.add_scatter(
        x=epochs, y=values, line_color=figure.data[1].line.color, name="validation", **shown, row=1, col=2
    )
    for column, panel in enumerate(panels, 1):
        for name, value in baselines(run, panel).items():
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


def baselines(run: Run, metric: str) -> dict[str, float]:
    """What each baseline reaches on the validation split, where it has this metric."""
    metrics: Json = run.read_json(METRICS) if run.path(METRICS).exists() else {}
    found = {
        who: splits.get("valid", {}).get(metric) for who, splits in metrics.items() if who not in ("model", "training")
    }
    return {who: value for who, value in found.items() if value is not None}
