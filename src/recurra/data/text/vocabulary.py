"""Text to token ids and back: words, characters or byte pairs, in one file format."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from tokenizers.trainers import BpeTrainer, WordLevelTrainer

from recurra.config import Section
from recurra.errors import DataError, counted

UNKNOWN = "<unk>"
END_OF_LINE = "\n"
WORD_PATTERNS = {"space": r"\n|[^\s]+", "punctuation": r"<unk>|\n|\w+(?:['’]\w+)*|([^\w\s])\1*"}
NUM_BYTES = 256
JOIN_CONTEXT = 8  # tokens on which the spacing of the next one depends
REPLACEMENT_CHARACTER = "\ufffd"  # stands for bytes that are no whole character
DEFAULT_SIZE = {"word": 10_000, "character": 100_000, "bpe": 5_000}


class TokenOptions(Section):
    """How text becomes tokens; the end of a line is a token too."""

    unit: Literal["word", "character", "bpe"] = Field("word", description="what a token is")
    split: Literal["punctuation", "space"] = Field(
        "punctuation",
        description="where words end: at spaces and punctuation, or for tokenized text at spaces only",
    )
    lowercase: bool = Field(False, description="fold the text to lower case")
    vocabulary_size: int | None = Field(
        None,
        ge=2,
        description="types to keep, others are `<unk>`; by default 10,000 words, 5,000 byte pairs, all characters",
    )

    @model_validator(mode="after")
    def byte_pairs_hold_all_bytes(self) -> Self:
        """Byte pairs start from one type for each byte."""
        if self.unit == "bpe" and self.size < NUM_BYTES:
            raise ValueError(f"a vocabulary_size of at least {NUM_BYTES} where the unit is bpe")
        return self

    @property
    def size(self) -> int:
        """Most types to keep."""
        return self.vocabulary_size or DEFAULT_SIZE[self.unit]

    @property
    def pattern(self) -> str:
        """Regular expression of a token, for words and characters."""
        if self.unit == "character":
            return r"[\s\S]"
        return WORD_PATTERNS[self.split] if self.has_line_ends else WORD_PATTERNS[self.split].replace(r"\n|", "")

    @property
    def has_line_ends(self) -> bool:
        """Whether the end of a line is a token where the unit is a word."""
        return True


class VocabularyOptions(TokenOptions):
    """How text becomes tokens, with or without line ends."""

    end_of_line: bool = Field(True, description="whether the end of a line is a token where the unit is a word")

    @property
    def has_line_ends(self) -> bool:
        """Whether the end of a line is a token, as the recipe says."""
        return self.end_of_line


class Vocabulary:
    """Types and their ids. An unknown word or character is `<unk>`; the end of a line is a newline token."""

    def __init__(self, tokenizer: Tokenizer, unit: str) -> None:
        self.tokenizer, self.unit = tokenizer, unit
        self.unknown_id: int | None = tokenizer.token_to_id(UNKNOWN)

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    @classmethod
    def of(cls, pieces: Iterable[str], options: TokenOptions) -> "Vocabulary":
        """The most frequent types of a text, given in pieces that end with a line.

        Raises:
            DataError: fewer than two types: there would be nothing to predict.
        """
        lines = (piece.splitlines(keepends=True) for piece in pieces)
        tokenizer = byte_pairs(lines, options) if options.unit == "bpe" else whole_tokens(lines, options)
        vocabulary_size = sum(token != UNKNOWN for token in tokenizer.get_vocab())
        if vocabulary_size < 2:
            there = counted(vocabulary_size, f"distinct {'byte pair' if options.unit == 'bpe' else options.unit}")
            raise DataError(f"the text has {there}; expected at least 2 to predict between")
        return cls(tokenizer, options.unit)

    @classmethod
    def parse(cls, text: str, unit: str) -> "Vocabulary":
        """The vocabulary that `dump` wrote."""
        return cls(Tokenizer.from_str(text), unit)

    def dump(self) -> str:
        """The vocabulary as JSON of the tokenizers library."""
        return str(self.tokenizer.to_str(pretty=True))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        lines = replace_surrogates(text).splitlines(keepends=True)
        return [id for line in self.tokenizer.encode_batch_fast(lines, add_special_tokens=False) for id in line.ids]

    def encode_line(self, text: str) -> NDArray[np.int64]:
        """Token ids of a text as one line with a line end, (tokens,); any white space counts as one space."""
        return np.array(self.encode(collapse_spaces(text) + END_OF_LINE), np.int64)

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text as substrings of it, unknown ones too."""
        text = replace_surrogates(text)
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return [text[first:last] for first, last in encoding.offsets]

    def unknown_in(self, text: str) -> list[str]:
        """The unknown tokens of a text as substrings of it, in order."""
        ids = self.tokenizer.encode(replace_surrogates(text), add_special_tokens=False).ids
        return [piece for id, piece in zip(ids, self.pieces(text), strict=True) if id == self.unknown_id]

    def token(self, id: int) -> str:
        """The type with this id, as text."""
        return str(self.tokenizer.decode([id]) if self.unit == "bpe" else self.tokenizer.id_to_token(id))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids: words with usual spacing, other units exactly as encoded."""
        if self.unit == "bpe":
            return str(self.tokenizer.decode(list(ids)))
        tokens = [self.token(id) for id in ids]
        return join_words(tokens) if self.unit == "word" else "".join(tokens)

    def detokenized(self, text: str) -> str:
        """A text as `decode` would return it if all its tokens were known."""
        return join_words(self.pieces(text)) if self.unit == "word" else text

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of `decode` in pieces, each as soon as its tokens are known."""
        context: list[int] = []  # the last tokens already decoded, on which the spacing of the next one depends
        pending: list[int] = []
        for id in ids:
            pending.append(id)
            text = self.decode(context + pending)
            if not text.endswith(REPLACEMENT_CHARACTER):
                yield text[len(self.decode(context)) :]
                context, pending = (context + pending)[-JOIN_CONTEXT:], []
        yield self.decode(context + pending)[len(self.decode(context)) :]

    @property
    def start_id(self) -> int:
        """Id before the first token of a text: the end of a line, if the vocabulary has one."""
        newline = self.encode(END_OF_LINE)
        return newline[0] if newline else self.unknown_id or 0


def whole_tokens(lines: Iterable[list[str]], options: TokenOptions) -> Tokenizer:
    """A tokenizer of the most frequent words or characters: `<unk>` first, then by decreasing frequency."""
    tokenizer = split_tokenizer(WordLevel(), options)
    tokenizer.train_from_iterator(lines, WordLevelTrainer(vocab_size=options.size, show_progress=False))
    by_frequency = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    types = [UNKNOWN, *(token for token, _ in by_frequency if token != UNKNOWN)]
    if END_OF_LINE in types[options.size :]:
        types.insert(1, END_OF_LINE)  # the end of a text is always known
    vocabulary = {token: id for id, token in enumerate(list(dict.fromkeys(types))[: options.size])}
    return split_tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN), options)


def split_tokenizer(model: WordLevel, options: TokenOptions) -> Tokenizer:
    """A tokenizer of some model that splits text at the pattern of the options."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(options.pattern), behavior="removed", invert=True)
    if options.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def byte_pairs(lines: Iterable[list[str]], options: TokenOptions) -> Tokenizer:
    """A tokenizer of byte pairs; no text is unknown to it."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if options.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=options.size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def replace_surrogates(text: str) -> str:
    """A text with question marks for lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


def collapse_spaces(text: str) -> str:
    """A text as one line with single spaces."""
    return " ".join(text.split())


def split_words(text: str) -> list[str]:
    """Words and punctuation marks of a text."""
    return [match[0] for match in re.finditer(WORD_PATTERNS["punctuation"], text)]


def join_words(words: Iterable[str]) -> str:
    """Words as running text: no space before closing punctuation, after opening brackets, or around line ends."""
    text = " ".join(words)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r" ([.,;:!?)\]}])(?=\s|$|[.,;:!?)\]}])", r"\1", text)
    return re.sub(r"([(\[{]) (?=\S)", r"\1", text)
