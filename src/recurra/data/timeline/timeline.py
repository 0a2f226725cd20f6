"""Tables as time series: regular steps, and values without gaps."""

import contextlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recurra.config import Names, Section
from recurra.data.catalogue import locate
from recurra.data.tables import Table, read_table
from recurra.data.timeline.gaps import fill, latest_values
from recurra.data.timeline.timestamps import Clock, Step, Times, calendar_features, format_time, parse_times, parsers
from recurra.errors import DataError, counted, shortened

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


class TimelineOptions(Section):
    """Which table, which of its columns, and what to do about bad and missing cells."""

    path: str = Field(description="a table: .csv, .tsv, .jsonl or .parquet")
    target: Names = Field(description="columns to forecast")
    time_column: str | None = Field(None, description="column of timestamps; by default the first that holds dates")
    time_format: str | None = Field(None, description="format of timestamps for strptime, if it is unusual")
    series_column: str | None = Field(
        None, description="column with the name of the series, if the table holds several"
    )
    covariates_past: Names | None = Field(None, description="further columns, known up to the last step of the context")
    covariates_future: Names | None = Field(
        None, description="further columns, known in advance; rows at the end without targets hold their future values"
    )
    calendar: bool = Field(
        False, description="add hour, weekday, month and day of the year as covariates known in advance"
    )
    on_bad: Literal["fail", "drop"] = Field("fail", description="at a cell that is no number: stop, or drop its row")
    missing: Literal["fail", "interpolate", "forward"] = Field(
        "fail",
        description="at an empty cell: stop; interpolate between its neighbors, if both were known by then; or carry "
        "the last value forward. The latter two also fill in absent steps, which are only counted otherwise; filled "
        "values count in no score",
    )

    @model_validator(mode="after")
    def columns_have_one_role(self) -> "TimelineOptions":
        """A target is in the context anyway, and a covariate is either known in advance or not."""
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        if twice:
            raise ValueError(f"each column once among target and covariates, not {twice[0]!r} twice")
        return self

    @property
    def columns(self) -> list[str]:
        """Columns of numbers: targets, past covariates, future covariates."""
        return [*self.target, *(self.covariates_past or []), *(self.covariates_future or [])]

    @property
    def first_known(self) -> int:
        """Index in `columns` of the first future covariate."""
        return len(self.target) + len(self.covariates_past or [])


class Repairs(NamedTuple):
    """Flaws found in a series, and how many cells were filled in."""

    dropped: int  # rows with a cell that is no number
    gaps: int  # places where steps are absent
    absent: int  # steps absent in them
    irregular: int  # timestamps that are no whole number of steps after the one before
    filled: int  # cells without a value, those of absent steps included


class Timeline(NamedTuple):
    """One series. Its channels in order: targets, past covariates, future covariates.

    A value interpolated between two others was not known before the second. `as_known` gives the values known at some
    step; `observed` gives targets without those that were filled in.
    """

    name: str  # in the table, or else of the file
    path: Path
    times: Times  # (steps,)
    data: Values  # (steps, channels), all finite
    channels: tuple[str, ...]
    num_targets: int
    num_known: int
    step: Step
    ahead: Values  # future covariates of the steps after the last, without calendar features, (steps, columns)
    repairs: Repairs
    latest: Rows | None = None  # see `latest_values`, (steps, first_known); None where no value was filled in
    offset: timedelta | None = None  # of local time from `times`, at the last step

    @property
    def place(self) -> str:
        """File and name, for messages."""
        return place_of(self.path, self.name)

    @property
    def values(self) -> Values:
        """Targets, (steps, targets); a view."""
        return self.data[:, : self.num_targets]

    @property
    def first_complete(self) -> int:
        """The first step by which every target and past covariate has had a value."""
        return 0 if self.latest is None else int(self.latest[0].max())

    @property
    def known(self) -> Values:
        """Future covariates, calendar features last, (steps, known); a view."""
        return self.data[:, self.first_known :]

    @property
    def first_known(self) -> int:
        """Index of the first channel that is a future covariate."""
        return len(self.channels) - self.num_known

    def as_known(self, steps: Rows) -> Values:
        """Values as they were known at the last of some steps.

        A gap that ends after that step was still open: it holds the last value before it, not what was interpolated.

        Args:
            steps: consecutive steps, (length, ...).

        Returns:
            (length, ..., channels).
        """
        found = self.data[steps]
        if self.latest is not None:
            rows = np.minimum(steps[..., None], self.latest[steps[-1]])  # (length, ..., first_known)
            found[..., : self.first_known] = self.data[rows, np.arange(self.first_known)]
        return found

    def observed(self, steps: Rows) -> Values:
        """Targets at some steps (...), NaN where they were filled in, (..., targets)."""
        found = self.values[steps]
        if self.latest is not None:
            found[self.latest[steps, : self.num_targets] != steps[..., None]] = np.nan
        return found

    def future_times(self, num_steps: int) -> Times:
        """Timestamps of the steps after the last, (num_steps,)."""
        return self.step.after(self.times[-1], np.arange(1, num_steps + 1))

    def future_known(self, num_steps: int) -> Values:
        """Future covariates after the last step, unscaled, (num_steps, known); raises DataError for too few."""
        given = self.ahead.shape[1]
        if given and len(self.ahead) < num_steps:
            names = ", ".join(self.channels[self.first_known : self.first_known + given])
            raise DataError(
                f"{self.place}: expected {names} for {counted(num_steps, 'step')} after the last target, got "
                f"{len(self.ahead)}; append rows that hold them, with empty targets"
            )
        ahead = self.ahead[:num_steps] if given else np.empty((num_steps, 0))
        if self.num_known == given:
            return ahead
        return np.hstack([ahead, calendar_features(self.local(self.future_times(num_steps)), self.step)[0]])

    def local(self, times: Times) -> Times:
        """Timestamps in local time."""
        return times if self.offset is None else np.asarray(times + np.timedelta64(self.offset))

    def format_times(self, times: Times) -> list[str]:
        """Timestamps of this series as text: dates if they are all at midnight, with an offset if the table has one."""
        is_midnight = times.dtype != np.int64 and self.times[0] == self.times[0].astype("M8[D]")
        shown = times.astype("M8[D]") if self.step.has_days and is_midnight else self.local(times)
        zone = "" if self.offset is None else str(timezone(self.offset)).removeprefix("UTC") or "Z"
        return [f"{str(time).removesuffix('.000000')}{zone}" for time in shown]

    def __str__(self) -> str:
        found = ", ".join(f"{name} {count:,}" for name, count in self.repairs._asdict().items() if count)
        first, last = self.local(self.times[[0, -1]])
        steps = f"{counted(len(self.times), 'step')} of {self.step}"
        return f"{self.name}: {steps}, {format_time(first)} to {format_time(last)}; {found or 'no flaws found'}"


def read_timelines(
    options: TimelineOptions, table: Table | None = None, expected: Step | None = None
) -> list[Timeline]:
    """The series of a table, in the order of their first rows.

    Args:
        options: which table, which of its columns, and what to do about bad and missing cells.
        table: instead of the one that the options name.
        expected: a step of days or of business days, for a short table that could be of either.

    Raises:
        DataError: a missing column; a timestamp that cannot be parsed, is repeated or decreases; a cell that is empty
            or no number and may not be; no value to fill a gap from. The message names the line if there is one.
    """
    table = read_table(locate(options.path)) if table is None else table
    time = options.time_column or find_time_column(table, options)
    table.require([time, *filter(None, [options.series_column]), *options.columns], "a forecast")
    local, offsets = parse_times(table, time, options.time_format)
    rows_of = rows_by_series(table, options.series_column)
    clock = Clock.of(local, offsets, list(rows_of.values()), expected)
    if options.calendar and local.dtype == np.int64:
        raise DataError(f"{table.path}: --calendar needs dates, but {time!r} holds integers; leave it out")
    data, is_bad = read_columns(table, options)
    good = {name: rows[~is_bad[rows]] for name, rows in rows_of.items()}
    for name, rows in good.items():
        check_rows(table, name, rows, clock.times if clock else local)
        if options.missing == "fail":
            check_complete(table, rows, data[rows], options)
    if clock is None:
        raise DataError(f"{table.path}: one row a series; expected at least a context and a horizon")
    return [
        build(name, table.path, clock.at(rows), data[rows], options, int(is_bad[rows_of[name]].sum()))
        for name, rows in good.items()
    ]


def find_time_column(table: Table, options: TimelineOptions) -> str:
    """The first column without another role whose first cell is a date, else DataError; integers could be anything."""
    free = [name for name in table.names if name not in (*options.columns, options.series_column)]
    cells = {name: str(table.cell(name, 0)).strip() for name in free}
    for name, cell in cells.items():
        if not cell.isdigit() and is_date(cell, options.time_format):
            return name
    integers = " or ".join(name for name, cell in cells.items() if cell.isdigit())
    hint = f" (it may be {integers}, of integers)" if integers else ""
    raise DataError(
        f"{table.path}: no column begins with a date; name one with --time-column{hint}, and its "
        "format with --time-format if it is unusual"
    )


def is_date(cell: str, time_format: str | None) -> bool:
    """Whether a cell is a date in some known format, or in the one given."""
    for parse in parsers(time_format):
        with contextlib.suppress(ValueError):
            return isinstance(parse(cell), datetime)
    return False


def read_columns(table: Table, options: TimelineOptions) -> tuple[Values, NDArray[np.bool_]]:
    """Cells as numbers, NaN where empty, (rows, columns), and whether a row has a cell that is no number, (rows,).

    Raises:
        DataError: a cell that is no number, where such rows may not be dropped, or a column of another type.
    """
    data, is_bad = np.empty((len(table), len(options.columns))), np.zeros(len(table), bool)
    for index, name in enumerate(options.columns):
        try:
            data[:, index], bad = table.numbers(name)
        except pa.ArrowException:
            raise DataError(f"{table.path}: {name} holds {table.columns[name].type}, expected numbers") from None
        is_bad[bad] = True
        if bad and options.on_bad == "fail":
            raise DataError(
                f"{table.place(bad[0])}: {name} is {shortened(table.cell(name, bad[0]))!r}, expected a number; correct "
                f"it, or leave out such rows ({len(bad):,} here) with --on-bad drop"
            )
    return data, is_bad


def rows_by_series(table: Table, column: str | None) -> dict[str, Rows]:
    """Rows of each series, by its name."""
    if column is None:
        return {table.path.stem: np.arange(len(table))}
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(table.text(column)):
        if name is None:
            raise DataError(f"{table.place(row)}: {column} is empty; expected the name of a series")
        rows.setdefault(name, []).append(row)
    return {name: np.array(found) for name, found in rows.items()}


def check_rows(table: Table, name: str, rows: Rows, times: Times) -> None:
    """Refuse a series without rows, or whose timestamps do not increase."""
    if not len(rows):
        raise DataError(f"{place_of(table.path, name)}: no row in which all cells are numbers; name other columns")
    for late in np.flatnonzero(np.diff(times[rows]).astype(np.int64) <= 0)[:1]:
        before, row = rows[late], rows[late + 1]
        is_twice = times[before] == times[row]
        relation, remedy = ("the same as", "keep one") if is_twice else ("before", "sort the rows by time")
        raise DataError(
            f"{table.place(row)}: {format_time(times[row])} is {relation} {format_time(times[before])} of "
            f"{table.place(before).removeprefix(f'{table.path} ')}; {remedy}, or name the column of the "
            "series with --series-column if there are several"
        )


def check_complete(table: Table, rows: Rows, data: Values, options: TimelineOptions) -> None:
    """Refuse an empty cell, other than targets and past covariates of the rows after the last target."""
    is_empty = np.isnan(data)
    is_empty[len(data) - steps_ahead(data, options) :, : options.first_known] = False
    complete = np.flatnonzero(~is_empty[:, : len(options.target)].any(1))  # rows with every target
    if is_empty.any() and not is_empty[: complete[-1] + 1 if len(complete) else 0].any():
        first = rows[np.argwhere(is_empty)[0][0]]
        raise DataError(
            f"{table.place(first)}: from here to the end the target is empty; cut these rows "
            "off, or name the columns that are known in advance with --covariates-future"
        )
    for row, column in np.argwhere(is_empty)[:1]:
        cell, such = table.cell(options.columns[column], rows[row]), counted(int(is_empty.sum()), "such cell")
        what = "empty" if cell is None or not str(cell).strip() else f"{cell!r}, no number"
        raise DataError(
            f"{table.place(rows[row])}: {options.columns[column]} is {what} ({such}); fill it, or set --missing "
            "interpolate or --missing forward"
        )


def steps_ahead(data: Values, options: TimelineOptions) -> int:
    """Number of rows at the end that hold future covariates only."""
    targets = np.argwhere(~np.isnan(data[:, : len(options.target)]))
    return len(data) - 1 - int(targets[-1, 0]) if options.covariates_future and len(targets) else 0


def place_of(path: Path, name: str) -> str:
    """A series in messages: the file, and the name of the series unless the file is one series."""
    return str(path) if name == path.stem else f"{path} series {shortened(name)!r}"


def build(name: str, path: Path, clock: Clock, data: Values, options: TimelineOptions, dropped: int) -> Timeline:
    """A series of its rows, (rows, columns) and NaN where empty, with gaps filled where the options say so.

    The distance of a timestamp from the one before says how many steps are absent between them. Where it is no whole
    number of steps the timestamp is irregular: no step counts as absent there, and a series with such a timestamp gets
    no further steps, since none would be at a known place.

    Raises:
        DataError: more steps are absent than there are rows, or a gap cannot be filled.
    """
    step, lengths = clock.step, np.diff(clock.step.positions(clock.times))  # (rows - 1,)
    irregular = int(np.count_nonzero(lengths % step.size))
    absent = np.where(lengths % step.size, 0, lengths // step.size - 1)
    end, first_known, filled = len(data) - steps_ahead(data, options), options.first_known, 0
    is_empty = np.zeros((end, first_known), bool)
    if options.missing != "fail":
        if not irregular:
            if absent.sum() > len(data):
                between = f"{counted(int(absent.sum()), 'step')} of {step} absent between {counted(len(data), 'row')}"
                raise DataError(f"{place_of(path, name)}: {between}; cut it")
            at = np.concatenate([[0], np.cumsum(absent + 1)])
            spread = np.full((at[-1] + 1, data.shape[1]), np.nan)
            spread[at] = data
            data, clock, end = spread, clock.spread(at), at[end - 1] + 1
        names = [f"{place_of(path, name)}: {column}" for column in options.columns]
        positions = step.positions(clock.times)
        is_empty = np.isnan(data[:end, :first_known])
        filled = fill(data[:end, :first_known], positions[:end], options.missing, names[:first_known])
        filled += fill(data[:, first_known:], positions, options.missing, names[first_known:])
    channels, ahead, clock = options.columns, data[end:, first_known:], clock.at(np.arange(end))
    data = data[:end]
    if options.calendar:
        calendar, names = clock.calendar()
        data, channels = np.hstack([data, calendar]), channels + names
    return Timeline(
        name=name,
        path=path,
        times=clock.times,
        data=data,
        channels=tuple(channels),
        num_targets=len(options.target),
        num_known=len(channels) - first_known,
        step=step,
        ahead=ahead,
        repairs=Repairs(dropped, int(np.count_nonzero(absent)), int(absent.sum()), irregular, filled),
        latest=latest_values(is_empty) if is_empty.any() else None,
        offset=None if clock.offsets is None else clock.offsets.tolist()[-1],
    )
