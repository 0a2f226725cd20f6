"""Plain text, read in pieces so that it may be larger than memory: a file, a folder, or a byte range of either."""

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

PIECE = 1 << 20  # bytes read at a time
LONGEST_LINE = 1 << 24  # bytes after which a line is cut at a space
LONGEST_TEXT = 10_000_000  # characters that an example may have: tokens take a hundred times the memory


@dataclass(frozen=True)
class Text:
    """UTF-8 text: the files one after the other, from byte `start` to byte `stop` of the whole."""

    files: tuple[Path, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.files[0]) if len(self.files) == 1 else str(self.files[0].parent)

    @classmethod
    def of(cls, files: list[Path]) -> "Text":
        """The whole of some files."""
        return cls(tuple(files), 0, sum(file.stat().st_size for file in files))

    def spans(self) -> Iterator[tuple[Path, int, int]]:
        """Each file that holds a part, with the first and last byte of it."""
        offset = 0
        for file in self.files:
            size = file.stat().st_size
            first, last = max(self.start - offset, 0), min(self.stop - offset, size)
            if first < last:
                yield file, first, last
            offset += size

    def pieces(self, advance: Advance = ignore) -> Iterator[str]:
        """The text in pieces of about a megabyte that end where a line does.

        Args:
            advance: told the bytes read so far.

        Raises:
            DataError: not UTF-8, or binary; the message names the file and the byte.
        """
        for path, first, last in self.spans():
            with opened(path) as file:
                file.seek(first)
                while file.tell() < last:
                    offset = file.tell()
                    yield decode(read_lines(file, last), path, offset)
                    advance(file.tell() - offset)

    def digest(self) -> str:
        """SHA-256 of the bytes and of where each file ends: no word goes on into the next."""
        digest = hashlib.sha256()
        for path, first, last in self.spans():
            digest.update(f"{first == 0} {last - first};".encode())  # only a file's own beginning has a byte-order mark
            with opened(path) as file:
                file.seek(first)
                while file.tell() < last:
                    digest.update(file.read(min(PIECE, last - file.tell())))
        return digest.hexdigest()

    def cut(self, position: int) -> int:
        """Byte `position` if a line begins there, else the end of the line it lies in: a split breaks no line.

        In a line without end it is after the next space, or where the next character begins.
        """
        if position <= self.start:
            return self.start
        for path, first, last in Text(self.files, position - 1, self.stop).spans():
            with opened(path) as file:
                file.seek(first)
                line = file.readline(min(PIECE, last - first))
            ends_file = len(line) == last - first and position - 1 + len(line) < self.stop
            if line.endswith(b"\n") or ends_file:
                return position - 1 + len(line)
            space = line.find(b" ")
            next_character = next((i for i, byte in enumerate(line[1:]) if byte & 0xC0 != 0x80), len(line) - 1)
            return position + (space if space >= 0 else next_character)
        return self.stop

    def split(self, fractions: tuple[float, ...]) -> list["Text"]:
        """Consecutive parts of the given shares of the bytes, cut at line ends."""
        ends = [end for _, end in consecutive(fractions[:-1])]
        cuts = [self.start, *(self.cut(self.start + int(self.size * end)) for end in ends), self.stop]
        return [Text(self.files, first, last) for first, last in itertools.pairwise(cuts)]


def opened(path: Path) -> BinaryIO:
    """A text file to read.

    Raises:
        DataError: it may not be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def read_lines(file: BinaryIO, last: int) -> bytes:
    """About a megabyte, to the end of a line; a line beyond all bounds is cut at a space, or between characters."""
    piece = file.read(min(PIECE, last - file.tell()))
    piece += file.readline(min(LONGEST_LINE, last - file.tell()))
    if piece.endswith(b"\n") or file.tell() == last:
        return piece
    last_character = next((i for i in range(1, 5) if piece[-i] & 0xC0 != 0x80), 1)  # else not UTF-8, as decoding finds
    keep = piece.rfind(b" ") + 1 or len(piece) - last_character
    file.seek(keep - len(piece), 1)
    return piece[:keep]


def decode(piece: bytes, path: Path, offset: int) -> str:
    """Text of some bytes; line ends become newlines, a byte-order mark goes.

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
    """The line of a file that a byte lies in."""
    with opened(path) as file:
        return 1 + sum(file.read(min(PIECE, position - start)).count(b"\n") for start in range(0, position, PIECE))


def lines_of(path: Path) -> list[str]:
    """Lines of a text file, without their ends.

    Raises:
        DataError: no such file, not UTF-8, or a line that is too long for an example; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    lines = "".join(Text.of([path]).pieces()).split("\n")  # no other line end: those of Unicode may stand in a text
    refuse_too_long(lines, lambda index: f"{path} line {index + 1}")
    return lines if lines[-1] else lines[:-1]


def lines_beside(path: Path, other: Path) -> Iterator[tuple[int, str, str]]:
    """Lines of two files that belong together: their number, from 1, and one of each.

    Raises:
        DataError: as `lines_of`, or files of unequal length.
    """
    lines, others = lines_of(path), lines_of(other)
    if len(lines) != len(others):
        raise DataError(f"{path}: {counted(len(lines), 'line')}, but {other} has {len(others):,}; they belong together")
    yield from zip(itertools.count(1), lines, others, strict=False)


def refuse_too_long(texts: Iterable[str | None], place_of: Callable[[int], str]) -> None:
    """Refuse a text that is too long for an example.

    Args:
        texts: any; None is no text.
        place_of: what messages call the one of an index.

    Raises:
        DataError: there is one.
    """
    for index, text in enumerate(texts):
        if text is not None and len(text) > LONGEST_TEXT:
            raise DataError(
                f"{place_of(index)}: {len(text):,} characters, expected at most {LONGEST_TEXT:,} for an example; "
                "cut it into shorter ones, or leave it out"
            )


def find_text(name: str) -> dict[str, Text]:
    """Text by split, from a file, a folder, or the name of a data set.

    A folder whose files are called train, valid (val, dev) and test, as in `ptb.train.txt`, or are in folders called
    so, gives those splits and nothing else; the files of any other folder are one text, in the order of their names.

    Returns:
        "train" and where given "valid" and "test", or "all" for text that is not split.

    Raises:
        DataError: nothing there, or nothing in it.
    """
    path = locate(name)
    if path.is_file():
        return {"all": whole([path])}
    return {split: whole(files) for split, files in files_by_split(folder_files(path), path).items()}


def whole_of(name: str) -> Text:
    """All the text of a file, a folder or a data set, whatever its files are called.

    Raises:
        DataError: nothing there, or nothing in it.
    """
    path = locate(name)
    return whole([path] if path.is_file() else folder_files(path))


def whole(files: list[Path]) -> Text:
    """The text of some files.

    Raises:
        DataError: all of them are empty.
    """
    text = Text.of(files)
    if not text.size:
        raise DataError(f"{text.name}: empty; expected plain UTF-8 text")
    return text
