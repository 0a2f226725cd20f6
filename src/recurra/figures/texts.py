"""What there is to see of written texts: how they were judged, and which are furthest from the target."""

import html
from collections.abc import Mapping
from typing import Any

COLUMNS = {"source": "source", "output": "written", "target": "target", "chrf": "chrF", "cer": "CER", "place": "where"}


def text_parts(details: Mapping[str, Any]) -> list[str]:
    """How scores are computed, and the worst texts."""
    signatures = ", ".join(f"{name}: {html.escape(value)}" for name, value in details["signatures"].items())
    return [f"<p>{signatures}</p>", worst_table(details)]


def worst_table(details: Mapping[str, Any]) -> str:
    """The texts furthest from their targets."""
    columns = [name for name in COLUMNS if any(name in row for row in details["worst"])]
    head = "".join(f"<th>{COLUMNS[name]}" for name in columns)
    rows = "".join("<tr>" + "".join(f"<td>{cell(row[name])}" for name in columns) for row in details["worst"])
    return f"<h2>Furthest from the target</h2><table><tr>{head}{rows}</table>"


def cell(value: str | float) -> str:
    """A value as HTML."""
    return f"{value:.3g}" if isinstance(value, float) else html.escape(value)
