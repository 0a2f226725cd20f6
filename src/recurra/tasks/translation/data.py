"""Pairs of texts as tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor

from recurra.config import Shares
from recurra.data.batches import pad
from recurra.data.splits import held_out_splits
from recurra.data.text.pairs import Pair, PairColumns, filter_pairs, read_pairs, split_pairs
from recurra.data.text.vocabulary import TokenOptions, Vocabulary, collapse_spaces
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.seq2seq import Batch, Ids, Indices
from recurra.tasks.task import ReadFile, digest_of

SOURCE, TARGET = "source_tokenizer.json", "target_tokenizer.json"


class PairOptions(TokenOptions):
    """The `[data]` section: the pairs, their vocabularies and tokens."""

    path: str = Field(description="files side by side, a table, lines of columns, or a folder; see docs/formats.md")
    source: int | str | None = Field(
        None, description="ending of the source files, or name or number (from 0) of the column; by default the first"
    )
    target: int | str | None = Field(
        None, description="ending of the target files, or name or number of the column; by default the second"
    )
    delimiter: str | None = Field(
        None, description="text between the columns of lines, also of a .tsv without header; by default a tab"
    )
    test_files: str | None = Field(None, description="which of several test files, without their ending")
    unit: Literal["word", "character", "bpe"] = Field("bpe", description="what a token is, on both sides")
    joint_vocabulary: bool = Field(False, description="one vocabulary for both sides")
    shares: Shares = Field(
        (0.8, 0.1, 0.1),
        description="training, validation and test share where the files do not say; by a hash of the source",
    )
    max_length: int | None = Field(
        None,
        ge=1,
        description="maximum words of either side of a training pair, or characters where these are the unit",
    )
    ratio: float | None = Field(
        None, ge=1, description="maximum ratio of the lengths of both sides of a training pair; others are left out"
    )

    @property
    def sides(self) -> PairColumns:
        """Columns or file endings of source and target."""
        return PairColumns(self.source, self.target, self.delimiter)

    def count(self, text: str) -> int:
        """Words of a text, or characters where these are the unit."""
        return len(text) if self.unit == "character" else len(text.split())


class Vocabularies(NamedTuple):
    """The vocabularies of both sides."""

    source: Vocabulary
    target: Vocabulary

    @classmethod
    def of(cls, pairs: Sequence[Pair], options: PairOptions) -> "Vocabularies":
        """Fitted to training pairs."""
        sources, targets = (
            (collapse_spaces(pair.source) for pair in pairs),
            (collapse_spaces(pair.target) for pair in pairs),
        )
        sides = [f"{line}\n" for line in sources], [f"{line}\n" for line in targets]
        if options.joint_vocabulary:
            both = Vocabulary.of(chain(*sides), options)
            return cls(both, both)
        return cls(*(Vocabulary.of(side, options) for side in sides))


@dataclass(frozen=True)
class TextSources:
    """Source texts as tokens."""

    ids: list[Ids]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each source."""
        return [len(source) for source in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def every(self, stride: int) -> "TextSources":
        """Every `stride`-th source."""
        return TextSources(self.ids[::stride])

    def tensors(self, indices: Indices) -> tuple[tuple[Tensor, ...], Tensor]:
        """Tokens (time, sources) with their lengths, and these once more."""
        tokens, lengths = pad([self.ids[index] for index in indices], 0)
        return (tokens, lengths), lengths


class Encoded(NamedTuple):
    """Pairs as the model reads them, each side with its end token."""

    sources: TextSources
    targets: list[Ids]
    start: int  # id of the token before a target

    @property
    def sizes(self) -> list[int]:
        """Sort keys of batches: first the length of the target, then that of the source."""
        base = max(self.sources.lengths, default=0) + 1
        return [len(target) * base + length for length, target in zip(self.sources.lengths, self.targets, strict=True)]

    @property
    def digest(self) -> str:
        """SHA-256 of the tokens."""
        return digest_of(self.sources.ids, np.concatenate(self.targets))

    def batch(self, indices: Indices) -> Batch:
        """Some pairs side by side."""
        source, _ = self.sources.tensors(indices)
        return Batch.of(source, [self.targets[index] for index in indices], self.start)


class TranslationPreprocessor(NamedTuple):
    """What a translator learns from its training pairs before training.

    Args:
        vocabularies: of both sides.
        max_source_length: tokens of the longest source.
        max_target_length: tokens of the longest target.
    """

    vocabularies: Vocabularies
    max_source_length: int
    max_target_length: int

    @classmethod
    def fit(cls, train: Sequence[Pair], options: PairOptions) -> "TranslationPreprocessor":
        """That of training pairs."""
        vocabularies = Vocabularies.of(train, options)
        encoded = encode(train, vocabularies)
        return cls(vocabularies, max(encoded.sources.lengths), max(map(len, encoded.targets)))

    def values(self) -> Json:
        """The maximum lengths."""
        return {"max_source_length": self.max_source_length, "max_target_length": self.max_target_length}

    def files(self) -> Mapping[str, str]:
        """The tokenizers."""
        return {SOURCE: self.vocabularies.source.dump(), TARGET: self.vocabularies.target.dump()}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Any) -> "TranslationPreprocessor":
        """Undo `values` and `files`."""
        source, target = (Vocabulary.parse(read(file), recipe.data.unit) for file in (SOURCE, TARGET))
        return cls(Vocabularies(source, target), **values)


def find_pairs(options: PairOptions, progress: Progress) -> dict[str, list[Pair]]:
    """Pairs by split, the training ones within the limits on length and ratio.

    Args:
        options: which.
        progress: told how many were left out.

    Raises:
        DataError: they cannot be used, or none is left; the message names the place.
    """
    found = split_pairs(
        read_pairs(options.path, options.sides, progress, options.test_files), options.path, options.shares
    )
    train, left_out = filter_pairs(found["train"], options.count, options.max_length, options.ratio)
    for reason, number in left_out.items():
        progress.note(f"{number:,} of {len(found['train']):,} training pairs are left out: {reason}")
    if not train:
        raise DataError(f"{options.path}: no training pair is within max_length and ratio; allow more")
    return {**found, "train": train}


def find_other_pairs(options: PairOptions, progress: Progress) -> dict[str, list[Pair]]:
    """Pairs to evaluate on: all splits except the training split, or "all" where there are no splits.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    found = read_pairs(options.path, options.sides, progress, options.test_files)
    found = held_out_splits(found) or found
    if not all(found.values()):
        raise DataError(f"{options.path}: holds no pairs")
    return found


def encode(pairs: Sequence[Pair], vocabularies: Vocabularies) -> Encoded:
    """Pairs as the model reads them."""
    source, target = vocabularies
    sources = TextSources([source.encode_line(pair.source) for pair in pairs])
    return Encoded(sources, [target.encode_line(pair.target) for pair in pairs], target.start_id)
