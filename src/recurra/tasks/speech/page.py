"""Figures of speech: what was to be heard, and how probable each symbol was at each moment."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.figures.pages import set_layout

HEIGHT = 520  # pixels
MOST_SYMBOLS = 40  # told apart by name


def hearing_figures(hearings: Sequence[Mapping[str, Any]]) -> list[Any]:
    """One figure for each recording."""
    return [hearing_figure(one) for one in hearings]


def hearing_figure(hearing: Mapping[str, Any]) -> Any:
    """The spectrum of a recording over time, and below it the probability of each symbol."""
    from plotly.subplots import make_subplots

    figure = make_subplots(2, 1, vertical_spacing=0.08, row_heights=[0.45, 0.55])
    bands = list(map(list, zip(*hearing["features"], strict=True)))  # (mels, frames)
    figure.add_heatmap(z=bands, colorscale="Viridis", showscale=False, hoverinfo="skip", row=1, col=1)
    symbols = [html.escape(symbol).replace(" ", "\u00b7") for symbol in hearing["symbols"]]
    probabilities = list(map(list, zip(*hearing["probabilities"], strict=True)))  # (symbols, steps)
    figure.add_heatmap(z=probabilities, colorscale="Greys", zmin=0, zmax=1, showscale=False, row=2, col=1)
    if len(symbols) <= MOST_SYMBOLS:
        figure.update_yaxes(tickvals=list(range(len(symbols))), ticktext=symbols, row=2, col=1)
    figure.update_yaxes(title="mel", row=1, col=1)
    figure.update_xaxes(title="steps", row=2, col=1)
    said, heard = html.escape(hearing["target"]), html.escape(hearing["output"])
    return set_layout(figure, heard if said == heard else f"{heard} (said: {said})", HEIGHT)
