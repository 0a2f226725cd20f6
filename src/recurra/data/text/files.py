"""Text files: texts larger than memory in pieces, and lines with their numbers."""

import codecs
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from recurra.data.catalogue import locate
from recurra.data.splits import consecutive, files_by_split, folder_files
from recurra.errors import DataError, counted
from recurra.progress import Advance, ignore

PIECE_BYTES = 1 << 20  # bytes read at a time
MAX_LINE_BYTES = 1 << 24  # bytes after which a line is cut at a space
MAX_CHARACTERS = 10_000_000  # of an example; its tokens take a hundred times the memory


@dataclass(frozen=True)
class Text:
    """UTF-8 text: bytes `start` to `stop` of some files that follow each other."""

    files: tuple[Path, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    @property
    def name(self) -> str:
        """The file, or the folder of several files, for messages."""
        return str(self.files[0]) if len(self.files) == 1 else str(self.files[0].parent)

    @classmethod
    def of(cls, files: list[Path]) -> "Text":
        """All the text of some files."""
        return cls(tuple(files), 0, sum(file.stat().st_size for file in files))

    def spans(self) -> Iterator[tuple[Path, int, int]]:
        """Each file with a part of the text: its path, and the first byte and the end of that part."""
        offset = 0
        for file in self.files:
            size = file.stat().st_size
            first, last = max(self.start - offset, 0), min(self.stop - offset, size)
            if first < last:
                yield file, first, last
            offset += size

    def pieces(self, advance: Advance = ignore) -> Iterator[str]:
        """The text in pieces of about a megabyte that end where a line does; `advance` gets the bytes of each.

        Raises:
            DataError: not UTF-8, or binary; the message names file and byte.
        """
        for path, first, last in self.spans():
            with open_file(path) as file:
                file.seek(first)
                while file.tell() < last:
                    offset = file.tell()
                    yield decode_text(read_piece(file, last), path, offset)
                    advance(file.tell() - offset)

    def digest(self) -> str:
        """SHA-256 of the bytes and of the sizes of the files, since a word ends where a file does."""
        digest = hashlib.sha256()
        for path, first, last in self.spans():
            digest.update(f"{first == 0} {last - first};".encode())  # only a file's own beginning has a byte-order mark
            with open_file(path) as file:
                file.seek(first)
                while file.tell() < last:
                    digest.update(file.read(min(PIECE_BYTES, last - file.tell())))
        return digest.hexdigest()

    def cut(self, position: int) -> int:
        """The begin of a line at or after a byte, so that a split breaks no line.

        In a line of more than `PIECE_BYTES` it is the byte after the next space, or else the next character.
        """
        if position <= self.start:
            return self.start
        for path, first, last in Text(self.files, position - 1, self.stop).spans():
            with open_file(path) as file:
                file.seek(first)
                line = file.readline(min(PIECE_BYTES, last - first))
            ends_file = len(line) == last - first and position - 1 + len(line) < self.stop
            if line.endswith(b"\n") or ends_file:
                return position - 1 + len(line)
            space = line.find(b" ")
            next_character = next((i for i, byte in enumerate(line[1:]) if byte & 0xC0 != 0x80), len(line) - 1)
            return position + (space if space >= 0 else next_character)
        return self.stop

    def split(self, fractions: tuple[float, ...]) -> list["Text"]:
        """Consecutive parts of some shares of the bytes, cut at line ends; the shares add up to 1."""
        ends = [end for _, end in consecutive(fractions[:-1])]
        cuts = [self.start, *(self.cut(self.start + int(self.size * end)) for end in ends), self.stop]
        return [Text(self.files, first, last) for first, last in itertools.pairwise(cuts)]


def open_file(path: Path) -> BinaryIO:
    """A text file opened for reading; raises DataError if it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def read_piece(file: BinaryIO, last: int) -> bytes:
    """About a megabyte, at most to byte `last`; it ends with a line, a longer one is cut at a space or a character."""
    piece = file.read(min(PIECE_BYTES, last - file.tell()))
    piece += file.readline(min(MAX_LINE_BYTES, last - file.tell()))
    if piece.endswith(b"\n") or file.tell() == last:
        return piece
    begins = (i for i in range(1, 5) if piece[-i] & 0xC0 != 0x80)  # none if not UTF-8: decoding reports that
    keep = piece.rfind(b" ") + 1 or len(piece) - next(begins, 1)
    file.seek(keep - len(piece), 1)
    return piece[:keep]


def decode_text(piece: bytes, path: Path, offset: int) -> str:
    """Text of the bytes of a file from an offset on, with newlines as line ends and without a byte-order mark.

    Raises:
        DataError: not UTF-8 (the message names line and byte), a NUL byte, or UTF-16.
    """
    if offset == 0 and piece.startswith(codecs.BOM_UTF8):
        offset = len(codecs.BOM_UTF8)
        piece = piece[offset:]
    if offset == 0 and piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: UTF-16 text; convert it first: iconv -f UTF-16 -t UTF-8 {path} > NEW")
    if 0 in piece:
        raise DataError(f"{path}: a binary file: byte {offset + piece.index(0)} is 0; expected plain text")
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} line {line_at(path, offset + error.start)}: not UTF-8 text: byte {offset + error.start} "
            f"(0x{piece[error.start]:02x}) is not part of a character; convert text of an older encoding, such as "
            f"Latin 1: iconv -f LATIN1 -t UTF-8 {path} > NEW"
        ) from None
    return text.replace("\r\n", "\n") if "\r" in text else text


def line_at(path: Path, position: int) -> int:
    """The number of the line that a byte lies in, from 1."""
    with open_file(path) as file:
        return 1 + sum(
            file.read(min(PIECE_BYTES, position - start)).count(b"\n") for start in range(0, position, PIECE_BYTES)
        )


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without their ends.

    Raises:
        DataError: no such file, not UTF-8, or a line that is too long for an example; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    lines = "".join(Text.of([path]).pieces()).split("\n")  # not splitlines: texts may hold other line ends of Unicode
    refuse_too_long(lines, lambda index: f"{path} line {index + 1}")
    return lines if lines[-1] else lines[:-1]


def read_placed_lines(path: Path) -> list[tuple[str, str]]:
    """The place, for messages, and the text of each line that is not blank; errors as of `read_lines`."""
    return [(f"{path} line {number}", line) for number, line in enumerate(read_lines(path), 1) if line.strip()]


def read_parallel_lines(path: Path, other: Path) -> Iterator[tuple[int, str, str]]:
    """Number, from 1, and lines of two files side by side; raises DataError where one file is longer."""
    lines, others = read_lines(path), read_lines(other)
    if len(lines) != len(others):
        raise DataError(f"{path}: {counted(len(lines), 'line')}, but {other} has {len(others):,}; they belong together")
    yield from zip(itertools.count(1), lines, others, strict=False)


def refuse_too_long(texts: Iterable[str | None], place_of: Callable[[int], str]) -> None:
    """Refuse texts of more than `MAX_CHARACTERS`; `place_of` returns the place of the text with some index."""
    for index, text in enumerate(texts):
        if text is not None and len(text) > MAX_CHARACTERS:
            raise DataError(
                f"{place_of(index)}: {len(text):,} characters, expected at most {MAX_CHARACTERS:,} for an example; "
                "cut it into shorter ones, or leave it out"
            )


def find_text(name: str) -> dict[str, Text]:
    """Text by split, from a file, a folder, or the name of a data set.

    Where names of files or folders say train, valid (val, dev) and test, as in `ptb.train.txt`, other files are left
    out. Otherwise all files of a folder are one text, in the order of their names.

    Returns:
        "train" and where given "valid" and "test", or "all" for text that is not split.

    Raises:
        DataError: no such file, folder or data set, or nothing in it.
    """
    path = locate(name)
    return {split: text_of(files) for split, files in files_by_split(files_of(path), path).items()}


def whole_text(name: str) -> Text:
    """All the text of a file, a folder or a data set, whatever the names of its files; errors as of `find_text`."""
    return text_of(files_of(locate(name)))


def files_of(place: Path) -> list[Path]:
    """The file itself, or all files of a folder."""
    return folder_files(place) if place.is_dir() else [place]


def text_of(files: list[Path]) -> Text:
    """The text of some files; raises DataError if all of them are empty."""
    text = Text.of(files)
    if not text.size:
        raise DataError(f"{text.name}: empty; expected plain UTF-8 text")
    return text
