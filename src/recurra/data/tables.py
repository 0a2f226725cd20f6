"""Tables with named columns: CSV, TSV, JSON lines and Parquet, each cell with its place for messages."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from numpy.typing import NDArray

from recurra.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
KINDS = (*DELIMITERS, ".jsonl", ".ndjson", ".parquet")
LARGEST_BLOCK = 1 << 28  # bytes a line may have


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table."""
    return path.suffix.lower() in KINDS


class Table:
    """A table of a file.

    Args:
        path: the file, for messages.
        columns: as pyarrow read them; those of CSV and TSV are all text.
    """

    def __init__(self, path: Path, columns: pa.Table) -> None:
        self.path = path
        self.columns = columns

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns.column_names)

    def require(self, names: Sequence[str], purpose: str) -> None:
        """Refuse a table without these columns.

        Raises:
            DataError: one is missing; the message names those there are.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise DataError(
                f"{self.path}: no column {', '.join(map(repr, missing))} for {purpose}; it has "
                f"{', '.join(self.names)}. Name the right one"
            )

    def text(self, name: str) -> list[str | None]:
        """Cells of a column as text; None where a cell is empty."""
        column = self.columns[name].combine_chunks()
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            column = pc.cast(column, pa.string())
        return [cell if cell is None or cell.strip() else None for cell in column.to_pylist()]

    def numbers(self, name: str) -> tuple[NDArray[np.float64], list[int]]:
        """Cells of a column as numbers.

        Returns:
            values (rows,), NaN where a cell is empty; and the rows, counted from 0, whose cells are no finite numbers
            (NaN here too).
        """
        column = self.columns[name].combine_chunks()
        if pa.types.is_null(column.type):
            return np.full(len(self), np.nan), []
        if not pa.types.is_string(column.type):
            return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), []
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, pa.string()), column)
        try:
            values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            values = np.array([number(cell) for cell in column.to_pylist()])
        return np.where(np.isinf(values), np.nan, values), np.flatnonzero(np.isinf(values)).tolist()

    def cell(self, name: str, row: int) -> object:
        """One cell as it was read."""
        return self.columns[name][row].as_py()

    def place(self, row: int) -> str:
        """What messages call a row: the file, and the line it begins on."""
        return self.places()[row]

    def places(self) -> list[str]:
        """What messages call each row."""
        suffix = self.path.suffix.lower()
        if suffix in DELIMITERS:
            lines = lines_of_rows(self.path, DELIMITERS[suffix])
            return [f"{self.path} line {line}" for line in lines]
        kind = "row" if suffix == ".parquet" else "line"
        return [f"{self.path} {kind} {row + 1}" for row in range(len(self))]


def number(cell: str | None) -> float:
    """A cell as a number: NaN where it is empty, infinite where it is none."""
    try:
        return float(cell or "nan")
    except ValueError:
        return np.inf


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        DataError: not UTF-8, not of its kind, a row with too many or too few cells, or no rows; the message names the
            line where there is one.
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise DataError(f"{path}: not a table; expected a file ending in {', '.join(KINDS)}")
    if not path.stat().st_size:
        raise DataError(f"{path}: empty; expected a table with a header")
    try:
        if suffix in DELIMITERS:
            columns = read_delimited(path, DELIMITERS[suffix])
        elif suffix == ".parquet":
            columns = pa.parquet.read_table(path)
        else:
            columns = pa.json.read_json(path, pa.json.ReadOptions(block_size=block_for(path)))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as {suffix[1:]}: {first_line(error)}") from None
    table = Table(path, columns)
    if not len(table):
        raise DataError(f"{path}: no rows below the header")
    return table


def read_delimited(path: Path, delimiter: str) -> pa.Table:
    """All cells of a CSV or TSV file as text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path} line 1: column {twice[0]!r} is named twice; rename one")
    return pa.csv.read_csv(
        path,
        pa.csv.ReadOptions(block_size=block_for(path)),
        pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
    )


def block_for(path: Path) -> int:
    """Bytes to read at once: a line must fit."""
    return min(max(path.stat().st_size + 1, 1 << 16), LARGEST_BLOCK)


def lines_of_rows(path: Path, delimiter: str) -> list[int]:
    """The line each row of a delimited file begins on; quoted cells may hold line ends, blank lines do not count."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        found, end = [], 0
        for cells in rows:
            if cells:
                found.append(end + 1)
            end = rows.line_num
    return found[1:]


def first_line(error: Exception) -> str:
    """The first line of what a library says."""
    return str(error).split("\n")[0][:300]
