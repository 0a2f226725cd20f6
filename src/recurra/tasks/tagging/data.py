"""Tagged sentences: how they are read, encoded and batched, and checks of them before training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section, Shares
from recurra.data.batches import pad
from recurra.data.splits import held_out_splits
from recurra.data.text.lexicon import Ids, Lexicon, read_vectors
from recurra.data.text.tagged import TaggedSentence, TokenColumns, read_tagged, split_tagged
from recurra.errors import DataError, counted, shortened
from recurra.lengths import IGNORE_INDEX
from recurra.metrics.spans import is_bio, is_invalid_bio
from recurra.models.tagger import TaggerInputs, TaggerShape
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.checks import balance, leaks, odd_labels
from recurra.tasks.task import ReadFile, digest_of

LEXICON = "lexicon.json"

WordVectors = dict[int, NDArray[np.float32]]  # by word id, each (embedding_size,)


class SentenceOptions(Section):
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
        None,
        description="pretrained word vectors to start from: a text file, on each line a word and embedding_size "
        "numbers",
    )
    unknown_tags: Literal["fail", "wrong"] = Field(
        "fail", description="a tag in held-out sentences that training lacks: an error, or counted as wrong"
    )

    @property
    def columns(self) -> TokenColumns:
        """Columns of token and tag."""
        return TokenColumns(self.token_column, self.tag_column)


class Encoded(NamedTuple):
    """Sentences as the model reads them."""

    words: list[Ids]  # of each sentence (time,)
    spellings: list[Ids]  # of each sentence (time,): index of each token in `characters`
    characters: list[Ids]  # of each distinct token (characters,)
    tags: list[Ids]  # of each sentence (time,), UNKNOWN where no training token has the tag

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sentence."""
        return [len(words) for words in self.words]

    @property
    def digest(self) -> str:
        """SHA-256 of words, characters and tags."""
        return digest_of([*self.words, *self.spellings, *self.characters], np.concatenate(self.tags))


class Batch(NamedTuple):
    """Some sentences."""

    tokens: TaggerInputs
    tags: Tensor  # (time, batch), IGNORE_INDEX in the padding


class TaggingPreprocessor(NamedTuple):
    """What a tagger learns from its training sentences before training.

    Args:
        lexicon: ids of words and characters.
        labels: the tags, sorted.
        max_length: tokens of the longest training sentence.
        is_valid_bio: whether the tags are O, B- and I-, and every I- tag follows a tag of its type.
    """

    lexicon: Lexicon
    labels: list[str]
    max_length: int
    is_valid_bio: bool

    @classmethod
    def fit(
        cls, train: Sequence[TaggedSentence], options: SentenceOptions, embedding_size: int, progress: Progress
    ) -> tuple["TaggingPreprocessor", WordVectors]:
        """Tags, words and characters; and the pretrained vectors of words.

        Raises:
            DataError: all tokens have the same tag, or the file of vectors cannot be used.
        """
        labels = sorted({tag for sentence in train for tag in sentence.tags})
        if len(labels) < 2:
            raise DataError(
                f"{options.path}: all training tokens have the tag {shortened(labels[0])!r}; expected at least two tags"
            )
        invalid = [sentence.place for sentence in train if is_invalid_bio(sentence.tags)] if is_bio(labels) else []
        if invalid:
            progress.note(
                f"{len(invalid):,} training sentences have an I- tag that follows no tag of its type, so predictions "
                f"may have such tags too; the first: {invalid[0]}"
            )
        lexicon, vectors = fit_lexicon(options, train, embedding_size, progress)
        max_length = max(len(sentence.tokens) for sentence in train)
        return cls(lexicon, labels, max_length, is_bio(labels) and not invalid), vectors

    @property
    def shape(self) -> TaggerShape:
        """Sizes of the model that depend on the data."""
        return TaggerShape(self.lexicon.num_words, self.lexicon.num_characters, self.max_length)

    def values(self) -> Json:
        """Sizes, tags, and whether they are valid BIO."""
        return {"shape": self.shape._asdict(), "labels": self.labels, "is_valid_bio": self.is_valid_bio}

    def files(self) -> Mapping[str, str]:
        """Words and characters."""
        return {LEXICON: self.lexicon.dump()}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Any) -> "TaggingPreprocessor":  # noqa: ARG003
        """Undo `values` and `files`."""
        lexicon = Lexicon.parse(read(LEXICON))
        return cls(lexicon, values["labels"], values["shape"]["max_length"], values["is_valid_bio"])


def fit_lexicon(
    options: SentenceOptions, train: Sequence[TaggedSentence], embedding_size: int, progress: Progress
) -> tuple[Lexicon, WordVectors]:
    """Words and characters of training sentences, with the words of `data.vectors`; and the vectors of these words.

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


def find_sentences(options: SentenceOptions) -> dict[str, list[TaggedSentence]]:
    """Sentences by split.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    return split_tagged(read_tagged(options.path, options.columns), options.path, options.shares)


def find_other_sentences(options: SentenceOptions) -> dict[str, list[TaggedSentence]]:
    """Sentences to evaluate on: all splits except the training split, or "all" where there are no splits.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    found = read_tagged(options.path, options.columns)
    return held_out_splits(found) or found


def collate(encoded: Encoded, indices: NDArray[np.integer]) -> Batch:
    """Some sentences side by side, with the characters of each distinct token in them once."""
    words, lengths = pad([encoded.words[index] for index in indices], 0)
    tags, _ = pad([encoded.tags[index] for index in indices], IGNORE_INDEX)
    occurring = [encoded.spellings[index] for index in indices]
    used, renamed = np.unique(np.concatenate(occurring), return_inverse=True)
    spellings, _ = pad(np.split(renamed, np.cumsum(lengths.numpy())[:-1]), 0)
    characters, character_lengths = pad([encoded.characters[spelling] for spelling in used], 0)
    return Batch(TaggerInputs(words, lengths, spellings, characters, character_lengths), tags)


# --- checks before training ------------------------------------------------------------------------------------------


def check_sentences(splits: Mapping[str, Sequence[TaggedSentence]], options: SentenceOptions) -> Json:
    """Counts, lengths, tags and repetitions.

    Args:
        splits: sentences by split.
        options: how their words are looked up.

    Returns:
        splits (sentences, tokens and lengths of each, and `unseen`: tokens whose word is not in the training split),
        tags (tokens of each tag by split), problems (sentences of text, each with the place of an example).
    """
    words = count_words(splits["train"], lowercase=options.lowercase)
    rows: Json = {}
    for split, sentences in splits.items():
        lengths = [len(sentence.tokens) for sentence in sentences]
        shortest, median, longest = map(int, np.quantile(lengths, (0, 0.5, 1)))
        unseen = sum(n for word, n in count_words(sentences, lowercase=options.lowercase).items() if word not in words)
        rows[split] = {"sentences": len(sentences), "tokens": sum(lengths), "shortest": shortest, "median": median}
        rows[split] |= {"longest": longest, "unseen": unseen}
    tags = {split: [(tag, one.place) for one in found for tag in one.tags] for split, found in splits.items()}
    problems = [
        *leaks(splits, lambda sentence: sentence.tokens, "sentence"),
        *odd_labels(tags, "tag", "token", options.unknown_tags),
        *invalid_bio(splits),
    ]
    return {"splits": rows, "tags": balance(tags), "problems": problems}


def count_words(sentences: Sequence[TaggedSentence], *, lowercase: bool) -> Counter[str]:
    """How often each word occurs."""
    return Counter(token.lower() if lowercase else token for sentence in sentences for token in sentence.tokens)


def invalid_bio(splits: Mapping[str, Sequence[TaggedSentence]]) -> list[str]:
    """A problem for each split with I- tags that follow no tag of their type, where the tags are O, B- and I-."""
    if not is_bio({tag for sentence in splits["train"] for tag in sentence.tags}):
        return []
    problems = []
    for split, sentences in splits.items():
        invalid = [sentence.place for sentence in sentences if is_invalid_bio(sentence.tags)]
        if invalid:
            found = counted(len(invalid), "sentence")
            problems.append(f"with an I- tag that follows no tag of its type: {found} of {split}, such as {invalid[0]}")
    return problems
