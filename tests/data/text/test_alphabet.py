"""Symbols of transcripts: what they are, that they come back, and that strange ones are named."""

import pytest

from recurra.data.text.alphabet import Alphabet
from recurra.errors import DataError


@pytest.mark.parametrize(
    ("unit", "symbols", "ids"),
    [("character", [" ", "a", "b", "é"], [3, 2, 1, 4]), ("word", ["a", "ba", "é"], [2, 3])],
)
def test_transcripts_come_back(unit: str, symbols: list[str], ids: list[int]) -> None:
    alphabet = Alphabet.of(["ba é", "a"], unit)
    assert alphabet.symbols == symbols
    assert len(alphabet) == len(symbols) + 1
    again = Alphabet.parse(alphabet.dump())
    assert again.encode("  ba \t é ", "here").tolist() == ids
    assert again.decode(ids) == "ba é"
    assert again.decode([]) == ""


def test_a_symbol_that_training_lacks() -> None:
    with pytest.raises(
        DataError, match=r"x\.csv line 3: 'c' in 'abc' is no character of the training transcripts \('a"
    ):
        Alphabet.of(["ab"], "character").encode("abc", "x.csv line 3")
