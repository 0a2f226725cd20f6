"""Tagged sentences, and how they become what a tagger reads."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section, Shares
from recurra.data.batches import pad
from recurra.data.splits import held_out_splits
from recurra.data.text.lexicon import Ids, Lexicon, read_vectors
from recurra.data.text.tagged import TaggedSentence, TokenColumns, read_tagged, split_tagged
from recurra.lengths import IGNORE_INDEX
from recurra.models.tagger import TaggerInputs
from recurra.progress import Progress


class TaggedOptions(Section):
    """The `[data]` section: which sentences, and how their words are looked up."""

    path: str = Field(description="columns, CoNLL-U, JSON lines, or a folder or data set of them; see docs/formats.md")
    token_column: int | str | None = Field(
        None,
        description="column of the token: a number from 0, or a name in CoNLL-U and JSON lines; by default the first",
    )
    tag_column: int | str | None = Field(
        None,
        description="column of the tag: a number from 0, or a name such as xpos; by default the last, in CoNLL-U upos",
    )
    shares: Shares = Field(
        (0.8, 0.1, 0.1), description="training, validation and test share where the files do not say; by a hash"
    )
    lowercase: bool = Field(True, description="look words up in lower case; characters keep their case")
    vocabulary_size: int = Field(
        50_000, ge=1, description="words kept: the most frequent of training, then the first ones of `vectors`"
    )
    vectors: str | None = Field(
        None, description="word vectors to begin with: a text file, a line a word and its embedding_size numbers"
    )
    unknown_tags: Literal["fail", "wrong"] = Field(
        "fail", description="a tag in held-out sentences that training lacks: an error, or counted as wrong"
    )

    @property
    def columns(self) -> TokenColumns:
        """Where token and tag stand."""
        return TokenColumns(self.token_column, self.tag_column)


class Encoded(NamedTuple):
    """Sentences as the model reads them."""

    words: list[Ids]  # of each (time,)
    spellings: list[Ids]  # of each (time,): which of the spellings a token has
    characters: list[Ids]  # of each spelling
    tags: list[Ids]  # of each (time,), UNKNOWN where training had no such tag

    @property
    def lengths(self) -> list[int]:
        """Tokens of each."""
        return [len(words) for words in self.words]


class Batch(NamedTuple):
    """Some sentences."""

    tokens: TaggerInputs
    tags: Tensor  # (time, batch), IGNORE_INDEX in the padding


def find_sentences(options: TaggedOptions) -> dict[str, list[TaggedSentence]]:
    """Sentences by split.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    return split_tagged(read_tagged(options.path, options.columns), options.path, options.shares)


def find_held_out(options: TaggedOptions) -> dict[str, list[TaggedSentence]]:
    """Sentences to judge by: those of every split but the training one, or all where there are no splits.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    found = read_tagged(options.path, options.columns)
    return held_out_splits(found) or found


def fit_lexicon(
    options: TaggedOptions, train: Sequence[TaggedSentence], embedding_size: int, progress: Progress
) -> tuple[Lexicon, dict[int, NDArray[np.float32]]]:
    """Words and characters to know, and the vectors (embedding_size,) that words by id begin with.

    Raises:
        DataError: the file of vectors cannot be used.
    """
    tokens = (sentence.tokens for sentence in train)
    lexicon = Lexicon.of(tokens, options.vocabulary_size, lowercase=options.lowercase)
    if options.vectors is None:
        return lexicon, {}
    known = lexicon.word_ids
    room = options.vocabulary_size - len(known)
    vectors = read_vectors(options.vectors, embedding_size, known, room)
    num_found = sum(word in vectors for word in known)
    progress.note(f"{options.vectors} has vectors of {num_found:,} of the {len(known):,} training words")
    lexicon = lexicon.with_words(vectors)
    return lexicon, {lexicon.word_ids[word]: vector for word, vector in vectors.items() if word in lexicon.word_ids}


def collate(encoded: Encoded, indices: NDArray[np.integer]) -> Batch:
    """Some sentences side by side, and the spellings that occur in them."""
    words, lengths = pad([encoded.words[index] for index in indices], 0)
    tags, _ = pad([encoded.tags[index] for index in indices], IGNORE_INDEX)
    occurring = [encoded.spellings[index] for index in indices]
    used, renamed = np.unique(np.concatenate(occurring), return_inverse=True)
    spellings, _ = pad(np.split(renamed, np.cumsum(lengths.numpy())[:-1]), 0)
    characters, character_lengths = pad([encoded.characters[spelling] for spelling in used], 0)
    return Batch(TaggerInputs(words, lengths, spellings, characters, character_lengths), tags)
