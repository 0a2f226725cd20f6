"""How answers of a model are printed: JSON lines, text, tables or CSV."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.cli.output import print_table

if TYPE_CHECKING:
    from recurra.tasks.trained import Table


class Printer:
    """Prints answers as they come.

    Args:
        as_json: a line of JSON for each answer.
        out: file to write instead of standard output; None for standard output.
        has_names: whether each text is printed behind the name of its input and a tab.
        is_typed: whether somebody waits for each answer, so that no table waits for further rows.
    """

    def __init__(self, *, as_json: bool, out: str | None, has_names: bool, is_typed: bool) -> None:
        self.as_json, self.out, self.has_names, self.is_typed = as_json, out, has_names, is_typed
        self.columns: Sequence[str] = ()  # of the table under way
        self.rows: list[Sequence[str]] = []  # rows of it that are not printed yet
        self.written: list[str] = []  # text for `out`

    def __enter__(self) -> "Printer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Print what is left, and write the file; after a failure only if there are answers for it.

        Raises:
            SaveError: it cannot be written.
        """
        self.flush()
        if self.out is not None and (self.written or kind is None):
            from recurra.runs import write_atomically

            write_atomically(Path(self.out), "".join(self.written).encode())

    def blank(self) -> None:
        """Print the answer to an empty line."""
        if self.as_json:
            self.write_json(None)
        elif self.columns:
            self.rows.append([""] * len(self.columns))
        else:
            self.write("\n")

    def show(self, name: str, answer: Any) -> None:
        """Print one answer; `name` is that of its input."""
        if self.as_json:
            self.write_json(answer.as_json())
            return
        table = answer.as_table()
        if table is None:
            self.show_text(name, answer)
        elif table.style == "csv":
            self.show_csv(table)
        elif table.style == "rows":
            self.add_rows(table)
        else:
            self.flush()
            self.write_table(table.columns, table.rows)

    def show_text(self, name: str, answer: Any) -> None:
        """Print a text, piece by piece where it comes in pieces."""
        self.flush()
        start, is_begun = f"{name}\t" if self.has_names else "", False
        try:
            for piece in answer.pieces() if hasattr(answer, "pieces") else (answer.text,):
                is_begun = True
                self.write(start + piece)
                start = ""
            self.write(start)
            is_begun = True
        finally:  # what was begun ends its line, after Ctrl-C too
            if is_begun:
                self.write("\n")

    def show_csv(self, table: "Table") -> None:
        """Print rows as CSV, with a header where the columns change."""
        head = [] if table.columns == self.columns else [table.columns]
        self.columns = table.columns
        self.write(as_csv([*head, *table.rows]))

    def add_rows(self, table: "Table") -> None:
        """Add rows to the table under way, or start another."""
        if table.columns != self.columns:
            self.flush()
        self.columns = table.columns
        self.rows += table.rows
        if self.is_typed and self.out is None:
            self.flush()

    def flush(self) -> None:
        """Print the table under way."""
        if self.rows:
            self.write_table(self.columns, self.rows)
            self.rows = []

    def write_json(self, value: Any) -> None:
        """Write a line of JSON."""
        self.write(json.dumps(value, ensure_ascii=False) + "\n")

    def write_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table: on standard output aligned, in a file as CSV."""
        if self.out is None:
            print_table(columns, rows)
        else:
            self.write(as_csv([columns, *rows]))

    def write(self, text: str) -> None:
        """Write text to where the answers go."""
        if self.out is None:
            print(text, end="", flush=True)
        else:
            self.written.append(text)


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
