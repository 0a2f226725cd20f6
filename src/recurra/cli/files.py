"""Files that a command is given, one by one or as folders."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

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


def groups_until_failure(items: Iterable[Item], at_once: int) -> Iterator[list[Item]]:
    """So many items at a time; where one cannot be read, those before it come first, then its error."""
    several: list[Item] = []
    failure = None
    try:
        for item in items:
            several.append(item)
            if len(several) == at_once:
                yield several
                several = []
    except RecurraError as error:
        failure = error
    if several:
        yield several
    if failure:
        raise failure
