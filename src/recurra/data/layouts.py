"""Layouts of published data sets that need more than a table or a folder per split, as values for the readers.

A reader recognizes a layout by names of files or arrays, wherever the data lies; `recurra.data.catalogue` lists the
data sets that have one.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class ImageLayout(NamedTuple):
    """Labelled images of one size in gzipped idx files."""

    files: Mapping[str, tuple[str, str]]  # by split: the file of images, that of labels
    size: tuple[int, int]  # height and width in pixels
    num_labels: int  # labels are 0 to one less
    described: str  # the files in words, for messages

    def images(self, folder: Path, split: str) -> Path:
        """The file of the images of a split."""
        return folder / self.files[split][0]

    def labels(self, folder: Path, split: str) -> Path:
        """The file of the labels of a split."""
        return folder / self.files[split][1]

    def is_in(self, folder: Path) -> bool:
        """Whether a folder has images of some split."""
        return any(self.images(folder, split).is_file() for split in self.files)


class ArrayLayout(NamedTuple):
    """Recordings in an `.npz` file under other names than those of `recurra.data.series.arrays`.

    The columns of the two tables of whole numbers are named by what they hold: of recordings "recording" (a number),
    "group" and "length" in steps; of segments "recording", "label", "first" and "last" step, counted from 1.
    """

    values: str  # array (steps, channels), one recording after the other
    recordings: tuple[str, tuple[str, ...]]  # array (recordings, columns), and the columns
    segments: tuple[str, tuple[str, ...]]  # array (segments, columns), and the columns
    labels: tuple[str, ...]  # names of the labels 1, 2, ...

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of the arrays."""
        return self.values, self.recordings[0], self.segments[0]


class SoundLayout(NamedTuple):
    """Sound files whose names tell word, speaker and index; the index tells the split."""

    pattern: str  # regular expression of a name without its ending, with groups "word", "speaker" and "index"
    words: Mapping[str, str]  # the spoken word by the text in the group "word"
    ends: Mapping[str, int]  # by split, in rising order: the index from which on recordings belong to the next
    described: str  # such a name in words, for messages

    def parse(self, stem: str) -> tuple[str, str, str] | None:
        """Word, speaker and split of a file's name without its ending; None where it is no such name."""
        match = re.fullmatch(self.pattern, stem)
        if not match:
            return None
        split = next((split for split, end in self.ends.items() if int(match["index"]) < end), "train")
        return self.words[match["word"]], match["speaker"], split


Layout: TypeAlias = ImageLayout | ArrayLayout | SoundLayout

MNIST = ImageLayout(
    files={
        "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    },
    size=(28, 28),
    num_labels=10,
    described="the four .gz files of MNIST",
)

HAPT = ArrayLayout(
    values="acc",
    recordings=("exp_user_len", ("recording", "group", "length")),
    segments=("labels", ("recording", "group", "label", "first", "last")),
    labels=(
        *("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"),
        *("STAND_TO_SIT", "SIT_TO_STAND", "SIT_TO_LIE", "LIE_TO_SIT", "STAND_TO_LIE", "LIE_TO_STAND"),
    ),
)

FSDD = SoundLayout(
    pattern=r"(?P<word>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)",
    words=dict(zip("0123456789", DIGIT_WORDS, strict=True)),
    ends={"test": 5, "valid": 10},
    described="digit, speaker and index, such as 7_jackson_32",
)
