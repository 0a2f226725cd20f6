"""Sentence pairs, a source and its target: files side by side, tables, lines of columns."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from recurra.config import Shares
from recurra.data.catalogue import locate
from recurra.data.splits import complete_splits, data_files, files_by_split, split_by_hash, split_of
from recurra.data.tables import Table, is_table, read_table
from recurra.data.text.files import lines_beside, lines_of
from recurra.errors import DataError, UsageError, listed, shortened
from recurra.progress import Progress

Column = str | int  # its name or the ending of its file, or its number: 0 is the first
Side = Literal["source", "target"]


class Pair(NamedTuple):
    """What is given, what is to be answered, and the place of both for messages."""

    source: str
    target: str
    place: str


class Sides(NamedTuple):
    """Where source and target stand; None for the first and the second column.

    Files side by side have no order: there the endings of both must be named. A separator makes columns of the lines of
    any file, also of a .tsv without a header; without one, those of a file that is no table are separated by tabs.
    """

    source: Column | None = None
    target: Column | None = None
    separator: str | None = None

    @property
    def are_named(self) -> bool:
        """Whether one has a name: of a table's column, or the ending of a file."""
        return isinstance(self.source, str) or isinstance(self.target, str)


def read_pairs(path: str, sides: Sides, progress: Progress, test: str | None = None) -> dict[str, list[Pair]]:
    """Sentence pairs under the split that the names of their files say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: files side by side that differ in their ending, such as `train.de` and
            `train.en`, of which either may be given; a table (CSV, TSV, JSONL, Parquet) with named columns; lines of
            columns; or a folder of such files called train, valid and test.
        sides: where source and target stand.
        progress: told which columns of a table were taken, where nobody named them.
        test: the test files of a folder to use, without their ending, such as `test_2016`; None for all of them.

    Raises:
        DataError: nothing there, nothing that can be read so, or a side without its other; the message names the line.
    """
    place = locate(path)
    files = files_by_split(data_files(place), place, split_of_pairs)
    if test is not None:
        files["test"] = chosen(files.get("test", []), test, place)
    return {split: list(read_files(found, sides, place, progress)) for split, found in files.items()}


def read_sources(path: str, sides: Sides, progress: Progress) -> list[str]:
    """Sources, whether their targets stand beside them or not; an empty line of a file of lines is an empty text.

    Args:
        path: a table, of whose columns the only one or that of the source counts; or lines, which are sources or, where
            they have columns, hold them there.
        sides: where source and target stand in pairs.
        progress: told which column of a table was taken, where nobody named it.

    Raises:
        DataError: nothing there, nothing that can be read so, or an empty cell; the message names it.
    """
    place = locate(path)
    if place.is_dir():
        raise DataError(f"{place}: a folder; expected a table or a file of lines")
    if sides.separator is not None or not is_table(place):
        return [source_of(line, sides).strip() for line in lines_of(place)]
    table = read_table(place)
    column = table.names[0] if len(table.names) == 1 else column_of(table, sides.source, "source")
    if column != sides.source:
        progress.note(f"{place}: sources are column {column!r}, a name in its header")
    return [filled(text, "source", where) for text, where in zip(table.text(column), table.places(), strict=True)]


def source_of(line: str, sides: Sides) -> str:
    """The source of a line: a column of it, or all of it where it has no columns."""
    cells, number = line.split(sides.separator or "\t"), sides.source or 0
    return cells[number] if isinstance(number, int) and len(cells) > max(number, 1) else line


def split_pairs(found: dict[str, list[Pair]], path: str, shares: Shares) -> dict[str, list[Pair]]:
    """Training, validation and maybe test pairs; by a hash of the source what the files do not say.

    Raises:
        DataError: a split without pairs.
    """
    by_source = partial(split_by_hash, key_of=lambda pair: pair.source)
    return complete_splits(found, by_source, shares, path, "pairs")


def kept(
    pairs: Iterable[Pair], lengths: Callable[[str], int], longest: int | None, ratio: float | None
) -> tuple[list[Pair], dict[str, int]]:
    """Pairs that are not too long and whose two sides are about equally long.

    Args:
        pairs: any.
        lengths: of a side, in the units of `longest`, such as `len` for characters.
        longest: units that a side may have, at least 1; None for any number.
        ratio: times that the longer side may be as long as the shorter, at least 1; None for any.

    Returns:
        the pairs kept, in their order; and how many were left out, by the first reason that there is, in words.

    Raises:
        UsageError: longest or ratio below 1.
    """
    if longest is not None and longest < 1:
        raise UsageError(f"longest: expected at least 1, got {longest}")
    if ratio is not None and not ratio >= 1:
        raise UsageError(f"ratio: expected at least 1, got {ratio}")
    within, left_out = [], Counter[str]()
    for pair in pairs:
        shorter, longer = sorted((lengths(pair.source), lengths(pair.target)))
        if longest is not None and longer > longest:
            left_out[f"longer than {longest}"] += 1
        elif ratio is not None and longer > shorter and (not shorter or longer / shorter > ratio):
            left_out[f"ratio above {ratio:g}"] += 1
        else:
            within.append(pair)
    return within, dict(left_out)


def split_of_pairs(file: Path) -> str | None:
    """As of any file; besides, `test_2016_flickr.de` is a test file: collections of pairs have several."""
    return split_of(file) or split_of(Path(re.split(r"[.\-_]", file.name)[0]))


def chosen(files: Sequence[Path], test: str, root: Path) -> list[Path]:
    """Those of the test files that are called so."""
    found = [file for file in files if file.stem == test]
    if not found:
        known = ", ".join(sorted({file.stem for file in files})) or "none beside files called train"
        raise DataError(f"{root}: no test files called {test!r}; it has {known}")
    return found


def read_files(files: Sequence[Path], sides: Sides, root: Path, progress: Progress) -> Iterator[Pair]:
    """Pairs of the files of one split."""
    if sides.separator is None and not all(is_table(file) for file in files):
        if sides.are_named:
            for source, target in files_side_by_side(files, sides, root):
                yield from side_by_side(source, target)
            return
        if len({file.with_suffix("") for file in files}) < len(files):
            raise DataError(
                f"{root}: files side by side, ending in {endings_of(files)}; name the endings of source and target: "
                "the direction matters"
            )
    for file in files:
        if sides.separator is None and is_table(file):
            yield from read_rows(file, sides, progress)
        else:
            yield from read_lines(file, sides)


def endings_of(files: Iterable[Path]) -> str:
    """Their endings for messages."""
    return ", ".join(sorted({file.suffix or "nothing" for file in files}))


def files_side_by_side(files: Iterable[Path], sides: Sides, root: Path) -> list[tuple[Path, Path]]:
    """A source and a target file for each of the files that has the ending of either.

    Raises:
        DataError: no such file, or not two endings.
    """
    source, target, _ = sides
    if not (isinstance(source, str) and isinstance(target, str)):
        raise DataError(f"{root}: source {source!r}, target {target!r}; name the endings of both files")
    refuse_same(source, target, root)
    stems = dict.fromkeys(file.with_suffix("") for file in files if file.suffix[1:] in (source, target))
    if not stems:
        raise DataError(
            f"{root}: expected files ending in .{source} and .{target} (--source, --target), got {endings_of(files)}; "
            "where a line holds both sides, they are numbers of columns, counted from 0"
        )
    return [(Path(f"{stem}.{source}"), Path(f"{stem}.{target}")) for stem in stems]


def side_by_side(source: Path, target: Path) -> Iterator[Pair]:
    """Pairs of two files, line by line; lines that are empty in both are left out.

    Raises:
        DataError: files of unequal length, or a line that is empty in one.
    """
    for number, *lines in lines_beside(source, target):
        asked, answered = (line.strip() for line in lines)
        if asked and answered:
            yield Pair(asked, answered, f"{source} line {number}")
        elif asked or answered:
            empty, other = (target, source) if asked else (source, target)
            raise DataError(
                f"{empty} line {number}: empty, but {other} has text there; fill it, or leave the line out of both"
            )


def read_rows(path: Path, sides: Sides, progress: Progress) -> Iterator[Pair]:
    """Pairs of a table."""
    table = read_table(path)
    source, target = column_of(table, sides.source, "source"), column_of(table, sides.target, "target")
    refuse_same(source, target, path)
    if not sides.are_named:
        progress.note(f"{path}: from column {source!r} to {target!r}, the names in its header")
    for asked, answered, place in zip(table.text(source), table.text(target), table.places(), strict=True):
        yield Pair(filled(asked, "source", place), filled(answered, "target", place), place)


def column_of(table: Table, column: Column | None, side: Side) -> str:
    """Name of the column of a table that holds a side."""
    names = table.names
    if column is None and len(names) > 2:
        raise DataError(f"{table.path}: which column is the {side}? It has {listed(names)}; name one with --{side}")
    if column is None:
        column = int(side == "target")
    if isinstance(column, str):
        table.require([column], f"the {side} (--{side})")
        return column
    if not 0 <= column < len(names):
        raise DataError(f"{table.path}: no column {column} for the {side}; it has {listed(names)}, counted from 0")
    return names[column]


def read_lines(path: Path, sides: Sides) -> Iterator[Pair]:
    """Pairs of lines of columns; those beside source and target say nothing, nor do empty lines."""
    source, target = 0 if sides.source is None else sides.source, 1 if sides.target is None else sides.target
    if isinstance(source, str) or isinstance(target, str) or min(source, target) < 0:
        raise DataError(f"{path}: source {source!r}, target {target!r}; expected numbers of columns, counted from 0")
    refuse_same(source, target, path)
    separator = "\t" if sides.separator is None else sides.separator
    if not separator:
        raise UsageError("separator: expected what stands between source and target, got nothing")
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        place, cells = f"{path} line {number}", line.split(separator)
        if len(cells) <= max(source, target):
            raise DataError(
                f"{place}: expected at least {max(source, target) + 1} columns with {separator!r} between them, got "
                f"{shortened(line)!r}; name another separator, or the endings of source and target if each has "
                "its own file"
            )
        yield Pair(filled(cells[source], "source", place), filled(cells[target], "target", place), place)


def filled(text: str | None, side: Side, place: str) -> str:
    """A side without the spaces around it, if there is one."""
    stripped = (text or "").strip()
    if not stripped:
        raise DataError(f"{place}: no {side}; fill it, or leave it out")
    return stripped


def refuse_same(source: Column, target: Column, place: Path) -> None:
    """Refuse one column or file for both sides."""
    if source == target:
        raise DataError(f"{place}: {source!r} would be both source and target; name both")
