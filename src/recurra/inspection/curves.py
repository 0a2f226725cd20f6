"""The learning curve of a run as one HTML file that needs nothing else."""

from pathlib import Path

from recurra.errors import RunError
from recurra.runs import HISTORY, METRICS, Run, write_atomically
from recurra.tasks.language_modelling import perplexity


def learning_curve(run: Run | str | Path) -> Path:
    """Draw training and validation loss by epoch, the baselines as lines, into `learning_curve.html` of the run.

    Args:
        run: a run with at least one whole epoch behind it.

    Returns:
        The file.

    Raises:
        RunError: no such run, or no epoch of it is whole.
        SaveError: the file cannot be written.
    """
    import plotly.graph_objects as go

    run = run if isinstance(run, Run) else Run(run)
    run.read_model()
    rows = run.read_rows(HISTORY)
    if not rows:
        raise RunError(
            f"run {run}: no epoch was completed, so there is no curve; go on with recurra train --resume {run}"
        )
    epochs = [row["epoch"] for row in rows]
    figure = go.Figure()
    for key, name in (("train_loss", "training (with dropout)"), ("valid_loss", "validation")):
        losses = [row[key] for row in rows]
        hints = [
            f"{name}<br>epoch {e}: loss {x:.4f}, perplexity {perplexity(x):,.4g}"
            for e, x in zip(epochs, losses, strict=True)
        ]
        figure.add_scatter(x=epochs, y=losses, name=name, mode="lines+markers", hovertext=hints, hoverinfo="text")
    if run.path(METRICS).exists():
        for name, splits in run.read_json(METRICS).items():
            if name not in ("model", "training") and "loss" in splits.get("valid", {}):
                loss = splits["valid"]["loss"]
                figure.add_hline(loss, line_dash="dot", annotation_text=f"{name} baseline, {perplexity(loss):,.4g}")
    figure.update_layout(
        title=f"{run.folder.name}: loss by epoch",
        xaxis_title="epoch",
        yaxis_title="nats per prediction",
        template="plotly_white",
        legend={"orientation": "h", "y": 1.08, "x": 1, "xanchor": "right"},
    )
    path = run.path("learning_curve.html")
    write_atomically(path, figure.to_html(include_plotlyjs=True, full_html=True).encode())
    return path
