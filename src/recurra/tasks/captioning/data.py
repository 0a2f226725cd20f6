"""Images with captions as arrays and tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from recurra.config import Shares
from recurra.data.media.images import ImageOptions
from recurra.data.media.pictures import Picture, PictureOptions, read_pictures, split_pictures
from recurra.data.splits import held_out_splits
from recurra.data.text.vocabulary import TokenOptions, Vocabulary
from recurra.errors import DataError
from recurra.models.captioner import CaptionerShape
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.checks import leaks
from recurra.tasks.seq2seq import Batch, Ids, Indices
from recurra.tasks.task import ReadFile, digest_of

TOKENIZER = "tokenizer.json"


class CaptionOptions(TokenOptions):
    """The `[data]` section: the images, their size, and the tokens of captions."""

    path: str = Field(
        description="a table of images and captions, a folder with one, features (.npz), or MNIST; see docs/formats.md"
    )
    image_column: str = Field("image", description="column of a table with the paths of images")
    caption_column: str = Field("caption", description="column of a table with the captions")
    image_size: tuple[int, int] = Field(
        (64, 64), description="height and width in pixels to which every image is resized"
    )
    color: bool = Field(False, description="three channels instead of gray")
    shares: Shares = Field(
        (0.8, 0.1, 0.1), description="training, validation and test share where the files do not say; by a hash"
    )

    @field_validator("image_size", mode="before")
    @classmethod
    def of_two(cls, size: object) -> object:
        """Two numbers are needed."""
        if not (isinstance(size, list | tuple) and len(size) == 2):
            raise ValueError("height,width such as 32,32")
        return size

    @property
    def pictures(self) -> PictureOptions:
        """Options of the readers."""
        return PictureOptions(ImageOptions(self.image_size, self.color), self.image_column, self.caption_column)


@dataclass(frozen=True)
class ImageSources:
    """Images, or features of images."""

    contents: NDArray[Any]  # (images, height, width, channels), or (images, cells, features)
    num_cells: int  # that the encoder makes of each

    @property
    def lengths(self) -> list[int]:
        """All images have the same size."""
        return [self.num_cells] * len(self.contents)

    def __len__(self) -> int:
        return len(self.contents)

    def every(self, stride: int) -> "ImageSources":
        """Every `stride`-th image."""
        return ImageSources(self.contents[::stride], self.num_cells)

    def tensors(self, indices: Indices) -> tuple[tuple[Tensor, ...], Tensor]:
        """Some images, and their number of cells."""
        return (torch.from_numpy(self.contents[indices]),), torch.full((len(indices),), self.num_cells)


class Encoded(NamedTuple):
    """Images and their captions as the model reads them."""

    sources: ImageSources
    owners: NDArray[np.int64]  # number of the image of each caption, (captions,)
    targets: list[Ids]  # each with its end token
    start: int  # id of the token before a caption

    @property
    def sizes(self) -> list[int]:
        """Tokens of each caption."""
        return [len(ids) for ids in self.targets]

    @property
    def digest(self) -> str:
        """SHA-256 of images and captions."""
        return digest_of([self.sources.contents, self.owners], np.concatenate(self.targets))

    def batch(self, indices: Indices) -> Batch:
        """Some captions with their images."""
        source, _ = self.sources.tensors(self.owners[indices])
        return Batch.of(source, [self.targets[index] for index in indices], self.start)


class CaptioningPreprocessor(NamedTuple):
    """What a captioner learns from its training images before training.

    Args:
        vocabulary: of the captions.
        image: shape of an image (height, width, channels), or of its features (cells, features).
        max_target_length: tokens of the longest caption.
    """

    vocabulary: Vocabulary
    image: tuple[int, ...]
    max_target_length: int

    @classmethod
    def fit(cls, train: Sequence[Picture], options: CaptionOptions) -> "CaptioningPreprocessor":
        """That of training images."""
        captions = [caption for picture in train for caption in picture.captions]
        vocabulary = Vocabulary.of([f"{caption}\n" for caption in captions], options)
        return cls(
            vocabulary, train[0].content.shape, max(len(vocabulary.encode_line(caption)) for caption in captions)
        )

    @property
    def shape(self) -> CaptionerShape:
        """Sizes of the model."""
        return CaptionerShape(self.image, len(self.vocabulary), self.max_target_length)

    def values(self) -> Json:
        """Shape of an image, and the maximum length."""
        return {"image": list(self.image), "max_target_length": self.max_target_length}

    def files(self) -> Mapping[str, str]:
        """The tokenizer."""
        return {TOKENIZER: self.vocabulary.dump()}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Any) -> "CaptioningPreprocessor":
        """Undo `values` and `files`."""
        vocabulary = Vocabulary.parse(read(TOKENIZER), recipe.data.unit)
        return cls(vocabulary, tuple(values["image"]), values["max_target_length"])

    def encode(self, pictures: Sequence[Picture], num_cells: int) -> Encoded:
        """Images and their captions as arrays and tokens; `num_cells` are those that the encoder makes of an image.

        Raises:
            DataError: an image of another shape than those of training.
        """
        for picture in pictures:
            if picture.content.shape != self.image:
                raise DataError(f"{picture.place}: of shape {picture.content.shape}, but the model reads {self.image}")
        owners = np.repeat(np.arange(len(pictures)), [len(picture.captions) for picture in pictures])
        targets = [self.vocabulary.encode_line(caption) for picture in pictures for caption in picture.captions]
        sources = ImageSources(np.stack([picture.content for picture in pictures]), num_cells)
        return Encoded(sources, owners, targets, self.vocabulary.start_id)


def find_pictures(options: CaptionOptions, progress: Progress) -> dict[str, list[Picture]]:
    """Images by split.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    return split_pictures(read_pictures(options.path, options.pictures, progress), options.path, options.shares)


def find_other_pictures(options: CaptionOptions, progress: Progress) -> dict[str, list[Picture]]:
    """Images to evaluate on: all splits except the training split, or "all" where there are no splits.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    found = read_pictures(options.path, options.pictures, progress)
    return held_out_splits(found) or found


def check_pictures(splits: Mapping[str, Sequence[Picture]]) -> Json:
    """Counts, lengths and repetitions of pictures.

    Returns:
        splits (pictures, captions and their words), problems (in words, each with the place of a picture).
    """
    rows: Json = {}
    for split, pictures in splits.items():
        lengths = [len(caption.split()) for picture in pictures for caption in picture.captions]
        rows[split] = {"pictures": len(pictures), "captions": len(lengths)}
        rows[split] |= {"median words": int(np.median(lengths)), "longest": max(lengths)}
    return {"splits": rows, "problems": leaks(splits, lambda picture: picture.content.tobytes(), "picture")}
