"""Timestamps: parsing them, the step between them, the timestamps that follow, and calendar features."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.tables import Table
from recurra.errors import DataError, shortened

Times = NDArray[Any]  # datetime64[us], or int64
Offsets = NDArray[np.timedelta64]  # of local time from UTC

FORMATS = (  # beside ISO 8601 and integers; none is ambiguous, such as month and day in either order
    *("%Y-%m", "%Y/%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M"),
    *("%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%b %Y", "%B %Y"),
)
DAY = 86_400_000_000  # microseconds
LENGTHS = {"week": 7 * DAY, "day": DAY, "hour": DAY // 24, "minute": 60_000_000, "second": 1_000_000, "microsecond": 1}


class Step(NamedTuple):
    """The distance between two timestamps: a number of microseconds, months, business days or integers."""

    size: int  # in units
    unit: Literal["microsecond", "month", "business day", "integer"]
    day: int = 1  # day of each month, where the unit is a month; the last day of shorter months

    def __str__(self) -> str:
        unit, size = str(self.unit), self.size
        if unit == "month" and size % 12 == 0:
            unit, size = "year", size // 12
        elif unit == "microsecond":
            unit = next(name for name, length in LENGTHS.items() if size % length == 0)
            size //= LENGTHS[unit]
        return f"{size} {unit}{'s' if size > 1 else ''}"

    @property
    def has_days(self) -> bool:
        """Whether it is of whole days or months, which follow local time when clocks change."""
        return self.unit in ("month", "business day") or (self.unit == "microsecond" and self.size % DAY == 0)

    @property
    def season(self) -> int:
        """Steps of the usual season: a day, for days a week, for weeks and months a year; 1 where there is none."""
        if self.unit == "business day":
            return 5
        if self.unit == "month":
            return 12 // self.size if 12 % self.size == 0 else 1
        if self.unit == "integer":
            return 1
        if self.size == LENGTHS["week"]:
            return 52
        cycle = 7 * DAY if self.size == DAY else DAY
        return cycle // self.size if cycle % self.size == 0 else 1

    def positions(self, times: Times) -> NDArray[np.int64]:
        """Timestamps as whole numbers of the unit since some fixed start, (times,)."""
        if self.unit == "business day":
            return np.asarray(np.busday_count(np.datetime64("0001-01-01"), times.astype("M8[D]")))
        return (times.astype("M8[M]") if self.unit == "month" else times).astype(np.int64)

    def after(self, start: Any, steps: NDArray[np.int64]) -> Times:
        """The timestamps that are some numbers of steps after another one, (steps,)."""
        offsets = self.size * steps
        if self.unit in ("microsecond", "integer"):
            return np.asarray(start + offsets.astype("m8[us]" if self.unit == "microsecond" else np.int64))
        if self.unit == "business day":
            dates = np.busday_offset(start.astype("M8[D]"), offsets)
        else:
            months = start.astype("M8[M]") + offsets
            dates = months.astype("M8[D]") + (np.minimum(self.day, days_in(months)) - 1)
        return np.asarray(dates.astype("M8[us]") + (start - start.astype("M8[D]")))


class Clock(NamedTuple):
    """Timestamps on the clock by which steps are equal: local time where a step is a day or longer, else UTC.

    With summer time a day may have 23 or 25 hours: days are equal in local time, hours in UTC.
    """

    times: Times  # (rows,)
    offsets: Offsets | None  # of local time from these times, (rows,); None where these are in local time
    step: Step

    @classmethod
    def of(
        cls, local: Times, offsets: Offsets | None, series: Sequence[NDArray[np.int64]], expected: Step | None
    ) -> "Clock | None":
        """The clock of the timestamps of a table; None where no series has two.

        Args:
            local: timestamps as the table has them, (rows,).
            offsets: offsets from UTC in the table, (rows,); None where it has none.
            series: rows of each series.
            expected: see `infer_step`.
        """
        times, step = local, infer_step([np.unique(local[rows]) for rows in series], expected)
        if step and offsets is not None and not step.has_days:
            times = local - offsets  # UTC
            step = infer_step([np.unique(times[rows]) for rows in series], expected)
        else:
            offsets = None
        return cls(times, offsets, step) if step else None

    def at(self, rows: NDArray[np.int64]) -> "Clock":
        """The timestamps of some rows."""
        return Clock(self.times[rows], None if self.offsets is None else self.offsets[rows], self.step)

    def spread(self, places: NDArray[np.int64]) -> "Clock":
        """Every step from the first timestamp to the last, absent ones filled in with the offset before them.

        `places` are the steps of each timestamp after the first, (rows,).
        """
        steps = np.arange(places[-1] + 1)
        before = np.searchsorted(places, steps, "right") - 1
        return self.at(before)._replace(times=self.step.after(self.times[0], steps))

    def calendar(self) -> tuple[NDArray[np.float64], list[str]]:
        """Calendar features of these times in local time; see `calendar_features`."""
        return calendar_features(self.times if self.offsets is None else self.times + self.offsets, self.step)


def parsers(time_format: str | None) -> list[Callable[[str], datetime | int]]:
    """Functions that parse a timestamp of one format each, and raise ValueError at any other."""
    if time_format:
        return [partial(parse_date, time_format)]
    return [partial(parse_date, None), int, *(partial(parse_date, form) for form in FORMATS)]


def parse_date(time_format: str | None, cell: str) -> datetime:
    """A date and time in a format of strptime, or in ISO 8601 where it is None."""
    return datetime.strptime(cell, time_format) if time_format else datetime.fromisoformat(cell)


def parse_times(table: Table, name: str, time_format: str | None) -> tuple[Times, Offsets | None]:
    """Timestamps of a column, all in one format: local times (rows,), and their offsets from UTC (rows,), if any.

    Raises:
        DataError: a cell in another format than the cells before it; the message names the line.
    """
    cells, furthest = table.text(name), 0
    for parse in parsers(time_format):
        timestamps: list[datetime | int] = []
        try:
            timestamps.extend(parse((cell or "").strip()) for cell in cells)
            return split_offsets(timestamps)
        except (ValueError, OverflowError):
            furthest = max(furthest, min(len(timestamps), len(cells) - 1))
    like = f"one like {shortened(cells[0])!r}" if furthest else "a date such as 2016-07-01, or an integer"
    raise DataError(
        f"{table.place(furthest)}: {name} is {shortened(cells[furthest] or '')!r}, expected {time_format or like}; "
        "correct it, or set --time-column and --time-format"
    )


def split_offsets(timestamps: Sequence[datetime | int]) -> tuple[Times, Offsets | None]:
    """Local times, and their offsets from UTC: 0 where one has none, None where all have none."""
    dates = [timestamp for timestamp in timestamps if isinstance(timestamp, datetime)]
    if not dates:
        return np.array(timestamps, np.int64), None
    local = np.array([date.replace(tzinfo=None) for date in dates], "M8[us]")
    if not any(date.tzinfo for date in dates):
        return local, None
    return local, np.array([date.utcoffset() or timedelta() for date in dates], "m8[us]")


def infer_step(series: Sequence[Times], expected: Step | None = None) -> Step | None:
    """The most frequent step of some series; None where none has two timestamps.

    Args:
        series: timestamps of each, increasing.
        expected: a step of days or of business days, for timestamps from Monday to Friday that could be either.
    """
    step = Step(1, "integer")
    if series[0].dtype != np.int64:
        if are_business_days(series, expected):
            return Step(1, "business day")
        day = day_of_months(series)
        step = Step(1, "month", day) if day else Step(1, "microsecond")
    between = np.concatenate([np.diff(step.positions(times)) for times in series])
    lengths, counts = np.unique(between, return_counts=True)
    return step._replace(size=int(lengths[counts.argmax()])) if len(lengths) else None


def are_business_days(series: Sequence[Times], expected: Step | None) -> bool:
    """Whether timestamps are business days: from Monday to Friday at one time of day, absent mostly at weekends."""
    times = np.concatenate(series)
    dates = times.astype("M8[D]")
    if not np.is_busday(dates).all() or (times - dates != times[:1] - dates[:1]).any():
        return False
    days = np.concatenate([np.diff(part.astype("M8[D]").astype(np.int64)) for part in series])
    business = np.concatenate([np.diff(Step(1, "business day").positions(part)) for part in series])
    if expected in (Step(1, "business day"), Step(DAY, "microsecond")):
        return expected.unit == "business day" and bool((business == 1).any())
    num_weekends = np.count_nonzero((days == 3) & (business == 1))
    return bool(2 * np.count_nonzero(days == 1) > len(days) and num_weekends > 1)  # one weekend may be absent by chance


def day_of_months(series: Sequence[Times]) -> int | None:
    """The day of the month of all timestamps, 31 for the last one; None where days or times of day differ."""
    times = np.concatenate(series)
    months, dates = times.astype("M8[M]"), times.astype("M8[D]")
    days, longest = (dates - months.astype("M8[D]")).astype(int) + 1, days_in(months)
    day = 31 if (days == longest).all() else int(days.max())
    is_on_day = (days == np.minimum(day, longest)) & (times - dates == times[0] - dates[0])
    return day if is_on_day.all() else None


def days_in(months: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Number of days of each month."""
    return np.asarray((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)


def calendar_features(times: Times, step: Step) -> tuple[NDArray[np.float64], list[str]]:
    """Sine and cosine of the time of day, weekday, month and day of the year.

    Cycles no longer than a step are left out, since their phase does not change.

    Returns:
        features (steps, features), and their names.
    """
    days, months, years = (times.astype(f"M8[{unit}]") for unit in "DMY")
    cycles = {
        "hour": (DAY, (times - days) / np.timedelta64(1, "D")),
        "weekday": (7 * DAY, (days.astype(int) + 3) % 7 / 7),  # day 0, in 1970, was a Thursday
        "month": (365 * DAY, months.astype(int) % 12 / 12),
        "day of year": (365 * DAY, (days - years.astype("M8[D]")).astype(int) / 365.25),
    }
    duration = step.size * {"month": 31 * DAY, "business day": DAY}.get(step.unit, 1)
    angles = {name: 2 * np.pi * phase for name, (length, phase) in cycles.items() if duration < length}
    waves = [wave(angle) for angle in angles.values() for wave in (np.sin, np.cos)]
    names = [f"{name} {wave}" for name in angles for wave in ("sine", "cosine")]
    return np.array(waves).reshape(-1, len(times)).T, names


def format_time(time: Any) -> str:
    """A timestamp without microseconds, and without a time of day, that are 0."""
    return str(time).removesuffix(".000000").removesuffix("T00:00:00")
