"""Digits from idx files that each test writes itself, and once from the real ones."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from recurra.data.catalogue import find
from recurra.data.layouts import MNIST
from recurra.data.media.idx import LabelledImages, read_images
from recurra.errors import DataError

IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
DIGITS = LabelledImages(
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
    test, train = read_images(folder, "test", MNIST), read_images(folder, "train", MNIST)
    assert test.images.dtype == test.labels.dtype == np.uint8
    for one, other in zip(test, DIGITS, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(train, DIGITS, strict=True):
        np.testing.assert_array_equal(one, other[::-1])


# --- files that are not what they should be ----------------------------------------------------------------------


def test_a_missing_file(folder: Path) -> None:
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=f"{LABELS}: no such file; put the four .gz files of MNIST into one folder"):
        read_images(folder, "test", MNIST)


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.999])
def test_a_download_that_stopped(folder: Path, keep: float) -> None:
    whole = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=rf"{IMAGES}: (not a whole gzip file .*; download it again|.*an empty file)"):
        read_images(folder, "test", MNIST)


def test_a_damaged_byte(folder: Path) -> None:
    whole = bytearray((folder / IMAGES).read_bytes())
    whole[len(whole) // 2] ^= 1
    (folder / IMAGES).write_bytes(whole)
    with pytest.raises(DataError, match=f"{IMAGES}: not a whole gzip file"):
        read_images(folder, "test", MNIST)


def test_a_file_that_is_not_compressed(folder: Path) -> None:
    (folder / IMAGES).write_bytes(idx(DIGITS.images))
    with pytest.raises(DataError, match=f"{IMAGES}: not a whole gzip file"):
        read_images(folder, "test", MNIST)


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    (folder / LABELS).unlink()
    (folder / LABELS).mkdir()
    with pytest.raises(DataError, match=rf"{LABELS}: cannot be read \(Is a directory\)"):
        read_images(folder, "test", MNIST)


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
        read_images(folder, "test", MNIST)


def test_no_images(folder: Path) -> None:
    (folder / IMAGES).write_bytes(gzip.compress(idx(DIGITS.images[:0])))
    (folder / LABELS).write_bytes(gzip.compress(idx(DIGITS.labels[:0])))
    with pytest.raises(DataError, match=f"{IMAGES}: no images in it"):
        read_images(folder, "test", MNIST)


def test_the_published_files() -> None:
    """The counts of digits and the mean of the pixels that everybody quotes."""
    place = find("mnist")
    if place is None:
        pytest.skip("needs the data set mnist in RECURRA_DATA")
    test, train = read_images(place, "test", MNIST), read_images(place, "train", MNIST)
    assert test.images.shape == (10_000, 28, 28)
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
