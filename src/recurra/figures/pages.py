"""Self-contained HTML pages."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recurra.runs import write_atomically

MAX_CHARTS = 20
STYLE = """body{font-family:sans-serif;margin:2em auto;max-width:1100px;color:#222}
table{border-collapse:collapse;font-size:14px}td,th{padding:3px 10px;border-bottom:1px solid #ddd;text-align:left}"""


def write_page(path: Path, title: str, parts: Sequence[Any]) -> Path:
    """Write a page of figures and HTML, one below the other.

    Args:
        path: the page to write.
        title: of the page, plain text.
        parts: plotly figures, and strings of HTML.

    Returns:
        The page.

    Raises:
        SaveError: the page cannot be written.
    """
    sections, has_script = [], False
    for part in parts:
        sections.append(
            part if isinstance(part, str) else part.to_html(include_plotlyjs=not has_script, full_html=False)
        )
        has_script |= not isinstance(part, str)
    title = html.escape(title)
    page = f"<!DOCTYPE html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    write_atomically(path, (page + "\n".join(sections)).encode())
    return path


class LazyFigures(Sequence[Any]):
    """Figures that are drawn when they are asked for: of thousands a page shows only the first ones.

    Args:
        records: data of the figures.
        draw: makes a plotly figure from a record.
    """

    def __init__(self, records: Sequence[Any], draw: Callable[[Any], Any]) -> None:
        self.records, self.draw = records, draw

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        found = self.records[index]
        return [self.draw(record) for record in found] if isinstance(index, slice) else self.draw(found)


def write_charts(path: Path, title: str, figures: Sequence[Any]) -> Path:
    """Write a page of figures, the first MAX_CHARTS at most; of `LazyFigures` no others are drawn.

    Args:
        path: the page to write.
        title: of the page.
        figures: plotly figures.

    Returns:
        The page.

    Raises:
        SaveError: the page cannot be written.
    """
    if len(figures) > MAX_CHARTS:
        title += f" (the first {MAX_CHARTS} of {len(figures)})"
    return write_page(path, title, figures[:MAX_CHARTS])


def set_layout(figure: Any, title: str, height: int) -> Any:
    """Set title, height (pixels) and template of a plotly figure; returns the figure."""
    return figure.update_layout(title=title, height=height, template="plotly_white")
