"""Figures of predicted labels: what is taken for what, each label by itself, how sure predictions are, the worst."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.figures.pages import titled

HEIGHT_A_LABEL = 22  # pixels


def confusion_figure(details: Mapping[str, Any]) -> Any:
    """True labels against predicted ones, as shares of the true; counts are told on hovering and, if few, written."""
    import plotly.graph_objects as go

    labels, counts = details["labels"], np.array(details["confusion"])
    rows = [*labels, "(none of these)"][: len(counts)]
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
    return titled(figure, "Confusion", 200 + HEIGHT_A_LABEL * len(rows))


def class_figure(details: Mapping[str, Any]) -> Any:
    """Precision, recall and F1 of each label."""
    import plotly.graph_objects as go

    classes = [row for row in details["classes"] if row["examples"]]
    names = [f"{row['label']} ({row['examples']:.0f})" for row in classes]
    figure = go.Figure()
    for measure in ("precision", "recall", "f1"):
        figure.add_bar(x=[row[measure] for row in classes], y=names, name=measure, orientation="h")
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1])
    return titled(figure, "Each label (examples)", 200 + 2 * HEIGHT_A_LABEL * len(names))


def reliability_figure(details: Mapping[str, Any]) -> Any:
    """Accuracy against confidence: below the line the model is surer than it should be."""
    import plotly.graph_objects as go

    bins = details["reliability"]
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line_dash="dot", name="as sure as right")
    figure.add_scatter(
        x=[bin["confidence"] for bin in bins],
        y=[bin["accuracy"] for bin in bins],
        text=[f"{bin['examples']} examples" for bin in bins],
        mode="lines+markers",
        name="model",
    )
    figure.update_xaxes(range=[0, 1], title="confidence")
    figure.update_yaxes(range=[0, 1], title="accuracy")
    return titled(figure, "Reliability", 420)


def worst_table(details: Mapping[str, Any]) -> str:
    """The examples whose true label was given the least probability."""
    rows = [
        f"<tr><td>{html.escape(str(row['content'])[:300])}<td>{html.escape(row['label'])}"
        f"<td>{html.escape(row['predicted'])}<td>{row['probability']:.3f}<td>{html.escape(row['place'])}"
        for row in details["worst"]
    ]
    head = "<tr><th>example<th>true<th>predicted<th>probability<th>where"
    return f"<h2>Worst examples</h2><table>{head}{''.join(rows)}</table>"
