"""Stamps of time: how they are written, the step between them, what comes after, and where in the year they lie."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.tables import Table
from recurra.errors import DataError

Times = NDArray[Any]  # datetime64[us], in UTC where the table names a zone; or int64

FORMATS = (  # beside ISO 8601 and integers; none can be read in two ways
    *("%Y-%m", "%Y/%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M"),
    *("%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%b %Y", "%B %Y"),
)
DAY = 86_400_000_000  # microseconds
LENGTHS = {"week": 7 * DAY, "day": DAY, "hour": DAY // 24, "minute": 60_000_000, "second": 1_000_000, "microsecond": 1}


class Step(NamedTuple):
    """What lies between two stamps: so many microseconds, months, or integers."""

    size: int
    unit: Literal["microsecond", "month", "integer"]
    day: int = 1  # of each month, where the unit is that; its last where it has fewer

    def __str__(self) -> str:
        unit, size = str(self.unit), self.size
        if unit == "month" and size % 12 == 0:
            unit, size = "year", size // 12
        elif unit == "microsecond":
            unit = next(name for name, length in LENGTHS.items() if size % length == 0)
            size //= LENGTHS[unit]
        return f"{size} {unit}{'s' if size > 1 else ''}"

    @property
    def season(self) -> int:
        """Steps of the shortest usual cycle: the day, the week for days, the year for weeks and months; 1 for none."""
        if self.unit == "month":
            return 12 // self.size if 12 % self.size == 0 else 1
        if self.unit == "integer":
            return 1
        if self.size == LENGTHS["week"]:
            return 52
        cycle = 7 * DAY if self.size == DAY else DAY
        return cycle // self.size if cycle % self.size == 0 else 1

    def positions(self, times: Times) -> NDArray[np.int64]:
        """Stamps as numbers of its unit."""
        return (times.astype("M8[M]") if self.unit == "month" else times).astype(np.int64)

    def after(self, start: Any, steps: NDArray[np.int64]) -> Times:
        """The stamps so many steps after another."""
        offsets = self.size * steps
        if self.unit != "month":
            return np.asarray(start + offsets.astype("m8[us]" if self.unit == "microsecond" else np.int64))
        months = start.astype("M8[M]") + offsets
        days = np.minimum(self.day, days_in(months)) - 1
        return np.asarray(months.astype("M8[us]") + days.astype("m8[D]") + (start - start.astype("M8[D]")))


def readers(time_format: str | None) -> list[Callable[[str], datetime | int]]:
    """Ways to read a stamp; each raises ValueError where it is written otherwise."""
    if time_format:
        return [partial(read_date, time_format)]
    return [partial(read_date, None), int, *(partial(read_date, form) for form in FORMATS)]


def read_date(time_format: str | None, cell: str) -> datetime:
    """A date of some format, of ISO 8601 where that is None; in UTC where it has a zone."""
    stamp = datetime.strptime(cell, time_format) if time_format else datetime.fromisoformat(cell)
    return stamp.astimezone(UTC).replace(tzinfo=None) if stamp.tzinfo else stamp


def parse_times(table: Table, name: str, time_format: str | None) -> Times:
    """Stamps of a column, all written in one way, (rows,)."""
    cells, furthest = table.text(name), 0
    for read in readers(time_format):
        stamps: list[datetime | int] = []
        try:
            stamps.extend(read((cell or "").strip()) for cell in cells)
            return np.array(stamps, np.int64 if read is int else "M8[us]")
        except (ValueError, OverflowError):
            furthest = max(furthest, min(len(stamps), len(cells) - 1))
    expected = time_format or (f"one like {cells[0]!r}" if furthest else "a date such as 2016-07-01, or an integer")
    raise DataError(
        f"{table.place(furthest)}: {name} is {cells[furthest] or ''!r}, expected {expected}; mend it, or say "
        "time_column and time_format"
    )


def infer_step(series: Sequence[Times]) -> Step | None:
    """The most frequent step of some series; None where none has two stamps."""
    step = Step(1, "integer")
    if series[0].dtype != np.int64:
        day = day_of_months(series)
        step = Step(1, "month", day) if day else Step(1, "microsecond")
    between = np.concatenate([np.diff(step.positions(times)) for times in series])
    lengths, counts = np.unique(between, return_counts=True)
    return step._replace(size=int(lengths[counts.argmax()])) if len(lengths) else None


def day_of_months(series: Sequence[Times]) -> int | None:
    """The day on which all stamps lie, at one time, 31 for the last of each month; None where they do not."""
    times = np.concatenate(series)
    months, dates = times.astype("M8[M]"), times.astype("M8[D]")
    days, longest = (dates - months.astype("M8[D]")).astype(int) + 1, days_in(months)
    day = 31 if (days == longest).all() else int(days.max())
    is_on_day = (days == np.minimum(day, longest)) & (times - dates == times[0] - dates[0])
    return day if is_on_day.all() else None


def days_in(months: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Days of each month."""
    return np.asarray((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)


def calendar_features(times: Times, step: Step) -> tuple[NDArray[np.float64], list[str]]:
    """Where in the day, week and year stamps lie, (steps, features), and the names of the features.

    Sine and cosine of each cycle that is longer than a step: of a shorter one they would say nothing.
    """
    days, months, years = (times.astype(f"M8[{unit}]") for unit in "DMY")
    cycles = {
        "hour": (DAY, (times - days) / np.timedelta64(1, "D")),
        "weekday": (7 * DAY, (days.astype(int) + 3) % 7 / 7),  # day 0, in 1970, was a Thursday
        "month": (365 * DAY, months.astype(int) % 12 / 12),
        "day of year": (365 * DAY, (days - years.astype("M8[D]")).astype(int) / 365.25),
    }
    duration = step.size * (31 * DAY if step.unit == "month" else 1)
    angles = {name: 2 * np.pi * phase for name, (length, phase) in cycles.items() if duration < length}
    waves = [wave(angle) for angle in angles.values() for wave in (np.sin, np.cos)]
    names = [f"{name} {wave}" for name in angles for wave in ("sine", "cosine")]
    return np.array(waves).reshape(-1, len(times)).T, names


def as_text(time: Any) -> str:
    """A stamp without what is 0 of it."""
    return str(time).removesuffix(".000000").removesuffix("T00:00:00")
