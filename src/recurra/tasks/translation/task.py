"""Translation: one text to another, such as a sentence in another language or a date in another form."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from recurra.baselines.word_translation import WordTranslationModel
from recurra.config import Recipe
from recurra.data.text.pairs import Pair
from recurra.data.text.vocabulary import Vocabulary, collapse_spaces, join_words, split_words
from recurra.decoding.beam import Hypothesis
from recurra.models.translator import Translator, TranslatorOptions, TranslatorShape
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import seq2seq, supervised
from recurra.tasks.seq2seq import END, DecodingOptions, Seq2SeqTraining
from recurra.tasks.task import Metric, Preprocessor, Scores
from recurra.tasks.translation.data import (
    Encoded,
    PairOptions,
    TranslationPreprocessor,
    Vocabularies,
    check_pairs,
    encode,
    find_other_pairs,
    find_pairs,
)

NUM_SAMPLES = 4
SPARE = 20  # maximum tokens of a translation beyond twice those of its source


class TranslationDecoding(DecodingOptions):
    """The `[decoding]` section: the search for translations."""

    replace_unknown: bool = Field(
        True,
        description="where the unit is word: replace an unknown word by the source word with the most attention",
    )


class TranslationRecipe(Recipe):
    """A recipe for a translator."""

    task: Literal["translation"] = Field("translation", description="name of the task")
    data: PairOptions
    model: TranslatorOptions = TranslatorOptions()
    training: Seq2SeqTraining = Seq2SeqTraining()
    decoding: TranslationDecoding = TranslationDecoding()

    @model_validator(mode="after")
    def tie_all_needs_joint_vocabulary(self) -> Self:
        """One embedding table for both sides needs one vocabulary."""
        if self.model.tie_embeddings == "all" and not self.data.joint_vocabulary:
            raise ValueError("tie_embeddings = all together with data.joint_vocabulary, one vocabulary for both sides")
        return self


class Translation:
    """A translator and the pairs of texts it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training pairs.
    """

    name: ClassVar[str] = "translation"
    recipe_type: ClassVar[type[Recipe]] = TranslationRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = TranslationPreprocessor
    item: ClassVar[str] = "token"
    usage: ClassVar[str] = "translate {run} TEXT"
    other_data_keys: ClassVar[tuple[str, ...]] = ("source", "target", "delimiter", "test_files")
    examples_name = "pairs"

    batches = seq2seq.batches
    loss = seq2seq.loss
    validate = seq2seq.validate
    evaluate_split = seq2seq.evaluate_split
    set_data = supervised.keep
    held_out = supervised.held_out
    read_held_out = supervised.read_held_out
    evaluate = supervised.evaluate

    def __init__(self, recipe: TranslationRecipe, preprocessor: TranslationPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.vocabularies, *max_lengths = preprocessor
        sizes = map(len, self.vocabularies)
        self.model = Translator(TranslatorShape(*sizes, *max_lengths), recipe.model)
        self.splits: dict[str, list[Pair]] = {}
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
    def start(cls, recipe: TranslationRecipe, progress: Progress) -> Self:
        """Read the pairs of a recipe and build a new model.

        Raises:
            DataError: the pairs cannot be used.
            UsageError: an initialization that does not fit the cell, or sizes that do not fit the attention.
        """
        splits = find_pairs(recipe.data, progress)
        vocabularies = Vocabularies.of(splits["train"], recipe.data)
        encoded = {split: encode(pairs, vocabularies) for split, pairs in splits.items()}
        task = cls(recipe, TranslationPreprocessor.fit(vocabularies, encoded["train"]))
        task.splits, task.encoded = splits, encoded  # as `set_data` does, which would encode all pairs once more
        seq2seq.initialize_output_bias(task)
        return task

    @classmethod
    def check(cls, recipe: TranslationRecipe, progress: Progress) -> Json:
        """Counts, lengths, repetitions and unknown words of the pairs of a recipe."""
        splits = find_pairs(recipe.data, progress)
        return check_pairs(splits, recipe.data, Vocabularies.of(splits["train"], recipe.data))

    @property
    def data_options(self) -> PairOptions:
        """The data options of the recipe, without `test_files`, which names files of its own data."""
        options: PairOptions = self.recipe.data
        return options.model_copy(update={"test_files": None})

    def read_data(self, progress: Progress) -> dict[str, list[Pair]]:
        """Read the pairs of the recipe by split.

        Raises:
            DataError: they cannot be used.
        """
        return find_pairs(self.recipe.data, progress)

    def read_other(self, options: PairOptions, progress: Progress) -> dict[str, list[Pair]]:
        """Read other pairs to evaluate on, by split."""
        return find_other_pairs(options, progress)

    def encode(self, examples: Sequence[Pair]) -> Encoded:
        """Pairs as the model reads them."""
        return encode(examples, self.vocabularies)

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The vocabulary of the targets."""
        return self.vocabularies.target

    @property
    def banned(self) -> int | None:
        """The unknown token is generated only where it is replaced."""
        return None if self.replaces_unknown else self.target_vocabulary.unknown_id

    @property
    def replaces_unknown(self) -> bool:
        """Whether unknown words are generated, and replaced by words of the source."""
        has_attention = self.model.decoder.attention is not None
        return self.recipe.decoding.replace_unknown and self.recipe.data.unit == "word" and has_attention

    def max_lengths(self, lengths: Tensor) -> Tensor:
        """Maximum tokens of the translations of sources of some lengths."""
        max_tokens = self.recipe.decoding.max_tokens
        if max_tokens is not None:
            return torch.full_like(lengths, max_tokens)
        return (2 * lengths + SPARE).clamp(min=self.preprocessor.max_target_length)

    def text_of(self, example: Pair, found: Hypothesis) -> str:
        """A translation as text; unknown words are replaced by the source word with the most attention."""
        vocabulary, unknown = self.vocabularies.target, self.vocabularies.target.unknown_id
        if not self.replaces_unknown or unknown not in found.tokens:
            return vocabulary.decode(found.tokens)
        pieces = self.vocabularies.source.pieces(collapse_spaces(example.source))
        attended = found.attention[:, :-1].argmax(1).tolist()
        pairs = zip(found.tokens, attended, strict=False)  # the attention of the end token comes last
        return join_words(pieces[at] if id == unknown else vocabulary.token(id) for id, at in pairs)

    def references_of(self, example: Pair) -> list[str]:
        """The target."""
        return [example.target]

    def describe_example(self, example: Pair) -> Json:
        """Its source and place."""
        return {"source": example.source, "place": example.place}

    def attention_of(self, example: Pair, found: Hypothesis) -> Json:
        """Tokens of source and target, and attention weights (target, source)."""
        tokens = [self.vocabularies.target.token(id) for id in found.tokens]
        pieces = self.vocabularies.source.pieces(collapse_spaces(example.source))
        weights = found.attention.tolist()
        return {"source": [*pieces, END], "target": [*tokens, END][: len(weights)], "weights": weights}

    def baselines(self, splits: Mapping[str, Sequence[Pair]], progress: Progress) -> dict[str, dict[str, Scores]]:
        """Scores of a copy of the source, and of a word-by-word translation."""
        train = self.splits["train"]
        found: dict[str, dict[str, Scores]] = {"copy": {}, "word_by_word": {}}
        with progress.stage("training the baselines", 1) as advance:
            sides = ([pair.source for pair in train], [pair.target for pair in train])
            words = WordTranslationModel().fit(*([split_words(self.fold(text)) for text in side] for side in sides))
            advance(1)
        if words.num_pairs < len(train):
            progress.note(f"word_by_word learned from the first {words.num_pairs:,} of {len(train):,} training pairs")
        for split, pairs in splits.items():
            found["copy"][split] = seq2seq.scores(self, pairs, [pair.source for pair in pairs]).figures
            outputs = [join_words(words.predict(split_words(self.fold(pair.source)))) for pair in pairs]
            found["word_by_word"][split] = seq2seq.scores(self, pairs, outputs).figures
        return found

    def fold(self, text: str) -> str:
        """A text in lower case where the recipe asks for it."""
        return text.lower() if self.recipe.data.lowercase else text

    def samples(self) -> list[Json]:
        """The first validation pairs."""
        return [{"source": pair.source, "target": pair.target} for pair in self.splits["valid"][:NUM_SAMPLES]]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of each token of the target, its end the last."""
        return seq2seq.log_probabilities(self, Pair(sample["source"], sample["target"], ""))


TASK = Translation
