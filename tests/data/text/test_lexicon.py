"""Words and characters to ids and back from their file, and vectors trained elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from recurra.data.text.lexicon import MAX_CHARACTERS, Lexicon, read_vectors
from recurra.errors import DataError

SENTENCES = [("The", "cat", "the", "hat"), ("A", "cat", "sat", "cat")]


def test_most_frequent_words_first() -> None:
    assert Lexicon.of(SENTENCES, 100, lowercase=False).words[0] == "cat"
    folded = Lexicon.of(SENTENCES, 2, lowercase=True)
    assert folded.words == ["cat", "the"]
    assert folded.num_words == 3
    encoded = folded.encode([("THE", "hat", "Cat"), ()])
    assert [ids.tolist() for ids in encoded.words] == [[2, 0, 1], []]


def test_spellings_keep_their_case_and_stand_there_once() -> None:
    lexicon = Lexicon.of(SENTENCES, 100, lowercase=True)
    assert "A" not in lexicon.characters, "seen once"
    encoded = lexicon.encode([("The", "the", "The"), ("the", "AZ")])
    assert [ids.tolist() for ids in encoded.spellings] == [[0, 1, 0], [1, 2]]
    spelled = [["?", *lexicon.characters][id] for id in encoded.characters[1]]
    assert spelled == ["t", "h", "e"]
    assert [len(ids) for ids in encoded.characters] == [3, 3, 2]
    assert encoded.characters[2].tolist() == [0, 0]
    assert encoded.characters[0].tolist() != encoded.characters[1].tolist()


def test_ends_of_long_tokens_are_read() -> None:
    lexicon = Lexicon([], list("abc"), lowercase=False)
    middle = "b" * MAX_CHARACTERS
    assert lexicon.spell(f"a{middle}c").tolist() == [1, *[2] * (MAX_CHARACTERS - 2), 3]
    assert len(lexicon.spell("ab" * (MAX_CHARACTERS // 2))) == MAX_CHARACTERS


def test_comes_back_from_its_file() -> None:
    lexicon = Lexicon(["ça", "x\n", '"'], ["ç", "\u2028"], lowercase=True)
    again = Lexicon.parse(lexicon.dump())
    assert (again.words, again.characters, again.lowercase) == (lexicon.words, lexicon.characters, True)


def vectors_file(folder: Path, text: str) -> str:
    path = folder / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("header", ["", "5 3\n"])
def test_vectors_of_known_words_and_the_first_others(header: str, tmp_path: Path) -> None:
    rows = "The 1 2 3\nthe -1 0.5 2e-1\nof 4 5 6 \nat home 7 8 9\ncat 1 1 1\ncat 2 2 2\n"
    path = vectors_file(tmp_path, header + rows)
    known = {"cat": 1, "dog": 2}
    assert {word: vector.tolist() for word, vector in read_vectors(path, 3, known, 0).items()} == {"cat": [1, 1, 1]}
    found = read_vectors(path, 3, known, 2)
    assert list(found) == ["The", "the", "cat"]
    np.testing.assert_allclose(found["the"], [-1, 0.5, 0.2], rtol=1e-6)
    assert read_vectors(path, 3, known, 9)["at home"].tolist() == [7, 8, 9]
    folded = Lexicon(["cat", "dog"], [], lowercase=True).with_words(found)
    assert folded.words == ["cat", "dog", "the"], "The cannot be looked up"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3 4\n", r"line 1: expected a word and 3 numbers with spaces between, got 4; set --embedding-size"),
        ("9 4\nthe 1 2 3 4\n", "line 2: expected a word and 3 numbers"),
        ("the 1 2 3\nof 1 2\n", "line 2: expected a word and 3 numbers with spaces between, got 2"),
        ("the 1 2 3\nof 1 two 3\n", "line 2: expected 3 numbers after 'of'"),
        ("the 1 2 3\nof 1 nan 3\n", "line 2: expected 3 numbers after 'of'"),
    ],
)
def test_vectors_that_do_not_fit(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_vectors(vectors_file(tmp_path, text), 3, {}, 10)
