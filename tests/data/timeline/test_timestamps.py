"""Steps between stamps against the calendar of Python."""

import calendar
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.timeline.timestamps import Step, infer_step


@given(first=st.integers(0, 2400), size=st.integers(1, 30), day=st.integers(1, 31), num_steps=st.integers(2, 30))
def test_months_are_regular_and_go_on(first: int, size: int, day: int, num_steps: int) -> None:
    """Against the calendar of Python; a short month has its last day, and what always is the last day stays so."""

    def length(moment: datetime) -> int:
        return calendar.monthrange(moment.year, moment.month)[1]

    def stamp(number: int) -> datetime:
        year, month = divmod(first + size * number, 12)
        start = datetime(1900 + year, month + 1, 1, 7, 30)
        return start.replace(day=min(day, length(start)))

    seen = [stamp(number) for number in range(num_steps)]
    if all(moment.day == length(moment) for moment in seen):
        day = 31
    step = infer_step([np.array(seen, "M8[us]")])
    assert step == Step(size, "month", day)
    after = step.after(np.datetime64(seen[-1], "us"), np.arange(1, 6))
    assert after.tolist() == [stamp(number) for number in range(num_steps, num_steps + 5)]


def test_equal_days_that_are_no_months() -> None:
    """Two stamps on one day of a month are hours, and the step of several series is found together."""
    hours = np.array(["2000-01-05T00", "2000-01-05T01"], "M8[us]")
    assert infer_step([hours]) == Step(3_600_000_000, "microsecond")
    month = np.array(["2000-01-05", "2000-02-05"], "M8[us]")
    assert infer_step([month, month + 1]) == Step(31 * 86_400_000_000, "microsecond")
    holed = np.array(["2000-01-05", "2000-03-05"], "M8[us]")
    assert infer_step([holed, month, month]) == Step(1, "month", 5)


BUSINESS = Step(1, "business day")
DAILY = Step(86_400_000_000, "microsecond")


@given(first=st.integers(-9000, 30_000), num_steps=st.integers(11, 40))
def test_business_days_are_regular_and_go_on(first: int, num_steps: int) -> None:
    """Against the calendar of Python, before 1970 too."""
    day, days = date(1970, 1, 1) + timedelta(first), list[datetime]()
    while len(days) < num_steps + 6:
        if day.weekday() < 5:
            days.append(datetime(day.year, day.month, day.day, 16, 30))
        day += timedelta(1)
    seen = np.array(days[:num_steps], "M8[us]")
    step = infer_step([seen])
    assert (step, str(step)) == (BUSINESS, "1 business day")
    assert np.diff(BUSINESS.positions(seen)).tolist() == [1] * (num_steps - 1)
    assert BUSINESS.after(seen[-1], np.arange(1, 7)).tolist() == days[num_steps:]


def test_what_are_no_business_days() -> None:
    def days(*offsets: int) -> list[np.ndarray]:
        return [np.datetime64("2024-01-01", "us") + np.array(offsets) * np.timedelta64(1, "D")]  # a Monday

    two_weeks = [day for day in range(15) if day % 7 < 5]
    assert infer_step(days(*two_weeks)) == BUSINESS
    assert infer_step(days(*two_weeks[:-1])) == DAILY  # one weekend may be chance
    assert infer_step(days(*two_weeks[:-1]), BUSINESS) == BUSINESS  # unless more is known
    assert infer_step(days(*two_weeks), DAILY) == DAILY
    assert infer_step(days(*range(15))) == DAILY
    assert infer_step(days(*range(15)), BUSINESS) == DAILY
    assert infer_step(days(0, 1, 2, 3, 4, 14, 15, 16, 17, 18, 28)) == DAILY  # what is left out are weeks
    assert infer_step(days(4, 7, 11, 14, 18, 21)) == Step(3 * DAILY.size, "microsecond")  # Mondays and Fridays
    holidays = [day for day in range(50) if day % 7 < 5 and day not in (9, 24)]
    assert infer_step(days(*holidays)) == BUSINESS
    (hours,) = days(*two_weeks)
    hours[3] += np.timedelta64(1, "h")
    assert infer_step([hours]) == DAILY
    assert infer_step([*days(*two_weeks), *days(5, 6)]) == DAILY


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (Step(3_600_000_000, "microsecond"), 24),
        (Step(900_000_000, "microsecond"), 96),
        (Step(86_400_000_000, "microsecond"), 7),
        (Step(7 * 86_400_000_000, "microsecond"), 52),
        (Step(31 * 86_400_000_000, "microsecond"), 1),
        (Step(7_000_000, "microsecond"), 1),
        (BUSINESS, 5),
        (Step(1, "month"), 12),
        (Step(3, "month", 31), 4),
        (Step(12, "month"), 1),
        (Step(5, "month"), 1),
        (Step(4, "integer"), 1),
    ],
)
def test_the_season_is_the_shortest_usual_cycle(step: Step, season: int) -> None:
    assert step.season == season
