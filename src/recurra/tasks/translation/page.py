"""The evaluation page of a translator, and charts of its attention."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.figures.pages import set_layout
from recurra.figures.texts import text_sections
from recurra.runs import Json

TOKEN_HEIGHT = 26  # pixels


def figures(evaluation: Json) -> list[Any]:
    """Worst translations and attention weights of the last split."""
    details = list(evaluation.values())[-1]
    return [*text_sections(details), *alignment_figures(details["alignments"])]


def alignment_figures(alignments: Sequence[Json]) -> list[Any]:
    """One figure for each translation with attention weights."""
    return [alignment_figure(one) for one in alignments if any(one["weights"])]


def alignment_figure(alignment: Mapping[str, Any]) -> Any:
    """Tokens of the source against those of the translation; the darker, the more attention."""
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
    # Tokens repeat, so positions are numbers and tokens their labels.
    figure.update_xaxes(tickvals=list(range(len(source))), ticktext=shown(source), side="top", tickangle=-60)
    figure.update_yaxes(tickvals=list(range(len(target))), ticktext=shown(target), autorange="reversed")
    title = html.escape("".join(target[:-1])[:80])
    return set_layout(figure, title, 200 + TOKEN_HEIGHT * len(target)).update_layout(margin_t=160, title_y=0.98)


def shown(tokens: Sequence[str]) -> list[str]:
    """Tokens as labels with visible spaces."""
    return [html.escape(token.replace(" ", "\u00b7").replace("\n", "\u23ce")) for token in tokens]
