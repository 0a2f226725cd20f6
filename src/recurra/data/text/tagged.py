"""Tagged sentences, with a tag for every token: columns, CoNLL-U, parallel files, JSON lines."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from recurra.config import Shares
from recurra.data.catalogue import locate
from recurra.data.splits import complete_splits, find_files, split_by_hash
from recurra.data.text.files import read_lines, read_parallel_lines, read_placed_lines
from recurra.data.text.vocabulary import replace_surrogates
from recurra.errors import DataError, counted, listed, shortened

INPUT, OUTPUT = "seq.in", "seq.out"  # parallel files of texts and tags
JSON_LINES = (".jsonl", ".ndjson")
COLUMNS = ".conll"
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
NEW_DOCUMENT = "-DOCSTART-"  # begins lines of the CoNLL 2003 corpus that are no tokens

Column = str | int  # its name, or its number: 0 for the first, -1 for the last
Row = tuple[int, list[str]]  # number of the line, and its cells


class TaggedSentence(NamedTuple):
    """A sentence with its tags."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]  # one for each token
    place: str  # for messages


class TokenColumns(NamedTuple):
    """Columns of token and tag.

    By default the first and the last of plain columns, form and upos of CoNLL-U, tokens and tags of JSON lines.
    """

    token: Column | None = None
    tag: Column | None = None

    def with_defaults(self, token: Column, tag: Column) -> tuple[Column, Column]:
        """Columns of token and tag, with these for the ones that are None."""
        return token if self.token is None else self.token, tag if self.tag is None else self.tag


def read_tagged(path: str, columns: TokenColumns) -> dict[str, list[TaggedSentence]]:
    """Tagged sentences by the split that the names of their files say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: lines of a token each, with columns between tabs or spaces and a blank
            line between sentences; CoNLL-U (.conllu); JSON lines (.jsonl) with a list of tokens and one of tags;
            `seq.in` beside `seq.out`; or a folder of these, in files or folders called train, valid and test.
        columns: of token and tag.

    Raises:
        DataError: no such file, or of another format; the message names the line.
    """
    return {split: read_files(files, columns) for split, files in find_files(locate(path)).items()}


def read_tokens(path: str, columns: TokenColumns, tags: Collection[str]) -> list[tuple[str, ...]]:
    """Tokens of sentences with or without tags.

    Args:
        path: a file: CoNLL-U, JSON lines with a list of tokens, columns, or lines of a sentence each, split at spaces,
            where an empty line is a sentence without tokens. A file of columns is called .conll, or has known tags in
            most lines.
        columns: of token and tag in training; those that the file lacks are replaced by the default.
        tags: known tags.

    Raises:
        DataError: no such file, or of another format; the message names the line.
    """
    place = locate(path)
    if place.is_dir():
        raise DataError(f"{place}: a folder; expected a file of sentences")
    if place.suffix.lower() == ".conllu":
        name = columns.token if columns.token in CONLLU else None
        return [sentence.tokens for sentence in read_conllu(place, TokenColumns(name))]
    if place.suffix.lower() in JSON_LINES:
        rows, name = read_placed_lines(place), str(columns.token)
        key = name if rows and json.dumps(name) in rows[0][1] else "tokens"
        return [tuple(lists_of(line, [key], where)[0]) for where, line in rows]
    lines = read_lines(place)
    if place.suffix.lower() == COLUMNS or are_tagged(lines, columns, tags):
        return [sentence.tokens for sentence in read_untagged_columns(place, columns)]
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            raise DataError(
                f"{place} line {number}: a tab; expected a sentence a line, with spaces between its tokens; where a "
                f"line is a token, let the file's name end in {COLUMNS}"
            )
    return [tuple(split_at_spaces(line)) for line in lines]


def are_tagged(lines: Iterable[str], columns: TokenColumns, tags: Collection[str]) -> bool:
    """Whether lines are two or more rows of equally many columns, at least half of them with a known tag."""
    rows = [cells_of(line) for line in lines if line.strip() and not line.startswith(NEW_DOCUMENT)]
    _, tag = columns.with_defaults(0, -1)
    width = len(rows[0]) if len(rows) > 1 else 0
    if not (isinstance(tag, int) and width > 1 and -width <= tag < width):
        return False
    if any(len(cells) != width for cells in rows):
        return False
    return 2 * sum(cells[tag].strip() in tags for cells in rows) >= len(rows)


def split_tagged(found: dict[str, list[TaggedSentence]], path: str, shares: Shares) -> dict[str, list[TaggedSentence]]:
    """The sentences of `complete_splits`; split by a hash of the tokens where files say no split."""
    by_tokens = partial(split_by_hash, key_of=lambda sentence: " ".join(sentence.tokens))
    return complete_splits(found, by_tokens, shares, path, "sentences")


def read_files(files: Sequence[Path], columns: TokenColumns) -> list[TaggedSentence]:
    """Sentences of the files of one split."""
    beside = [file for file in files if file.name == INPUT]
    return [sentence for file in beside or files for sentence in read_file(file, columns)]


def read_file(path: Path, columns: TokenColumns) -> list[TaggedSentence]:
    """Sentences of a file of any format; those without tokens are left out."""
    if path.name == INPUT:
        return list(read_parallel(path))
    if path.suffix.lower() in JSON_LINES:
        return list(read_json_lines(path, columns))
    return list(read_conllu(path, columns) if path.suffix.lower() == ".conllu" else read_columns(path, columns))


def read_columns(path: Path, columns: TokenColumns) -> Iterator[TaggedSentence]:
    """Sentences of a file of columns without names."""
    for rows in blocks_of_columns(path):
        token, tag = positions(columns.with_defaults(0, -1), len(rows[0][1]), path)
        yield sentence_of(path, rows, token, tag)


def read_untagged_columns(path: Path, columns: TokenColumns) -> Iterator[TaggedSentence]:
    """Tokens of a file of columns: the column of training, or the first if the file has fewer."""
    for rows in blocks_of_columns(path):
        width = len(rows[0][1])
        token = columns.token if isinstance(columns.token, int) and -width <= columns.token < width else 0
        yield sentence_of(path, rows, token, token)


def blocks_of_columns(path: Path) -> Iterator[list[Row]]:
    """Rows of each sentence; raises DataError at a line with another number of columns than the first."""
    width = 0
    for block in blocks(path):
        rows = [(number, cells_of(line)) for number, line in block if not line.startswith(NEW_DOCUMENT)]
        width = width or (len(rows[0][1]) if rows else 0)
        for number, cells in rows:
            if len(cells) != width:
                raise DataError(
                    f"{path} line {number}: {counted(len(cells), 'column')}, where the first has {width}; expected a "
                    "token on each line, equally many columns, and a blank line between sentences"
                )
        if rows:
            yield rows


def read_conllu(path: Path, columns: TokenColumns) -> Iterator[TaggedSentence]:
    """Sentences of CoNLL-U, as sequences of syntactic words."""
    token, tag = positions(columns.with_defaults("form", "upos"), len(CONLLU), path, CONLLU)
    for block in blocks(path):
        rows = [(number, line.split("\t")) for number, line in block if not line.startswith("#")]
        for number, cells in rows:
            if len(cells) != len(CONLLU):
                raise DataError(
                    f"{path} line {number}: {counted(len(cells), 'column')}; expected the {len(CONLLU)} of CoNLL-U, "
                    "separated by tabs"
                )
        # 3-4 is the written form of words 3 and 4; 5.1 is an empty node of the enhanced dependencies
        words = [(number, cells) for number, cells in rows if not set("-.") & set(cells[0])]
        if words:
            yield sentence_of(path, words, token, tag)


def read_parallel(path: Path) -> Iterator[TaggedSentence]:
    """Sentences of a file of texts and the file of tags beside it, both split at spaces."""
    for number, text, tags in read_parallel_lines(path, path.parent / OUTPUT):
        yield from tagged_sentence(split_at_spaces(text), split_at_spaces(tags), f"{path} line {number}")


def read_json_lines(path: Path, columns: TokenColumns) -> Iterator[TaggedSentence]:
    """Sentences of JSON objects, one a line, that hold a list of tokens and one of tags."""
    names = columns.with_defaults("tokens", "tags")
    for place, line in read_placed_lines(path):
        tokens, tags = lists_of(line, names, place)
        if not (tokens or tags):
            raise DataError(f"{place}: no tokens; fill it, or leave the line out")
        yield from tagged_sentence(tokens, tags, place)


def lists_of(line: str, names: Sequence[Column], place: str) -> list[list[str]]:
    """Lists of texts of a JSON object by their names; raises DataError where it is none or lacks one."""
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON ({error}); expected an object a line") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected a JSON object, got {shortened(line)!r}")
    for name in names:
        if name not in row:
            raise DataError(
                f"{place}: no {name!r}; it has {listed(row)}. Name the right ones with --token-column and --tag-column"
            )
        if not isinstance(row[name], list) or not all(isinstance(item, str) for item in row[name]):
            raise DataError(f"{place}: {name!r} is no list of texts")
    # JSON may hold lone surrogates, which cannot be encoded when the run is written.
    return [[replace_surrogates(item) for item in row[name]] for name in names]


def tagged_sentence(tokens: Sequence[str], tags: Sequence[str], place: str) -> Iterator[TaggedSentence]:
    """The sentence of some tokens and equally many tags, none of them empty, else DataError; nothing without tokens."""
    if len(tokens) != len(tags):
        raise DataError(
            f"{place}: {counted(len(tokens), 'token')}, but {counted(len(tags), 'tag')}; expected a tag for every token"
        )
    if not all(text.strip() for text in (*tokens, *tags)):
        raise DataError(f"{place}: an empty token or tag; give it a text, or leave both out")
    if tokens:
        yield TaggedSentence(tuple(tokens), tuple(tags), place)


def sentence_of(path: Path, rows: Sequence[Row], token: int, tag: int) -> TaggedSentence:
    """The sentence of some rows, given the columns of token and tag; raises DataError at an empty one."""
    for number, cells in rows:
        if not (cells[token].strip() and cells[tag].strip()):
            raise DataError(f"{path} line {number}: an empty token or tag; expected both in every line")
    tokens, tags = (tuple(cells[at].strip() for _, cells in rows) for at in (token, tag))
    return TaggedSentence(tokens, tags, f"{path} line {rows[0][0]}")


def positions(columns: tuple[Column, Column], width: int, path: Path, names: Sequence[str] = ()) -> tuple[int, int]:
    """Indices of the columns of token and tag; raises DataError for an absent column, or one for both."""
    found = []
    for column, option in zip(columns, ("--token-column", "--tag-column"), strict=True):
        if isinstance(column, int) and -width <= column < width:
            found.append(column % width)
        elif column in names:
            found.append(names.index(str(column)))
        else:
            known = ", ".join(names) or f"numbers 0 to {width - 1}, and -1 for the last"
            raise DataError(f"{path}: no column {column!r} ({option}); it has {known}")
    if found[0] == found[1]:
        raise DataError(
            f"{path}: column {found[0]} would be both token and tag of its {counted(width, 'column')}; set "
            "--token-column and --tag-column"
        )
    return found[0], found[1]


def blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Lines with their numbers, in blocks between blank lines."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*read_lines(path), ""], 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []


def cells_of(line: str) -> list[str]:
    """Cells of a line: between tabs if it has any, else between spaces."""
    return line.split("\t") if "\t" in line else split_at_spaces(line)


def split_at_spaces(line: str) -> list[str]:
    """Tokens of a line between spaces; a no-break space is part of a token."""
    return [part for part in line.split(" ") if part]
