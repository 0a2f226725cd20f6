"""The evaluation page of a captioner, and charts of its attention."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.figures.pages import set_layout
from recurra.figures.texts import text_sections
from recurra.runs import Json

PER_ROW = 6  # tokens
ROW_HEIGHT = 190  # pixels
SHADE = 0.75  # of cells without attention


def figures(evaluation: Json) -> list[Any]:
    """Worst captions and attention of the last split."""
    details = list(evaluation.values())[-1]
    return [*text_sections(details), *attention_figures(details["attention"])]


def attention_figures(attention: Sequence[Json]) -> list[Any]:
    """One figure for each image with attention weights."""
    return [attention_figure(one) for one in attention if any(one["weights"])]


def attention_figure(attention: Mapping[str, Any]) -> Any:
    """The image once for each token, darker where it has less attention; for features, the weights alone."""
    from plotly.subplots import make_subplots

    tokens = attention["tokens"]
    num_rows = -(-len(tokens) // PER_ROW)
    titles = [html.escape(token) for token in tokens]
    figure = make_subplots(num_rows, PER_ROW, subplot_titles=titles, horizontal_spacing=0.01)
    for at, weights in enumerate(attention["weights"]):
        figure.add_image(z=shaded(attention, weights), row=at // PER_ROW + 1, col=at % PER_ROW + 1)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return set_layout(figure, html.escape(" ".join(tokens[:-1])), 120 + ROW_HEIGHT * num_rows)


def shaded(attention: Mapping[str, Any], weights: Sequence[float]) -> NDArray[np.uint8]:
    """An image in color, (height, width, 3), bright where it has attention."""
    weight_map = np.array(weights).reshape(attention["grid"])
    weight_map = weight_map / max(weight_map.max(), 1e-12)
    image = np.full((*weight_map.shape, 1), 255) if attention["image"] is None else np.array(attention["image"])
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    height, width = image.shape[:2]
    rows = np.arange(height) * weight_map.shape[0] // height
    columns = np.arange(width) * weight_map.shape[1] // width
    light = 1 - SHADE * (1 - weight_map[np.ix_(rows, columns)])  # (height, width)
    ground = 80 * (1 - image.mean(2) / 255) * weight_map[np.ix_(rows, columns)]  # red shows attention on black parts
    found = image * light[..., np.newaxis]
    found[..., 0] += ground
    bright: NDArray[np.uint8] = found.clip(0, 255).astype(np.uint8)
    return bright
