"""Translation: from one text to another, such as a sentence in another language, or a date in another form."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from recurra.baselines.word_translation import WordTranslationModel
from recurra.config import Recipe
from recurra.data.batches import pad
from recurra.data.text.pairs import Pair
from recurra.data.text.vocabulary import Vocabulary, collapse_spaces, join_words, split_words
from recurra.decoding.beam import Hypothesis
from recurra.models.translator import Translator, TranslatorOptions, TranslatorShape
from recurra.progress import Progress
from recurra.runs import Json, Run
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
from recurra.tasks.translation.checks import check_pairs
from recurra.tasks.translation.data import (
    Encoded,
    PairOptions,
    Vocabularies,
    collate,
    encode,
    find_held_out,
    find_pairs,
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
        if self.model.tie_embeddings == "all" and not self.data.joint:
            raise ValueError("tie_embeddings = all together with data.joint, one vocabulary for both sides")
        return self


class Translation(WritingTask[Pair, Encoded, list[Ids]]):
    """Two vocabularies, a translator, and the pairs it is trained and judged on.

    Args:
        recipe: what to train on what.
        vocabularies: types of the training pairs.
        longest: tokens of the longest training source and target.
    """

    name: ClassVar[str] = "translation"
    recipe_type: ClassVar[type[Recipe]] = TranslationRecipe
    examples: ClassVar[str] = "pairs"
    shown: ClassVar[str] = "alignments"
    may_differ: ClassVar[tuple[str, ...]] = ("source", "target", "delimiter", "test_files")

    def __init__(self, recipe: TranslationRecipe, vocabularies: Vocabularies, longest: tuple[int, int]) -> None:
        self.recipe, self.vocabularies = recipe, vocabularies
        self.shape = TranslatorShape(len(vocabularies.source), len(vocabularies.target), *longest)
        self.model = Translator(self.shape, recipe.model)
        self.splits, self.encoded = {}, {}

    @classmethod
    def start(cls, recipe: TranslationRecipe, progress: Progress) -> Self:
        """A new model for the pairs the recipe names.

        Raises:
            DataError: they cannot be used.
            UsageError: an initialization that does not fit the cell, or sizes that do not fit the attention.
        """
        splits = find_pairs(recipe.data, progress)
        vocabularies = Vocabularies.of(splits["train"], recipe.data)
        encoded = {split: encode(pairs, vocabularies) for split, pairs in splits.items()}
        sources, targets = encoded["train"]
        task = cls(recipe, vocabularies, (max(map(len, sources)), max(map(len, targets))))
        task.splits, task.encoded = splits, encoded
        counts = np.bincount(np.concatenate(targets), minlength=len(vocabularies.target)) + 1
        task.model.decoder.initialize_output_bias(torch.from_numpy(counts / counts.sum()))
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
        task = cls(recipe, vocabularies, (there["shape"]["max_source_length"], there["shape"]["max_target_length"]))
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

    @property
    def data_options(self) -> PairOptions:
        """As the recipe says; but `test_files` names some of its own files."""
        options: PairOptions = self.recipe.data
        return options.model_copy(update={"test_files": None})

    def read_held_out(self, options: PairOptions, progress: Progress) -> dict[str, list[Pair]]:
        """Other pairs to judge by, by split."""
        return find_held_out(options, progress)

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        files = {SOURCE: self.vocabularies.source.dump(), TARGET: self.vocabularies.target.dump()}
        return {"architecture": self.architecture}, files

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded pairs of each split."""
        return {split: digest_of(found.sources, np.concatenate(found.targets)) for split, found in self.encoded.items()}

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The types of the targets."""
        return self.vocabularies.target

    def encode(self, examples: Sequence[Pair]) -> Encoded:
        """Pairs as the model reads them."""
        return encode(examples, self.vocabularies)

    def sources_of(self, encoded: Encoded) -> list[Ids]:
        """The tokens of each source."""
        return encoded.sources

    def sizes_of(self, encoded: Encoded) -> list[int]:
        """First the length of the target, then that of the source."""
        return encoded.sizes

    def collate(self, encoded: Encoded, indices: Indices) -> Batch:
        """Some pairs side by side."""
        return collate(encoded, self.vocabularies.end, indices)

    def lengths_of(self, sources: list[Ids]) -> list[int]:
        """Tokens of each source."""
        return [len(source) for source in sources]

    def request(self, sources: list[Ids], indices: Indices) -> Request:
        """Some of the sources, and how long their translations may be."""
        tokens, lengths = pad([sources[index] for index in indices], 0)
        return Request((tokens, lengths), self.longest_of(lengths), lengths)

    @property
    def frame(self) -> Frame:
        """One token stands before a translation and ends it; unknown words are written only to be replaced."""
        end, unknown = self.vocabularies.end, self.vocabularies.target.unknown_id
        return Frame(end, end, None if self.replaces_unknown else unknown)

    @property
    def replaces_unknown(self) -> bool:
        """Whether words of the source take the place of unknown ones; else none is written."""
        has_attention = self.model.decoder.attention is not None
        return self.recipe.decoding.replace_unknown and self.recipe.data.unit == "word" and has_attention

    def longest_of(self, lengths: Tensor) -> Tensor:
        """Tokens that the translations of sources of some lengths may have."""
        longest = self.recipe.decoding.max_tokens
        if longest is not None:
            return torch.full_like(lengths, longest)
        return (2 * lengths + SPARE).clamp(min=self.shape.max_target_length)

    def text_of(self, example: Pair, found: Hypothesis) -> str:
        """A translation as text."""
        vocabulary, unknown = self.vocabularies.target, self.vocabularies.target.unknown_id
        if not self.replaces_unknown or unknown not in found.tokens:
            return vocabulary.decode(found.tokens)
        pieces, read = (
            self.vocabularies.source.pieces(collapse_spaces(example.source)),
            found.attention[:, :-1].argmax(1).tolist(),
        )
        pairs = zip(found.tokens, read, strict=False)  # what was read for the end comes last
        return join_words(pieces[at] if id == unknown else vocabulary.token(id) for id, at in pairs)

    def references_of(self, example: Pair) -> list[str]:
        """The target."""
        return [example.target]

    def told_of(self, example: Pair) -> Json:
        """Source and place."""
        return {"source": example.source, "place": example.place}

    def reading(self, example: Pair, found: Hypothesis) -> Json:
        """What was read of a source for each token of its translation: the tokens of both, and weights by target."""
        written = [self.vocabularies.target.token(id) for id in found.tokens]
        pieces = self.vocabularies.source.pieces(collapse_spaces(example.source))
        weights = found.attention.tolist()
        return {"source": [*pieces, END], "target": [*written, END][: len(weights)], "weights": weights}

    def baselines(self, splits: Mapping[str, Sequence[Pair]], progress: Progress) -> dict[str, dict[str, Metrics]]:
        """What the source itself reaches, and each word by the one it most often becomes."""
        train = self.splits["train"]
        found: dict[str, dict[str, Metrics]] = {"copy": {}, "word_by_word": {}}
        with progress.stage("training the baselines", 1) as advance:
            sides = ([pair.source for pair in train], [pair.target for pair in train])
            words = WordTranslationModel().fit(*([split_words(self.fold(text)) for text in side] for side in sides))
            advance(1)
        if words.num_pairs < len(train):
            progress.note(f"word_by_word learned from the first {words.num_pairs:,} of {len(train):,} training pairs")
        for split, pairs in splits.items():
            found["copy"][split] = self.scores(pairs, [pair.source for pair in pairs]).figures
            outputs = [join_words(words.predict(split_words(self.fold(pair.source)))) for pair in pairs]
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
        return self.log_probabilities(Pair(sample["source"], sample["target"], ""))
