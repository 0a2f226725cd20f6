"""Data sets that are made on this machine, of what Python carries or of arithmetic: nothing is downloaded."""

import platform
import random
import sysconfig
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import accumulate, cycle, islice
from pathlib import Path
from typing import NamedTuple

from recurra.data.builtin.python_code import tagged_lines
from recurra.data.splits import SPLITS
from recurra.errors import DataError
from recurra.runs import write_atomically

PYTHON = platform.python_version()


class BuiltinDataSet(NamedTuple):
    """A data set to be made."""

    files: tuple[str, ...]  # a file, or those of a folder; the path says what their content depends on
    make: Callable[[], list[str]]  # the content of each

    def place(self, folder: Path) -> Path:
        """The file, or the folder, below that of the data set."""
        first = folder / self.files[0]
        return first if len(self.files) == 1 else first.parent


def make_builtin(name: str, folder: Path) -> Path:
    """Path of a data set, which is made where it is not there yet.

    Args:
        name: one of BUILTIN.
        folder: where what belongs to the data set lies.

    Raises:
        DataError: this Python lacks what it is made of.
        SaveError: it cannot be written.
    """
    data_set = BUILTIN[name]
    paths = [folder / file for file in data_set.files]
    if not all(path.exists() for path in paths):
        for path, content in zip(paths, data_set.make(), strict=True):
            write_atomically(path, content.encode())
    return data_set.place(folder)


# --- python-docs ---------------------------------------------------------------------------------------------------


def python_docs() -> list[str]:
    """The English text of Python's own documentation, which every CPython carries.

    Its topics share whole sections; a paragraph that stood before is left out, so that no test text was trained on.
    """
    from pydoc_data.topics import topics

    paragraphs = (paragraph for name in sorted(topics) for paragraph in topics[name].strip().split("\n\n"))
    unique = dict.fromkeys(paragraph.strip("\n") for paragraph in paragraphs)
    return ["\n\n".join(unique) + "\n"]


# --- python-code ---------------------------------------------------------------------------------------------------

# A split has modules of its own: names of the test were often never seen in training, as in anybody's code.
MODULES = (
    "argparse calendar configparser difflib doctest ftplib http/client imaplib inspect mailbox optparse pdb pickle "
    "shutil tarfile turtle",
    "smtplib threading uuid",
    "ipaddress plistlib subprocess",
)
MIN_TOKENS, MAX_TOKENS = 3, 60  # of a line


def python_code() -> list[str]:
    """Lines of the standard library, each token with its role; each line once, in the first split that has it.

    Raises:
        DataError: a split would be empty, since the sources of its modules are not installed.
    """
    library = Path(sysconfig.get_path("stdlib"))
    seen: set[tuple[str, ...]] = set()
    contents = []
    for modules in MODULES:
        paths = {name: library / f"{name}.py" for name in modules.split()}
        found = {name.replace("/", "."): path for name, path in paths.items() if path.is_file()}
        sources = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
        if not sources:
            raise DataError(
                f"{library}: none of the modules {', '.join(paths)} is there as source; install Python's standard "
                "library with its .py files"
            )
        blocks = []
        for line in (line for lines in tagged_lines(sources).values() for line in lines):
            key = tuple(token for token, _ in line)
            if MIN_TOKENS <= len(line) <= MAX_TOKENS and key not in seen:
                seen.add(key)
                blocks.append("".join(f"{token}\t{role}\n" for token, role in line))
        contents.append("\n".join(blocks))
    return contents


# --- brackets ------------------------------------------------------------------------------------------------------

NUM_STRINGS = (8000, 1000, 2000)
MIN_LENGTH, MAX_LENGTH = 6, 60  # characters
LETTERS = "abcd"
MIN_PAIRS = 2
BRACKETS_SEED = 1


def brackets() -> list[str]:
    """Lines of label and string for training, validation and test."""
    strings = bracket_strings(MIN_LENGTH, MAX_LENGTH, BRACKETS_SEED)
    return ["".join(f"{label}\t{text}\n" for label, text in islice(strings, count)) for count in NUM_STRINGS]


def bracket_strings(shortest: int, longest: int, seed: int) -> Iterator[tuple[str, str]]:
    """Labels and strings without end, in turn balanced and broken, none twice.

    Counting says nothing about them: there is a closing bracket for each opening one, but in those that are broken
    one comes too early.

    Args:
        shortest: characters, at least 4.
        longest: characters, so many that the strings do not run out.
        seed: same seed, same strings.
    """
    number = random.Random(seed).random  # of it alone Python promises the same sequence for all time

    def below(limit: int) -> int:
        return int(number() * limit)

    seen: set[str] = set()
    for label in cycle(("balanced", "broken")):
        text = ""
        while not text or text in seen:
            text = balanced(shortest + below(longest - shortest + 1), below)
            text = broken(text, below) if label == "broken" else text
        seen.add(text)
        yield label, text


def balanced(length: int, below: Callable[[int], int]) -> str:
    """A balanced string; for a number of pairs, all orders of the brackets are equally likely.

    Args:
        length: characters, at least 4.
        below: a random number from 0 to below another.

    Source: Arnold & Sleep 1980, Uniform random generation of balanced parenthesis strings.
    """
    left = 2 * (MIN_PAIRS + below(length // 2 - MIN_PAIRS + 1))  # brackets to come
    depth, text = 0, ""
    for position in range(length):
        if below(length - position) >= left:
            text += LETTERS[below(len(LETTERS))]
            continue
        opens = below(2 * left * (depth + 1)) < (depth + 2) * (left - depth)
        text += "(" if opens else ")"
        depth += 1 if opens else -1
        left -= 1
    return text


def broken(text: str, below: Callable[[int], int]) -> str:
    """A balanced string with two of its brackets exchanged so that somewhere more are closed than were opened."""
    opening, closing = ([at for at, symbol in enumerate(text) if symbol == kind] for kind in "()")
    while True:
        first, second = opening[below(len(opening))], closing[below(len(closing))]
        symbols = list(text)
        symbols[first], symbols[second] = ")", "("
        if min(accumulate((symbol == "(") - (symbol == ")") for symbol in symbols)) < 0:
            return "".join(symbols)


# --- mackey-glass --------------------------------------------------------------------------------------------------

NUM_POINTS = 4000
DELAY, FEED, DECAY = 17, 0.2, 0.1  # tau, beta and gamma; the exponent is 10
STEPS = 10  # of integration in a unit of time
START = 1.2  # at time 0 and ever before


def mackey_glass() -> list[str]:
    """The series as a table of hours."""
    begin = datetime(2000, 1, 1)
    rows = (
        f"{(begin + timedelta(hours=hour)).isoformat()},{value:.6f}\n"
        for hour, value in enumerate(mackey_glass_series(NUM_POINTS))
    )
    return ["time,x\n" + "".join(rows)]


def mackey_glass_series(num_points: int) -> list[float]:
    """x(0), x(1), ... of x'(t) = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), which is chaotic.

    Runge-Kutta of fourth order in steps of 0.1. Half a step after a delayed value lies between two known ones; it is
    interpolated from four by a cubic. Only sums, products and quotients, so that every machine finds the same digits.

    Source: Mackey & Glass 1977, Oscillation and chaos in physiological control systems, Science 197.
    """
    lag, step = DELAY * STEPS, 1 / STEPS
    values = [START] * (lag + 2)  # the last is that of now
    for _ in range((num_points - 1) * STEPS):
        before, one, other, after = values[-lag - 2 : -lag + 2]  # of t - tau are `one`, and a step later `other`
        fed = [feed(one), feed((9 * (one + other) - (before + after)) / 16), feed(other)]
        now = values[-1]
        first = fed[0] - DECAY * now
        second = fed[1] - DECAY * (now + step / 2 * first)
        third = fed[1] - DECAY * (now + step / 2 * second)
        fourth = fed[2] - DECAY * (now + step * third)
        values.append(now + step / 6 * (first + 2 * second + 2 * third + fourth))
    return values[lag + 1 :: STEPS]


def feed(delayed: float) -> float:
    """What a delayed value adds to the slope."""
    square = delayed * delayed
    fourth = square * square
    return FEED * delayed / (1 + fourth * fourth * square)


# --- dates ---------------------------------------------------------------------------------------------------------

NUM_DATES = (8_000, 1_000, 2_000)  # of each split; each date stands once
FIRST_DAY, NUM_DAYS = date(1960, 1, 1), 36_525  # a century
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
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
    """Days as people write them, a tab, and the ISO form: 1960 to 2059, two digits for a year of that century."""
    number = random.Random(1).random
    days = list(range(NUM_DAYS))
    for at in range(sum(NUM_DATES)):  # the first of a shuffle
        other = at + int(number() * (NUM_DAYS - at))
        days[at], days[other] = days[other], days[at]
    lines = []
    for number_of_day in days[: sum(NUM_DATES)]:
        day = FIRST_DAY + timedelta(number_of_day)
        lines.append(f"{FORMS[int(number() * len(FORMS))](day)}\t{day.isoformat()}\n")
    found = iter(lines)
    return ["".join(islice(found, size)) for size in NUM_DATES]


def ordinal(number: int) -> str:
    """A number as a place in an order: 1st, 2nd, 23rd, 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number // 10 == 1 else ending}"


# The number counts editions: another content has another path, so that no old one is taken for it.
BUILTIN = {
    "python-docs": BuiltinDataSet((f"topics-{PYTHON}.txt",), python_docs),
    "python-code": BuiltinDataSet(tuple(f"1-{PYTHON}/{split}.txt" for split in SPLITS), python_code),
    "brackets": BuiltinDataSet(tuple(f"1/{split}.txt" for split in SPLITS), brackets),
    "dates": BuiltinDataSet(tuple(f"1/{split}.txt" for split in SPLITS), dates),
    "mackey-glass": BuiltinDataSet(("1/mackey-glass.csv",), mackey_glass),
}
