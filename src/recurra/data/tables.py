"""Tables with named columns: CSV, TSV, JSON lines and Parquet."""

import csv
import re
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from numpy.typing import NDArray

from recurra.data.text.files import Text, refuse_too_long
from recurra.errors import DataError, counted, listed

DELIMITERS = {".csv": ",", ".tsv": "\t"}
OTHER_DELIMITERS = ";\t"  # of .csv files too: spreadsheets write them where numbers have a decimal comma
KINDS = (*DELIMITERS, ".jsonl", ".ndjson", ".parquet")
MAX_BLOCK_BYTES = 1 << 28  # bytes a line may have
# cells of a column of numbers that count as empty
EMPTY = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None")
CHANGED = re.compile(r"Column\(/?(.*)\) changed from (\w+) to (\w+)")  # in an error of pyarrow about JSON
TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.binary())  # types of text columns in Parquet


def is_table(path: Path) -> bool:
    """Whether a file has the ending of a table."""
    return path.suffix.lower() in KINDS


class Table:
    """A table and the file that it is from.

    Args:
        path: the file, for messages.
        columns: as pyarrow read them; those of CSV and TSV are all text.
        delimiter: between the cells of CSV and TSV; with a semicolon numbers may have a decimal comma, as in 1,5.
    """

    def __init__(self, path: Path, columns: pa.Table, delimiter: str | None = None) -> None:
        self.path, self.columns, self.delimiter = path, columns, delimiter

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns.column_names)

    def require(self, names: Sequence[str], purpose: str) -> None:
        """Refuse a table without these columns; the message names the columns that it has."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise DataError(
                f"{self.path}: no column {', '.join(map(repr, missing))} for {purpose}; it has "
                f"{listed(self.names)}. Name the right one"
            )

    def text(self, name: str) -> list[str | None]:
        """Cells of a column as text; None where a cell is empty.

        Raises:
            DataError: a column of neither text nor numbers nor dates, or a text too long for an example.
        """
        column = self.columns[name].combine_chunks()
        try:
            column = pc.cast(column, pa.large_string())
        except pa.ArrowException:
            raise DataError(f"{self.path}: column {name!r} holds {column.type}; expected text or numbers") from None
        cells = column.to_pylist()
        refuse_too_long(cells, self.place)
        return [cell if cell is None or cell.strip() else None for cell in cells]

    def numbers(self, name: str) -> tuple[NDArray[np.float64], list[int]]:
        """Cells of a column as numbers.

        Returns:
            values (rows,), NaN where a cell is empty, NaN or no finite number; and the rows, from 0, of the cells that
            are no finite numbers.

        Raises:
            pyarrow.ArrowException: a column of neither numbers nor text, such as dates or lists.
        """
        column = self.columns[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if column.type in TEXTS:
            column = pc.cast(column, pa.large_string())
            values = parse_numbers(pc.replace_substring(column, ",", ".") if self.delimiter == ";" else column)
        else:
            values = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return np.where(np.isinf(values), np.nan, values), np.flatnonzero(np.isinf(values)).tolist()

    def cell(self, name: str, row: int) -> object:
        """One cell as it was read."""
        return self.columns[name][row].as_py()

    def place(self, row: int) -> str:
        """File and line of a row, for messages."""
        return self.places()[row]

    def places(self) -> list[str]:
        """File and line of each row, for messages."""
        lines = [] if self.path.suffix.lower() == ".parquet" else lines_of_rows(self.path, self.delimiter)
        if len(lines) != len(self):  # Parquet, or JSON that is not an object a line
            return [f"{self.path} row {row + 1}" for row in range(len(self))]
        return [f"{self.path} line {line}" for line in lines]


def parse_numbers(column: Any) -> NDArray[np.float64]:
    """A column of text as numbers (rows,): NaN where a cell is empty, infinite where it is no number."""
    is_empty = pc.is_in(pc.utf8_trim_whitespace(column), pa.array(EMPTY, column.type))
    column = pc.if_else(is_empty, pa.scalar(None, column.type), column)
    try:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return np.array([parse_number(cell) for cell in column.to_pylist()])


def parse_number(cell: str | None) -> float:
    """A cell as a number: NaN where it is empty, infinite where it is no number."""
    try:
        return float(cell or "nan")
    except ValueError:
        return np.inf


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        DataError: not UTF-8, of another format than its ending says, a row with too many or too few cells, two columns
            of one name, or no rows; the message names the line if there is one.
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise DataError(f"{path}: not a table; expected a file ending in {', '.join(KINDS)}")
    if not path.stat().st_size:
        raise DataError(f"{path}: empty; expected a table with a header")
    try:
        if suffix in DELIMITERS:
            table = read_delimited(path, delimiter_of(path))
        else:
            table = Table(path, pa.parquet.read_table(path) if suffix == ".parquet" else read_json(path))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise_unreadable(path, error)
    twice = sorted({name for name in table.names if table.names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is named twice; rename one")
    if not len(table):
        raise DataError(f"{path}: no rows below the header")
    return table


def columns_of(path: Path) -> list[str]:
    """Names of the columns of a table, mostly read from its header alone; errors as of `read_table`."""
    suffix = path.suffix.lower()
    try:
        if suffix in DELIMITERS:
            return header_of(path, delimiter_of(path))
        if suffix == ".parquet":
            return list(pa.parquet.read_schema(path).names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise_unreadable(path, error)
    return read_table(path).names


def delimiter_of(path: Path) -> str:
    """The delimiter of a file: comma or tab by its ending, or another if the header of a .csv would be one cell."""
    usual = DELIMITERS[path.suffix.lower()]
    possible = (usual, *OTHER_DELIMITERS) if usual == "," else (usual,)
    return next((delimiter for delimiter in possible if len(header_of(path, delimiter)) > 1), usual)


def read_delimited(path: Path, delimiter: str) -> Table:
    """All cells of a CSV or TSV file as text."""
    types = dict.fromkeys(header_of(path, delimiter), pa.string())
    columns = pa.csv.read_csv(
        path,
        pa.csv.ReadOptions(block_size=block_for(path)),
        pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )
    return Table(path, columns, delimiter)


def read_json(path: Path) -> pa.Table:
    """A table of JSON lines; dates stay text."""
    options = pa.json.ReadOptions(block_size=block_for(path))
    columns = pa.json.read_json(path, options)
    dates = [(field.name, pa.string()) for field in columns.schema if pa.types.is_timestamp(field.type)]
    if dates:
        schema = pa.json.ParseOptions(explicit_schema=pa.schema(dates))
        columns = pa.json.read_json(path, options, schema).select(columns.column_names)
    columns.validate(full=True)  # reading does not check UTF-8
    return columns


def block_for(path: Path) -> int:
    """Bytes of a block of pyarrow, into which a line must fit."""
    return min(max(path.stat().st_size + 1, 1 << 16), MAX_BLOCK_BYTES)


def rows_of(path: Path, delimiter: str) -> Generator[tuple[int, list[str]], None, None]:
    """First line and cells of each row of a delimited file, header first.

    Quoted cells may hold line ends; blank lines are skipped.
    """
    longest = csv.field_size_limit((1 << 31) - 1)  # the largest possible everywhere; 131,072 by default
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader, end = csv.reader(file, delimiter=delimiter), 0
            for cells in reader:
                if cells:
                    yield end + 1, cells
                end = reader.line_num
    finally:
        csv.field_size_limit(longest)


def header_of(path: Path, delimiter: str) -> list[str]:
    """Names of the columns of a delimited file; raises DataError if it is empty."""
    with closing(rows_of(path, delimiter)) as rows:
        for _, cells in rows:
            return cells
    raise DataError(f"{path}: empty; expected a table with a header")


def lines_of_rows(path: Path, delimiter: str | None) -> list[int]:
    """The first line of each row of a delimited file or JSON lines, without header and blank lines."""
    if delimiter is not None:
        return [line for line, _ in rows_of(path, delimiter)][1:]
    with path.open("rb") as file:
        return [number for number, line in enumerate(file, 1) if line.strip()]


def raise_unreadable(path: Path, error: Exception) -> NoReturn:
    """Raise a DataError that says why a table cannot be read, and where."""
    suffix = path.suffix.lower()
    if suffix != ".parquet":
        for _ in Text.of([path]).pieces():  # raises at the first byte that is not UTF-8
            pass
    delimiter = delimiter_of(path) if suffix in DELIMITERS else None
    if delimiter is not None:
        refuse_ragged(path, delimiter)
    reason = str(error).split("\n")[0][:300]
    reason, _, row = reason.partition(" in row ")  # of JSON lines, counted from 0
    line = dict(enumerate(lines_of_rows(path, delimiter))).get(int(row)) if row.isdecimal() else None
    place = f"{path} line {line}" if line else str(path)
    changed = CHANGED.search(reason)
    if changed:
        name, before, here = changed.groups()
        what = f"column {name!r} changes from {before} to {here}; write it in one way throughout"
        raise DataError(f"{place}: {what if name else f'expected a JSON object, got {here}'}") from None
    raise DataError(f"{place}: cannot be read as {suffix[1:]}: {reason}") from None


def refuse_ragged(path: Path, delimiter: str) -> None:
    """Refuse a delimited file with a row of more or fewer cells than the header has; the message names its line."""
    header = header_of(path, delimiter)
    for line, cells in rows_of(path, delimiter):
        if len(cells) != len(header):
            raise DataError(
                f"{path} line {line}: expected {counted(len(header), 'cell')}, as the header has, got {len(cells)}; "
                f"correct it, and quote cells that hold {delimiter!r} or line ends"
            )
