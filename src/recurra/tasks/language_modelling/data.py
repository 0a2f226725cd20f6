"""The text of a language model: how it is found, split and encoded."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import Field

from recurra.config import Shares
from recurra.data.text.corpus import TokenIds, encode_text
from recurra.data.text.files import Text, find_text, whole_text
from recurra.data.text.vocabulary import Vocabulary, VocabularyOptions
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import ReadFile

TOKENIZER = "tokenizer.json"
MAX_UNKNOWN = 0.1  # share of unknown tokens in a split, above which a check reports a problem


class TextOptions(VocabularyOptions):
    """The `[data]` section: which text, and how it becomes tokens."""

    path: str = Field(description="a text file, a folder, or the name of a data set (see `recurra data list`)")
    valid: str | None = Field(None, description="validation text, where `path` does not contain it")
    test: str | None = Field(None, description="test text, where `path` does not contain it")
    shares: Shares = Field(
        (0.9, 0.05, 0.05), description="training, validation and test share of a text that is not split"
    )


class LanguageModellingPreprocessor(NamedTuple):
    """What a language model learns from its training text before training.

    Args:
        vocabulary: types of the training text.
    """

    vocabulary: Vocabulary

    @classmethod
    def fit(cls, train: Text, options: TextOptions, progress: Progress) -> "LanguageModellingPreprocessor":
        """The most frequent types of the training text.

        Raises:
            DataError: not UTF-8, or fewer than two types.
        """
        with progress.stage("counting types", train.size) as advance:
            return cls(Vocabulary.of(train.pieces(advance), options))

    def values(self) -> Json:
        """Size of the vocabulary."""
        return {"vocabulary_size": len(self.vocabulary)}

    def files(self) -> Mapping[str, str]:
        """The tokenizer."""
        return {TOKENIZER: self.vocabulary.dump()}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Any) -> "LanguageModellingPreprocessor":  # noqa: ARG003
        """Undo `values` and `files`."""
        return cls(Vocabulary.parse(read(TOKENIZER), recipe.data.unit))


def find_texts(options: TextOptions) -> dict[str, Text]:
    """Training, validation and test text; the last is missing where only the other two are given.

    Raises:
        DataError: a text is missing or empty.
    """
    found = find_text(options.path)
    given = {name: whole_text(path) for name, path in (("valid", options.valid), ("test", options.test)) if path}
    if "all" not in found:
        splits = {**found, **given}
    elif "valid" in given:
        splits = {"train": found["all"], **given}
    else:
        splits = dict(zip(("train", "valid", "test"), found["all"].split(options.shares), strict=True)) | given
    if "valid" not in splits:
        train, valid = splits["train"].split((options.shares[0], 1 - options.shares[0]))
        splits |= {"train": train, "valid": valid}
    for name, text in splits.items():
        if not text.size:
            raise DataError(f"{text.name}: too short to split; its {name} part would be empty")
    return {name: splits[name] for name in ("train", "valid", "test") if name in splits}


def encode_texts(texts: Mapping[str, Text], vocabulary: Vocabulary, progress: Progress) -> dict[str, TokenIds]:
    """Token ids by split.

    Raises:
        DataError: a text is not UTF-8, or has no tokens.
    """
    return {split: encode_text(text, vocabulary, progress, f"encoding {split}") for split, text in texts.items()}


def check_tokens(splits: Mapping[str, TokenIds], vocabulary: Vocabulary) -> Json:
    """Tokens of each split, the size of the vocabulary, and splits with many unknown tokens."""
    rows = {
        split: {"tokens": len(tokens), "characters": tokens.num_characters, "unknown": tokens.num_unknown}
        for split, tokens in splits.items()
    }
    problems = [
        f"{row['unknown'] / row['tokens']:.0%} of the tokens of {split} are unknown; raise vocabulary_size"
        for split, row in rows.items()
        if row["unknown"] > MAX_UNKNOWN * row["tokens"]
    ]
    return {"splits": rows, "vocabulary": {"types": {"kept": len(vocabulary)}}, "problems": problems}
