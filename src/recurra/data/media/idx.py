"""Labelled images in gzipped idx files, the format of MNIST and of data sets published like it."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.layouts import ImageLayout
from recurra.errors import DataError

UNSIGNED_BYTES = 0x0800  # type code in a magic number; the number of axes is added to it


class LabelledImages(NamedTuple):
    """Grey images and their labels; both arrays are read-only."""

    images: NDArray[np.uint8]  # (images, height, width), 0 is paper and 255 ink
    labels: NDArray[np.uint8]  # (images,)


def read_images(folder: Path, split: str, layout: ImageLayout) -> LabelledImages:
    """Images and labels of a split.

    Args:
        folder: where the files of the layout lie.
        split: one that the layout has files for.
        layout: names of the files, size of the images, number of labels.

    Raises:
        DataError: a file that is missing, cut short, damaged or of another kind, or two that do not belong together.
    """
    images_path, labels_path = layout.images(folder, split), layout.labels(folder, split)
    images, labels = read_idx(images_path, 3, layout.described), read_idx(labels_path, 1, layout.described)
    if images.shape[1:] != layout.size:
        (rows, columns), (height, width) = images.shape[1:], layout.size
        raise DataError(f"{images_path}: expected images of {height} x {width} pixels, got {rows} x {columns}")
    if len(images) != len(labels):
        pair = f"{len(images):,} images, but {labels_path} has {len(labels):,} labels"
        raise DataError(f"{images_path}: {pair}; take both from the same place")
    if not len(labels):
        raise DataError(f"{images_path}: no images in it")
    if labels.max() >= layout.num_labels:
        number = int((labels >= layout.num_labels).argmax())
        raise DataError(
            f"{labels_path}: expected labels in 0..{layout.num_labels - 1}, got {labels[number]} for image {number}"
        )
    return LabelledImages(images, labels)


def read_idx(path: Path, num_axes: int, described: str) -> NDArray[np.uint8]:
    """An array of bytes from a gzipped idx file: magic number, size of each axis, values.

    Raises:
        DataError: missing (the message names all files, as `described`), not gzip, cut short, damaged, too long, or of
            another kind or number of axes.
    """
    try:
        with gzip.open(path) as file:
            header, values = file.read(4 * (1 + num_axes)), file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put {described} into one folder") from None
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
