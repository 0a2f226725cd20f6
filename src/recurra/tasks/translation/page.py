"""Figures of translations: what was read of the source for each token."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.figures.pages import set_layout
from recurra.runs import Json

FILE = "alignments.html"
HEIGHT_A_TOKEN = 26  # pixels


def alignment_figures(alignments: Sequence[Json]) -> list[Any]:
    """One figure for each translation whose model reads its source by attention."""
    return [alignment_figure(one) for one in alignments if any(one["weights"])]


def alignment_figure(alignment: Mapping[str, Any]) -> Any:
    """Tokens of the source against those of the translation, as dark as the one was read for the other."""
    import plotly.graph_objects as go

    source, target = alignment["source"], alignment["target"]
    figure = go.Figure(
        go.Heatmap(
            z=alignment["weights"],
            zmin=0,
            zmax=1,
            colorscale="Greys",
            hovertemplate="%{z:.2f}<extra></extra>",
        )
    )
    # Tokens repeat, so places are numbers, and the tokens their labels.
    figure.update_xaxes(tickvals=list(range(len(source))), ticktext=shown(source), side="top", tickangle=-60)
    figure.update_yaxes(tickvals=list(range(len(target))), ticktext=shown(target), autorange="reversed")
    title = html.escape("".join(target[:-1])[:80])
    return set_layout(figure, title, 200 + HEIGHT_A_TOKEN * len(target)).update_layout(margin_t=160, title_y=0.98)


def shown(tokens: Sequence[str]) -> list[str]:
    """Tokens as labels; spaces can be seen."""
    return [html.escape(token.replace(" ", "\u00b7").replace("\n", "\u23ce")) for token in tokens]
