"""`.ts` archives: every value in its place, every damaged line named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.series.archives import read_archive
from recurra.data.series.segments import Segment
from recurra.errors import DataError

HEADER = """#Made by a student of Universit\xe0.
@problemName Toy
@timeStamps false
@missing true

@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""
ROWS = "1,2.5,-3e2:4,?,6:up\n7:8:down\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "Toy_TRAIN.ts"
    path.write_bytes(text.encode("latin-1"))
    return path


def test_series_of_unequal_lengths(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROWS)
    first, second = read_archive(path)
    assert np.array_equal(first.values, np.array([[1, 4], [2.5, np.nan], [-300, 6]], np.float32), equal_nan=True)
    assert second.values.tolist() == [[7, 8]]
    assert first.values.dtype == np.float32
    assert (first.segments, second.segments) == ([Segment("up", 0, 3)], [Segment("down", 0, 1)])
    assert (first.name, second.name) == (f"{path} line 11", f"{path} line 12")
    assert first.channels == ("1", "2")
    assert first.group is None


def test_a_byte_order_mark_windows_line_ends_and_tabs(tmp_path: Path) -> None:
    text = (HEADER.replace("@dimensions 2", "@Dimensions\t2").replace("\xe0", "a") + ROWS).replace("\n", "\r\n")
    path = tmp_path / "marked.ts"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [one.values.shape for one in read_archive(path)] == [(3, 2), (1, 2)]


def test_labels_are_not_looked_at_where_they_are_not_wanted(tmp_path: Path) -> None:
    labelled = read_archive(written(tmp_path, HEADER + ROWS), labelled=False)
    bare = HEADER.replace("true up down", "false") + ROWS.replace(":up", "").replace(":down", "")
    unlabelled = read_archive(written(tmp_path, bare), labelled=False)
    for one, other in zip(labelled, unlabelled, strict=True):
        assert np.array_equal(one.values, other.values, equal_nan=True)
        assert one.segments == other.segments == [Segment(None, 0, len(one.values))]
    with pytest.raises(DataError, match="no class labels"):
        read_archive(written(tmp_path, bare))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7:8:down", "7:8", "line 12: expected 2 channels and a label, separated by colons; got 1\\."),
        ("7:8:down", "7:8:do", "line 12: label 'do' is not in @classLabel: up, down"),
        ("7:8:down", "7,9:8:down", "line 12: expected 2 steps, got 1 in channel 2. Is the line cut short"),
        ("7:8:down", "7:eight:down", "line 12: 'eight' is no number"),
        ("7:8:down", "7::down", "line 12: '' is no number"),
        ("7:8:down", "(0,7):(0,8):down", r"line 12: '\(0' is no number"),
        ("7:8:down", "7:8:d\xf6wn", "line 12: not UTF-8 text"),
        ("@timeStamps false", "@timeStamps true", "has timestamps; expected values at even steps"),
        ("@dimensions 2", "@dimensions two", "@dimensions two: expected a number above 0"),
        ("@classLabel true up down", "@targetLabel true", "has numbers as targets"),
        ("@equalLength false", "equalLength false", "line 8: expected a header line that begins with @"),
        ("@data\n" + ROWS, "", "no @data line"),
        (ROWS, "\n\n", "no series below @data"),
    ],
)
def test_damage_is_named_by_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = HEADER + ROWS
    assert old in text
    with pytest.raises(DataError, match=r"Toy_TRAIN\.ts.*" + message):
        read_archive(written(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize("said", ["@equalLength true\n@seriesLength 3", "@equalLength true"])
def test_a_line_cut_short_is_no_short_series_where_all_are_equally_long(tmp_path: Path, said: str) -> None:
    path = written(tmp_path, HEADER.replace("@equalLength false", said) + ROWS)
    line = 12 + said.count("\n")
    with pytest.raises(DataError, match=f"line {line}: expected 3 steps, got 1 in channel 1. Is the line cut short"):
        read_archive(path)


@given(cut=st.integers(0, len(HEADER + ROWS) - 2))
def test_a_file_cut_anywhere_is_refused_or_lacks_whole_lines(tmp_path_factory, cut: int) -> None:  # type: ignore[no-untyped-def]
    text = HEADER + ROWS
    path = written(tmp_path_factory.mktemp("cut"), text[:cut])
    try:
        found = read_archive(path)
    except DataError:
        return
    lines = text[:cut].splitlines()
    assert lines == text.splitlines()[: len(lines)]
    assert len(found) == len(lines) - lines.index("@data") - 1
