"""Stamps of time: how they are written, the step between them, what comes after, and where in the year they lie."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.tables import Table
from recurra.errors import DataError, shortened

Times = NDArray[Any]  # datetime64[us], or int64
Offsets = NDArray[np.timedelta64]  # of the clock on the wall from UTC

FORMATS = (  # beside ISO 8601 and integers; none can be read in two ways
    *("%Y-%m", "%Y/%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M"),
    *("%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%b %Y", "%B %Y"),
)
DAY = 86_400_000_000  # microseconds
LENGTHS = {"week": 7 * DAY, "day": DAY, "hour": DAY // 24, "minute": 60_000_000, "second": 1_000_000, "microsecond": 1}


class Step(NamedTuple):
    """What lies between two stamps: so many microseconds, months, days from Monday to Friday, or integers."""

    size: int
    unit: Literal["microsecond", "month", "business day", "integer"]
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
    def has_days(self) -> bool:
        """Whether it is of whole days or months, which stay what they are where clocks are changed."""
        return self.unit in ("month", "business day") or (self.unit == "microsecond" and self.size % DAY == 0)

    @property
    def season(self) -> int:
        """Steps of the shortest usual cycle: the day, the week for days, the year for weeks and months; 1 for none."""
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
        """Stamps as numbers of its unit."""
        if self.unit == "business day":
            return np.asarray(np.busday_count(np.datetime64("0001-01-01"), times.astype("M8[D]")))
        return (times.astype("M8[M]") if self.unit == "month" else times).astype(np.int64)

    def after(self, start: Any, steps: NDArray[np.int64]) -> Times:
        """The stamps so many steps after another."""
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
    """Stamps as steps are counted: by the clock on the wall where a step is a day or longer, else in UTC."""

    times: Times  # (rows,)
    offsets: Offsets | None  # of the wall from these times, (rows,); None where they are those on the wall
    step: Step

    @classmethod
    def of(
        cls, wall: Times, offsets: Offsets | None, series: Sequence[NDArray[np.int64]], expected: Step | None
    ) -> "Clock | None":
        """That of the stamps of a table; None where no series has two.

        Args:
            wall: as they are written, (rows,).
            offsets: that they name, (rows,); None where they name none.
            series: rows of each series.
            expected: see `infer_step`.
        """
        step = infer_step([np.unique(wall[rows]) for rows in series], expected)
        if step and offsets is not None and not step.has_days:
            wall = wall - offsets
            step = infer_step([np.unique(wall[rows]) for rows in series], expected)
        else:
            offsets = None
        return cls(wall, offsets, step) if step else None

    def at(self, rows: NDArray[np.int64]) -> "Clock":
        """The stamps of some rows."""
        return Clock(self.times[rows], None if self.offsets is None else self.offsets[rows], self.step)

    def spread(self, places: NDArray[np.int64]) -> "Clock":
        """Every step from the first stamp to the last, where these are steps so many after the first."""
        steps = np.arange(places[-1] + 1)
        before = np.searchsorted(places, steps, "right") - 1
        times = self.step.after(self.times[0], steps)
        return Clock(times, None if self.offsets is None else self.offsets[before], self.step)

    def calendar(self) -> tuple[NDArray[np.float64], list[str]]:
        """Where on the wall these times lie; see `calendar_features`."""
        return calendar_features(self.times if self.offsets is None else self.times + self.offsets, self.step)


def readers(time_format: str | None) -> list[Callable[[str], datetime | int]]:
    """Ways to read a stamp; each raises ValueError where it is written otherwise."""
    if time_format:
        return [partial(read_date, time_format)]
    return [partial(read_date, None), int, *(partial(read_date, form) for form in FORMATS)]


def read_date(time_format: str | None, cell: str) -> datetime:
    """A date of some format, of ISO 8601 where that is None."""
    return datetime.strptime(cell, time_format) if time_format else datetime.fromisoformat(cell)


def parse_times(table: Table, name: str, time_format: str | None) -> tuple[Times, Offsets | None]:
    """Stamps of a column, all written in one way: what they say, and the offsets from UTC that they name, if any."""
    cells, furthest = table.text(name), 0
    for read in readers(time_format):
        stamps: list[datetime | int] = []
        try:
            stamps.extend(read((cell or "").strip()) for cell in cells)
            return split_offsets(stamps)
        except (ValueError, OverflowError):
            furthest = max(furthest, min(len(stamps), len(cells) - 1))
    like = f"one like {shortened(cells[0])!r}" if furthest else "a date such as 2016-07-01, or an integer"
    raise DataError(
        f"{table.place(furthest)}: {name} is {shortened(cells[furthest] or '')!r}, expected {time_format or like}; "
        "mend it, or say --time-column and --time-format"
    )


def split_offsets(stamps: Sequence[datetime | int]) -> tuple[Times, Offsets | None]:
    """Stamps without their zones, and their offsets from UTC, 0 of one that names none; None where none does."""
    dates = [stamp for stamp in stamps if isinstance(stamp, datetime)]
    if not dates:
        return np.array(stamps, np.int64), None
    wall = np.array([date.replace(tzinfo=None) for date in dates], "M8[us]")
    if not any(date.tzinfo for date in dates):
        return wall, None
    return wall, np.array([date.utcoffset() or timedelta() for date in dates], "m8[us]")


def infer_step(series: Sequence[Times], expected: Step | None = None) -> Step | None:
    """The most frequent step of some series; None where none has two stamps.

    Args:
        series: stamps of each, rising.
        expected: days, or business days, where stamps from Monday to Friday could be both.
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
    """Whether all stamps lie from Monday to Friday, at one time, and weekends are what is left out between them."""
    times = np.concatenate(series)
    dates = times.astype("M8[D]")
    if not np.is_busday(dates).all() or (times - dates != times[:1] - dates[:1]).any():
        return False
    days = np.concatenate([np.diff(part.astype("M8[D]").astype(np.int64)) for part in series])
    business = np.concatenate([np.diff(Step(1, "business day").positions(part)) for part in series])
    if expected in (Step(1, "business day"), Step(DAY, "microsecond")):
        return expected.unit == "business day" and bool((business == 1).any())
    num_weekends = np.count_nonzero((days == 3) & (business == 1))
    return bool(2 * np.count_nonzero(days == 1) > len(days) and num_weekends > 1)  # one may be left out by chance


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
    duration = step.size * {"month": 31 * DAY, "business day": DAY}.get(step.unit, 1)
    angles = {name: 2 * np.pi * phase for name, (length, phase) in cycles.items() if duration < length}
    waves = [wave(angle) for angle in angles.values() for wave in (np.sin, np.cos)]
    names = [f"{name} {wave}" for name in angles for wave in ("sine", "cosine")]
    return np.array(waves).reshape(-1, len(times)).T, names


def as_text(time: Any) -> str:
    """A stamp without what is 0 of it."""
    return str(time).removesuffix(".000000").removesuffix("T00:00:00")
