"""Images as series: each image once, row by row or pixel by pixel, in the splits of its files."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recurra.data.layouts import MNIST
from recurra.data.media.idx import LabelledImages
from recurra.data.series.images import View, image_recordings, permutation_of
from recurra.data.series.labelled import SeriesOptions, find_series
from recurra.data.series.segments import Series
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
    white, dotted = (one.values for one in image_recordings(folder, "test", MNIST))
    assert not white.any()
    assert dotted[2, 3] == dotted.sum() == 1


@pytest.mark.parametrize("view", ["rows", "pixels"])
def test_every_image_is_permuted_alike(folder: Path, view: View) -> None:
    def pixels(split: str, seed: int | None) -> np.ndarray:
        return np.array([one.values.reshape(784) for one in image_recordings(folder, split, MNIST, view, seed)])

    permutation = permutation_of(4, 784)
    assert sorted(permutation) == list(range(784))
    for split in MNIST.files:
        np.testing.assert_array_equal(pixels(split, 4), pixels(split, None)[:, permutation])
    assert (permutation_of(5, 784) == permutation).mean() < 0.02  # one pixel stays on average
    assert (permutation == np.arange(784)).mean() < 0.02
    read = find_series(str(folder), SeriesOptions(view=view, permutation_seed=4))["test"]
    np.testing.assert_array_equal([one.values.reshape(784) for one in read], pixels("test", 4))


def test_the_permutation_is_that_of_runs_made_before() -> None:
    """A change would spoil every model trained on permuted pixels."""
    assert permutation_of(1, 784)[:5].tolist() == [458, 323, 622, 93, 61]


def test_columns_can_be_chosen(folder: Path) -> None:
    read = find_series(str(folder), SeriesOptions(channels=["28", "3"]))["test"]
    np.testing.assert_array_equal(read[2].values, (DIGITS.images[2] / np.float32(255))[:, [27, 2]])


def test_a_split_that_is_missing_is_not_made_up(folder: Path) -> None:
    (folder / IMAGES).unlink()
    with pytest.raises(DataError, match=f"{IMAGES}: no such file; put the four .gz files of MNIST into one folder"):
        find_series(str(folder), SeriesOptions())
