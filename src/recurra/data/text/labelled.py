"""Labelled texts: tables, a file a class, a folder a class, lines of label and text, texts beside their labels."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

from recurra.config import Shares
from recurra.data.catalogue import locate
from recurra.data.splits import complete_splits, find_files, split_by_hash
from recurra.data.tables import is_table, read_table
from recurra.data.text.files import lines_beside, lines_of, refuse_too_long
from recurra.errors import DataError, counted, shortened

INPUT, LABEL = "seq.in", "label"  # files of texts and of their labels, line by line


class LabelledText(NamedTuple):
    """A text, its label and its place for messages."""

    content: str
    label: str
    place: str

    @property
    def channels(self) -> tuple[()]:
        """Nothing was measured."""
        return ()

    @property
    def before(self) -> None:
        """Texts follow on nothing."""

    @property
    def is_whole(self) -> bool:
        """Whether it has both."""
        return bool(self.content and self.label)


class Columns(NamedTuple):
    """What a table calls the text and the label."""

    text: str
    label: str


def read_labelled_texts(path: str, columns: Columns) -> dict[str, list[LabelledText]]:
    """Labelled texts under the split that the names of their files say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: a table (CSV, TSV, JSONL, Parquet) with named columns; lines of a label, a
            tab and a text; a folder of such files called train, valid and test; a folder of `seq.in` beside `label`; or
            one file a class (a line an example), or one folder a class (a file an example).
        columns: of a table.

    Raises:
        DataError: nothing there, or nothing that can be read so.
    """
    return read_splits(locate(path), columns)


def read_texts(path: str, column: str, labels: Collection[str] = ()) -> list[str]:
    """Texts alone: the cells of a column of a table, or the lines of any other file, of which empty ones count.

    Args:
        path: a file.
        column: of a table.
        labels: where all lines have a tab, and at least half of them one of these before it, they are a label, the tab
            and a text.

    Raises:
        DataError: nothing there, or nothing that can be read so.
    """
    place = locate(path)
    if place.is_dir():
        raise DataError(f"{place}: a folder; expected a table or a file of lines")
    if not is_table(place):
        lines = lines_of(place)
        parts = [line.partition("\t") for line in lines if line.strip()]
        if all(tab for _, tab, _ in parts) and 2 * sum(label.strip() in labels for label, _, _ in parts) >= len(parts):
            lines = [line.partition("\t")[2] for line in lines]
        return [line.strip() for line in lines]
    table = read_table(place)
    table.require([column], "the text (--text-column)")
    texts = table.text(column)
    empty = [row for row, text in enumerate(texts) if not (text or "").strip()]
    if empty:
        such = counted(len(empty), "such row")
        raise DataError(f"{table.place(empty[0])}: no text ({such}); fill it, or leave the row out")
    return [text.strip() for text in texts if text]


def split_texts(found: dict[str, list[LabelledText]], path: str, shares: Shares) -> dict[str, list[LabelledText]]:
    """Training, validation and maybe test texts; by a hash of the text what the files do not say.

    Raises:
        DataError: a split without examples.
    """
    by_text = partial(split_by_hash, key_of=lambda text: text.content)
    return complete_splits(found, by_text, shares, path, "examples")


def read_splits(place: Path, columns: Columns) -> dict[str, list[LabelledText]]:
    """Examples under the split that the names of the files say, "all" where they say none."""
    if place.is_file():
        return {"all": read_file(place, columns)}
    return {split: read_files(files, columns, place) for split, files in find_files(place).items()}


def read_files(files: list[Path], columns: Columns, root: Path) -> list[LabelledText]:
    """Examples of the files of one split."""
    if any(file.name == INPUT for file in files):
        return [one for file in files if file.name == INPUT for one in side_by_side(file)]
    if all(is_table(file) for file in files):
        return [one for file in files for one in read_rows(file, columns)]
    folders = {file.parent for file in files}
    if len(files) == 1:
        return read_file(files[0], columns)
    if len(folders) > 1 and len(files) > len(folders):
        texts = [LabelledText(" ".join(lines_of(file)), file.parent.name, str(file)) for file in files]
        refuse_too_long((text.content for text in texts), lambda index: texts[index].place)
        return texts
    names = {file: file.stem for file in files}
    if len(set(names.values())) < len(files):  # as of rt-polarity.pos and rt-polarity.neg
        names = {file: file.suffix[1:] for file in files}
    if len(set(names.values())) < len(files):
        raise DataError(
            f"{root}: the names of its files say no classes; expected one file or folder a class, or tables"
        )
    return [one for file in files for one in one_class(file, names[file])]


def read_file(path: Path, columns: Columns) -> list[LabelledText]:
    """Examples of a table, or of lines of a label, a tab and a text."""
    if is_table(path):
        return read_rows(path, columns)
    examples = []
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        if not tab:
            raise DataError(
                f"{path} line {number}: expected a label, a tab and a text, got {shortened(line)!r}; or name it .csv, "
                ".tsv, .jsonl or .parquet if it is a table"
            )
        examples.append(LabelledText(text.strip(), label.strip(), f"{path} line {number}"))
    return examples


def read_rows(path: Path, columns: Columns) -> list[LabelledText]:
    """Examples of a table."""
    table = read_table(path)
    table.require([columns.text, columns.label], "text and label (--text-column, --label-column)")
    pairs = zip(table.text(columns.text), table.text(columns.label), strict=True)
    places = table.places()
    return [
        LabelledText((text or "").strip(), (label or "").strip(), place)
        for (text, label), place in zip(pairs, places, strict=True)
    ]


def side_by_side(path: Path) -> list[LabelledText]:
    """Examples of a file of texts and the file of labels beside it.

    Raises:
        DataError: files of unequal length.
    """
    together = lines_beside(path, path.parent / LABEL)
    return [LabelledText(text.strip(), label.strip(), f"{path} line {number}") for number, text, label in together]


def one_class(path: Path, label: str) -> list[LabelledText]:
    """Examples of a file whose lines all have one label."""
    return [
        LabelledText(line.strip(), label, f"{path} line {number}")
        for number, line in enumerate(lines_of(path), 1)
        if line.strip()
    ]
