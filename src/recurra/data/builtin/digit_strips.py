"""Strips of handwritten digits, captioned with their names in words, made of labelled images of digits."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.layouts import DIGIT_WORDS, MNIST, ImageLayout
from recurra.data.media.idx import LabelledImages, read_images
from recurra.errors import DataError

COUNTS = {"train": 50_000, "valid": 1_000, "test": 2_000}
MAX_DIGITS = 4  # digits in a strip
GAPS = 14  # the gap between digits is at least 1/14 of the side of an image, where there is room
SMALL_COUNTS = {"train": 4_000, "valid": 500, "test": 1_000}
SMALL_POOLS = {"train": slice(1297), "valid": slice(1297, 1497), "test": slice(1497, None)}  # of 1,797 digits
VALID_EVERY = 12  # one training image in 12 is for validation: of MNIST 5,000 of 60,000


class Strip(NamedTuple):
    """Digits side by side."""

    pixels: NDArray[np.uint8]  # (side, 4*side, 1), 0 is paper and 255 ink
    digits: tuple[int, ...]  # from left to right, one to four

    @property
    def caption(self) -> str:
        """Its digits in words, such as "three seven one"."""
        return " ".join(DIGIT_WORDS[digit] for digit in self.digits)


def digit_strips(folder: Path, seed: int = 1, layout: ImageLayout = MNIST) -> dict[str, list[Strip]]:
    """Strips for training, validation and test, the same for the same seed. No image occurs in two splits.

    The number of digits, each digit, its image and the room around it are drawn uniformly. Digits have no fixed places,
    but never overlap and never leave the strip.

    Args:
        folder: where the files of the layout lie. The test images make the test strips, the training images the others.
        seed: 0 or above.
        layout: of images of the digits 0 to 9.

    Returns:
        "train", "valid" and "test", as many as `COUNTS` says.

    Raises:
        DataError: as `read_images`, or no image of some digit.
    """
    training, test = read_images(folder, "train", layout), read_images(folder, "test", layout)
    is_valid = np.arange(len(training.labels)) % VALID_EVERY == VALID_EVERY - 1
    pools = {
        "train": (LabelledImages(*(array[~is_valid] for array in training)), layout.images(folder, "train")),
        "valid": (LabelledImages(*(array[is_valid] for array in training)), layout.images(folder, "train")),
        "test": (test, layout.images(folder, "test")),
    }
    return {
        split: draw_strips(images_by_digit(pool, f"{path} for {split}"), COUNTS[split], seed, part)
        for part, (split, (pool, path)) in enumerate(pools.items())
    }


def small_strips() -> dict[str, list[Strip]]:
    """Strips (8, 32, 1) of the digits of 8 x 8 pixels that scikit-learn includes.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; CC BY 4.0.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images, labels = (found.images * (255 / 16)).astype(np.uint8), found.target.astype(np.uint8)
    pools = {split: LabelledImages(images[part], labels[part]) for split, part in SMALL_POOLS.items()}
    return {
        split: draw_strips(images_by_digit(pool, f"digits of scikit-learn for {split}"), SMALL_COUNTS[split], 1, part)
        for part, (split, pool) in enumerate(pools.items())
    }


def images_by_digit(pool: LabelledImages, place: str) -> list[NDArray[np.uint8]]:
    """The images of each digit from 0 to 9, (images, side, side), none of them blank; raises DataError without any."""
    has_ink = pool.images.any(axis=(1, 2))
    found = [pool.images[(pool.labels == digit) & has_ink] for digit in range(len(DIGIT_WORDS))]
    missing = [DIGIT_WORDS[digit] for digit, images in enumerate(found) if not len(images)]
    if missing:
        raise DataError(f"{place}: no image of {', '.join(missing)}; expected some of every digit")
    return found


def draw_strips(images: list[NDArray[np.uint8]], count: int, seed: int, part: int) -> list[Strip]:
    """Strips of digits drawn at random.

    Args:
        images: of each digit from 0 to 9, (images, side, side).
        count: how many strips.
        seed: 0 or above.
        part: number of the random stream of this seed, 0 or above; another one for each split.
    """
    # Scores depend on the strips, so these are made of raw bits: only they stay the same in every version of NumPy.
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(part,)))
    draws = bits.random_raw(count * (1 + 4 * MAX_DIGITS)).reshape(count, -1).tolist()
    side, strips = images[0].shape[1], []
    for pixels, (first, *numbers) in zip(np.zeros((count, side, MAX_DIGITS * side, 1), np.uint8), draws, strict=True):
        length = 1 + first % MAX_DIGITS
        which, image, top, left = (numbers[start : start + length] for start in range(0, 4 * MAX_DIGITS, MAX_DIGITS))
        digits = tuple(number % len(DIGIT_WORDS) for number in which)
        chosen = [images[digit][number % len(images[digit])] for digit, number in zip(digits, image, strict=True)]
        place_side_by_side(pixels[:, :, 0], [crop_to_ink(one) for one in chosen], top, left)
        strips.append(Strip(pixels, digits))
    return strips


def crop_to_ink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The smallest part of an image with all its ink."""
    rows, columns = image.nonzero()
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def place_side_by_side(
    strip: NDArray[np.uint8], pieces: list[NDArray[np.uint8]], top: list[int], left: list[int]
) -> None:
    """Write at most four pieces, each at most (side, side), into a strip (side, 4*side) in their order.

    Random numbers of any size for each piece determine its row and how much of the free room is to the left of it.
    """
    side, width = strip.shape
    free = width - sum(piece.shape[1] for piece in pieces)
    gap = min(max(side // GAPS, 1), free // len(pieces))
    free -= gap * (len(pieces) - 1)
    start = 0
    for piece, row, before in zip(pieces, top, sorted(number % (free + 1) for number in left), strict=True):
        height, across = piece.shape
        row, column = row % (side - height + 1), start + before
        strip[row : row + height, column : column + across] = piece
        start += across + gap
