"""Labelled images as series: row by row, or pixel by pixel."""

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recurra.data.layouts import ImageLayout
from recurra.data.media.idx import read_images
from recurra.data.series.segments import Recording, Segment, numbered

View: TypeAlias = Literal["rows", "pixels"]


def image_recordings(
    folder: Path, split: str, layout: ImageLayout, view: View = "rows", permutation_seed: int | None = None
) -> list[Recording]:
    """Every image as a recording of one label, its values from 0, paper, to 1, ink.

    Args:
        folder: where the files of the layout lie.
        split: one that the layout has files for.
        layout: of the images, (height, width).
        view: "rows", a step for each row with a channel for each column, or "pixels", a step for each pixel.
        permutation_seed: reorder the pixels of every image by one random permutation, that of this seed; None for the
            order on paper. Training and test need the same.

    Raises:
        DataError: as `read_images`.
    """
    images, labels = read_images(folder, split, layout)
    pixels = images.reshape(len(images), -1)
    if permutation_seed is not None:
        pixels = pixels[:, permutation_of(permutation_seed, pixels.shape[1])]
    num_channels = layout.size[1] if view == "rows" else 1
    series = np.divide(pixels, 255, dtype=np.float32, order="C").reshape(len(images), -1, num_channels)
    steps, channels, place = series.shape[1], numbered(num_channels), layout.images(folder, split)
    segments = [[Segment(str(label), 0, steps)] for label in range(layout.num_labels)]
    return [
        Recording(values, segments[label], f"{place} image {number}", None, channels)
        for number, (values, label) in enumerate(zip(series, labels.tolist(), strict=True), 1)
    ]


def permutation_of(seed: int, num_pixels: int) -> NDArray[np.intp]:
    """A random order of the pixels of an image, (num_pixels,)."""
    # A trained model depends on it, so it is made of raw bits: only these are promised to stay the same in every NumPy.
    return np.random.PCG64(seed).random_raw(num_pixels).argsort()
