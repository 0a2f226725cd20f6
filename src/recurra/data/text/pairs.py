"""Pairs of source and target text: parallel files, tables, delimited lines."""

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
from recurra.data.text.files import read_lines, read_parallel_lines, read_placed_lines
from recurra.errors import DataError, UsageError, listed, shortened
from recurra.progress import Progress

Column = str | int  # its name, the ending of its file, or its number from 0
Side = Literal["source", "target"]


class Pair(NamedTuple):
    """A source text and its target text."""

    source: str
    target: str
    place: str  # for messages


class PairColumns(NamedTuple):
    """Where source and target stand; None for the first and the second column.

    Of parallel files the endings of both must be named, since these have no order. With a delimiter the lines of any
    file have columns, also those of a .tsv without a header; without one, lines of a file that is no table have columns
    between tabs.
    """

    source: Column | None = None
    target: Column | None = None
    delimiter: str | None = None

    @property
    def are_named(self) -> bool:
        """Whether source or target is named by a column of a table or the ending of a file."""
        return isinstance(self.source, str) or isinstance(self.target, str)


def read_pairs(path: str, sides: PairColumns, progress: Progress, test: str | None = None) -> dict[str, list[Pair]]:
    """Pairs by the split that the names of their files say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: parallel files that differ in their ending, such as `train.de` and
            `train.en`, of which either may be given; a table (CSV, TSV, JSONL, Parquet) with named columns; delimited
            lines; or a folder of such files called train, valid and test.
        sides: where source and target stand.
        progress: gets a note on the columns of a table that were read without being named.
        test: name without ending of the test files of a folder to use, such as `test_2016`; None for all of them.

    Raises:
        DataError: no such file, of another format, or a source without a target; the message names the line.
    """
    place = locate(path)
    files = files_by_split(data_files(place), place, split_of_pairs)
    if test is not None:
        files["test"] = choose_files(files.get("test", []), test, place)
    return {split: list(read_files(found, sides, place, progress)) for split, found in files.items()}


def read_sources(path: str, sides: PairColumns, progress: Progress) -> list[str]:
    """Sources with or without targets; an empty line of a file of lines is an empty text.

    Args:
        path: a table whose only column or column of the source is read; or a file of lines, each a source or delimited
            as pairs are.
        sides: where source and target of pairs stand.
        progress: gets a note on the column of a table that was read without being named.

    Raises:
        DataError: no such file, of another format, or an empty cell; the message names the line.
    """
    place = locate(path)
    if place.is_dir():
        raise DataError(f"{place}: a folder; expected a table or a file of lines")
    if sides.delimiter is not None or not is_table(place):
        return [source_of(line, sides).strip() for line in read_lines(place)]
    table = read_table(place)
    column = table.names[0] if len(table.names) == 1 else column_of(table, sides.source, "source")
    if column != sides.source:
        progress.note(f"{place}: sources are column {column!r}, a name in its header")
    return [require_text(text, "source", where) for text, where in zip(table.text(column), table.places(), strict=True)]


def source_of(line: str, sides: PairColumns) -> str:
    """The source of a line: one of its columns, or the line where it has no columns."""
    cells, number = line.split(sides.delimiter or "\t"), sides.source or 0
    return cells[number] if isinstance(number, int) and len(cells) > max(number, 1) else line


def split_pairs(found: dict[str, list[Pair]], path: str, shares: Shares) -> dict[str, list[Pair]]:
    """The pairs of `complete_splits`; split by a hash of the source where files say no split."""
    by_source = partial(split_by_hash, key_of=lambda pair: pair.source)
    return complete_splits(found, by_source, shares, path, "pairs")


def filter_pairs(
    pairs: Iterable[Pair], lengths: Callable[[str], int], max_length: int | None, ratio: float | None
) -> tuple[list[Pair], dict[str, int]]:
    """Pairs within a maximal length and a maximal ratio of their lengths.

    Args:
        pairs: any.
        lengths: length of a text in the units of `max_length`, such as `len` for characters.
        max_length: of source and target, at least 1; None for any.
        ratio: most times that one text of a pair may be as long as the other, at least 1; None for any.

    Returns:
        the pairs within the limits, in their order; and how many others there were, by reason in words.

    Raises:
        UsageError: max_length or ratio below 1.
    """
    if max_length is not None and max_length < 1:
        raise UsageError(f"max_length: expected at least 1, got {max_length}")
    if ratio is not None and not ratio >= 1:
        raise UsageError(f"ratio: expected at least 1, got {ratio}")
    within, left_out = [], Counter[str]()
    for pair in pairs:
        shorter, longer = sorted((lengths(pair.source), lengths(pair.target)))
        if max_length is not None and longer > max_length:
            left_out[f"longer than {max_length}"] += 1
        elif ratio is not None and longer > shorter and (not shorter or longer / shorter > ratio):
            left_out[f"ratio above {ratio:g}"] += 1
        else:
            within.append(pair)
    return within, dict(left_out)


def split_of_pairs(file: Path) -> str | None:
    """The split that a file's name says; unlike elsewhere its first word may say it, as in `test_2016_flickr.de`.

    Collections of pairs have several test files.
    """
    return split_of(file) or split_of(Path(re.split(r"[.\-_]", file.name)[0]))


def choose_files(files: Sequence[Path], test: str, root: Path) -> list[Path]:
    """The test files of some name; raises DataError where none has it."""
    found = [file for file in files if file.stem == test]
    if not found:
        known = ", ".join(sorted({file.stem for file in files})) or "none beside files called train"
        raise DataError(f"{root}: no test files called {test!r}; it has {known}")
    return found


def read_files(files: Sequence[Path], sides: PairColumns, root: Path, progress: Progress) -> Iterator[Pair]:
    """Pairs of the files of one split."""
    if sides.delimiter is None and not all(is_table(file) for file in files):
        if sides.are_named:
            for source, target in parallel_files(files, sides, root):
                yield from read_parallel(source, target)
            return
        if len({file.with_suffix("") for file in files}) < len(files):
            remedy = "name the endings of source and target, for the direction of the translation"
            raise DataError(f"{root}: parallel files ending in {endings_of(files)}; {remedy}")
    for file in files:
        if sides.delimiter is None and is_table(file):
            yield from read_rows(file, sides, progress)
        else:
            yield from read_columns(file, sides)


def endings_of(files: Iterable[Path]) -> str:
    """Endings of files for messages."""
    return ", ".join(sorted({file.suffix or "nothing" for file in files}))


def parallel_files(files: Iterable[Path], sides: PairColumns, root: Path) -> list[tuple[Path, Path]]:
    """Pairs of a source and a target file; raises DataError without two endings, or files with one of them."""
    source, target, _ = sides
    if not (isinstance(source, str) and isinstance(target, str)):
        raise DataError(f"{root}: source {source!r}, target {target!r}; name the endings of both files")
    refuse_same(source, target, root)
    stems = dict.fromkeys(file.with_suffix("") for file in files if file.suffix[1:] in (source, target))
    if not stems:
        raise DataError(
            f"{root}: expected files ending in .{source} and .{target} (--source, --target), got {endings_of(files)}; "
            "where a line holds source and target, name numbers of columns, counted from 0"
        )
    return [(Path(f"{stem}.{source}"), Path(f"{stem}.{target}")) for stem in stems]


def read_parallel(source: Path, target: Path) -> Iterator[Pair]:
    """Pairs of two files, line by line; lines empty in both are left out, a line empty in one raises DataError."""
    for number, *lines in read_parallel_lines(source, target):
        first, second = (line.strip() for line in lines)
        if first and second:
            yield Pair(first, second, f"{source} line {number}")
        elif first or second:
            empty, other = (target, source) if first else (source, target)
            raise DataError(
                f"{empty} line {number}: empty, but {other} has text there; fill it, or leave the line out of both"
            )


def read_rows(path: Path, sides: PairColumns, progress: Progress) -> Iterator[Pair]:
    """Pairs of the rows of a table."""
    table = read_table(path)
    source, target = column_of(table, sides.source, "source"), column_of(table, sides.target, "target")
    refuse_same(source, target, path)
    if not sides.are_named:
        progress.note(f"{path}: source is column {source!r}, target {target!r}, by the order in its header")
    for first, second, place in zip(table.text(source), table.text(target), table.places(), strict=True):
        yield Pair(require_text(first, "source", place), require_text(second, "target", place), place)


def column_of(table: Table, column: Column | None, side: Side) -> str:
    """Name of the column with the source or the target; raises DataError where there is none, or several could be."""
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


def read_columns(path: Path, sides: PairColumns) -> Iterator[Pair]:
    """Pairs of delimited lines; other columns and empty lines are skipped.

    Raises:
        DataError: a line with too few columns or an empty one; the message names the line.
        UsageError: an empty delimiter.
    """
    source, target = 0 if sides.source is None else sides.source, 1 if sides.target is None else sides.target
    if isinstance(source, str) or isinstance(target, str) or min(source, target) < 0:
        raise DataError(f"{path}: source {source!r}, target {target!r}; expected numbers of columns, counted from 0")
    refuse_same(source, target, path)
    delimiter = "\t" if sides.delimiter is None else sides.delimiter
    if not delimiter:
        raise UsageError("delimiter: expected at least one character between source and target, got none")
    for place, line in read_placed_lines(path):
        cells = line.split(delimiter)
        if len(cells) <= max(source, target):
            raise DataError(
                f"{place}: expected at least {max(source, target) + 1} columns with {delimiter!r} between them, got "
                f"{shortened(line)!r}; name another delimiter, or the endings of source and target if each has "
                "its own file"
            )
        yield Pair(require_text(cells[source], "source", place), require_text(cells[target], "target", place), place)


def require_text(text: str | None, side: Side, place: str) -> str:
    """A source or target without white space around it; raises DataError if it is empty."""
    stripped = (text or "").strip()
    if not stripped:
        raise DataError(f"{place}: no {side}; fill it, or leave it out")
    return stripped


def refuse_same(source: Column, target: Column, place: Path) -> None:
    """Refuse one column or ending for both source and target."""
    if source == target:
        raise DataError(f"{place}: {source!r} would be both source and target; name both")
