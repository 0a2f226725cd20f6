"""Series in `.ts` archives, the text format of the UEA and UCR collections.

Header lines begin with `@`, comments with `#`. After `@data` each line is a series: its channels, separated by colons,
the steps of each separated by commas, and its label last.
"""

import codecs
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.series.segments import Recording, Segment, numbered, to_float32
from recurra.errors import DataError, counted, listed, shortened

MISSING = "?"  # beside NaN


class Header(NamedTuple):
    """The header of an archive."""

    labels: list[str] | None  # None if the series have no labels
    num_channels: int | None  # None if it is not given
    num_steps: int | None  # None if it is not given
    is_equal: bool  # whether all series have the same length
    end: int  # number of lines up to and with @data


def read_archive(path: Path, *, labelled: bool = True) -> list[Recording]:
    """The series of an archive with or without labels, each a recording of one segment; a missing value is NaN.

    Raises:
        DataError: no archive, with timestamps, without labels, or with a damaged or truncated line; the message names
            the line.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    header = read_header(path, lines)
    if labelled and header.labels is None:
        raise DataError(f"{path}: no class labels; expected `@classLabel true` with the labels in its header")
    recordings = []
    for number, line in enumerate(lines[header.end :], header.end + 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        place = f"{path} line {number}"
        values, label = parse_series(text_of(line, place), header, place)
        segment = Segment(label if labelled else None, 0, len(values))
        recordings.append(Recording(values, [segment], place, None, numbered(values.shape[1])))
        header = header._replace(num_channels=values.shape[1], num_steps=len(values) if header.is_equal else None)
    if not recordings:
        raise DataError(f"{path}: no series below @data")
    return recordings


def text_of(line: bytes, place: str) -> str:
    """A line as text without white space around it; raises DataError if it is not UTF-8."""
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise DataError(f"{place}: not UTF-8 text; expected a .ts archive") from None


def read_header(path: Path, lines: list[bytes]) -> Header:
    """The header lines up to `@data`; raises DataError without any, at timestamps, and at numbers as targets."""
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(b"#"):  # comments may have any encoding
            continue
        text = text_of(line, f"{path} line {number}")
        if not text.startswith("@"):
            raise DataError(f"{path} line {number}: expected a header line that begins with @, up to @data")
        key, *value = text.split(maxsplit=1)
        values[key.lower()] = value[0] if value else ""
        if key.lower() == "@data":
            break
    else:
        raise DataError(f"{path}: no @data line; expected a .ts archive of the UEA or UCR kind")
    if is_true(values, "@timestamps"):
        raise DataError(f"{path}: has timestamps; expected values at even steps (`@timeStamps false`). Resample it")
    if "@targetlabel" in values:
        raise DataError(f"{path}: has numbers as targets (@targetLabel); expected classes (@classLabel)")
    is_equal = is_true(values, "@equallength")
    return Header(
        labels=values["@classlabel"].split()[1:] if is_true(values, "@classlabel") else None,
        num_channels=1 if is_true(values, "@univariate") else parse_count(values, "@dimensions", path),
        num_steps=parse_count(values, "@serieslength", path) if is_equal else None,
        is_equal=is_equal,
        end=number,
    )


def is_true(values: dict[str, str], key: str) -> bool:
    """Whether the value of a header line is true."""
    return values.get(key, "").lower().split()[:1] == ["true"]


def parse_count(values: dict[str, str], key: str, path: Path) -> int | None:
    """The number above 0 in a header line, else DataError; None without such a line."""
    if key not in values:
        return None
    if not values[key].isdecimal() or not int(values[key]):
        raise DataError(f"{path}: {key} {shortened(values[key])}: expected a number above 0")
    return int(values[key])


def parse_series(line: str, header: Header, place: str) -> tuple[NDArray[np.float32], str | None]:
    """Values (time, channels) and label of a line; raises DataError where they differ from what the header says."""
    channels = line.split(":")
    label = channels.pop().strip() if header.labels is not None else None
    num_channels = header.num_channels or max(len(channels), 1)
    if len(channels) != num_channels:
        also = " and a label" if header.labels is not None else ""
        raise DataError(
            f"{place}: expected {counted(num_channels, 'channel')}{also}, separated by colons; got {len(channels)}. "
            "Is the line cut short?"
        )
    if header.labels and label not in header.labels:
        raise DataError(f"{place}: label {shortened(label)!r} is not in @classLabel: {listed(header.labels)}")
    columns = [[parse_number(cell, place) for cell in channel.split(",")] for channel in channels]
    steps = [len(column) for column in columns]
    expected = header.num_steps or steps[0]
    for channel, num_steps in enumerate(steps, 1):
        if num_steps != expected:
            raise DataError(
                f"{place}: expected {counted(expected, 'step')}, got {num_steps} in channel {channel}. "
                "Is the line cut short?"
            )
    return to_float32(np.array(columns).T.copy()), label


def parse_number(cell: str, place: str) -> float:
    """A cell as a number, NaN where it is missing; raises DataError at anything else."""
    try:
        return np.nan if cell.strip() == MISSING else float(cell)
    except ValueError:
        what = f"{shortened(cell.strip())!r} is no number"
        raise DataError(f"{place}: {what}; expected numbers and ? for missing ones") from None
