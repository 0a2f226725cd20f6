"""Figures of captions: where a picture was looked at for each token."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.figures.pages import set_layout
from recurra.runs import Json

FILE = "captions.html"
IN_A_ROW = 6  # views of one picture
HEIGHT_A_ROW = 190  # pixels
SHADE = 0.75  # of what was not looked at


def view_figures(views: Sequence[Json]) -> list[Any]:
    """One figure for each picture whose model looks at it by attention."""
    return [view_figure(view) for view in views if any(view["weights"])]


def view_figure(view: Mapping[str, Any]) -> Any:
    """The picture once for each token, dark where it was not looked at; of given features, the weights alone."""
    from plotly.subplots import make_subplots

    tokens = view["tokens"]
    num_rows = -(-len(tokens) // IN_A_ROW)
    titles = [html.escape(token) for token in tokens]
    figure = make_subplots(num_rows, IN_A_ROW, subplot_titles=titles, horizontal_spacing=0.01)
    for at, weights in enumerate(view["weights"]):
        figure.add_image(z=shaded(view, weights), row=at // IN_A_ROW + 1, col=at % IN_A_ROW + 1)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return set_layout(figure, html.escape(" ".join(tokens[:-1])), 120 + HEIGHT_A_ROW * num_rows)


def shaded(view: Mapping[str, Any], weights: Sequence[float]) -> NDArray[np.uint8]:
    """A picture in color, (height, width, 3), bright where it was looked at."""
    looked = np.array(weights).reshape(view["grid"])
    looked = looked / max(looked.max(), 1e-12)
    image = np.array(view["image"] if view["image"] is not None else np.full((*looked.shape, 1), 255), np.float64)
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    height, width = image.shape[:2]
    rows = np.arange(height) * looked.shape[0] // height
    columns = np.arange(width) * looked.shape[1] // width
    light = 1 - SHADE * (1 - looked[np.ix_(rows, columns)])  # (height, width)
    ground = 80 * (1 - image.mean(2) / 255) * looked[np.ix_(rows, columns)]  # what is black shows it by its red
    found = image * light[..., np.newaxis]
    found[..., 0] += ground
    bright: NDArray[np.uint8] = found.clip(0, 255).astype(np.uint8)
    return bright
