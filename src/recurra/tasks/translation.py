"""Translation: from one text to another, such as a sentence in another language, or a date in another form."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from recurra.config import Recipe
from recurra.data.buckets import Buckets, Collated, by_length, padded
from recurra.data.pairs import Pair
from recurra.data.splits import all_but_train
from recurra.data.vocabulary import Vocabulary, as_line, join_words, split_words
from recurra.models.search import Hypothesis, Search, searching
from recurra.models.text_scores import Rules, Scores, text_scores, worst_texts
from recurra.models.translator import Translator, TranslatorOptions, TranslatorShape
from recurra.models.word_translation import WordTranslation
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.examples import digest_of
from recurra.tasks.pair_checks import check_pairs
from recurra.tasks.pairs import Encoded, PairOptions, Vocabularies, collate, encode, find_held_out, find_pairs
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

SOURCE, TARGET = "source_tokenizer.json", "target_tokenizer.json"
NUM_SAMPLES = 4
MOST_VALIDATED = 1000  # pairs whose translations are scored after each epoch
NUM_ALIGNED = 8  # of each split
SPARE = 20  # tokens that a translation may have beyond twice those of its source, if not more by training


class TranslationDecoding(DecodingOptions):
    """The `[decoding]` section: how translations are searched for."""

    replace_unknown: bool = Field(
        True,
        description="where the unit is word: put the source word that was read most in the place of an unknown one",
    )


class TranslationRecipe(Recipe):
    """A recipe for a translator."""

    task: Literal["translation"] = Field("translation", description="name of the task")
    data: PairOptions
    model: TranslatorOptions = TranslatorOptions()
    training: WritingTraining = WritingTraining()
    decoding: TranslationDecoding = TranslationDecoding()

    @model_validator(mode="after")
    def ties_what_is_one(self) -> Self:
        """One table for both sides needs one vocabulary."""
        if self.model.tied == "all" and not self.data.joint:
            raise ValueError("tied all together with data.joint, one vocabulary for both sides")
        return self


class Translation:
    """Two vocabularies, a translator, and the pairs it is trained and judged on.

    Args:
        recipe: what to train on what.
        vocabularies: types of the training pairs.
        longest: tokens of the longest training source and target.
    """

    name: ClassVar[str] = "translation"
    recipe_type: ClassVar[type[Recipe]] = TranslationRecipe
    item: ClassVar[str] = "token"

    def __init__(self, recipe: TranslationRecipe, vocabularies: Vocabularies, longest: tuple[int, int]) -> None:
        self.recipe, self.vocabularies = recipe, vocabularies
        self.shape = TranslatorShape(len(vocabularies.source), len(vocabularies.target), *longest)
        self.model = Translator(self.shape, recipe.model)
        self.splits: dict[str, list[Pair]] = {}
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
    def start(cls, recipe: TranslationRecipe, progress: Progress) -> Self:
        """A new model for the pairs the recipe names.

        Raises:
            DataError: they cannot be used.
            UsageError: an initialisation that does not fit the cell, or sizes that do not fit the attention.
        """
        splits = find_pairs(recipe.data, progress)
        vocabularies = Vocabularies.of(splits["train"], recipe.data)
        encoded = {split: encode(pairs, vocabularies) for split, pairs in splits.items()}
        sources, targets = encoded["train"]
        task = cls(recipe, vocabularies, (max(map(len, sources)), max(map(len, targets))))
        task.splits, task.encoded = splits, encoded
        counts = np.bincount(np.concatenate(targets), minlength=len(vocabularies.target)) + 1
        task.model.decoder.expect(torch.from_numpy(counts / counts.sum()))
        return task

    @classmethod
    def check(cls, recipe: TranslationRecipe, progress: Progress) -> Json:
        """Counts, lengths, repetitions and unknown words of the pairs the recipe names."""
        splits = find_pairs(recipe.data, progress)
        return check_pairs(splits, recipe.data, Vocabularies.of(splits["train"], recipe.data))

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and pairs.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, TranslationRecipe)
        there = description["architecture"]
        vocabularies = Vocabularies(*(Vocabulary.parse(run.read(file), recipe.data.unit) for file in (SOURCE, TARGET)))
        task = cls(recipe, vocabularies, (there["shape"]["longest_source"], there["shape"]["longest_target"]))
        refuse_other_architecture(run, there, task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        return {"shape": self.shape._asdict(), **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:
        """Read the pairs the recipe names.

        Raises:
            DataError: they cannot be used.
        """
        self.take(find_pairs(self.recipe.data, progress))

    def take(self, splits: dict[str, list[Pair]]) -> None:
        """Encode pairs by split."""
        self.splits, self.encoded = splits, {split: encode(pairs, self.vocabularies) for split, pairs in splits.items()}

    def find_held_out(self, path: str, progress: Progress) -> dict[str, list[Pair]]:  # noqa: ARG002
        """Other pairs to judge by, by split.

        Raises:
            DataError: they cannot be used.
        """
        return find_held_out(self.recipe.data.model_copy(update={"path": path, "test_files": None}))

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        files = {SOURCE: self.vocabularies.source.dump(), TARGET: self.vocabularies.target.dump()}
        return {"architecture": self.architecture}, files

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded pairs of each split."""
        return {split: digest_of(found.sources, np.concatenate(found.targets)) for split, found in self.encoded.items()}

    def batches(self, epoch: int) -> Collated[Batch]:
        """Training pairs in batches of about one length, in an order of the epoch's own."""
        encoded, options = self.encoded["train"], self.recipe.training
        buckets = Buckets(encoded.sizes, options.batch_size, self.recipe.seed, epoch)
        return Collated(buckets.batches, partial(collate, encoded, self.vocabularies.end))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of the right token, given the source and the right tokens before it."""
        return training_loss(self.model, batch, self.recipe.training)

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of the right token."""
        return f"loss {loss:.3f}"

    def nats(self, encoded: Encoded, progress: Progress, title: str) -> float:
        """Mean nats of the right token, without smoothing."""
        groups = by_length(encoded.sizes, JUDGED_AT_ONCE)
        return mean_nats(
            self.model, Collated(groups, partial(collate, encoded, self.vocabularies.end)), progress, title
        )

    def translate(
        self, sources: Sequence[Ids], search: Search, progress: Progress, title: str = "translating"
    ) -> list[list[Hypothesis]]:
        """The best translations of each source."""

        def request(indices: Indices) -> Request:
            tokens, lengths = padded([sources[index] for index in indices], 0)
            return Request((tokens, lengths), self.longest_of(lengths), lengths)

        lengths = [len(source) for source in sources]
        end, unknown = self.vocabularies.end, self.vocabularies.target.unknown_id
        frame = Frame(end, end, None if self.replaces_unknown else unknown)
        return write_texts(self.model, lengths, request, frame, search, progress, title)

    @property
    def replaces_unknown(self) -> bool:
        """Whether words of the source take the place of unknown ones; else none is written."""
        has_attention = self.model.decoder.attention is not None
        return self.recipe.decoding.replace_unknown and self.recipe.data.unit == "word" and has_attention

    def longest_of(self, lengths: Tensor) -> Tensor:
        """Tokens that the translations of sources of some lengths may have."""
        longest = self.recipe.decoding.most_tokens
        if longest is not None:
            return torch.full_like(lengths, longest)
        return (2 * lengths + SPARE).clamp(min=self.shape.longest_target)

    def text_of(self, source: str, found: Hypothesis) -> str:
        """A translation as text."""
        vocabulary, unknown = self.vocabularies.target, self.vocabularies.target.unknown_id
        if not self.replaces_unknown or unknown not in found.tokens:
            return vocabulary.decode(found.tokens)
        pieces, read = self.vocabularies.source.pieces(as_line(source)), found.attention[:, :-1].argmax(1).tolist()
        pairs = zip(found.tokens, read, strict=False)  # what was read for the end comes last
        return join_words(pieces[at] if id == unknown else vocabulary.token(id) for id, at in pairs)

    def texts_of(self, pairs: Sequence[Pair], found: Sequence[Sequence[Hypothesis]]) -> list[str]:
        """The best translation of each source."""
        return [self.text_of(pair.source, best[0]) for pair, best in zip(pairs, found, strict=True)]

    def scores(self, pairs: Sequence[Pair], outputs: Sequence[str]) -> Scores:
        """How close outputs come to the targets."""
        lines = [as_line(text) for text in outputs]
        return text_scores(lines, [[as_line(pair.target)] for pair in pairs], self.rules)

    @property
    def rules(self) -> Rules:
        """How translations are compared with their targets."""
        return Rules(self.recipe.data.lowercase, self.recipe.decoding.bleu_tokeniser)

    def validate(self, progress: Progress) -> Metrics:
        """Loss on the validation pairs, and scores of greedy translations of so many of them."""
        pairs, encoded = self.splits["valid"], self.encoded["valid"]
        loss, stride = self.nats(encoded, progress, "validating"), -(-len(pairs) // MOST_VALIDATED)
        found = self.translate(encoded.sources[::stride], searching(GREEDY), progress, "validating")
        return {"loss": loss, **self.scores(pairs[::stride], self.texts_of(pairs[::stride], found)).figures}

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on the validation and test pairs."""
        held_out = all_but_train(self.splits)
        metrics, details = self.evaluate(held_out, progress)
        return Report({"model": metrics, **self.baselines(held_out, progress)}, details)

    def evaluate(self, splits: Mapping[str, Sequence[Pair]], progress: Progress) -> tuple[dict[str, Metrics], Json]:
        """Scores of the model by split, and what a page is drawn from."""
        metrics, details = {}, {}
        for split, pairs in splits.items():
            encoded = self.encoded[split] if pairs is self.splits.get(split) else encode(pairs, self.vocabularies)
            loss = self.nats(encoded, progress, f"evaluating {split}")
            rules = self.recipe.decoding.rules()
            found = greedy = self.translate(encoded.sources, searching(rules), progress, f"translating {split}")
            if rules.size > 1:
                greedy = self.translate(encoded.sources, searching(GREEDY), progress, f"translating {split} greedily")
            outputs, references = self.texts_of(pairs, found), [[pair.target] for pair in pairs]
            scores, beside = self.scores(pairs, outputs), self.scores(pairs, self.texts_of(pairs, greedy))
            metrics[split] = {
                "loss": loss,
                **scores.figures,
                "greedy_bleu": beside.figures["bleu"],
                "pairs": len(pairs),
            }
            worst = worst_texts(outputs, references, partial(told, pairs), self.rules)
            details[split] = {"signatures": scores.signatures, "worst": worst}
            shown = zip(pairs[:NUM_ALIGNED], found, strict=False)
            details[split]["alignments"] = [self.alignment(pair.source, best[0]) for pair, best in shown]
        return metrics, details

    def alignment(self, source: str, found: Hypothesis) -> Json:
        """What was read of a source for each token of its translation: the tokens of both, and weights by target."""
        written = [self.vocabularies.target.token(id) for id in found.tokens]
        pieces = self.vocabularies.source.pieces(as_line(source))
        weights = found.attention.tolist()
        return {"source": [*pieces, END], "target": [*written, END][: len(weights)], "weights": weights}

    def baselines(self, splits: Mapping[str, Sequence[Pair]], progress: Progress) -> dict[str, dict[str, Metrics]]:
        """What the source itself reaches, and each word by the one it most often becomes."""
        train = self.splits["train"]
        found: dict[str, dict[str, Metrics]] = {"copy": {}, "word_by_word": {}}
        with progress.stage("training the baselines", 1) as advance:
            sides = ([pair.source for pair in train], [pair.target for pair in train])
            words = WordTranslation(*([split_words(self.fold(text)) for text in side] for side in sides))
            advance(1)
        if words.num_read < len(train):
            progress.note(f"word_by_word learned from the first {words.num_read:,} of {len(train):,} training pairs")
        for split, pairs in splits.items():
            found["copy"][split] = self.scores(pairs, [pair.source for pair in pairs]).figures
            outputs = [join_words(words(split_words(self.fold(pair.source)))) for pair in pairs]
            found["word_by_word"][split] = self.scores(pairs, outputs).figures
        return found

    def fold(self, text: str) -> str:
        """A text in lower case where the recipe asks for it."""
        return text.lower() if self.recipe.data.lowercase else text

    def samples(self) -> list[Json]:
        """The first validation pairs."""
        return [{"source": pair.source, "target": pair.target} for pair in self.splits["valid"][:NUM_SAMPLES]]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of each token of the target, its end the last."""
        encoded = encode([Pair(sample["source"], sample["target"], "")], self.vocabularies)
        return log_probabilities(self.model, collate(encoded, self.vocabularies.end, np.array([0])))


def told(pairs: Sequence[Pair], number: int) -> Json:
    """What a page says of a pair beside its target."""
    return {"source": pairs[number].source, "place": pairs[number].place}
