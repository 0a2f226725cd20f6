"""Tables of files, each with a text: images with captions, recordings with transcripts."""

import contextlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from recurra.data.splits import folder_files, parse_split
from recurra.data.tables import read_table
from recurra.errors import DataError, shortened

SPLIT = "split"  # column that may name the split


class FileColumns(NamedTuple):
    """Names of the columns of a table."""

    file: str
    text: str
    purpose: str  # what these two are for, for messages
    optional: tuple[str, ...] = ()  # further columns, which may be absent


class ListedFile(NamedTuple):
    """A row of a table."""

    file: Path  # an existing file
    text: str
    optional: tuple[str | None, ...]  # cells of the optional columns
    split: str  # "all" where neither cell nor table says one
    place: str  # for messages


def list_files(tables: Iterable[tuple[str, Path]], place: Path, columns: FileColumns) -> Iterator[ListedFile]:
    """The rows of tables.

    Args:
        tables: each with its split, which a column `split` overrides.
        place: a folder, or a table in it; files that are not where a table says are looked for below it.
        columns: of every table.

    Raises:
        DataError: no such columns, an empty cell, no such file, or no such split; the message names the line.
    """
    below = FileFinder(place if place.is_dir() else place.parent)
    for table_split, path in tables:
        table = read_table(path)
        table.require([columns.file, columns.text], columns.purpose)
        names = [columns.file, columns.text, SPLIT, *columns.optional]
        cells = [table.text(name) if name in table.names else [None] * len(table) for name in names]
        for file, text, split, *optional, where in zip(*cells, table.places(), strict=True):
            if file is None or text is None:
                empty = columns.file if file is None else columns.text
                raise DataError(f"{where}: no {empty}; fill it, or leave the row out")
            own_split = parse_split(split or "", where) if SPLIT in table.names else table_split
            found = below.find(Path(file.strip()), path, where)
            yield ListedFile(found, text.strip(), tuple(optional), own_split, where)


class FileFinder:
    """Finds the files that tables name, beside a table or else anywhere below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def by_name(self) -> dict[str, list[Path]]:
        """All files below the folder, by name."""
        found: dict[str, list[Path]] = {}
        for file in folder_files(self.folder):
            found.setdefault(file.name, []).append(file)
        return found

    def find(self, name: Path, table: Path, place: str) -> Path:
        """The absolute path of a file, however a table writes it; raises DataError where there is none, or several."""
        beside = table.parent / name
        with contextlib.suppress(OSError):  # a name that is too long for a file
            if beside.exists():
                return beside.resolve()
        ends = len(name.parts)
        below = [file for file in self.by_name.get(name.name, []) if file.parts[-ends:] == name.parts]
        if len(below) == 1:
            return below[0].resolve()
        if below:
            raise DataError(f"{place}: file {name} may be {below[0]} or {below[1]}; write more of its path")
        there = f"no file {shortened(beside, 200)}, nor any {shortened(name, 200)} below {self.folder}"
        raise DataError(f"{place}: {there}; expected paths from the table")
