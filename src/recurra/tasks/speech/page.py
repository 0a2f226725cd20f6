"""The evaluation page of a recognizer."""

import html
from collections.abc import Mapping
from typing import Any

from recurra.figures.pages import set_layout
from recurra.figures.texts import worst_texts_table
from recurra.runs import Json

HEIGHT = 520  # pixels
MAX_SYMBOLS = 40  # labelled on the axis


def figures(evaluation: Json) -> list[Any]:
    """Transcripts with the highest error rates; spectrum and symbol probabilities of some recordings."""
    details = list(evaluation.values())[-1]
    return [worst_texts_table(details), *map(output_figure, details["outputs"])]


def output_figure(output: Mapping[str, Any]) -> Any:
    """The spectrum of a recording over time, and below it the probability of each symbol."""
    from plotly.subplots import make_subplots

    figure = make_subplots(2, 1, vertical_spacing=0.08, row_heights=[0.45, 0.55])
    bands = list(map(list, zip(*output["features"], strict=True)))  # (mels, frames)
    figure.add_heatmap(z=bands, colorscale="Viridis", showscale=False, hoverinfo="skip", row=1, col=1)
    symbols = [html.escape(symbol).replace(" ", "\u00b7") for symbol in output["symbols"]]
    probabilities = list(map(list, zip(*output["probabilities"], strict=True)))  # (symbols, steps)
    figure.add_heatmap(z=probabilities, colorscale="Greys", zmin=0, zmax=1, showscale=False, row=2, col=1)
    if len(symbols) <= MAX_SYMBOLS:
        figure.update_yaxes(tickvals=list(range(len(symbols))), ticktext=symbols, row=2, col=1)
    figure.update_yaxes(title="mel", row=1, col=1)
    figure.update_xaxes(title="steps", row=2, col=1)
    target, found = html.escape(output["target"]), html.escape(output["output"])
    return set_layout(figure, found if target == found else f"{found} (target: {target})", HEIGHT)
