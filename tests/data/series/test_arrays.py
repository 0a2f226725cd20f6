"""`.npz` files: the three layouts, and what fits none of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.layouts import HAPT as HAPT_LAYOUT
from recurra.data.series.arrays import read_arrays
from recurra.data.series.segments import Segment
from recurra.errors import DataError

X = np.random.default_rng(3).normal(size=(4, 5, 2))  # (series, time, channels)
FLAT = np.arange(18.0).reshape(9, 2)  # (steps, channels) of recordings of 4, 2 and 3 steps
SERIES = {"x": X, "y": np.array(["a", "b", "a", "c"]), "lengths": np.array([5, 1, 3, 4])}
RECORDINGS = {
    "x": FLAT,
    "lengths": np.array([4, 2, 3]),
    "segments": np.array([[2, 1, 3], [0, 2, 4], [0, 0, 2]]),
    "y": np.array([30, 20, 10]),
    "groups": np.array([7, 7, 8]),
}
HAPT = {
    "acc": FLAT.astype(np.float32),
    "exp_user_len": np.array([[5, 70, 4], [6, 71, 2], [9, 70, 3]]),
    "labels": np.array([[5, 70, 1, 1, 2], [5, 70, 12, 3, 4], [9, 70, 6, 2, 3]]),
}


def saved(folder: Path, arrays: dict[str, Any], **others: Any) -> Path:
    path = folder / "toy.npz"
    np.savez(path, **{**arrays, **others})
    return path


def test_series_with_lengths_groups_and_names(tmp_path: Path) -> None:
    path = saved(tmp_path, SERIES, groups=np.array([3, 1, 3, 2]), channels=np.array(["left", "right"]))
    found = read_arrays(path)
    for i, length in enumerate(SERIES["lengths"]):
        assert np.array_equal(found[i].values, X[i, :length].astype(np.float32))
        assert found[i].segments == [Segment("abac"[i], 0, length)]
        assert found[i].name == f"{path} series {i + 1}"
        assert found[i].group == "3132"[i]
        assert found[i].channels == ("left", "right")


def test_one_channel_whole_numbers_and_whole_lengths(tmp_path: Path) -> None:
    path = tmp_path / "toy.npz"
    np.savez_compressed(path, x=np.array([[1, 2, 3], [4, 5, 6]], np.int16), y=np.array([10, -2], np.int8))
    first, second = read_arrays(path)
    assert (first.values.tolist(), second.values.tolist()) == ([[1], [2], [3]], [[4], [5], [6]])
    assert (first.segments[0].label, second.segments[0].label) == ("10", "-2")
    assert first.channels == ("1",)
    assert first.values.dtype == np.float32


def test_a_label_per_step_ends_with_its_series(tmp_path: Path) -> None:
    y = np.array([list("aab b"), list("zbbbb"), list("  c c"), list("aaaaa")])
    found = read_arrays(saved(tmp_path, SERIES, y=np.where(y == " ", "", y)))
    assert [one.segments for one in found] == [
        [Segment("a", 0, 2), Segment("b", 2, 3), Segment("b", 4, 5)],
        [Segment("z", 0, 1)],
        [Segment("c", 2, 3)],
        [Segment("a", 0, 4)],
    ]


def test_recordings_with_segments(tmp_path: Path) -> None:
    path = saved(tmp_path, RECORDINGS)
    found = read_arrays(path)
    assert [one.values.tolist() for one in found] == [FLAT[:4].tolist(), FLAT[4:6].tolist(), FLAT[6:].tolist()]
    assert [one.segments for one in found] == [[Segment("10", 0, 2), Segment("20", 2, 4)], [], [Segment("30", 1, 3)]]
    assert [one.group for one in found] == ["7", "7", "8"]
    assert found[2].name == f"{path} recording 3"


def test_hapt_is_recordings_with_segments_counted_from_one(tmp_path: Path) -> None:
    found = read_arrays(saved(tmp_path, HAPT))
    assert [one.values.tolist() for one in found] == [FLAT[:4].tolist(), FLAT[4:6].tolist(), FLAT[6:].tolist()]
    assert [one.segments for one in found] == [
        [Segment("WALKING", 0, 2), Segment("LIE_TO_STAND", 2, 4)],
        [],
        [Segment("LAYING", 1, 3)],
    ]
    assert [one.group for one in found] == ["70", "71", "70"]
    assert len(set(HAPT_LAYOUT.labels)) == 12


@pytest.mark.parametrize("arrays", [SERIES, RECORDINGS, HAPT], ids=["series", "recordings", "hapt"])
def test_labels_are_not_looked_at_where_they_are_not_wanted(tmp_path: Path, arrays: dict[str, Any]) -> None:
    bare = {name: array for name, array in arrays.items() if name != "y"}
    found = read_arrays(saved(tmp_path, bare), labelled=False)
    assert all(one.segments == [Segment(None, 0, len(one.values))] for one in found)


@pytest.mark.parametrize(
    ("arrays", "others", "message"),
    [
        ({"a": FLAT}, {}, "expected numbers x .*; it has none of x, y, "),
        ({"x": X}, {}, r"expected text or whole numbers y \(4\); it has x \(4, 5, 2\) float64"),
        (SERIES, {"x": X[0, 0]}, r"expected numbers x \(series, time, channels\) or \(series, time\); it has x \(2,\)"),
        (SERIES, {"x": X[:0]}, "expected numbers x"),
        (SERIES, {"x": X.astype(str)}, "expected numbers x"),
        (SERIES, {"y": np.array([0.5, 1, 2, 3])}, r"text or whole numbers y \(4\)"),
        (SERIES, {"y": np.array(["a", "b"])}, r"text or whole numbers y \(4\); .*y \(2,\) <U1"),
        (SERIES, {"y": np.ones((4, 3), int)}, r"text or whole numbers y \(4, 5\)"),
        (SERIES, {"lengths": np.array([5, 0, 3, 4])}, "lengths from 1 to 5, got 0 to 5"),
        (SERIES, {"lengths": np.array([5, 6, 3, 4])}, "lengths from 1 to 5, got 3 to 6"),
        (SERIES, {"lengths": np.ones(4)}, r"whole numbers lengths \(4\)"),
        (SERIES, {"groups": np.array([1, 2, 3])}, r"groups \(4\)"),
        (SERIES, {"channels": np.array(["x"])}, r"channels \(2\)"),
        (SERIES, {"y": np.array(["a", None, "a", "c"])}, "holds arrays of Python objects"),
        (RECORDINGS, {"lengths": np.array([4, 2, 2])}, "add up to the 9 steps of x, got 8"),
        (RECORDINGS, {"lengths": np.array([4, 6, -1])}, "lengths above 0"),
        (RECORDINGS, {"segments": np.array([[0, 0, 4], [1, 0, 3], [2, 0, 3]])}, r"got \(1, 0, 3\) in row 2"),
        (RECORDINGS, {"segments": np.array([[0, 0, 4], [3, 0, 1], [2, 0, 3]])}, r"got \(3, 0, 1\) in row 2"),
        (RECORDINGS, {"segments": np.array([[0, 1, 4], [0, 0, 2], [2, 0, 3]])}, r"overlap, got \(0, 1, 4\) in row 1"),
        (RECORDINGS, {"segments": np.array([[0, 1], [1, 2]])}, r"whole numbers segments \(any, 3\)"),
        (
            HAPT,
            {"labels": np.array([[7, 70, 1, 1, 2]])},
            r"labels of recordings in exp_user_len, with labels from 1 to 12; it has acc",
        ),
        (
            HAPT,
            {"labels": np.array([[5, 70, 13, 1, 2]])},
            r"recordings in exp_user_len, with labels from 1 to 12; it has acc",
        ),
        (HAPT, {"labels": np.array([[5, 70, 1, 0, 2]])}, r"got \(0, -1, 2\)"),
        (HAPT, {"exp_user_len": np.array([4, 2, 3])}, r"exp_user_len \(any, 3\)"),
    ],
)
def test_what_fits_no_layout_is_refused(
    tmp_path: Path, arrays: dict[str, Any], others: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=r"toy\.npz: .*" + message):
        read_arrays(saved(tmp_path, arrays, **others))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "toy.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"toy\.npz: not an \.npz archive, or cut off; write it"):
        read_arrays(path)


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "toy.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match=r"toy\.npz: not an \.npz archive, or cut off; write it"):
        read_arrays(tmp_path / "toy.npz")


@given(data=st.data())
def test_a_damaged_archive_is_read_whole_or_refused(tmp_path_factory, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    path = saved(tmp_path_factory.mktemp("damaged"), SERIES)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    try:
        found = read_arrays(path)
    except DataError:
        return
    for i, one in enumerate(found):
        assert np.array_equal(one.values, X[i, : len(one.values)].astype(np.float32))
