"""Files that a command is given, one by one or as folders."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from recurra.cli.output import groups
from recurra.errors import DataError, RecurraError

Item = TypeVar("Item")


def files_of(places: Iterable[str], endings: Sequence[str]) -> list[str]:
    """The files that arguments name, a folder standing for those in it, in the order of their names.

    Args:
        places: files and folders; what is no folder is left as it is.
        endings: that files of a folder have, in lower case.

    Raises:
        DataError: a folder without such files.
    """
    found: list[str] = []
    for place in places:
        if not Path(place).is_dir():
            found.append(place)
            continue
        inside = sorted(file for file in Path(place).iterdir() if file.is_file() and file.suffix.lower() in endings)
        if not inside:
            raise DataError(f"{place}: a folder without files ending in {', '.join(endings)}; give files, or another")
        found += map(str, inside)
    return found


def stand_behind_names(places: Sequence[str], files: Sequence[str]) -> bool:
    """Whether each answer stands behind the name of its file: where there is more than one, or a folder."""
    return len(places) > 1 or files != places


def groups_until_failure(items: Iterable[Item], at_once: int) -> Iterator[list[Item]]:
    """So many items at a time; where one cannot be read, those before it come first, then its error."""
    failures: list[RecurraError] = []

    def readable_ones() -> Iterator[Item]:
        try:
            yield from items
        except RecurraError as error:
            failures.append(error)

    yield from groups(readable_ones(), at_once)
    for failure in failures:
        raise failure
