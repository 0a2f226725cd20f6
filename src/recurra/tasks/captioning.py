"""Captioning: a text about an image, such as the digits it shows, or what happens in a photograph."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.neighbors import NearestNeighbors

from recurra.config import Recipe, Shares
from recurra.data.buckets import Buckets, Collated, by_length
from recurra.data.images import ImageOptions
from recurra.data.pictures import Picture, PictureOptions, read_pictures, split_pictures
from recurra.data.splits import all_but_train
from recurra.data.vocabulary import TokenOptions, Vocabulary, as_line
from recurra.errors import DataError
from recurra.models.captioner import Captioner, CaptionerOptions, CaptionerShape
from recurra.models.search import Hypothesis, Search, searching
from recurra.models.text_scores import Rules, Scores, text_scores, worst_texts
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.examples import digest_of
from recurra.tasks.task import Measure, Metrics, Report, StepLoss, parse_recipe, refuse_other_architecture
from recurra.tasks.writing import (
    END,
    GREEDY,
    JUDGED_AT_ONCE,
    Batch,
    DecodingOptions,
    Frame,
    Ids,
    Indices,
    Request,
    WritingTraining,
    criterion_of,
    headline_of,
    log_probabilities,
    mean_nats,
    training_loss,
    write_texts,
)

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
    colour: bool = Field(False, description="three channels instead of grey")
    shares: Shares = Field(
        (0.8, 0.1, 0.1), description="training, validation and test share where the files do not say; by a hash"
    )

    @property
    def pictures(self) -> PictureOptions:
        """How pictures are read."""
        return PictureOptions(ImageOptions(self.image_size, self.colour), self.image_column, self.caption_column)


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


class Captioning:
    """A vocabulary, a captioner, and the pictures it is trained and judged on.

    Args:
        recipe: what to train on what.
        vocabulary: types of the training captions.
        shape: of the pictures, and the longest training caption.
    """

    name: ClassVar[str] = "captioning"
    recipe_type: ClassVar[type[Recipe]] = CaptioningRecipe
    item: ClassVar[str] = "token"

    def __init__(self, recipe: CaptioningRecipe, vocabulary: Vocabulary, shape: CaptionerShape) -> None:
        self.recipe, self.vocabulary, self.shape = recipe, vocabulary, shape
        self.model = Captioner(shape, recipe.model)
        self.splits: dict[str, list[Picture]] = {}
        self.encoded: dict[str, Encoded] = {}

    @property
    def headline(self) -> Measure:
        """Exact matches of characters, BLEU of words; or the score that the recipe names."""
        return headline_of(self.recipe.training, self.recipe.data.unit)

    @property
    def criterion(self) -> Measure:
        """As the recipe names it."""
        return criterion_of(self.recipe.training, self.recipe.data.unit)

    @classmethod
    def start(cls, recipe: CaptioningRecipe, progress: Progress) -> Self:
        """A new model for the pictures the recipe names.

        Raises:
            DataError: they cannot be used.
            UsageError: an initialisation that does not fit the cell, or sizes that do not fit each other.
        """
        splits = find_pictures(recipe.data, progress)
        captions = [caption for picture in splits["train"] for caption in picture.captions]
        vocabulary = Vocabulary.of([f"{caption}\n" for caption in captions], recipe.data)
        ids = [vocabulary.encode_line(caption) for caption in captions]
        shape = CaptionerShape(splits["train"][0].content.shape, len(vocabulary), max(map(len, ids)))
        task = cls(recipe, vocabulary, shape)
        task.take(splits)
        counts = np.bincount(np.concatenate(ids), minlength=len(vocabulary)) + 1
        task.model.decoder.expect(torch.from_numpy(counts / counts.sum()))
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
        found = CaptionerShape(tuple(shape["image"]), shape["target_types"], shape["longest_target"])
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

    def take(self, splits: dict[str, list[Picture]]) -> None:
        """Encode pictures by split."""
        self.splits, self.encoded = splits, {split: self.encode(pictures) for split, pictures in splits.items()}

    def encode(self, pictures: Sequence[Picture]) -> Encoded:
        """Pictures as the model reads them.

        Raises:
            DataError: one of another shape than the model reads.
        """
        for picture in pictures:
            if picture.content.shape != self.shape.image:
                raise DataError(
                    f"{picture.place}: of shape {picture.content.shape}, but the model reads {self.shape.image}"
                )
        owners = np.repeat(np.arange(len(pictures)), [len(picture.captions) for picture in pictures])
        targets = [self.vocabulary.encode_line(caption) for picture in pictures for caption in picture.captions]
        return Encoded(np.stack([picture.content for picture in pictures]), owners, targets)

    def find_held_out(self, path: str, progress: Progress) -> dict[str, list[Picture]]:
        """Other pictures to judge by, by split.

        Raises:
            DataError: they cannot be used.
        """
        found = read_pictures(path, self.recipe.data.pictures, progress)
        return all_but_train(found) or found

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        return {"architecture": self.architecture}, {TOKENIZER: self.vocabulary.dump()}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded pictures of each split."""
        return {
            split: digest_of([found.contents, found.owners], np.concatenate(found.targets))
            for split, found in self.encoded.items()
        }

    def batches(self, epoch: int) -> Collated[Batch]:
        """Training captions with their pictures in batches of about one length, in an order of the epoch's own."""
        encoded, options = self.encoded["train"], self.recipe.training
        buckets = Buckets([len(ids) for ids in encoded.targets], options.batch_size, self.recipe.seed, epoch)
        return Collated(buckets.batches, partial(collate, encoded, self.vocabulary.start_id))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of the right token, given the picture and the right tokens before it."""
        return training_loss(self.model, batch, self.recipe.training)

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of the right token."""
        return f"loss {loss:.3f}"

    def nats(self, encoded: Encoded, progress: Progress, title: str) -> float:
        """Mean nats of the right token, without smoothing."""
        groups = by_length([len(ids) for ids in encoded.targets], JUDGED_AT_ONCE)
        return mean_nats(
            self.model, Collated(groups, partial(collate, encoded, self.vocabulary.start_id)), progress, title
        )

    def write(
        self, contents: NDArray[Any], search: Search, progress: Progress, title: str = "writing"
    ) -> list[list[Hypothesis]]:
        """The best captions of each picture, (pictures, ...)."""

        def request(indices: Indices) -> Request:
            longest = torch.full((len(indices),), self.recipe.decoding.most_tokens or self.shape.longest_target + SPARE)
            cells = torch.full_like(longest, self.model.encoder.num_cells)
            return Request((torch.from_numpy(contents[indices]),), longest, cells)

        end = self.vocabulary.start_id
        frame = Frame(end, end, self.vocabulary.unknown_id)
        return write_texts(self.model, [0] * len(contents), request, frame, search, progress, title)

    def texts_of(self, found: Sequence[Sequence[Hypothesis]]) -> list[str]:
        """The best caption of each picture."""
        return [self.vocabulary.decode(best[0].tokens) for best in found]

    def scores(self, pictures: Sequence[Picture], outputs: Sequence[str]) -> Scores:
        """How close outputs come to the captions."""
        return text_scores(outputs, [[as_line(caption) for caption in one.captions] for one in pictures], self.rules)

    @property
    def rules(self) -> Rules:
        """How captions are compared."""
        return Rules(self.recipe.data.lowercase, self.recipe.decoding.bleu_tokeniser)

    def validate(self, progress: Progress) -> Metrics:
        """Loss on the validation pictures, and scores of greedy captions of so many of them."""
        pictures, encoded = self.splits["valid"], self.encoded["valid"]
        loss, stride = self.nats(encoded, progress, "validating"), -(-len(pictures) // MOST_VALIDATED)
        found = self.write(encoded.contents[::stride], searching(GREEDY), progress, "validating")
        return {"loss": loss, **self.scores(pictures[::stride], self.texts_of(found)).figures}

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on the validation and test pictures."""
        held_out = all_but_train(self.splits)
        metrics, details = self.evaluate(held_out, progress)
        return Report({"model": metrics, **self.baselines(held_out, progress)}, details)

    def evaluate(self, splits: Mapping[str, Sequence[Picture]], progress: Progress) -> tuple[dict[str, Metrics], Json]:
        """Scores of the model by split, and what a page is drawn from."""
        metrics, details = {}, {}
        for split, pictures in splits.items():
            encoded = self.encoded[split] if pictures is self.splits.get(split) else self.encode(pictures)
            loss = self.nats(encoded, progress, f"evaluating {split}")
            rules = self.recipe.decoding.rules()
            found = greedy = self.write(encoded.contents, searching(rules), progress, f"captioning {split}")
            if rules.size > 1:
                greedy = self.write(encoded.contents, searching(GREEDY), progress, f"captioning {split} greedily")
            outputs = self.texts_of(found)
            scores, beside = self.scores(pictures, outputs), self.scores(pictures, self.texts_of(greedy))
            metrics[split] = {"loss": loss, **scores.figures, "greedy_bleu": beside.figures["bleu"]}
            metrics[split] |= {"pictures": len(pictures)}
            references = [one.captions for one in pictures]
            worst = worst_texts(outputs, references, partial(told, pictures), self.rules)
            details[split] = {"signatures": scores.signatures, "worst": worst}
            shown = zip(encoded.contents[:NUM_SHOWN], found, strict=False)
            details[split]["views"] = [self.view(content, best[0]) for content, best in shown]
        return metrics, details

    def view(self, content: NDArray[Any], found: Hypothesis) -> Json:
        """What was read of a picture for each token of its caption, as plain values.

        Returns:
            image (height, width, channels), None of given features; tokens; grid, rows and columns of its cells; and
            weights (tokens, cells).
        """
        tokens, weights = [*(self.vocabulary.token(id) for id in found.tokens), END], found.attention.tolist()
        image = None if self.model.encoder.convolutions is None else content.tolist()
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
        neighbours = NearestNeighbors(n_neighbors=1).fit(flattened(train))
        found: dict[str, dict[str, Metrics]] = {"frequent": {}, "nearest": {}}
        for split, pictures in splits.items():
            found["frequent"][split] = self.scores(pictures, [frequent] * len(pictures)).figures
            nearest = neighbours.kneighbors(flattened(pictures), return_distance=False)[:, 0]
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
        picture = Picture(content, (sample["caption"],), "", "")
        return log_probabilities(self.model, collate(self.encode([picture]), self.vocabulary.start_id, np.array([0])))


def collate(encoded: Encoded, start: int, indices: Indices) -> Batch:
    """Some captions and their pictures side by side."""
    images = torch.from_numpy(encoded.contents[encoded.owners[indices]])
    return Batch.of((images,), [encoded.targets[index] for index in indices], start)


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
    trained = {picture.content.tobytes() for picture in splits["train"]}
    problems = []
    for split in [split for split in splits if split != "train"]:
        leaked = [picture for picture in splits[split] if picture.content.tobytes() in trained]
        if leaked:
            problems.append(
                f"{len(leaked):,} pictures of {split} stand in train too, such as {leaked[0].place}: {split} is easier "
                "than new data would be"
            )
    return {"splits": rows, "problems": problems}


def flattened(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Pictures as rows of numbers."""
    return np.stack([picture.content.ravel() for picture in pictures]).astype(np.float32)


def told(pictures: Sequence[Picture], number: int) -> Json:
    """What a page says of a picture beside its captions."""
    return {"place": pictures[number].place}
