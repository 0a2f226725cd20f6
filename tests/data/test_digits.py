"""Digits from idx files that each test writes itself, and once from the real ones."""

import gzip
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recurra.data.catalogue import find
from recurra.data.digits import PREFIXES, Digits, Split, View, digit_recordings, permutation_of, read_digits
from recurra.data.series.labelled import SeriesOptions, find_series
from recurra.data.series.segments import Series
from recurra.errors import DataError

IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
DIGITS = Digits(
    np.random.default_rng(1).integers(0, 256, (5, 28, 28), np.uint8), np.array([7, 0, 9, 3, 7], dtype=np.uint8)
)


def idx(values: np.ndarray, magic: int | None = None) -> bytes:
    """The bytes of an idx file, not compressed."""
    return struct.pack(f">{1 + values.ndim}I", magic or 0x0800 + values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two files of a test split of five images, and those of a training split in the opposite order."""
    for prefix, order in (("t10k", 1), ("train", -1)):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(DIGITS.images[::order])))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(DIGITS.labels[::order])))
    return tmp_path


def test_each_split_is_read_as_it_was_written(folder: Path) -> None:
    test, train = read_digits(folder, "test"), read_digits(folder, "train")
    assert test.images.dtype == test.labels.dtype == np.uint8
    for one, other in zip(test, DIGITS, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(train, DIGITS, strict=True):
        np.testing.assert_array_equal(one, other[::-1])


# --- images as series --------------------------------------------------------------------------------------------


def labelled(series: Sequence[Series]) -> list[tuple[bytes, str | None]]:
    return [(one.values.tobytes(), one.label) for one in series]


def expected(view: str, order: Sequence[int]) -> list[tuple[bytes, str]]:
    """Each image pixel by pixel, from 0 to 1."""
    shape = {"rows": (28, 28), "pixels": (784, 1)}[view]
    images = [[[float(np.float32(pixel) / np.float32(255)) for pixel in row] for row in image] for image in DIGITS[0]]
    return [(np.array(images[n], np.float32).reshape(shape).tobytes(), str(DIGITS.labels[n])) for n in order]


@pytest.mark.parametrize(("view", "shape"), [("rows", (28, 28)), ("pixels", (784, 1))])
def test_a_folder_of_digits_is_read_in_its_own_splits(folder: Path, view: str, shape: tuple[int, int]) -> None:
    splits = find_series(str(folder), SeriesOptions(view=view))
    assert list(splits) == ["train", "valid", "test"]
    assert all(one.values.shape == shape for part in splits.values() for one in part)
    assert all(one.values.dtype == np.float32 for part in splits.values() for one in part)
    assert labelled(splits["test"]) == expected(view, range(5))
    assert sorted(labelled([*splits["train"], *splits["valid"]])) == sorted(expected(view, range(5)))
    assert len(splits["valid"]) == 1
    assert splits["test"][3].place == f"{folder / IMAGES} image 4"
    assert splits["test"][0].channels[-1] == str(shape[1])


def test_paper_is_0_and_ink_is_1(folder: Path) -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 2, 3] = 255
    (folder / IMAGES).write_bytes(gzip.compress(idx(images)))
    (folder / LABELS).write_bytes(gzip.compress(idx(DIGITS.labels[:2])))
    white, dotted = (one.values for one in digit_recordings(folder, "test"))
    assert not white.any()
    assert dotted[2, 3] == dotted.sum() == 1


@pytest.mark.parametrize("view", ["rows", "pixels"])
def test_every_image_is_permuted_alike(folder: Path, view: View) -> None:
    def pixels(split: Split, seed: int | None) -> np.ndarray:
        return np.array([one.values.reshape(784) for one in digit_recordings(folder, split, view, seed)])

    permutation = permutation_of(4)
    assert sorted(permutation) == list(range(784))
    for split in PREFIXES:
        np.testing.assert_array_equal(pixels(split, 4), pixels(split, None)[:, permutation])
    assert (permutation_of(5) == permutation).mean() < 0.02  # one pixel stays on average
    assert (permutation == np.arange(784)).mean() < 0.02
    read = find_series(str(folder), SeriesOptions(view=view, permutation_seed=4))["test"]
    np.testing.assert_array_equal([one.values.reshape(784) for one in read], pixels("test", 4))


def test_the_permutation_is_that_of_runs_made_before() -> None:
    """A change would spoil every model trained on permuted pixels."""
    assert permutation_of(1)[:5].tolist() == [458, 323, 622, 93, 61]


def test_columns_can_be_chosen(folder: Path) -> None:
    read = find_series(str(folder), SeriesOptions(channels=["28", "3"]))["test"]
    np.testing.assert_array_equal(read[2].values, (DIGITS.images[2] / np.float32(255))[:, [27, 2]])


def test_a_split_that_is_missing_is_not_made_up(folder: Path) -> None:
    (folder / IMAGES).unlink()
    with pytest.raises(DataError, match=f"{IMAGES}: no such file; put the four .gz files of MNIST into one folder"):
        find_series(str(folder), SeriesOptions())


# --- files that are not what they should be ----------------------------------------------------------------------


def test_a_missing_file(folder: Path) -> None:
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=f"{LABELS}: no such file; put the four .gz files of MNIST into one folder"):
        read_digits(folder, "test")


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.999])
def test_a_download_that_stopped(folder: Path, keep: float) -> None:
    whole = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=rf"{IMAGES}: (not a whole gzip file .*; download it again|.*an empty file)"):
        read_digits(folder, "test")


def test_a_damaged_byte(folder: Path) -> None:
    whole = bytearray((folder / IMAGES).read_bytes())
    whole[len(whole) // 2] ^= 1
    (folder / IMAGES).write_bytes(whole)
    with pytest.raises(DataError, match=f"{IMAGES}: not a whole gzip file"):
        read_digits(folder, "test")


def test_a_file_that_is_not_compressed(folder: Path) -> None:
    (folder / IMAGES).write_bytes(idx(DIGITS.images))
    with pytest.raises(DataError, match=f"{IMAGES}: not a whole gzip file"):
        read_digits(folder, "test")


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    (folder / LABELS).unlink()
    (folder / LABELS).mkdir()
    with pytest.raises(DataError, match=rf"{LABELS}: cannot be read \(Is a directory\)"):
        read_digits(folder, "test")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            IMAGES,
            idx(DIGITS.labels),
            "header of 16 bytes with magic number 00000803, got 0000080100000005",
        ),
        (
            LABELS,
            idx(DIGITS.images),
            "header of 8 bytes with magic number 00000801, got 0000080300000005",
        ),
        (IMAGES, idx(DIGITS.images, magic=0x0D03), "got 00000d03"),
        (IMAGES, idx(DIGITS.images)[:13], "got 00000803000000050000001c00"),
        (IMAGES, b"", "got an empty file"),
        (IMAGES, idx(DIGITS.images)[:-1], "expected 3,920 bytes for 5 x 28 x 28 after its header, got 3,919; download"),
        (
            IMAGES,
            idx(DIGITS.images) + b"x",
            "expected 3,920 bytes for 5 x 28 x 28 after its header, got 3,921; download",
        ),
        (IMAGES, idx(DIGITS.images[:, :27]), "expected images of 28 x 28 pixels, got 27 x 28"),
        (IMAGES, idx(DIGITS.images[:4]), f"4 images, but FOLDER/{LABELS} has 5 labels; take both from the same place"),
        (LABELS, idx(np.array([1, 9, 0, 10, 255], np.uint8)), "expected labels in 0..9, got 10 for image 3"),
    ],
)
def test_files_of_another_kind(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(gzip.compress(content))
    told = message.replace("FOLDER", str(folder))
    with pytest.raises(DataError, match=rf"^{re.escape(str(folder / name))}: .*{re.escape(told)}"):
        read_digits(folder, "test")


def test_no_images(folder: Path) -> None:
    (folder / IMAGES).write_bytes(gzip.compress(idx(DIGITS.images[:0])))
    (folder / LABELS).write_bytes(gzip.compress(idx(DIGITS.labels[:0])))
    with pytest.raises(DataError, match=f"{IMAGES}: no images in it"):
        read_digits(folder, "test")


def test_the_published_files() -> None:
    """The counts of digits and the mean of the pixels that everybody quotes."""
    place = find("mnist")
    if place is None:
        pytest.skip("needs the data set mnist in RECURRA_DATA")
    test, train = read_digits(place, "test"), read_digits(place, "train")
    assert test.images.shape == (10_000, 28, 28)
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
