"""Pairs of texts, and how they become what a translator reads."""

from collections.abc import Sequence
from itertools import chain
from typing import Literal, NamedTuple

from pydantic import Field

from recurra.config import Shares
from recurra.data.batches import pad
from recurra.data.splits import held_out_splits
from recurra.data.text.pairs import Pair, PairColumns, filter_pairs, read_pairs, split_pairs
from recurra.data.text.vocabulary import TokenOptions, Vocabulary, collapse_spaces
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.tasks.seq2seq import Batch, Ids, Indices


class PairOptions(TokenOptions):
    """The `[data]` section: which pairs, and how they become tokens."""

    path: str = Field(description="files side by side, a table, lines of columns, or a folder; see docs/formats.md")
    source: int | str | None = Field(
        None, description="ending of the source files, or name or number (from 0) of the column; by default the first"
    )
    target: int | str | None = Field(
        None, description="ending of the target files, or name or number of the column; by default the second"
    )
    delimiter: str | None = Field(
        None, description="what stands between the columns of lines, also of a .tsv without header; by default a tab"
    )
    test_files: str | None = Field(None, description="which of several test files, without their ending")
    unit: Literal["word", "character", "bpe"] = Field("bpe", description="what a token is, on both sides")
    joint: bool = Field(False, description="one vocabulary for both sides")
    shares: Shares = Field(
        (0.8, 0.1, 0.1),
        description="training, validation and test share where the files do not say; by a hash of the source",
    )
    max_length: int | None = Field(
        None, ge=1, description="words (or characters, if these are the unit) that a side of a training pair may have"
    )
    ratio: float | None = Field(
        None, ge=1, description="times a side of a training pair may be as long as the other; else it is left out"
    )

    @property
    def sides(self) -> PairColumns:
        """Where source and target stand."""
        return PairColumns(self.source, self.target, self.delimiter)

    def count(self, text: str) -> int:
        """Words of a text, or characters where these are the unit."""
        return len(text) if self.unit == "character" else len(text.split())


class Vocabularies(NamedTuple):
    """The types of both sides."""

    source: Vocabulary
    target: Vocabulary

    @classmethod
    def of(cls, pairs: Sequence[Pair], options: PairOptions) -> "Vocabularies":
        """Those of training pairs."""
        sources, targets = (
            (collapse_spaces(pair.source) for pair in pairs),
            (collapse_spaces(pair.target) for pair in pairs),
        )
        sides = [f"{line}\n" for line in sources], [f"{line}\n" for line in targets]
        if options.joint:
            both = Vocabulary.of(chain(*sides), options)
            return cls(both, both)
        return cls(*(Vocabulary.of(side, options) for side in sides))

    @property
    def end(self) -> int:
        """What ends a target, and stands before its first token."""
        return self.target.start_id


class Encoded(NamedTuple):
    """Pairs as the model reads them, each side with its end."""

    sources: list[Ids]
    targets: list[Ids]

    @property
    def sizes(self) -> list[int]:
        """What batches are made by: first the length of the target, then that of the source."""
        longest = max(map(len, self.sources), default=0) + 1
        return [len(target) * longest + len(source) for source, target in zip(*self, strict=True)]


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


def find_held_out(options: PairOptions, progress: Progress) -> dict[str, list[Pair]]:
    """Pairs to judge by: those of every split but the training one, or all where there are no splits.

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
    return Encoded(
        [source.encode_line(pair.source) for pair in pairs], [target.encode_line(pair.target) for pair in pairs]
    )


def collate(encoded: Encoded, start: int, indices: Indices) -> Batch:
    """Some pairs side by side."""
    source = pad([encoded.sources[index] for index in indices], 0)
    return Batch.of(source, [encoded.targets[index] for index in indices], start)
