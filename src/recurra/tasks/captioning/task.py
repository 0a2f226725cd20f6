"""Captioning: a text about an image, such as the digits it shows, or a description of a photograph."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Recipe
from recurra.data.media.pictures import Picture
from recurra.data.text.vocabulary import Vocabulary
from recurra.decoding.beam import Hypothesis
from recurra.models.captioner import Captioner, CaptionerOptions
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import seq2seq, supervised
from recurra.tasks.captioning.data import (
    CaptioningPreprocessor,
    CaptionOptions,
    Encoded,
    check_pictures,
    find_other_pictures,
    find_pictures,
)
from recurra.tasks.seq2seq import END, DecodingOptions, Seq2SeqTraining
from recurra.tasks.task import Metric, Preprocessor, Scores

NUM_SAMPLES = 4
SPARE = 10  # maximum tokens of a caption beyond the longest one of training


class CaptioningRecipe(Recipe):
    """A recipe for a captioner."""

    task: Literal["captioning"] = Field("captioning", description="name of the task")
    data: CaptionOptions
    model: CaptionerOptions = CaptionerOptions()
    training: Seq2SeqTraining = Seq2SeqTraining()
    decoding: DecodingOptions = DecodingOptions()


class Captioning:
    """A captioner and the images it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training images.
    """

    name: ClassVar[str] = "captioning"
    recipe_type: ClassVar[type[Recipe]] = CaptioningRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = CaptioningPreprocessor
    item: ClassVar[str] = "token"
    usage: ClassVar[str] = "caption {run} IMAGE"
    other_data_keys: ClassVar[tuple[str, ...]] = ("image_column", "caption_column")
    examples_name = "pictures"

    batches = seq2seq.batches
    loss = seq2seq.loss
    validate = seq2seq.validate
    evaluate_split = seq2seq.evaluate_split
    set_data = supervised.keep
    held_out = supervised.held_out
    read_held_out = supervised.read_held_out
    evaluate = supervised.evaluate

    def __init__(self, recipe: CaptioningRecipe, preprocessor: CaptioningPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.vocabulary, self.image_shape = preprocessor.vocabulary, preprocessor.image
        self.model = Captioner(preprocessor.shape, recipe.model)
        self.splits: dict[str, list[Picture]] = {}
        self.encoded: dict[str, Encoded] = {}

    @property
    def primary_metric(self) -> Metric:
        """See `seq2seq.primary_metric`."""
        return seq2seq.primary_metric(self)

    @property
    def selection_metric(self) -> Metric:
        """See `seq2seq.selection_metric`."""
        return seq2seq.selection_metric(self)

    @classmethod
    def start(cls, recipe: CaptioningRecipe, progress: Progress) -> Self:
        """Read the images of a recipe and build a new model.

        Raises:
            DataError: the images cannot be used.
            UsageError: an initialization that does not fit the cell, or sizes that do not fit each other.
        """
        splits = find_pictures(recipe.data, progress)
        task = cls(recipe, CaptioningPreprocessor.fit(splits["train"], recipe.data))
        task.set_data(splits)
        seq2seq.initialize_output_bias(task)
        return task

    @classmethod
    def check(cls, recipe: CaptioningRecipe, progress: Progress) -> Json:
        """Counts, lengths and repetitions of the images of a recipe."""
        return check_pictures(find_pictures(recipe.data, progress))

    @property
    def data_options(self) -> CaptionOptions:
        """The data options of the recipe."""
        options: CaptionOptions = self.recipe.data
        return options

    def read_data(self, progress: Progress) -> dict[str, list[Picture]]:
        """Read the images of the recipe by split.

        Raises:
            DataError: they cannot be used.
        """
        return find_pictures(self.recipe.data, progress)

    def read_other(self, options: CaptionOptions, progress: Progress) -> dict[str, list[Picture]]:
        """Read other images to evaluate on, by split."""
        return find_other_pictures(options, progress)

    def encode(self, examples: Sequence[Picture]) -> Encoded:
        """Images as the model reads them."""
        return self.preprocessor.encode(examples, self.model.encoder.num_regions)

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The vocabulary of the captions."""
        return self.vocabulary

    @property
    def banned(self) -> int | None:
        """The unknown token is never generated."""
        return self.vocabulary.unknown_id

    def max_lengths(self, lengths: Tensor) -> Tensor:
        """Maximum tokens of a caption, the same for all images."""
        max_tokens = self.recipe.decoding.max_tokens or self.preprocessor.max_target_length + SPARE
        return torch.full_like(lengths, max_tokens)

    def text_of(self, example: Picture, found: Hypothesis) -> str:  # noqa: ARG002
        """A caption as text."""
        return self.vocabulary.decode(found.tokens)

    def references_of(self, example: Picture) -> Sequence[str]:
        """All its captions."""
        return example.captions

    def describe_example(self, example: Picture) -> Json:
        """Its place."""
        return {"place": example.place}

    def attention_of(self, example: Picture, found: Hypothesis) -> Json:
        """Attention weights for each token of a caption, as plain values.

        Returns:
            image (height, width, channels), None for features; tokens; grid, rows and columns of its cells; and
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
    ) -> dict[str, dict[str, Scores]]:
        """Scores of the most frequent training caption, and of that of the nearest training image."""
        from sklearn.neighbors import NearestNeighbors

        train = self.splits["train"]
        frequent = Counter(caption for picture in train for caption in picture.captions).most_common(1)[0][0]
        neighbors = NearestNeighbors(n_neighbors=1).fit(flattened(train))
        found: dict[str, dict[str, Scores]] = {"frequent": {}, "nearest": {}}
        for split, pictures in splits.items():
            found["frequent"][split] = seq2seq.scores(self, pictures, [frequent] * len(pictures)).figures
            nearest = neighbors.kneighbors(flattened(pictures), return_distance=False)[:, 0]
            found["nearest"][split] = seq2seq.scores(self, pictures, [train[at].captions[0] for at in nearest]).figures
        return found

    def samples(self) -> list[Json]:
        """The first validation images with a caption."""
        shown = self.splits["valid"][:NUM_SAMPLES]
        return [{"image": picture.content.tolist(), "caption": picture.captions[0]} for picture in shown]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of each token of the caption, its end the last."""
        has_pixels = self.model.encoder.convolutions is not None
        content = np.array(sample["image"], np.uint8) if has_pixels else np.array(sample["image"], np.float32)
        return seq2seq.log_probabilities(self, Picture(content, (sample["caption"],), "", ""))


def flattened(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Images as rows of numbers."""
    return np.stack([picture.content.ravel() for picture in pictures]).astype(np.float32)


TASK = Captioning
