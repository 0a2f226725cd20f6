"""Text in pieces: no byte lost, none doubled, and every bad one named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.splits import split_of
from recurra.data.text import files as module
from recurra.data.text.files import Text, find_text, whole_text
from recurra.errors import DataError

LINES = "".join(f"line {n}: naïve — {'é' * (n % 7)} 🙂\n" for n in range(300))


def written(folder: Path, content: str | bytes, name: str = "text.txt") -> Text:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Text.of([path])


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 64)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 128)


# --- pieces ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_small_pieces")
def test_pieces_are_the_whole_and_end_where_lines_do(tmp_path: Path) -> None:
    text = written(tmp_path, LINES)
    told: list[float] = []
    pieces = list(text.pieces(lambda amount, detail="": told.append(amount)))  # noqa: ARG005
    assert "".join(pieces) == LINES
    assert len(pieces) > 10
    assert all(piece.endswith("\n") for piece in pieces)
    assert sum(told) == text.size


@pytest.mark.usefixtures("_small_pieces")
def test_a_line_beyond_all_bounds_is_cut_at_a_space(tmp_path: Path) -> None:
    line = " ".join(f"wörd{n}" for n in range(200))
    pieces = list(written(tmp_path, line).pieces())
    assert "".join(pieces) == line
    assert len(pieces) > 3
    assert all(piece.endswith(" ") for piece in pieces[:-1])


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("lead", range(4))
def test_a_line_without_a_space_is_cut_between_characters(tmp_path: Path, lead: int) -> None:
    line = "x" * lead + "🙂" * 500
    pieces = list(written(tmp_path, line).pieces())
    assert "".join(pieces) == line
    assert len(pieces) > 3


@pytest.mark.usefixtures("_small_pieces")
@given(lines=st.lists(st.text("a é🙂\r\n", max_size=40), max_size=20))
def test_any_text_comes_back_with_its_line_ends_made_newlines(tmp_path_factory, lines: list[str]) -> None:  # type: ignore[no-untyped-def]
    content = "".join(lines) + "."
    text = written(tmp_path_factory.mktemp("any"), content)
    assert "".join(text.pieces()) == content.replace("\r\n", "\n")


def test_line_ends_of_windows_become_newlines_and_others_stay(tmp_path: Path) -> None:
    assert "".join(written(tmp_path, b"one\r\ntwo\r\n\r\nth\rree").pieces()) == "one\ntwo\n\nth\rree"


def test_a_byte_order_mark_goes_but_only_at_the_beginning(tmp_path: Path) -> None:
    assert "".join(written(tmp_path, "\ufeffone\n\ufefftwo\n").pieces()) == "one\n\ufefftwo\n"
    files = [*written(tmp_path, "\ufeffa\n", "a").files, *written(tmp_path, "\ufeffb\n", "b").files]
    assert "".join(Text.of(files).pieces()) == "a\nb\n"


# --- bad bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
@pytest.mark.parametrize("before", [0, 5, 64, 1000])
def test_a_bad_byte_is_named_by_its_place_in_the_file(tmp_path: Path, before: int, mark: bytes) -> None:
    start = mark + b"good line\n" * (before // 10) + b"x" * (before % 10)
    line = before // 10 + 1
    text = written(tmp_path, start + b"\xe9t\xe9\n" + b"good line\n" * 20)
    with pytest.raises(DataError, match=rf"text\.txt line {line}: not UTF-8 text: byte {len(start)} \(0xe9\) .*iconv"):
        list(text.pieces())


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_a_zero_byte_makes_it_binary(tmp_path: Path, mark: bytes) -> None:
    text = written(tmp_path, mark + "naïve".encode() + b"\0rest")
    with pytest.raises(DataError, match=rf"a binary file: byte {len(mark) + 6} is 0; expected plain text"):
        list(text.pieces())


@pytest.mark.parametrize(
    "content",
    [b"\x80" * 5000, b"\xff\xfea\x00b\x00", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x99" * 900, b"\x00" * 900],
    ids=["tails", "utf16", "cut", "surrogate", "cut often", "zeros"],
)
@pytest.mark.usefixtures("_small_pieces")
def test_what_is_no_text_is_refused_by_every_way_in(tmp_path: Path, content: bytes) -> None:
    text = written(tmp_path, content)
    with pytest.raises(DataError, match=r"not UTF-8 text: byte|a binary file: byte|UTF-16 text"):
        list(text.pieces())
    with pytest.raises(DataError, match=r"not UTF-8 text: byte|a binary file: byte|UTF-16 text"):
        "".join(piece for part in text.split((0.5, 0.5)) for piece in part.pieces())


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(tmp_path, "words\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"text\.txt: cannot be read \(Permission denied\)"):
        list(text.pieces())
    with pytest.raises(DataError, match="cannot be read"):
        text.digest()


# --- splits ------------------------------------------------------------------------------------------------------


def read(text: Text) -> bytes:
    return b"".join(path.read_bytes()[first:last] for path, first, last in text.spans())


@pytest.mark.usefixtures("_small_pieces")
@given(
    contents=st.lists(st.text("ab é🙂\n", min_size=1, max_size=300), min_size=1, max_size=4),
    shares=st.sampled_from([(0.9, 0.05, 0.05), (0.5, 0.5), (0.1, 0.2, 0.7), (1 / 3, 1 / 3, 1 / 3)]),
)
def test_parts_add_up_to_the_whole_and_cut_no_character(  # type: ignore[no-untyped-def]
    tmp_path_factory, contents: list[str], shares: tuple[float, ...]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    text = Text.of([written(folder, content, f"{n}").files[0] for n, content in enumerate(contents)])
    parts = text.split(shares)
    assert len(parts) == len(shares)
    assert b"".join(map(read, parts)) == "".join(contents).encode()
    assert "".join("".join(part.pieces()) for part in parts) == "".join(contents)


def test_parts_have_their_shares_and_end_where_lines_do(tmp_path: Path) -> None:
    text = written(tmp_path, LINES)
    parts = text.split((0.8, 0.1, 0.1))
    longest = max(map(len, LINES.encode().splitlines(keepends=True)))
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert abs(part.size - share * text.size) <= longest
        assert read(part).endswith(b"\n")


@pytest.mark.usefixtures("_small_pieces")
def test_text_without_line_ends_is_cut_all_the_same(tmp_path: Path) -> None:
    parts = written(tmp_path, "🙂" * 1000).split((0.5, 0.5))
    assert [len("".join(part.pieces())) for part in parts] == [500, 500]


def test_one_line_is_cut_after_a_space_or_else_between_characters(tmp_path: Path) -> None:
    for share, first, second in (
        (0.5, "naïve words in ", "one line of text"),
        (0.55, "naïve words in one ", "line of text"),
    ):
        one, two = written(tmp_path, first + second).split((share, 1 - share))
        assert ("".join(one.pieces()), "".join(two.pieces())) == (first, second)
    one, two = written(tmp_path, "é" * 100).split((0.505, 0.495))
    assert ("".join(one.pieces()), "".join(two.pieces())) == ("é" * 51, "é" * 49)


def test_a_part_can_be_split_again(tmp_path: Path) -> None:
    first, _ = written(tmp_path, LINES).split((0.5, 0.5))
    one, two = first.split((0.5, 0.5))
    assert read(one) + read(two) == read(first)
    assert one.size
    assert two.size


def test_the_digest_tells_contents_and_file_ends_apart_but_not_places(tmp_path: Path) -> None:
    joined = written(tmp_path, "foobar", "joined")
    apart = Text.of([*written(tmp_path, "foo", "x").files, *written(tmp_path, "bar", "y").files])
    again = written(tmp_path, "foobar", "again")
    other = written(tmp_path, "foobaz", "other")
    assert joined.digest() == again.digest()
    assert len({text.digest() for text in (joined, apart, other)}) == 3
    lines = written(tmp_path, LINES, "lines")
    assert len({text.digest() for text in (lines, *lines.split((0.5, 0.5)))}) == 3


# --- finding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("ptb.train.txt", "train"),
        ("train.txt", "train"),
        ("VALID.txt", "valid"),
        ("x-dev.txt", "valid"),
        ("val_small.txt", None),
        ("train-of-thought.txt", None),
        ("test/a.txt", "test"),
        ("wiki.test.tokens", "test"),
        ("training.txt", None),
        ("latest.txt", None),
        ("a.train.b.txt", None),
    ],
)
def test_names_of_splits(name: str, split: str | None) -> None:
    assert split_of(Path(name)) == split


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name in ("a.train.txt", "a.valid.txt", "a.test.txt", "README.md"):
        (tmp_path / name).write_text(f"text of {name}\n")
    found = find_text(str(tmp_path))
    assert {split: read(text) for split, text in found.items()} == {
        split: f"text of a.{split}.txt\n".encode() for split in ("train", "valid", "test")
    }


def test_a_folder_of_many_files_is_one_text_in_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.txt", "sub/c.txt", ".hidden"):
        (tmp_path / name).write_text(f"{name}\n")
    assert read(find_text(str(tmp_path))["all"]) == b"a.txt\nb.txt\nsub/c.txt\n"


def test_a_whole_folder_has_its_splits_together(tmp_path: Path) -> None:
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_text(f"{name}\n")
    assert read(whole_text(str(tmp_path))) == b"train.txt\nvalid.txt\n"


def test_nothing_there_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "blanks").mkdir()
    (tmp_path / "blanks" / "one.txt").write_text("")
    with pytest.raises(DataError, match="no such file, folder or data set"):
        find_text(str(tmp_path / "absent.txt"))
    with pytest.raises(DataError, match=r"empty\.txt: empty; expected plain UTF-8 text"):
        find_text(str(tmp_path / "empty.txt"))
    with pytest.raises(DataError, match="folder: an empty folder; expected text files"):
        find_text(str(tmp_path / "folder"))
    with pytest.raises(DataError, match="empty; expected plain UTF-8 text"):
        find_text(str(tmp_path / "blanks"))


def test_spans_skip_empty_files(tmp_path: Path) -> None:
    files = [written(tmp_path, content, str(n)).files[0] for n, content in enumerate(["", "ab", "", "cd", ""])]
    text = Text.of(files)
    assert [(path.name, first, last) for path, first, last in text.spans()] == [("1", 0, 2), ("3", 0, 2)]
    assert "".join(text.pieces()) == "abcd"
