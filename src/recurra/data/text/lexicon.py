"""Word and character ids for a tagger, and pretrained word vectors."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.catalogue import locate
from recurra.data.text.files import Text
from recurra.errors import DataError, shortened

Ids = NDArray[np.int64]

UNKNOWN = 0  # id of an unknown word or character
MAX_CHARACTERS = 40  # of a token: of a longer one the first and the last 20


class EncodedTokens(NamedTuple):
    """Sentences as ids. Each distinct token is spelled once in `characters`, however often it occurs."""

    words: list[Ids]  # of each sentence (time,)
    spellings: list[Ids]  # of each sentence (time,): index of each token in `characters`
    characters: list[Ids]  # of each distinct token (characters,)


class Lexicon:
    """Ids of words and characters; 0 is unknown. Characters keep their case even where words are folded.

    Args:
        words: with ids 1, 2, ...
        characters: with ids 1, 2, ...
        lowercase: whether words are looked up in lower case.
    """

    def __init__(self, words: Sequence[str], characters: Sequence[str], *, lowercase: bool) -> None:
        self.words, self.characters, self.lowercase = list(words), list(characters), lowercase
        self.word_ids = {word: id for id, word in enumerate(self.words, 1)}
        self.character_ids = {character: id for id, character in enumerate(self.characters, 1)}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]], size: int, *, lowercase: bool) -> "Lexicon":
        """The most frequent words of some sentences, and their characters.

        A character that occurs once is left out, so that a model learns something about unknown ones.

        Args:
            sentences: tokens of each.
            size: most words to keep.
            lowercase: whether words are looked up in lower case.
        """
        counts = Counter(token for sentence in sentences for token in sentence)
        words, characters = Counter[str](), Counter[str]()
        for token, count in counts.items():
            words[token.lower() if lowercase else token] += count
            for character in token:
                characters[character] += count
        kept = [word for word, _ in words.most_common(size)]
        return cls(kept, [one for one, count in characters.most_common() if count > 1], lowercase=lowercase)

    def with_words(self, words: Iterable[str]) -> "Lexicon":
        """A lexicon with further words added, less those that look-up in lower case would never find."""
        further = [word for word in words if word not in self.word_ids and self.fold(word) == word]
        return Lexicon([*self.words, *further], self.characters, lowercase=self.lowercase)

    @classmethod
    def parse(cls, text: str) -> "Lexicon":
        """The lexicon that `dump` wrote."""
        return cls(**json.loads(text))

    def dump(self) -> str:
        """The lexicon as JSON."""
        values = {"lowercase": self.lowercase, "characters": self.characters, "words": self.words}
        return json.dumps(values, ensure_ascii=False, indent=0) + "\n"

    @property
    def num_words(self) -> int:
        """Number of word ids, with that of unknown words."""
        return 1 + len(self.words)

    @property
    def num_characters(self) -> int:
        """Number of character ids, with that of unknown characters."""
        return 1 + len(self.characters)

    def encode(self, sentences: Iterable[Sequence[str]]) -> EncodedTokens:
        """Sentences as ids."""
        spellings: dict[str, int] = {}
        found = EncodedTokens([], [], [])
        for tokens in sentences:
            found.spellings.append(np.array([spellings.setdefault(one, len(spellings)) for one in tokens], np.int64))
            found.words.append(np.array([self.word_id(token) for token in tokens], np.int64))
        found.characters.extend(self.spell(token) for token in spellings)
        return found

    def word_id(self, token: str) -> int:
        """Id of a token."""
        return self.word_ids.get(self.fold(token), UNKNOWN)

    def fold(self, token: str) -> str:
        """A token in the case in which words are looked up."""
        return token.lower() if self.lowercase else token

    def spell(self, token: str) -> Ids:
        """Ids of the characters of a token, (characters,)."""
        read = token if len(token) <= MAX_CHARACTERS else token[: MAX_CHARACTERS // 2] + token[-MAX_CHARACTERS // 2 :]
        return np.array([self.character_ids.get(character, UNKNOWN) for character in read], np.int64)


def read_vectors(path: str, size: int, known: Collection[str], room: int) -> dict[str, NDArray[np.float32]]:
    """Pretrained word vectors from a text file: on each line a word and its numbers, separated by spaces.

    Args:
        path: the file; a first line of two numbers, as word2vec writes, is skipped.
        size: numbers of a vector.
        known: words to find.
        room: how many other words to read, the first ones of the file.

    Returns:
        vectors (size,) by word, in the order of the file.

    Raises:
        DataError: no such file, vectors of another size, or no numbers; the message names the line.
    """
    found: dict[str, NDArray[np.float32]] = {}
    others, is_first = 0, True
    lines = (line for piece in Text.of([locate(path)]).pieces() for line in piece.removesuffix("\n").split("\n"))
    for number, line in enumerate(lines, 1):
        numbers_there = line.rstrip().count(" ")
        if number == 1 and numbers_there == 1:
            continue
        # A word may hold spaces, so a line may have too many of them; only on the first line that means another size.
        if numbers_there < size or (is_first and numbers_there > size):
            raise DataError(
                f"{path} line {number}: expected a word and {size} numbers with spaces between, got {numbers_there}; "
                "set --embedding-size to the size of the vectors"
            )
        is_first = False
        word, *numbers = line.rstrip().rsplit(" ", size)
        if word in found or (word not in known and others == room):
            continue
        others += word not in known
        try:
            found[word] = np.array(numbers, np.float32)
        except ValueError:
            found[word] = np.array([np.nan])
        if not np.isfinite(found[word]).all():
            expected = f"expected {size} numbers after {shortened(word)!r}"
            raise DataError(f"{path} line {number}: {expected}; correct that line")
    return found
