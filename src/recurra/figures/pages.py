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


def write_charts(path: Path, title: str, records: Sequence[Any], draw: Callable[[Any], Any]) -> Path:
    """Write a page with one chart for each record, for the first MAX_CHARTS at most.

    Args:
        path: the page to write.
        title: of the page.
        records: data of the charts.
        draw: makes a plotly figure from a record.

    Returns:
        The page.

    Raises:
        SaveError: the page cannot be written.
    """
    if len(records) > MAX_CHARTS:
        title += f" (the first {MAX_CHARTS} of {len(records)})"
    return write_page(path, title, [draw(record) for record in records[:MAX_CHARTS]])


def set_layout(figure: Any, title: str, height: int) -> Any:
    """Set title, height (pixels) and template of a plotly figure; returns the figure."""
    return figure.update_layout(title=title, height=height, template="plotly_white")
