"""Attention over an image: the image once for each token, bright at the right cells."""

from pathlib import Path
from typing import Any

import numpy as np

from recurra.figures.pages import MAX_CHARTS, LazyFigures, write_charts
from recurra.tasks.captioning.page import attention_figure, attention_figures, shaded

GRID = [2, 3]
IMAGE = np.random.default_rng(4).integers(60, 200, (4, 9, 3))


def attention_with(
    weights: list[list[float]], image: np.ndarray | None = IMAGE, tokens: str = "a <dog> (end)"
) -> dict[str, Any]:
    shown = None if image is None else image.tolist()
    return {"image": shown, "tokens": tokens.split(), "grid": GRID, "weights": weights}


def at(cell: int) -> list[float]:
    return np.eye(6)[cell].tolist()  # type: ignore[no-any-return]


def test_the_cell_with_all_attention_is_as_bright_as_the_image() -> None:
    """Cells stand row by row: of 2 x 3, the fifth is in the lower row, in the middle."""
    found = shaded(attention_with([]), at(4))
    np.testing.assert_allclose(found[2:, 3:6, 1:], IMAGE[2:, 3:6, 1:], atol=1)
    dark = np.ones((4, 9), bool)
    dark[2:, 3:6] = False
    np.testing.assert_allclose(found[dark], IMAGE[dark] / 4, atol=1)


def test_attention_on_black_parts_is_red() -> None:
    found = shaded(attention_with([], np.zeros((4, 9, 1), int)), at(2))
    assert (found[:2, 6:, 0] == 80).all()
    assert found.sum() == 80 * 6


def test_given_features_show_their_weights_alone() -> None:
    found = shaded(attention_with([], None), [0, 0.1, 0.2, 0.4, 0.3, 0])
    assert found.shape == (2, 3, 3)
    np.testing.assert_allclose(found[1, 0], 255)
    np.testing.assert_allclose(found[0, 2], 255 * (1 - 0.75 / 2), atol=1)


def test_a_figure_has_the_image_once_for_each_token() -> None:
    figure = attention_figure(attention_with([at(0), at(5), at(3)]))
    for image, cell in zip(figure.data, (0, 5, 3), strict=True):
        np.testing.assert_array_equal(image.z, shaded(attention_with([]), at(cell)))
    assert [note.text for note in figure.layout.annotations] == ["a", "&lt;dog&gt;", "(end)"]
    assert figure.layout.title.text == "a &lt;dog&gt;"
    assert attention_figures([attention_with([[], []])]) == []


def test_a_page_has_a_maximum_of_charts(tmp_path: Path) -> None:
    drawn: list[int] = []

    def draw(number: int) -> str:
        drawn.append(number)
        return f"chart {number}"

    page = write_charts(tmp_path / "page.html", "charts", LazyFigures(range(MAX_CHARTS + 5), draw)).read_text()
    assert drawn == list(range(MAX_CHARTS))
    assert f"charts (the first {MAX_CHARTS} of {MAX_CHARTS + 5})" in page
    assert (
        "of" not in write_charts(tmp_path / "page.html", "charts", LazyFigures([7], draw)).read_text().split("<h1>")[1]
    )
