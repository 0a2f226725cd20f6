"""The evaluation page of a captioner, and charts of its attention."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.figures.pages import set_layout
from recurra.figures.texts import text_sections
from recurra.runs import Json

PER_ROW = 6  # views of one image
ROW_HEIGHT = 190  # pixels
SHADE = 0.75  # of cells without attention


def figures(evaluation: Json) -> list[Any]:
    """Worst captions and attention of the last split."""
    details = list(evaluation.values())[-1]
    return [*text_sections(details), *view_figures(details["views"])]


def view_figures(views: Sequence[Json]) -> list[Any]:
    """One figure for each image with attention weights."""
    return [view_figure(view) for view in views if any(view["weights"])]


def view_figure(view: Mapping[str, Any]) -> Any:
    """The image once for each token, darker where it has less attention; for features, the weights alone."""
    from plotly.subplots import make_subplots

    tokens = view["tokens"]
    num_rows = -(-len(tokens) // PER_ROW)
    titles = [html.escape(token) for token in tokens]
    figure = make_subplots(num_rows, PER_ROW, subplot_titles=titles, horizontal_spacing=0.01)
    for at, weights in enumerate(view["weights"]):
        figure.add_image(z=shaded(view, weights), row=at // PER_ROW + 1, col=at % PER_ROW + 1)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return set_layout(figure, html.escape(" ".join(tokens[:-1])), 120 + ROW_HEIGHT * num_rows)


def shaded(view: Mapping[str, Any], weights: Sequence[float]) -> NDArray[np.uint8]:
    """An image in color, (height, width, 3), bright where it has attention."""
    weight_map = np.array(weights).reshape(view["grid"])
    weight_map = weight_map / max(weight_map.max(), 1e-12)
    image = np.array(view["image"] if view["image"] is not None else np.full((*weight_map.shape, 1), 255), np.float64)
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
