"""Figures of predicted labels: confusion matrix, scores of each label, reliability diagram, misclassified examples."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.figures.pages import set_layout

LABEL_HEIGHT = 22  # pixels


def label_figures(details: Mapping[str, Any]) -> list[Any]:
    """All parts of a page about predicted labels; `details` are those of `classification_details`."""
    parts = (confusion_figure, class_figure, reliability_figure, misclassified_table)
    return [draw(details) for draw in parts]


def confusion_figure(details: Mapping[str, Any]) -> Any:
    """Confusion matrix, as shares of each true label.

    Hovering shows the counts; up to 25 labels they also stand in the cells.

    Args:
        details: of `classification_details`.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    labels, counts = details["labels"], np.array(details["confusion"])
    rows = [*labels, "(not in training)"][: len(counts)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    few = len(labels) <= 25
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=labels,
            y=rows,
            zmin=0,
            zmax=1,
            colorscale="Blues",
            text=counts if few else None,
            texttemplate="%{text}" if few else None,
            customdata=counts,
            hovertemplate="true %{y}<br>predicted %{x}<br>%{customdata} examples, %{z:.1%}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title="true", type="category")  # labels may look like numbers or dates
    figure.update_xaxes(title="predicted", type="category")
    return set_layout(figure, "Confusion matrix", 200 + LABEL_HEIGHT * len(rows))


def class_figure(details: Mapping[str, Any]) -> Any:
    """Bar chart of precision, recall and F1 of each label that occurs, a plotly figure; see `confusion_figure`."""
    import plotly.graph_objects as go

    classes = [row for row in details["classes"] if row["examples"]]
    names = [f"{row['label']} ({row['examples']:.0f})" for row in classes]
    figure = go.Figure()
    for metric in ("precision", "recall", "f1"):
        figure.add_bar(x=[row[metric] for row in classes], y=names, name=metric, orientation="h")
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1])
    return set_layout(figure, "Scores of each label (number of examples)", 200 + 2 * LABEL_HEIGHT * len(names))


def reliability_figure(details: Mapping[str, Any]) -> Any:
    """Reliability diagram, a plotly figure: below the diagonal the model is overconfident; see `confusion_figure`."""
    import plotly.graph_objects as go

    bins = details["reliability"]
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line_dash="dot", name="perfect calibration")
    figure.add_scatter(
        x=[bin["confidence"] for bin in bins],
        y=[bin["accuracy"] for bin in bins],
        text=[f"{bin['examples']} examples" for bin in bins],
        mode="lines+markers",
        name="model",
    )
    figure.update_xaxes(range=[0, 1], title="confidence")
    figure.update_yaxes(range=[0, 1], title="accuracy")
    return set_layout(figure, "Reliability diagram", 420)


def misclassified_table(details: Mapping[str, Any]) -> str:
    """HTML table of the misclassified examples with the least probability of the true label."""
    rows = [
        f"<tr><td>{html.escape(str(row['content'])[:300])}<td>{html.escape(row['label'])}"
        f"<td>{html.escape(row['predicted'])}<td>{row['probability']:.3f}<td>{html.escape(row['place'])}"
        for row in details["worst"]
    ]
    head = "<tr><th>example<th>true<th>predicted<th>probability<th>location"
    return f"<h2>Worst errors</h2><table>{head}{''.join(rows)}</table>"
