"""Labelled texts: tables, one file or folder for each class, lines of label and text, parallel files."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

from recurra.config import Shares
from recurra.data.catalogue import locate
from recurra.data.splits import complete_splits, find_files, split_by_hash
from recurra.data.tables import is_table, read_table
from recurra.data.text.files import read_lines, read_parallel_lines, read_placed_lines, refuse_too_long
from recurra.errors import DataError, counted, shortened

INPUT, LABEL = "seq.in", "label"  # parallel files of texts and labels


class LabelledText(NamedTuple):
    """A text and its label."""

    content: str
    label: str
    place: str  # for messages
    channels: tuple[()] = ()  # texts have no measured channels,
    before: None = None  # and no order in time, in which a label came before

    @property
    def is_whole(self) -> bool:
        """Whether neither text nor label is empty."""
        return bool(self.content and self.label)


class TextColumns(NamedTuple):
    """Names of the columns of a table."""

    text: str
    label: str


def read_labelled_texts(path: str, columns: TextColumns) -> dict[str, list[LabelledText]]:
    """Labelled texts by the split that the names of their files say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: a table (CSV, TSV, JSONL, Parquet) with named columns; lines of a label, a
            tab and a text; a folder of such files called train, valid and test; a folder with `seq.in` beside `label`;
            one file for each class, with an example on each line; or one folder for each class, with an example in each
            file.
        columns: of a table.

    Raises:
        DataError: no such file, folder or data set, or of another format.
    """
    place = locate(path)
    return {split: read_files(files, columns, place) for split, files in find_files(place).items()}


def read_texts(path: str, column: str, labels: Collection[str] = ()) -> list[str]:
    """Texts with or without labels: a column of a table, or the lines of any other file, with empty ones.

    Args:
        path: a file.
        column: of a table.
        labels: known labels. If all lines have a tab, at least half of them after one of these, the text is after it.

    Raises:
        DataError: no such file, or of another format.
    """
    place = locate(path)
    if place.is_dir():
        raise DataError(f"{place}: a folder; expected a table or a file of lines")
    if not is_table(place):
        lines = read_lines(place)
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
    """The texts of `complete_splits`; split by a hash of the text where files say no split."""
    by_text = partial(split_by_hash, key_of=lambda text: text.content)
    return complete_splits(found, by_text, shares, path, "examples")


def read_files(files: list[Path], columns: TextColumns, root: Path) -> list[LabelledText]:
    """Examples of the files of one split."""
    if any(file.name == INPUT for file in files):
        return [one for file in files if file.name == INPUT for one in read_parallel(file)]
    if all(is_table(file) for file in files):
        return [one for file in files for one in read_rows(file, columns)]
    folders = {file.parent for file in files}
    if len(files) == 1:
        return read_file(files[0], columns)
    if len(folders) > 1 and len(files) > len(folders):
        texts = [LabelledText(" ".join(read_lines(file)), file.parent.name, str(file)) for file in files]
        refuse_too_long((text.content for text in texts), lambda index: texts[index].place)
        return texts
    names = {file: file.stem for file in files}
    if len(set(names.values())) < len(files):  # as of rt-polarity.pos and rt-polarity.neg
        names = {file: file.suffix[1:] for file in files}
    if len(set(names.values())) < len(files):
        raise DataError(
            f"{root}: the names of its files are no classes; expected one file or folder for each class, or tables"
        )
    return [LabelledText(line.strip(), names[file], place) for file in files for place, line in read_placed_lines(file)]


def read_file(path: Path, columns: TextColumns) -> list[LabelledText]:
    """Examples of a table, or of lines of a label, a tab and a text."""
    if is_table(path):
        return read_rows(path, columns)
    examples = []
    for place, line in read_placed_lines(path):
        label, tab, text = line.partition("\t")
        if not tab:
            raise DataError(
                f"{place}: expected a label, a tab and a text, got {shortened(line)!r}; or name it .csv, .tsv, .jsonl "
                "or .parquet if it is a table"
            )
        examples.append(LabelledText(text.strip(), label.strip(), place))
    return examples


def read_rows(path: Path, columns: TextColumns) -> list[LabelledText]:
    """Examples of the rows of a table."""
    table = read_table(path)
    table.require([columns.text, columns.label], "text and label (--text-column, --label-column)")
    texts, labels = table.text(columns.text), table.text(columns.label)
    return [
        LabelledText((text or "").strip(), (label or "").strip(), place)
        for text, label, place in zip(texts, labels, table.places(), strict=True)
    ]


def read_parallel(path: Path) -> list[LabelledText]:
    """Examples of a file of texts and the file of labels beside it."""
    together = read_parallel_lines(path, path.parent / LABEL)
    return [LabelledText(text.strip(), label.strip(), f"{path} line {number}") for number, text, label in together]
