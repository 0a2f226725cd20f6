"""The data set dates: days as people write them, each with its ISO form."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from itertools import islice

NUM_DATES = (8_000, 1_000, 2_000)  # of each split
FIRST_DAY, NUM_DAYS = date(1960, 1, 1), 36_525  # a century
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
FORMS: tuple[Callable[[date], str], ...] = (
    lambda day: f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{MONTHS[day.month - 1][:3].lower()} {day.day} {day.year}",
    lambda day: f"{day.day} {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"{WEEKDAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{WEEKDAYS[day.weekday()][:3].lower()} {day.day} {MONTHS[day.month - 1][:3].lower()} {day.year}",
    lambda day: f"the {ordinal(day.day)} of {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"{day.month}/{day.day}/{day.year}",
    lambda day: f"{day.day}.{day.month}.{day.year}",
    lambda day: f"{day.day:02}.{day.month:02}.{day.year % 100:02}",
    lambda day: f"{day.year} {MONTHS[day.month - 1].upper()} {day.day:02}",
)


def dates() -> list[str]:
    """Lines of a written date, a tab and its ISO form, for training, validation and test.

    Dates are from 1960 to 2059, so that two digits of a year are unambiguous. Each occurs once.
    """
    number = random.Random(1).random
    days = list(range(NUM_DAYS))
    for at in range(sum(NUM_DATES)):  # the first part of a Fisher-Yates shuffle
        other = at + int(number() * (NUM_DAYS - at))
        days[at], days[other] = days[other], days[at]
    lines = []
    for number_of_day in days[: sum(NUM_DATES)]:
        day = FIRST_DAY + timedelta(number_of_day)
        lines.append(f"{FORMS[int(number() * len(FORMS))](day)}\t{day.isoformat()}\n")
    found = iter(lines)
    return ["".join(islice(found, size)) for size in NUM_DATES]


def ordinal(number: int) -> str:
    """An ordinal number: 1st, 2nd, 11th, 23rd."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number // 10 == 1 else ending}"
