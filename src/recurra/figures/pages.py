"""HTML pages that need nothing else."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recurra.runs import write_atomically

MOST_CHARTS = 20
STYLE = """body{font-family:sans-serif;margin:2em auto;max-width:1100px;color:#222}
table{border-collapse:collapse;font-size:14px}td,th{padding:3px 10px;border-bottom:1px solid #ddd;text-align:left}"""


def write_page(path: Path, title: str, parts: Sequence[Any]) -> Path:
    """Write figures, and what is HTML already, below one another.

    Raises:
        SaveError: the page cannot be written.
    """
    drawn, has_script = [], False
    for part in parts:
        drawn.append(part if isinstance(part, str) else part.to_html(include_plotlyjs=not has_script, full_html=False))
        has_script |= not isinstance(part, str)
    title = html.escape(title)
    page = f"<!DOCTYPE html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    write_atomically(path, (page + "\n".join(drawn)).encode())
    return path


def write_charts(path: Path, title: str, records: Sequence[Any], draw: Callable[[Any], Any]) -> Path:
    """Write a chart of each of some records, no more than the first MOST_CHARTS.

    Args:
        path: the page to write.
        title: of the page.
        records: what there is to draw.
        draw: the chart of one.

    Returns:
        The page.

    Raises:
        SaveError: it cannot be written.
    """
    if len(records) > MOST_CHARTS:
        title += f" (the first {MOST_CHARTS} of {len(records)})"
    return write_page(path, title, [draw(record) for record in records[:MOST_CHARTS]])


def titled(figure: Any, title: str, height: int) -> Any:
    """A figure in the style of a page."""
    return figure.update_layout(title=title, height=height, template="plotly_white")
