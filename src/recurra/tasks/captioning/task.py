"""Captioning: a text about an image, such as the digits it shows, or what happens in a photograph."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from sklearn.neighbors import NearestNeighbors

from recurra.config import Recipe, Shares
from recurra.data.media.images import ImageOptions
from recurra.data.media.pictures import Picture, PictureOptions, read_pictures, split_pictures
from recurra.data.splits import held_out_splits
from recurra.data.text.vocabulary import TokenOptions, Vocabulary
from recurra.decoding.beam import Hypothesis
from recurra.errors import DataError
from recurra.models.captioner import Captioner, CaptionerOptions, CaptionerShape
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.checks import leaks
from recurra.tasks.classification.data import digest_of
from recurra.tasks.seq2seq import (
    END,
    Batch,
    DecodingOptions,
    Frame,
    Ids,
    Indices,
    Request,
    WritingTask,
    WritingTraining,
)
from recurra.tasks.task import Metrics, parse_recipe, refuse_other_architecture

TOKENIZER = "tokenizer.json"
NUM_SAMPLES = 4
NUM_SHOWN = 8  # pictures of each split whose attention is kept
MOST_VALIDATED = 1000  # pictures whose captions are scored after each epoch
SPARE = 10  # tokens that a caption may have beyond the longest in training


class CaptionOptions(TokenOptions):
    """The `[data]` section: which pictures, and how their captions become tokens."""

    path: str = Field(
        description="a table of images and captions, a folder with one, features (.npz), or MNIST; see docs/formats.md"
    )
    image_column: str = Field("image", description="column of a table with the paths of images")
    caption_column: str = Field("caption", description="column of a table with the captions")
    image_size: tuple[int, int] = Field(
        (64, 64), description="height and width in pixels that every image is brought to"
    )
    color: bool = Field(False, description="three channels instead of grey")
    shares: Shares = Field(
        (0.8, 0.1, 0.1), description="training, validation and test share where the files do not say; by a hash"
    )

    @field_validator("image_size", mode="before")
    @classmethod
    def of_two(cls, size: object) -> object:
        """One number alone is neither height nor width."""
        if not (isinstance(size, list | tuple) and len(size) == 2):
            raise ValueError("height,width such as 32,32")
        return size

    @property
    def pictures(self) -> PictureOptions:
        """How pictures are read."""
        return PictureOptions(ImageOptions(self.image_size, self.color), self.image_column, self.caption_column)


class CaptioningRecipe(Recipe):
    """A recipe for a captioner."""

    task: Literal["captioning"] = Field("captioning", description="name of the task")
    data: CaptionOptions
    model: CaptionerOptions = CaptionerOptions()
    training: WritingTraining = WritingTraining()
    decoding: DecodingOptions = DecodingOptions()


class Encoded(NamedTuple):
    """Pictures and their captions as the model reads them."""

    contents: NDArray[Any]  # (pictures, height, width, channels), or (pictures, cells, features)
    owners: NDArray[np.int64]  # which picture each caption is of, (captions,)
    targets: list[Ids]  # each with its end


class Captioning(WritingTask[Picture, Encoded, NDArray[Any]]):
    """A vocabulary, a captioner, and the pictures it is trained and judged on.

    Args:
        recipe: what to train on what.
        vocabulary: types of the training captions.
        shape: of the pictures, and the longest training caption.
    """

    name: ClassVar[str] = "captioning"
    recipe_type: ClassVar[type[Recipe]] = CaptioningRecipe
    examples: ClassVar[str] = "pictures"
    shown: ClassVar[str] = "views"
    may_differ: ClassVar[tuple[str, ...]] = ("image_column", "caption_column")

    model: Captioner

    def __init__(self, recipe: CaptioningRecipe, vocabulary: Vocabulary, shape: CaptionerShape) -> None:
        self.recipe, self.vocabulary, self.shape = recipe, vocabulary, shape
        self.model = Captioner(shape, recipe.model)
        self.splits, self.encoded = {}, {}

    @classmethod
    def start(cls, recipe: CaptioningRecipe, progress: Progress) -> Self:
        """A new model for the pictures the recipe names.

        Raises:
            DataError: they cannot be used.
            UsageError: an initialization that does not fit the cell, or sizes that do not fit each other.
        """
        splits = find_pictures(recipe.data, progress)
        captions = [caption for picture in splits["train"] for caption in picture.captions]
        vocabulary = Vocabulary.of([f"{caption}\n" for caption in captions], recipe.data)
        ids = [vocabulary.encode_line(caption) for caption in captions]
        shape = CaptionerShape(splits["train"][0].content.shape, len(vocabulary), max(map(len, ids)))
        task = cls(recipe, vocabulary, shape)
        task.take(splits)
        counts = np.bincount(np.concatenate(ids), minlength=len(vocabulary)) + 1
        task.model.decoder.initialize_output_bias(torch.from_numpy(counts / counts.sum()))
        return task

    @classmethod
    def check(cls, recipe: CaptioningRecipe, progress: Progress) -> Json:
        """Counts, lengths and repetitions of the pictures the recipe names."""
        return check_pictures(find_pictures(recipe.data, progress))

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and pictures.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, CaptioningRecipe)
        there = description["architecture"]
        shape = there["shape"]
        vocabulary = Vocabulary.parse(run.read(TOKENIZER), recipe.data.unit)
        found = CaptionerShape(tuple(shape["image"]), shape["target_vocabulary_size"], shape["max_target_length"])
        task = cls(recipe, vocabulary, found)
        refuse_other_architecture(run, there, task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        shape = {**self.shape._asdict(), "image": list(self.shape.image)}
        return {"shape": shape, **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:
        """Read the pictures the recipe names.

        Raises:
            DataError: they cannot be used.
        """
        self.take(find_pictures(self.recipe.data, progress))

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The types of the captions."""
        return self.vocabulary

    def encode(self, examples: Sequence[Picture]) -> Encoded:
        """Pictures as the model reads them.

        Raises:
            DataError: one of another shape than the model reads.
        """
        for picture in examples:
            if picture.content.shape != self.shape.image:
                raise DataError(
                    f"{picture.place}: of shape {picture.content.shape}, but the model reads {self.shape.image}"
                )
        owners = np.repeat(np.arange(len(examples)), [len(picture.captions) for picture in examples])
        targets = [self.vocabulary.encode_line(caption) for picture in examples for caption in picture.captions]
        return Encoded(np.stack([picture.content for picture in examples]), owners, targets)

    def read_held_out(self, options: CaptionOptions, progress: Progress) -> dict[str, list[Picture]]:
        """Other pictures to judge by, by split."""
        found = read_pictures(options.path, options.pictures, progress)
        return held_out_splits(found) or found

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        return {"architecture": self.architecture}, {TOKENIZER: self.vocabulary.dump()}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded pictures of each split."""
        return {
            split: digest_of([found.contents, found.owners], np.concatenate(found.targets))
            for split, found in self.encoded.items()
        }

    def sources_of(self, encoded: Encoded) -> NDArray[Any]:
        """The content of each picture."""
        return encoded.contents

    def sizes_of(self, encoded: Encoded) -> list[int]:
        """Tokens of each caption."""
        return [len(ids) for ids in encoded.targets]

    def collate(self, encoded: Encoded, indices: Indices) -> Batch:
        """Some captions and their pictures side by side."""
        images = torch.from_numpy(encoded.contents[encoded.owners[indices]])
        return Batch.of((images,), [encoded.targets[index] for index in indices], self.vocabulary.start_id)

    def lengths_of(self, sources: NDArray[Any]) -> list[int]:
        """All pictures are of one size."""
        return [self.model.encoder.num_regions] * len(sources)

    def request(self, sources: NDArray[Any], indices: Indices) -> Request:
        """Some of the pictures, and how long their captions may be."""
        longest = torch.full((len(indices),), self.recipe.decoding.max_tokens or self.shape.max_target_length + SPARE)
        return Request(
            (torch.from_numpy(sources[indices]),), longest, torch.full_like(longest, self.model.encoder.num_regions)
        )

    @property
    def frame(self) -> Frame:
        """One token stands before a caption and ends it; unknown words are never written."""
        return Frame(self.vocabulary.start_id, self.vocabulary.start_id, self.vocabulary.unknown_id)

    def text_of(self, example: Picture, found: Hypothesis) -> str:  # noqa: ARG002
        """A caption as text."""
        return self.vocabulary.decode(found.tokens)

    def references_of(self, example: Picture) -> Sequence[str]:
        """All its captions."""
        return example.captions

    def told_of(self, example: Picture) -> Json:
        """Its place."""
        return {"place": example.place}

    def reading(self, example: Picture, found: Hypothesis) -> Json:
        """What was read of a picture for each token of its caption, as plain values.

        Returns:
            image (height, width, channels), None of given features; tokens; grid, rows and columns of its cells; and
            weights (tokens, cells).
        """
        tokens, weights = [*(self.vocabulary.token(id) for id in found.tokens), END], found.attention.tolist()
        image = None if self.model.encoder.convolutions is None else example.content.tolist()
        grid = list(self.model.encoder.grid)
        return {"image": image, "tokens": tokens[: len(weights)], "grid": grid, "weights": weights}

    def baselines(
        self,
        splits: Mapping[str, Sequence[Picture]],
        progress: Progress,  # noqa: ARG002
    ) -> dict[str, dict[str, Metrics]]:
        """What the most frequent training caption reaches, and that of the training picture most alike."""
        train = self.splits["train"]
        frequent = Counter(caption for picture in train for caption in picture.captions).most_common(1)[0][0]
        neighbors = NearestNeighbors(n_neighbors=1).fit(flattened(train))
        found: dict[str, dict[str, Metrics]] = {"frequent": {}, "nearest": {}}
        for split, pictures in splits.items():
            found["frequent"][split] = self.scores(pictures, [frequent] * len(pictures)).figures
            nearest = neighbors.kneighbors(flattened(pictures), return_distance=False)[:, 0]
            found["nearest"][split] = self.scores(pictures, [train[at].captions[0] for at in nearest]).figures
        return found

    def samples(self) -> list[Json]:
        """The first validation pictures with their captions."""
        shown = self.splits["valid"][:NUM_SAMPLES]
        return [{"image": picture.content.tolist(), "caption": picture.captions[0]} for picture in shown]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of each token of the caption, its end the last."""
        has_pixels = self.model.encoder.convolutions is not None
        content = np.array(sample["image"], np.uint8) if has_pixels else np.array(sample["image"], np.float32)
        return self.log_probabilities(Picture(content, (sample["caption"],), "", ""))


def find_pictures(options: CaptionOptions, progress: Progress) -> dict[str, list[Picture]]:
    """Pictures by split.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    return split_pictures(read_pictures(options.path, options.pictures, progress), options.path, options.shares)


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


def flattened(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Pictures as rows of numbers."""
    return np.stack([picture.content.ravel() for picture in pictures]).astype(np.float32)
