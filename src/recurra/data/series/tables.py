"""Series in tables of long form: a row for each step, and a column with the name of its series."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from recurra.config import Names, Section
from recurra.data.series.segments import Recording, segments_of, to_float32
from recurra.data.tables import Table, read_table
from recurra.errors import DataError, listed, shortened
from recurra.progress import Progress

DEFAULT_ID_COLUMN = "series"


class ColumnOptions(Section):
    """Columns of a table, and what to do about bad cells."""

    id_column: str | None = Field(
        None,
        description="column of a table with the name of the series; none: `series`, or without that column one series",
    )
    time_column: str | None = Field(
        None, description="column of a table with numbers or dates that increase within a series"
    )
    label_column: str = Field("label", description="column of a table with the labels")
    group_column: str | None = Field(None, description="column of a table with the group of a series, such as a person")
    channels: Names | None = Field(
        None, description="channels to read; none: all, of a table all other columns of numbers"
    )
    on_bad: Literal["fail", "drop"] = Field(
        "fail", description="at a missing value or one that is no number: stop, or leave out its step"
    )


class Cells(NamedTuple):
    """A column of text."""

    codes: NDArray[np.integer]  # (rows,), index into texts; -1 where the cell is empty
    texts: Sequence[str | None]


def read_series_table(
    path: Path, options: ColumnOptions, progress: Progress, *, labelled: bool = True, one_label: bool = True
) -> list[Recording]:
    """The series of a table in the order of their first rows; rows of different series may alternate.

    Args:
        path: CSV, TSV, JSON lines or Parquet.
        options: names of the columns, and what to do about bad cells.
        progress: gets a note on how many rows were left out.
        labelled: whether to read labels and groups.
        one_label: whether a series must have one label throughout; if not, a step without a label is in no segment.

    Raises:
        DataError: a missing column, a bad cell, time that does not increase, a label or group that changes; the
            message names the line.
    """
    table = read_table(path)
    if options.id_column is None and DEFAULT_ID_COLUMN in table.names:
        options = options.model_copy(update={"id_column": DEFAULT_ID_COLUMN})
    label_column, group_column = (options.label_column, options.group_column) if labelled else (None, None)
    ids = read_cells(table, options.id_column, "--id-column")
    labels = read_cells(table, label_column, "--label-column")
    groups = read_cells(table, group_column, "--group-column")
    times = read_times(table, options.time_column)
    channels = read_channels(table, options)
    bad = {name: ~np.isfinite(column) for name, column in channels.items()}
    bad |= {name: cells.codes < 0 for name, cells in ((options.id_column, ids), (group_column, groups)) if name}
    if options.time_column:
        bad[options.time_column] = np.isnan(times)
    if label_column and one_label:
        bad[label_column] = labels.codes < 0

    rows = Rows(table, good_rows(table, bad, options.on_bad, progress), ids)
    if options.time_column:
        rows.refuse_disorder(options.time_column, times)
    if group_column:
        rows.refuse_change(group_column, groups, "correct it")
    if label_column and one_label:
        rows.refuse_change(label_column, labels, "correct it, or cut series into windows of one label with --window N")
    values = np.stack([column[rows.order] for column in channels.values()], axis=1)  # (rows, channels)
    recordings = []
    for start, stop in pairwise([*rows.starts.tolist(), len(rows.order)]):
        first = rows.order[start]
        segments = segments_of(labels.codes[rows.order[start:stop]], labels.texts)
        group = groups.texts[groups.codes[first]]
        name = f"{path}{rows.series_of(first, ' ')}"
        recordings.append(Recording(values[start:stop], segments, name, group, tuple(channels)))
    return recordings


class Rows:
    """Rows of a table, ordered by series.

    Args:
        table: the table.
        good: indices of the rows to use.
        ids: name of the series of each row of the table.
    """

    def __init__(self, table: Table, good: NDArray[np.intp], ids: Cells) -> None:
        self.table, self.ids = table, ids
        self.order = good[np.argsort(ids.codes[good], kind="stable")]
        self.starts = np.flatnonzero(np.diff(ids.codes[self.order], prepend=-1))  # where in `order` a series begins

    def series_of(self, row: int, separator: str) -> str:
        """The series of a row after a separator, for messages; empty where the table is one series."""
        id = self.ids.texts[self.ids.codes[row]]
        return "" if id is None else f"{separator}series {shortened(id)!r}"

    def refuse_disorder(self, column: str, times: NDArray[np.float64]) -> None:
        """Refuse time, of each row of the table, that repeats or decreases within a series."""
        for at in self.within_series(np.diff(times[self.order], prepend=-np.inf) <= 0):
            now, before = (shortened(self.table.cell(column, int(row))) for row in self.order[[at, at - 1]])
            remedy = "sort the rows, and leave out repeated ones"
            raise self.wrong(at, f"{column} {now} comes after {before}, but must increase; {remedy}")

    def refuse_change(self, column: str, cells: Cells, remedy: str) -> None:
        """Refuse a column that changes within a series; `remedy` says what to do."""
        codes = cells.codes[self.order]
        for at in self.within_series(np.diff(codes, prepend=codes[0]) != 0):
            now, before = (shortened(cells.texts[code]) for code in codes[[at, at - 1]])
            raise self.wrong(at, f"{column} {now!r} comes after {before!r}, but a series has one; {remedy}")

    def within_series(self, is_wrong: NDArray[np.bool_]) -> list[int]:
        """Places in `order` that are wrong, without those at which a series begins."""
        return [int(at) for at in np.setdiff1d(np.flatnonzero(is_wrong), self.starts)]

    def wrong(self, at: int, what: str) -> DataError:
        """The error for a row, given by its place in `order`."""
        row = int(self.order[at])
        return DataError(f"{self.table.place(row)}{self.series_of(row, ', ')}: {what}")


def read_cells(table: Table, name: str | None, option: str) -> Cells:
    """A column of text; without a name, a column of None."""
    if name is None:
        return Cells(np.zeros(len(table), np.int64), [None])
    table.require([name], option)
    texts = [None if text is None else text.strip() for text in table.text(name)]
    encoded = pa.array(texts, pa.string()).dictionary_encode()
    return Cells(encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist())


def read_channels(table: Table, options: ColumnOptions) -> dict[str, NDArray[np.float32]]:
    """Channels by name, not finite where a cell is bad; raises DataError for an absent one, or one without numbers."""
    taken = (options.id_column, options.time_column, options.label_column, options.group_column)
    names = options.channels or [name for name in table.names if name not in taken]
    table.require(names, "--channels")
    channels = {}
    for name in names:
        values = read_numbers(table, name)
        if values is not None:
            channels[name] = values
        elif options.channels:
            raise DataError(f"{table.path}: column {name!r} holds no numbers; leave it out of --channels")
    if not channels:
        raise DataError(f"{table.path}: no column of numbers for --channels; it has {listed(table.names)}")
    return channels


def read_numbers(table: Table, name: str) -> NDArray[np.float32] | None:
    """A column of numbers, not finite where a cell is bad; None if fewer than half of the cells are numbers."""
    try:
        values, refused = table.numbers(name)
    except pa.ArrowException:  # a column of dates or lists
        return None
    if np.isfinite(values).sum() <= len(refused):
        return None
    return to_float32(values)


def read_times(table: Table, name: str | None) -> NDArray[np.float64]:
    """Numbers or seconds of dates, NaN where a cell is neither; without a name, the number of the row."""
    if name is None:
        return np.arange(len(table), dtype=np.float64)
    table.require([name], "--time-column")
    try:
        values, others = table.numbers(name)
    except pa.ArrowException:  # a column of dates
        values, others = np.full(len(table), np.nan), list(range(len(table)))
    if others:
        texts = table.text(name)
        values[others] = [seconds(texts[row]) for row in others]
    return values


def seconds(text: str | None) -> float:
    """A number, or the seconds since 1970 of a date and time in ISO 8601; NaN where it is neither."""
    try:
        return float(text or "nan")
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def good_rows(
    table: Table, bad: dict[str, NDArray[np.bool_]], on_bad: Literal["fail", "drop"], progress: Progress
) -> NDArray[np.intp]:
    """The rows without a bad cell; raises DataError where other rows may not be dropped, or all are bad."""
    is_bad = np.any(list(bad.values()), axis=0)
    if not is_bad.any():
        return np.arange(len(table))
    row = int(is_bad.argmax())
    column = next(name for name, cells in bad.items() if cells[row])
    cell = table.cell(column, row)
    what = "an empty cell" if cell in (None, "") else f"{shortened(cell)!r} cannot be used"
    if on_bad == "fail":
        raise DataError(
            f"{table.place(row)}: column {column!r}: {what}; correct it, or leave out such rows with --on-bad drop"
        )
    if is_bad.all():
        raise DataError(f"{table.place(row)}: column {column!r}: {what}; and no other row is without a bad cell")
    progress.note(f"{table.path}: left out {is_bad.sum():,} of {len(table):,} rows that have a bad cell")
    return np.flatnonzero(~is_bad)
