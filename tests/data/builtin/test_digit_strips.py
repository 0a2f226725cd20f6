"""Strips of digits: each made of the images that it should be made of, whole, and anywhere in the strip."""

import gzip
import hashlib
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.datasets import load_digits

from recurra.data.builtin import digit_strips as module
from recurra.data.builtin.digit_strips import (
    COUNTS,
    VALID_EVERY,
    Strip,
    crop_to_ink,
    digit_strips,
    draw_strips,
    small_strips,
)
from recurra.errors import DataError

NUM_TRAINING, NUM_TEST = 240, 70
FEW = {"train": 900, "valid": 300, "test": 500}


def made_up(first: int, count: int) -> list[np.ndarray]:
    """Ink of images: rectangles of noise, each with its number in the first two pixels and no pixel empty."""
    rng = np.random.default_rng(first)
    inks = [rng.integers(1, 256, rng.integers(2, 21, 2), np.uint8) for _ in range(count)]
    for number, ink in enumerate(inks, first):
        ink[0, :2] = 1 + number % 100, 1 + number // 100
    return inks


INKS = made_up(0, NUM_TRAINING + NUM_TEST)  # the test images are the last
LABELS = (np.arange(len(INKS)) + np.arange(len(INKS)) // 12) % 10


def write(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray) -> None:
    for name, values in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
        header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
        (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))


def on_paper(inks: list[np.ndarray]) -> np.ndarray:
    """Images with ink somewhere in them."""
    rng = np.random.default_rng(2)
    images = np.zeros((len(inks), 28, 28), np.uint8)
    for image, ink in zip(images, inks, strict=True):
        height, width = ink.shape
        top, left = rng.integers(0, 29 - height), rng.integers(0, 29 - width)
        image[top : top + height, left : left + width] = ink
    return images


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTS", FEW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of MNIST's with made-up images."""
    images = on_paper(INKS)
    write(tmp_path, "train", images[:NUM_TRAINING], LABELS[:NUM_TRAINING])
    write(tmp_path, "t10k", images[NUM_TRAINING:], LABELS[NUM_TRAINING:])
    return tmp_path


def pieces(strip: Strip) -> Iterator[tuple[int, int, np.ndarray]]:
    """Top, left and pixels of what stands between empty columns."""
    pixels = strip.pixels[:, :, 0]
    inked = [False, *pixels.any(0).tolist(), False]
    edges = [column for column, (one, other) in enumerate(pairwise(inked)) if one != other]
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        rows = pixels[:, left:right].any(1).nonzero()[0]
        yield int(rows[0]), left, pixels[rows[0] : rows[-1] + 1, left:right]


def numbers(strip: Strip) -> list[int]:
    """The images in a strip, from left to right."""
    return [int(ink[0, 0]) - 1 + 100 * (int(ink[0, 1]) - 1) for _, _, ink in pieces(strip)]


def is_even(counts: list[int]) -> bool:
    """Whether they may well be those of a uniform distribution."""
    return bool(chisquare(counts).pvalue > 1e-4)


def test_strips_are_their_digits_whole_and_nothing_else(folder: Path) -> None:
    strips = digit_strips(folder)
    assert {split: len(found) for split, found in strips.items()} == FEW
    for strip in (strip for found in strips.values() for strip in found):
        assert strip.pixels.shape == (28, 112, 1)
        assert strip.pixels.dtype == np.uint8
        found = numbers(strip)
        for number, (_, _, ink) in zip(found, pieces(strip), strict=True):
            np.testing.assert_array_equal(ink, INKS[number])
        assert strip.digits == tuple(LABELS[found])


def test_captions_are_words() -> None:
    assert Strip(np.zeros((28, 112, 1), np.uint8), (3, 7, 1)).caption == "three seven one"
    all_words = Strip(np.zeros((28, 112, 1), np.uint8), tuple(range(10))).caption
    assert all_words == "zero one two three four five six seven eight nine"


def test_no_image_is_in_two_splits(folder: Path) -> None:
    strips = digit_strips(folder)
    used = {split: {number for strip in found for number in numbers(strip)} for split, found in strips.items()}
    training = set(range(NUM_TRAINING))
    assert used["test"] == set(range(NUM_TRAINING, NUM_TRAINING + NUM_TEST))
    assert used["valid"] == {number for number in training if number % VALID_EVERY == VALID_EVERY - 1}
    assert used["train"] == training - used["valid"]


@pytest.mark.parametrize("split", FEW)
def test_all_is_drawn_evenly(folder: Path, split: str) -> None:
    strips = digit_strips(folder)[split]
    lengths = Counter(len(strip.digits) for strip in strips)
    assert lengths.keys() == {1, 2, 3, 4}
    assert is_even(list(lengths.values()))
    for place in range(4):
        digits = Counter(strip.digits[place] for strip in strips if len(strip.digits) > place)
        assert is_even([digits[digit] for digit in range(10)])
    drawn = Counter(number for strip in strips for number in numbers(strip))
    for digit in range(10):
        assert is_even([count for number, count in drawn.items() if LABELS[number] == digit])


def test_digits_are_anywhere_but_apart(folder: Path) -> None:
    """Not on a grid: the room above, before and after them is evenly drawn, from none to all."""
    above, before = [], []
    for strip in digit_strips(folder)["train"]:
        found = list(pieces(strip))
        above += [top / (28 - len(ink)) for top, _, ink in found]
        for (_, left, ink), (_, after, _) in pairwise(found):
            assert after - left - ink.shape[1] >= 2
        if len(found) == 1:
            before.append(found[0][1] / (112 - found[0][2].shape[1]))
    for room in (above, before):
        assert min(room) < 0.02
        assert max(room) > 0.98
        assert np.mean(room) == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / len(room)))
    assert is_even(np.histogram(before, 5, (0, 1))[0].tolist())


def test_room_before_the_first_is_as_that_after_the_last(folder: Path) -> None:
    strips = [strip for strip in digit_strips(folder)["train"] if len(strip.digits) == 4]
    columns = np.array([strip.pixels.any((0, 2)).nonzero()[0][[0, -1]] for strip in strips])
    before, after = columns[:, 0], 111 - columns[:, 1]
    assert before.min() == after.min() == 0
    assert before.mean() == pytest.approx(after.mean(), abs=4 * np.std(before) * np.sqrt(2 / len(strips)))


def test_digits_as_wide_as_their_images_just_fit(tmp_path: Path) -> None:
    images = np.broadcast_to(1 + LABELS[:, None, None], (len(LABELS), 28, 28)).astype(np.uint8)
    for prefix in ("train", "t10k"):
        write(tmp_path, prefix, images, LABELS)
    fours = [strip for strip in digit_strips(tmp_path)["train"] if len(strip.digits) == 4]
    assert len(fours) > 100
    for strip in fours:
        np.testing.assert_array_equal(strip.pixels[5, :, 0], 1 + np.repeat(strip.digits, 28))


def test_a_seed_gives_strips_of_its_own(folder: Path) -> None:
    one, again, other = digit_strips(folder, 1), digit_strips(folder, 1), digit_strips(folder, 2)
    for split, strips in one.items():
        assert all((a.pixels == b.pixels).all() for a, b in zip(strips, again[split], strict=True))
        same = [a.digits == b.digits for a, b in zip(strips, other[split], strict=True)]
        assert np.mean(same) < 0.05  # by chance 0.007
    assert np.mean([a.digits == b.digits for a, b in zip(one["valid"], one["test"], strict=False)]) < 0.05


def test_the_strips_are_those_of_runs_made_before() -> None:
    """A change would spoil every score reached on them."""
    dots = np.zeros((10, 1, 28, 28), np.uint8)
    dots[:, 0, 3, 5] = np.arange(10, 20)
    strips = draw_strips(list(dots), 3, seed=1, part=0)
    assert [strip.digits for strip in strips] == [(9, 7, 2), (1, 2, 7), (7,)]
    places = [np.argwhere(strip.pixels[:, :, 0]).tolist() for strip in strips]
    assert places == [[[20, 89], [23, 40], [25, 96]], [[0, 95], [18, 111], [22, 91]], [[27, 105]]]
    assert COUNTS == {"train": 50_000, "valid": 1_000, "test": 2_000}


def test_images_without_ink_show_no_digit(folder: Path) -> None:
    labels, images = LABELS[NUM_TRAINING:], on_paper(INKS[NUM_TRAINING:])
    first, *others = np.flatnonzero(labels == 4)
    images[others] = 0
    write(folder, "t10k", images, labels)
    fours = {number for strip in digit_strips(folder)["test"] for number in numbers(strip) if LABELS[number] == 4}
    assert fours == {NUM_TRAINING + first}
    images[first] = 0
    write(folder, "t10k", images, labels)
    with pytest.raises(
        DataError, match=r"t10k-images-idx3-ubyte.gz for test: no image of four; expected some of every"
    ):
        digit_strips(folder)


def test_a_digit_that_is_missing(folder: Path) -> None:
    labels = LABELS[NUM_TRAINING:].copy()
    labels[(labels == 3) | (labels == 8)] = 0
    write(folder, "t10k", on_paper(INKS[NUM_TRAINING:]), labels)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz for test: no image of three, eight; expected some"):
        digit_strips(folder)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: no such file"):
        digit_strips(folder)


def test_small_strips_are_the_same_on_every_machine() -> None:
    """What a model reaches on them is compared with a figure from elsewhere."""
    digest = hashlib.sha256()
    for strips in small_strips().values():
        for strip in strips:
            digest.update(strip.pixels.tobytes() + bytes(strip.digits))
    assert digest.hexdigest() == "72d67f24b1edc77b1ee48ad0c61f021741065752d9d0a22c314833274876644c"


def test_small_strips_show_the_digits_of_their_captions_and_share_none() -> None:
    """Found again by their columns of ink among those of scikit-learn."""
    data = load_digits()
    images = (data.images * (255 / 16)).astype(np.uint8)
    numbers_of = {crop_to_ink(image).tobytes(): number for number, image in enumerate(images)}
    seen: dict[str, set[int]] = {}
    for split, strips in small_strips().items():
        alone = [strip for strip in strips if len(strip.digits) == 1]
        found = [numbers_of[crop_to_ink(strip.pixels[:, :, 0]).tobytes()] for strip in alone]
        assert [data.target[number] for number in found] == [strip.digits[0] for strip in alone]
        seen[split] = set(found)
        assert {strip.pixels.shape for strip in strips} == {(8, 32, 1)}
    assert not seen["train"] & seen["valid"]
    assert not (seen["train"] | seen["valid"]) & seen["test"]
