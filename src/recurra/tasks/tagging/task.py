"""Tagging: one label for every token of a sentence, such as its part of speech or the slot it fills."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.baselines.tags import TAG_BASELINES
from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import bucket_by_length, longest_first
from recurra.data.text.lexicon import UNKNOWN as UNKNOWN_WORD
from recurra.data.text.lexicon import Ids, Lexicon
from recurra.data.text.tagged import TaggedSentence
from recurra.errors import DataError, shortened
from recurra.metrics.labels import UNKNOWN, classification_details
from recurra.metrics.spans import is_bio, is_invalid_bio, scores_by_span_type, tagging_scores
from recurra.models.tagger import Tagger, TaggerOptions, TaggerShape
from recurra.nn import bio_constraints
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.classification.data import digest_of
from recurra.tasks.evaluation import inference
from recurra.tasks.supervised import JudgedTask, refuse_unknown
from recurra.tasks.tagging.checks import check_tagged
from recurra.tasks.tagging.data import (
    Batch,
    Encoded,
    TaggedOptions,
    collate,
    find_held_out,
    find_sentences,
    fit_lexicon,
)
from recurra.tasks.task import Metric, Metrics, StepLoss, parse_recipe, refuse_other_architecture

LEXICON = "lexicon.json"
NUM_SAMPLES = 4
JUDGED_AT_ONCE = 128  # sentences


class TaggingTraining(TrainingOptions):
    """The `[training]` section: the common one, and what counts."""

    batch_size: int = Field(32, ge=1, description="sentences side by side in a step, of about one length")
    select_by: Literal["auto", "loss", "accuracy"] = Field(
        "auto",
        description="metric on validation that chooses the best epoch and decides when patience ends; auto is span F1 "
        " where tags are O, B- and I-, else accuracy",
    )
    rare_as_unknown: float = Field(
        0.5,
        ge=0,
        le=1,
        description="how often a word seen once is read as unknown, so that something is learned of those",
    )


class TaggingRecipe(Recipe):
    """A recipe for a tagger."""

    task: Literal["tagging"] = Field("tagging", description="name of the task")
    data: TaggedOptions
    model: TaggerOptions = TaggerOptions()
    training: TaggingTraining = TaggingTraining()


class Judgement(NamedTuple):
    """What the model makes of a sentence."""

    tags: Ids  # the best, (time,)
    probabilities: NDArray[np.float32]  # of each tag, given the sentence, (time, tags)
    loss: float | None  # nats of the right tags; None where they are none that the model could give


class Batches:
    """The training batches of an epoch.

    Args:
        task: whose training sentences.
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
        forgotten = self.rare[tokens.words] & (drawn < self.rare_as_unknown)
        return Batch(tokens._replace(words=tokens.words.masked_fill(torch.from_numpy(forgotten), UNKNOWN_WORD)), tags)


class Tagging(JudgedTask[TaggedSentence, Encoded]):
    """Tags, a tagger, and the sentences it is trained and judged on.

    Args:
        recipe: what to train on what.
        lexicon: words and characters of the training sentences.
        labels: names of the tags.
        longest: tokens of the longest training sentence.
        constrained: whether the conditional random field rules out what BIO does not allow.
    """

    name: ClassVar[str] = "tagging"
    recipe_type: ClassVar[type[Recipe]] = TaggingRecipe
    item: ClassVar[str] = "token"
    may_differ: ClassVar[tuple[str, ...]] = ("token_column", "tag_column", "unknown_tags")

    def __init__(
        self, recipe: TaggingRecipe, lexicon: Lexicon, labels: Sequence[str], longest: int, *, constrained: bool
    ) -> None:
        self.recipe, self.lexicon, self.labels, self.constrained = recipe, lexicon, list(labels), constrained
        self.by_span = is_bio(labels)
        self.shape = TaggerShape(lexicon.num_words, lexicon.num_characters, longest)
        allowed = bio_constraints(self.labels) if constrained else None
        self.model = Tagger(self.shape, len(self.labels), recipe.model, allowed)
        self.splits, self.encoded = {}, {}
        self.rare = np.zeros(0, np.bool_)  # whether a word was seen once, by id

    @property
    def primary_metric(self) -> Metric:
        """Span F1 where there are spans, else accuracy."""
        return Metric("span_f1" if self.by_span else "accuracy", higher_is_better=True)

    @property
    def selection_metric(self) -> Metric:
        """As the recipe names it."""
        name = self.recipe.training.select_by
        return self.primary_metric if name == "auto" else Metric(name, higher_is_better=name != "loss")

    @classmethod
    def start(cls, recipe: TaggingRecipe, progress: Progress) -> Self:
        """A new model for the sentences the recipe names.

        Raises:
            DataError: they or the word vectors cannot be used, or they have one tag only.
        """
        splits = find_sentences(recipe.data)
        train = splits["train"]
        labels = sorted({tag for sentence in train for tag in sentence.tags})
        if len(labels) < 2:
            raise DataError(
                f"{recipe.data.path}: all training tokens have the tag {shortened(labels[0])!r}; expected at least two "
                "tags"
            )
        broken = [sentence.place for sentence in train if is_invalid_bio(sentence.tags)] if is_bio(labels) else []
        if broken:
            progress.note(
                f"{len(broken):,} training sentences have an I- tag that goes on from nothing, so it may in "
                f"predictions too; the first: {broken[0]}"
            )
        lexicon, vectors = fit_lexicon(recipe.data, train, recipe.model.embedding_size, progress)
        longest = max(len(sentence.tokens) for sentence in train)
        constrained = recipe.model.crf and is_bio(labels) and not broken
        task = cls(recipe, lexicon, labels, longest, constrained=constrained)
        with torch.no_grad():
            for id, vector in vectors.items():
                task.model.embedding.weight[id] = torch.from_numpy(vector)
        task.take(splits)
        return task

    @classmethod
    def check(cls, recipe: TaggingRecipe, progress: Progress) -> Json:  # noqa: ARG003
        """Counts, lengths, tags and repetitions of the sentences the recipe names."""
        return check_tagged(find_sentences(recipe.data), recipe.data)

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and sentences.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, TaggingRecipe)
        there = description["architecture"]
        lexicon = Lexicon.parse(run.read(LEXICON))
        longest, constrained = there["shape"]["max_length"], there["constrained"]
        task = cls(recipe, lexicon, description["labels"], longest, constrained=constrained)
        refuse_other_architecture(run, there, task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        options = self.recipe.model.model_dump(mode="json")
        return {"shape": self.shape._asdict(), "constrained": self.constrained, **options}

    def load_data(self, progress: Progress) -> None:  # noqa: ARG002
        """Read the sentences the recipe names.

        Raises:
            DataError: they cannot be used, or a tag of theirs is none of the model's.
        """
        self.take(find_sentences(self.recipe.data))

    def take(self, splits: dict[str, list[TaggedSentence]]) -> None:
        """Encode sentences by split."""
        self.refuse_unknown(splits, self.recipe.data)
        super().take(splits)
        seen = np.bincount(np.concatenate(self.encoded["train"].words), minlength=self.lexicon.num_words)
        self.rare = seen == 1

    def refuse_unknown(self, splits: Mapping[str, Sequence[TaggedSentence]], options: TaggedOptions) -> None:
        """Refuse a tag that no training token has, where the options do not allow it."""
        if options.unknown_tags == "fail":
            sentences = (sentence for part in splits.values() for sentence in part)
            refuse_unknown("tag", self.labels, ((tag, one.place) for one in sentences for tag in one.tags))

    def encode(self, examples: Sequence[TaggedSentence]) -> Encoded:
        """Sentences as the model reads them."""
        ids = {label: index for index, label in enumerate(self.labels)}
        tags = [np.array([ids.get(tag, UNKNOWN) for tag in sentence.tags], np.int64) for sentence in examples]
        return Encoded(*self.lexicon.encode(sentence.tokens for sentence in examples), tags)

    def read_held_out(self, options: TaggedOptions, progress: Progress) -> dict[str, list[TaggedSentence]]:  # noqa: ARG002
        """Other sentences to judge by, by split."""
        found = find_held_out(options)
        self.refuse_unknown(found, options)
        return found

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        return {"architecture": self.architecture, "labels": self.labels}, {LEXICON: self.lexicon.dump()}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded sentences of each split."""
        return {
            split: digest_of([*found.words, *found.spellings, *found.characters], np.concatenate(found.tags))
            for split, found in self.encoded.items()
        }

    def batches(self, epoch: int) -> Batches:
        """Training sentences in batches of about one length, in an order of the epoch's own."""
        return Batches(self, epoch)

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of the right tag of a token."""
        tokens = batch.tokens.to(self.model.output.weight.device)
        scores = self.model(tokens)
        num_tokens = int(tokens.lengths.sum())
        nats = self.model.loss(scores, batch.tags.to(scores.device), tokens.lengths)  # (batch,)
        return StepLoss(nats.sum() / num_tokens, num_tokens, None)

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of the right tag of a token."""
        return f"loss {loss:.3f}"

    def judge(self, encoded: Encoded, progress: Progress, title: str = "evaluating") -> list[Judgement]:
        """What the model makes of each sentence."""
        found: dict[int, Judgement] = {}
        batches = longest_first(encoded.lengths, JUDGED_AT_ONCE)
        with inference(self.model), progress.stage(title, len(batches)) as advance:
            for indices in batches:
                for index, judgement in zip(indices, self.judge_batch(collate(encoded, indices)), strict=True):
                    found[int(index)] = judgement
                advance(1)
        return [found[index] for index in range(len(found))]

    def judge_batch(self, batch: Batch) -> list[Judgement]:
        """What the model makes of the sentences of a batch."""
        lengths, tags = batch.tokens.lengths, batch.tags
        scores = self.model(batch.tokens.to(self.model.output.weight.device))
        best = self.model.decode(scores, lengths).cpu().numpy()
        probabilities = self.model.probabilities(scores, lengths).cpu().numpy()
        sayable = torch.tensor([self.could_say(tags[:length, i]) for i, length in enumerate(lengths.tolist())])
        nats = self.model.loss(scores[:, sayable], tags[:, sayable].to(scores.device), lengths[sayable])
        losses = iter(nats.tolist())
        return [
            Judgement(best[:length, i].copy(), probabilities[:length, i].copy(), next(losses) if sayable[i] else None)
            for i, length in enumerate(lengths.tolist())
        ]

    def could_say(self, tags: Tensor) -> bool:
        """Whether the model gives the right tags of a sentence, (time,), any probability."""
        ids = tags.tolist()
        return UNKNOWN not in ids and not (self.constrained and is_invalid_bio([self.labels[id] for id in ids]))

    def names_of(self, judged: Sequence[Judgement]) -> list[list[str]]:
        """Names of the best tags of each sentence."""
        return [[self.labels[tag] for tag in judgement.tags] for judgement in judged]

    def scores(self, sentences: Sequence[TaggedSentence], judged: Sequence[Judgement]) -> Metrics:
        """Loss, accuracy and F1."""
        nats = sum(judgement.loss for judgement in judged if judgement.loss is not None)
        num_tokens = sum(len(judgement.tags) for judgement in judged if judgement.loss is not None)
        loss = nats / num_tokens if num_tokens else float("nan")
        true = [sentence.tags for sentence in sentences]
        return {"loss": loss, **tagging_scores(true, self.names_of(judged), by_span=self.by_span)}

    def validate(self, progress: Progress) -> Metrics:
        """Loss, accuracy and F1 on the validation sentences."""
        found = self.scores(self.splits["valid"], self.judge(self.encoded["valid"], progress, "validating"))
        return {name: found[name] for name in ("loss", "accuracy", "span_f1" if self.by_span else "macro_f1")}

    def judge_split(
        self, split: str, examples: Sequence[TaggedSentence], encoded: Encoded, progress: Progress
    ) -> tuple[Metrics, Json]:
        """Scores of the model on the sentences of a split, and what figures are drawn from."""
        judged = self.judge(encoded, progress, f"evaluating {split}")
        tokens = [(sentence, step) for sentence in examples for step in range(len(sentence.tokens))]
        details = classification_details(
            np.concatenate([judgement.probabilities for judgement in judged]),
            np.concatenate(encoded.tags),
            self.labels,
            partial(describe_token, tokens),
            np.concatenate([judgement.tags for judgement in judged]),
        )
        if self.by_span:
            details["classes"] = scores_by_span_type([sentence.tags for sentence in examples], self.names_of(judged))
        return self.scores(examples, judged), details

    def baselines(
        self, splits: Mapping[str, Sequence[TaggedSentence]], progress: Progress
    ) -> dict[str, dict[str, Metrics]]:
        """What taggers without recurrence reach, trained on the same sentences."""
        train = self.splits["train"]
        tokens, tags = [sentence.tokens for sentence in train], [sentence.tags for sentence in train]
        found: dict[str, dict[str, Metrics]] = {}
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
        found: list[float] = self.judge_tokens([sample["tokens"]], Progress())[0].probabilities.flatten().tolist()
        return found

    def judge_tokens(self, sentences: Sequence[Sequence[str]], progress: Progress) -> list[Judgement]:
        """What the model makes of sentences whose tags nobody knows."""
        unknown = [np.full(len(tokens), UNKNOWN) for tokens in sentences]
        return self.judge(Encoded(*self.lexicon.encode(sentences), unknown), progress)


def describe_token(tokens: Sequence[tuple[TaggedSentence, int]], number: int) -> Json:
    """One of some tokens, given as sentence and step: its place, its tag, and the sentence in which it is marked."""
    sentence, step = tokens[number]
    marked = [f"[{token}]" if at == step else token for at, token in enumerate(sentence.tokens)]
    return {"place": sentence.place, "content": " ".join(marked), "label": sentence.tags[step]}
