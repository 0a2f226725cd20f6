"""HTML sections about output texts: signatures of the scores, and the outputs with the lowest scores."""

import html
from collections.abc import Mapping
from typing import Any

COLUMNS = {
    "source": "source",
    "output": "output",
    "target": "target",
    "chrf": "chrF",
    "cer": "CER",
    "place": "location",
}


def text_sections(details: Mapping[str, Any]) -> list[str]:
    """Signatures of the scores, and the table of `worst_texts_table`, as HTML."""
    signatures = ", ".join(f"{name}: {html.escape(value)}" for name, value in details["signatures"].items())
    return [f"<p>{signatures}</p>", worst_texts_table(details)]


def worst_texts_table(details: Mapping[str, Any]) -> str:
    """HTML table of the outputs with the lowest scores, with the columns of COLUMNS that `details` has."""
    columns = [name for name in COLUMNS if any(name in row for row in details["worst"])]
    head = "".join(f"<th>{COLUMNS[name]}" for name in columns)
    rows = "".join("<tr>" + "".join(f"<td>{format_cell(row[name])}" for name in columns) for row in details["worst"])
    return f"<h2>Lowest scores</h2><table><tr>{head}{rows}</table>"


def format_cell(value: str | float) -> str:
    """A value as HTML, numbers to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else html.escape(value)
