"""Tagging: a label for every token of a sentence, such as its part of speech or the slot that it fills."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import bucket_by_length, longest_first
from recurra.data.text.lexicon import UNKNOWN as UNKNOWN_WORD
from recurra.data.text.lexicon import Ids
from recurra.data.text.tagged import TaggedSentence
from recurra.metrics.labels import UNKNOWN, classification_details
from recurra.metrics.spans import is_bio, is_invalid_bio, scores_by_span_type, tagging_scores
from recurra.models.tagger import Tagger, TaggerOptions
from recurra.nn import bio_constraints
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import supervised
from recurra.tasks.supervised import refuse_unknown
from recurra.tasks.tagging.data import (
    Batch,
    Encoded,
    SentenceOptions,
    TaggingPreprocessor,
    WordVectors,
    check_sentences,
    collate,
    find_other_sentences,
    find_sentences,
)
from recurra.tasks.task import Metric, Preprocessor, Scores, StepLoss, inference

NUM_SAMPLES = 4
EVALUATION_BATCH = 128  # sentences


class TaggingTraining(TrainingOptions):
    """The `[training]` section: the common options, batch size, selection of the epoch, and unknown words."""

    batch_size: int = Field(32, ge=1, description="sentences side by side in a step, of about one length")
    select_by: Literal["auto", "loss", "accuracy"] = Field(
        "auto",
        description="metric on validation that chooses the best epoch and decides when patience ends; auto is span F1 "
        "where tags are O, B- and I-, else accuracy",
    )
    rare_as_unknown: float = Field(
        0.5,
        ge=0,
        le=1,
        description="probability of replacing a word that occurs once in training by the unknown word, so that its "
        "embedding is trained",
    )


class TaggingRecipe(Recipe):
    """A recipe for a tagger."""

    task: Literal["tagging"] = Field("tagging", description="name of the task")
    data: SentenceOptions
    model: TaggerOptions = TaggerOptions()
    training: TaggingTraining = TaggingTraining()


class Prediction(NamedTuple):
    """Predicted tags of a sentence."""

    tags: Ids  # best sequence, (time,)
    probabilities: NDArray[np.float32]  # of each tag given the sentence, (time, tags)
    loss: float | None  # nats of the correct tags; None where the model cannot predict them


class Batches:
    """Training batches of an epoch; some words that occur once are replaced by the unknown word.

    Args:
        task: has the encoded training sentences.
        epoch: counted from 0.
    """

    def __init__(self, task: "Tagging", epoch: int) -> None:
        options = task.recipe.training
        self.encoded, self.rare = task.encoded["train"], task.rare
        self.rare_as_unknown, self.seed = options.rare_as_unknown, (task.recipe.seed, epoch)
        self.buckets = bucket_by_length(self.encoded.lengths, options.batch_size, *self.seed)

    def __len__(self) -> int:
        return len(self.buckets)

    def __getitem__(self, index: int) -> Batch:
        tokens, tags = collate(self.encoded, self.buckets[index])
        drawn = np.random.default_rng((*self.seed, index)).random(tokens.words.shape)
        replaced = self.rare[tokens.words] & (drawn < self.rare_as_unknown)
        return Batch(tokens._replace(words=tokens.words.masked_fill(torch.from_numpy(replaced), UNKNOWN_WORD)), tags)


class Tagging:
    """A tagger and the tagged sentences it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training sentences.
    """

    name: ClassVar[str] = "tagging"
    recipe_type: ClassVar[type[Recipe]] = TaggingRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = TaggingPreprocessor
    item: ClassVar[str] = "token"
    usage: ClassVar[str] = "predict {run} SENTENCE"
    other_data_keys: ClassVar[tuple[str, ...]] = ("token_column", "tag_column", "unknown_tags")

    held_out = supervised.held_out
    read_held_out = supervised.read_held_out
    evaluate = supervised.evaluate

    def __init__(self, recipe: TaggingRecipe, preprocessor: TaggingPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.lexicon, self.labels = preprocessor.lexicon, preprocessor.labels
        self.by_span = is_bio(self.labels)
        # whether the conditional random field forbids tag sequences that are not valid BIO
        self.constrained = recipe.model.crf and preprocessor.is_valid_bio
        allowed = bio_constraints(self.labels) if self.constrained else None
        self.model = Tagger(preprocessor.shape, len(self.labels), recipe.model, allowed)
        self.splits: dict[str, list[TaggedSentence]] = {}
        self.encoded: dict[str, Encoded] = {}
        self.rare = np.zeros(0, np.bool_)  # whether a word occurs once in training, by id

    @property
    def primary_metric(self) -> Metric:
        """Span F1 where the tags are O, B- and I-, else accuracy."""
        return Metric("span_f1" if self.by_span else "accuracy", higher_is_better=True)

    @property
    def selection_metric(self) -> Metric:
        """`training.select_by` of the recipe; the primary metric where it is "auto"."""
        name = self.recipe.training.select_by
        return self.primary_metric if name == "auto" else Metric(name, higher_is_better=name != "loss")

    @classmethod
    def start(cls, recipe: TaggingRecipe, progress: Progress) -> Self:
        """Read the sentences of a recipe and build a new model.

        Raises:
            DataError: the sentences or the word vectors cannot be used, or all tokens have the same tag.
        """
        splits = find_sentences(recipe.data)
        preprocessor, vectors = TaggingPreprocessor.fit(
            splits["train"], recipe.data, recipe.model.embedding_size, progress
        )
        task = cls(recipe, preprocessor)
        task.initialize_embedding(vectors)
        task.set_data(splits)
        return task

    def initialize_embedding(self, vectors: WordVectors) -> None:
        """Start the embeddings of some words from pretrained vectors."""
        with torch.no_grad():
            for id, vector in vectors.items():
                self.model.embedding.weight[id] = torch.from_numpy(vector)

    @classmethod
    def check(cls, recipe: TaggingRecipe, progress: Progress) -> Json:  # noqa: ARG003
        """Counts, lengths, tags and repetitions of the sentences of a recipe."""
        return check_sentences(find_sentences(recipe.data), recipe.data)

    @property
    def data_options(self) -> SentenceOptions:
        """The data options of the recipe."""
        return self.recipe.data

    def read_data(self, progress: Progress) -> dict[str, list[TaggedSentence]]:  # noqa: ARG002
        """Read the sentences of the recipe by split.

        Raises:
            DataError: they cannot be used.
        """
        return find_sentences(self.recipe.data)

    def set_data(self, splits: dict[str, list[TaggedSentence]]) -> None:
        """Encode sentences by split and keep them.

        Raises:
            DataError: a tag that no training token has, where `data.unknown_tags` is "fail".
        """
        self.refuse_unknown(splits, self.recipe.data)
        supervised.keep(self, splits)
        counts = np.bincount(np.concatenate(self.encoded["train"].words), minlength=self.lexicon.num_words)
        self.rare = counts == 1

    def refuse_unknown(self, splits: Mapping[str, Sequence[TaggedSentence]], options: SentenceOptions) -> None:
        """Refuse a tag that no training token has, where the options do not allow it."""
        if options.unknown_tags == "fail":
            sentences = (sentence for part in splits.values() for sentence in part)
            refuse_unknown("tag", self.labels, ((tag, one.place) for one in sentences for tag in one.tags))

    def encode(self, examples: Sequence[TaggedSentence]) -> Encoded:
        """Sentences as the model reads them."""
        ids = {label: index for index, label in enumerate(self.labels)}
        tags = [np.array([ids.get(tag, UNKNOWN) for tag in sentence.tags], np.int64) for sentence in examples]
        return Encoded(*self.lexicon.encode(sentence.tokens for sentence in examples), tags)

    def read_other(self, options: SentenceOptions, progress: Progress) -> dict[str, list[TaggedSentence]]:  # noqa: ARG002
        """Read other sentences to evaluate on, by split."""
        found = find_other_sentences(options)
        self.refuse_unknown(found, options)
        return found

    def batches(self, epoch: int) -> Batches:
        """Training sentences in batches of similar lengths, shuffled differently in each epoch."""
        return Batches(self, epoch)

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean negative log-likelihood of the correct tags, nats per token."""
        tokens = batch.tokens.to(self.model.output.weight.device)
        scores = self.model(tokens)  # (time, batch, tags)
        num_tokens = int(tokens.lengths.sum())
        nats = self.model.loss(scores, batch.tags.to(scores.device), tokens.lengths)  # (batch,)
        return StepLoss(nats.sum() / num_tokens, num_tokens, None)

    def predict(self, encoded: Encoded, progress: Progress, title: str = "evaluating") -> list[Prediction]:
        """Tags of each sentence, in order."""
        found: dict[int, Prediction] = {}
        batches = longest_first(encoded.lengths, EVALUATION_BATCH)
        with inference(self.model), progress.stage(title, len(batches)) as advance:
            for indices in batches:
                found.update(zip(indices.tolist(), self.predict_batch(collate(encoded, indices)), strict=True))
                advance(1)
        return [found[index] for index in range(len(found))]

    def predict_tokens(self, sentences: Sequence[Sequence[str]], progress: Progress) -> list[Prediction]:
        """Tags of sentences whose correct tags are not known."""
        unknown = [np.full(len(tokens), UNKNOWN) for tokens in sentences]
        return self.predict(Encoded(*self.lexicon.encode(sentences), unknown), progress, "tagging")

    def predict_batch(self, batch: Batch) -> Iterator[Prediction]:
        """Tags of the sentences of a batch."""
        lengths, tags = batch.tokens.lengths, batch.tags
        scores = self.model(batch.tokens.to(self.model.output.weight.device))  # (time, batch, tags)
        best = self.model.decode(scores, lengths).cpu().numpy()  # (time, batch)
        probabilities = self.model.probabilities(scores, lengths).cpu().numpy()  # (time, batch, tags)
        has_loss = torch.tensor([self.can_predict(tags[:length, i]) for i, length in enumerate(lengths.tolist())])
        nats = self.model.loss(scores[:, has_loss], tags[:, has_loss].to(scores.device), lengths[has_loss])
        losses = iter(nats.tolist())
        for i, length in enumerate(lengths.tolist()):
            loss = next(losses) if has_loss[i] else None
            yield Prediction(best[:length, i].copy(), probabilities[:length, i].copy(), loss)

    def can_predict(self, tags: Tensor) -> bool:
        """Whether the model gives the correct tags of a sentence, (time,), a probability above 0."""
        ids = tags.tolist()
        return UNKNOWN not in ids and not (self.constrained and is_invalid_bio([self.labels[id] for id in ids]))

    def names_of(self, predictions: Sequence[Prediction]) -> list[list[str]]:
        """Names of the predicted tags of each sentence."""
        return [[self.labels[tag] for tag in one.tags] for one in predictions]

    def scores(self, sentences: Sequence[TaggedSentence], predictions: Sequence[Prediction]) -> Scores:
        """Loss, accuracy and F1. The loss leaves sentences out whose correct tags the model cannot predict."""
        nats = sum(one.loss for one in predictions if one.loss is not None)
        num_tokens = sum(len(one.tags) for one in predictions if one.loss is not None)
        loss = nats / num_tokens if num_tokens else float("nan")
        true = [sentence.tags for sentence in sentences]
        return {"loss": loss, **tagging_scores(true, self.names_of(predictions), by_span=self.by_span)}

    def validate(self, progress: Progress) -> Scores:
        """Loss, accuracy and F1 on the validation sentences."""
        found = self.scores(self.splits["valid"], self.predict(self.encoded["valid"], progress, "validating"))
        return {name: found[name] for name in ("loss", "accuracy", "span_f1" if self.by_span else "macro_f1")}

    def evaluate_split(
        self, split: str, examples: Sequence[TaggedSentence], encoded: Encoded, progress: Progress
    ) -> tuple[Scores, Json]:
        """Scores of the model on the sentences of a split, and details for the evaluation page."""
        predictions = self.predict(encoded, progress, f"evaluating {split}")
        tokens = [(sentence, step) for sentence in examples for step in range(len(sentence.tokens))]
        details = classification_details(
            np.concatenate([one.probabilities for one in predictions]),
            np.concatenate(encoded.tags),
            self.labels,
            partial(describe_token, tokens),
            np.concatenate([one.tags for one in predictions]),
        )
        if self.by_span:
            true = [sentence.tags for sentence in examples]
            details["classes"] = scores_by_span_type(true, self.names_of(predictions))
        return self.scores(examples, predictions), details

    def baselines(
        self, splits: Mapping[str, Sequence[TaggedSentence]], progress: Progress
    ) -> dict[str, dict[str, Scores]]:
        """Scores of taggers without recurrence, fitted to the same sentences."""
        from recurra.baselines.tags import TAG_BASELINES

        train = self.splits["train"]
        tokens, tags = [sentence.tokens for sentence in train], [sentence.tags for sentence in train]
        found: dict[str, dict[str, Scores]] = {}
        with progress.stage("training the baselines", len(TAG_BASELINES)) as advance:
            for name, baseline in TAG_BASELINES.items():
                advance(0, name)
                fitted = baseline(self.recipe.seed).fit(tokens, tags)
                found[name] = {}
                for split, sentences in splits.items():
                    true, given = [one.tags for one in sentences], [one.tokens for one in sentences]
                    found[name][split] = tagging_scores(true, fitted.predict(given), by_span=self.by_span)
                advance(1)
        return found

    def samples(self) -> list[Json]:
        """The first validation sentences."""
        return [{"tokens": list(sentence.tokens)} for sentence in self.splits["valid"][:NUM_SAMPLES]]

    def outputs_of(self, sample: Json) -> list[float]:
        """Probability of each tag at each token."""
        (found,) = self.predict_tokens([sample["tokens"]], Progress())
        probabilities: list[float] = found.probabilities.flatten().tolist()
        return probabilities


def describe_token(tokens: Sequence[tuple[TaggedSentence, int]], number: int) -> Json:
    """A token as a row of a list: its place, its tag, and the sentence with brackets around the token.

    Args:
        tokens: each as its sentence and its position there.
        number: index of the token.
    """
    sentence, step = tokens[number]
    marked = [f"[{token}]" if at == step else token for at, token in enumerate(sentence.tokens)]
    return {"place": sentence.place, "content": " ".join(marked), "label": sentence.tags[step]}


TASK = Tagging
