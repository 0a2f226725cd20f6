"""Images of handwritten digits (MNIST, and sets in its files) read as series, by rows or pixel by pixel."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recurra.data.series.segments import Recording, Segment, numbered
from recurra.errors import DataError

Split: TypeAlias = Literal["train", "test"]
View: TypeAlias = Literal["rows", "pixels"]

PREFIXES: dict[Split, str] = {"train": "train", "test": "t10k"}
SIDE = 28  # rows and columns of an image
NUM_PIXELS = SIDE * SIDE
CHANNELS: dict[View, int] = {"rows": SIDE, "pixels": 1}
NUM_CLASSES = 10
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
UNSIGNED_BYTES = 0x0800  # type code in a magic number; the number of axes is added to it


class Digits(NamedTuple):
    """Images and what they show; both read-only."""

    images: NDArray[np.uint8]  # (images, 28, 28), 0 is paper and 255 ink
    labels: NDArray[np.uint8]  # (images,), 0..9


def read_digits(folder: Path, split: Split) -> Digits:
    """Images and labels from the four files of MNIST, named as they are published.

    Args:
        folder: where train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-... lie.
        split: "train" or "test".

    Raises:
        DataError: a file that is missing, cut short, damaged or of another kind, or two that do not belong together.
    """
    images_path = folder / f"{PREFIXES[split]}-images-idx3-ubyte.gz"
    labels_path = folder / f"{PREFIXES[split]}-labels-idx1-ubyte.gz"
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (SIDE, SIDE):
        rows, columns = images.shape[1:]
        raise DataError(f"{images_path}: expected images of {SIDE} x {SIDE} pixels, got {rows} x {columns}")
    if len(images) != len(labels):
        pair = f"{len(images):,} images, but {labels_path} has {len(labels):,} labels"
        raise DataError(f"{images_path}: {pair}; take both from the same place")
    if not len(labels):
        raise DataError(f"{images_path}: no images in it")
    if labels.max() >= NUM_CLASSES:
        place = int((labels >= NUM_CLASSES).argmax())
        raise DataError(f"{labels_path}: expected labels in 0..9, got {labels[place]} for image {place}")
    return Digits(images, labels)


def read_idx(path: Path, num_axes: int) -> NDArray[np.uint8]:
    """An array of bytes from a gzipped idx file: magic number, size of each axis, values.

    Raises:
        DataError: missing, not gzip, cut short, damaged, too long or of another kind.
    """
    try:
        with gzip.open(path) as file:
            header, values = file.read(4 * (1 + num_axes)), file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the four .gz files of MNIST into one folder") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    magic = struct.pack(">I", UNSIGNED_BYTES + num_axes)
    if len(header) < 4 * (1 + num_axes) or not header.startswith(magic):
        expected = f"a header of {4 * (1 + num_axes)} bytes with magic number {magic.hex()}"
        got = header.hex() or "an empty file"
        raise DataError(f"{path}: expected {expected}, got {got}; download it again")
    shape = struct.unpack_from(f">{num_axes}I", header, len(magic))
    if len(values) != math.prod(shape):
        size = f"{math.prod(shape):,} bytes for {' x '.join(map(str, shape))}"
        raise DataError(f"{path}: expected {size} after its header, got {len(values):,}; download it again")
    return np.frombuffer(values, np.uint8).reshape(shape)


def holds_digits(folder: Path) -> bool:
    """Whether there are images in a file of MNIST's."""
    return any(images_path(folder, split).is_file() for split in PREFIXES)


def images_path(folder: Path, split: Split) -> Path:
    """Where the images of a split are."""
    return folder / f"{PREFIXES[split]}-images-idx3-ubyte.gz"


def digit_recordings(
    folder: Path, split: Split, view: View = "rows", permutation_seed: int | None = None
) -> list[Recording]:
    """Every image as a recording of one label, its values from 0, paper, to 1, ink.

    Args:
        folder: where the four files of MNIST lie.
        split: "train" or "test".
        view: "rows", 28 steps of 28 pixels, or "pixels", 784 steps of one.
        permutation_seed: read the pixels of every image in one random order, that of this seed; None for that of the
            page. Training and test need the same.

    Raises:
        DataError: as `read_digits`.
    """
    images, labels = read_digits(folder, split)
    pixels = images.reshape(len(images), NUM_PIXELS)
    if permutation_seed is not None:
        pixels = pixels[:, permutation_of(permutation_seed)]
    series = np.divide(pixels, 255, dtype=np.float32, order="C").reshape(len(images), -1, CHANNELS[view])
    steps, channels, place = series.shape[1], numbered(CHANNELS[view]), images_path(folder, split)
    segments = [[Segment(str(label), 0, steps)] for label in range(NUM_CLASSES)]
    return [
        Recording(values, segments[label], f"{place} image {number}", None, channels)
        for number, (values, label) in enumerate(zip(series, labels.tolist(), strict=True), 1)
    ]


def permutation_of(seed: int) -> NDArray[np.intp]:
    """A random order of the 784 pixels.

    A trained model depends on it, so it is made of raw bits: they alone are promised to stay the same in every NumPy.
    """
    return np.random.PCG64(seed).random_raw(NUM_PIXELS).argsort()
