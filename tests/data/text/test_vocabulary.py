"""Text to ids and back."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.text.vocabulary import UNKNOWN, Vocabulary, VocabularyOptions, join_words
from recurra.errors import DataError

TEXT = "the cat saw the dog.\nthe dog, the old dog, ran!\n"
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)


def vocabulary(text: str = TEXT, **options: Any) -> Vocabulary:
    return Vocabulary.of([text], VocabularyOptions(**options))


def types(made: Vocabulary) -> list[str]:
    return [made.token(id) for id in range(len(made))]


# --- words -------------------------------------------------------------------------------------------------------


def test_words_come_by_falling_frequency_after_unknown() -> None:
    made = vocabulary()
    assert types(made)[:3] == [UNKNOWN, "the", "dog"]
    assert set(types(made)) == {UNKNOWN, "the", "dog", "cat", "saw", "old", "ran", ".", ",", "!", "\n"}
    counts = Counter(made.token(id) for id in made.encode(TEXT))
    ordered = [counts[token] for token in types(made)[1:]]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize("size", [2, 3, 7, 11, 12, 1000])
def test_the_size_is_exact_where_there_are_types_enough(size: int) -> None:
    if size == 2:
        with pytest.raises(DataError, match="1 distinct word"):
            vocabulary(vocabulary_size=2)
    else:
        assert len(vocabulary(vocabulary_size=size)) == min(size, 11)


def test_a_text_that_has_unknown_as_a_word_counts_it_once() -> None:
    made = vocabulary("a b <unk> <unk> <unk> c\n", vocabulary_size=4)
    assert len(made) == 4
    assert types(made)[0] == UNKNOWN
    assert types(made).count(UNKNOWN) == 1
    assert made.encode("<unk> zzz") == [0, 0]


def test_what_the_vocabulary_lacks_is_unknown_and_is_told() -> None:
    made = vocabulary()
    assert made.unknown_id == 0
    ids = made.encode("the Horse saw a dog")
    assert [made.token(id) for id in ids] == ["the", UNKNOWN, "saw", UNKNOWN, "dog"]
    assert made.unknown_in("the Horse saw\na dog") == ["Horse", "a"]


def test_words_end_at_punctuation_or_at_spaces_only() -> None:
    text = "Don't stop... e-mail <unk> x_1, 3.5 “naïve”\n"
    by_punctuation = vocabulary(text)
    assert [by_punctuation.token(id) for id in by_punctuation.encode(text)] == [
        *("Don't", "stop", "...", "e", "-", "mail", UNKNOWN, "x_1", ",", "3", ".", "5", "“", "naïve", "”", "\n")
    ]
    by_space = vocabulary(text, split="space")
    assert [by_space.token(id) for id in by_space.encode(text)] == [*text.split(), "\n"]


def test_the_end_of_a_line_is_a_token_unless_it_is_switched_off() -> None:
    on, off = vocabulary(), vocabulary(end_of_line=False)
    assert on.token(on.start_id) == "\n"
    assert [on.token(id) for id in on.encode("the\n\ndog")] == ["the", "\n", "\n", "dog"]
    assert "\n" not in types(off)
    assert [off.token(id) for id in off.encode("the\n\ndog")] == ["the", "dog"]
    assert off.start_id == off.unknown_id


def test_lower_case_is_folded_on_both_ways_in() -> None:
    made = vocabulary("The CAT the Cat É\n", lowercase=True)
    assert set(types(made)) == {UNKNOWN, "the", "cat", "é", "\n"}
    assert made.encode("THE cat É") == made.encode("the CAT é")
    assert made.unknown_in("The Dog") == ["Dog"]


def test_counts_do_not_depend_on_the_pieces() -> None:
    whole = vocabulary(TEXT * 3)
    pieces = Vocabulary.of([TEXT, TEXT, TEXT], VocabularyOptions())
    assert Counter(types(whole)) == Counter(types(pieces))
    assert len(whole.encode(TEXT * 3)) == 3 * len(whole.encode(TEXT))


@pytest.mark.parametrize("unit", ["word", "character"])
@pytest.mark.parametrize("text", ["", "   \n", "aaaa", "\n\n\n"])
def test_a_vocabulary_of_one_leaves_nothing_to_predict(unit: str, text: str) -> None:
    if unit == "character" and text == "   \n":
        assert len(vocabulary(text, unit=unit)) == 3
        return
    with pytest.raises(DataError, match=rf"the text has [01] distinct {unit}s?; expected at least 2"):
        vocabulary(text, unit=unit)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["the", "dog", ",", "ran", "!"], "the dog, ran!"),
        (["(", "a", ")", ".", "\n", "b"], "(a).\nb"),
        (["end", ".", "\n", "\n", "new"], "end.\n\nnew"),
        (["f", "(", "[", "x", "]", ")"], "f ([x])"),
        ([], ""),
    ],
)
def test_words_are_joined_as_one_types_them(words: list[str], text: str) -> None:
    assert join_words(words) == text


# --- characters and byte pairs ------------------------------------------------------------------------------------


def test_characters_are_every_one_of_the_text_and_unknown() -> None:
    made = vocabulary("abca\t é\r🙂\n", unit="character")
    assert set(types(made)) == {UNKNOWN, *"abc\t é\r🙂\n"}
    assert types(made)[:2] == [UNKNOWN, "a"]
    assert made.encode("ax") == [1, 0]
    assert made.unknown_in("axé€") == ["x", "€"]
    assert made.token(made.start_id) == "\n"


@given(text=ANY_TEXT)
def test_characters_give_back_the_very_text(text: str) -> None:
    made = vocabulary(text + "ab", unit="character")
    assert made.decode(made.encode(text)) == text
    assert len(made.encode(text)) == len(text)


BYTE_PAIRS = vocabulary(
    "the cat saw the dog, the old dog ran and then the end.\n" * 20, unit="bpe", vocabulary_size=300
)


@given(text=ANY_TEXT)
def test_byte_pairs_give_back_the_very_text_whatever_it_is(text: str) -> None:
    assert BYTE_PAIRS.decode(BYTE_PAIRS.encode(text)) == text
    assert BYTE_PAIRS.unknown_in(text) == []


WORDS = vocabulary('the cat ( saw ) the "dog" , . ... ! [ ] { } : ; \n\n and\n')


@pytest.mark.parametrize("made", [WORDS, vocabulary("ab c\n", unit="character"), BYTE_PAIRS], ids=lambda v: v.unit)
@given(data=st.data())
def test_text_comes_in_pieces_that_join_to_the_whole(made: Vocabulary, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(made) - 1), max_size=30))
    if made.unit == "bpe":  # tokens of a text: half a character that stays half has no one reading
        ids = made.encode(data.draw(ANY_TEXT))
    assert "".join(made.stream(ids)) == made.decode(ids)


def test_a_piece_never_ends_within_a_character() -> None:
    pieces = list(BYTE_PAIRS.stream(BYTE_PAIRS.encode("a🙂é")))
    assert [piece for piece in pieces if piece] == ["a", "🙂", "é"]


def test_byte_pairs_learn_what_is_frequent() -> None:
    assert BYTE_PAIRS.unknown_id is None
    assert 256 < len(BYTE_PAIRS) <= 300
    assert " the" in types(BYTE_PAIRS)
    assert len(BYTE_PAIRS.encode("the cat saw the dog")) < len("the cat saw the dog") / 2
    assert BYTE_PAIRS.decode([BYTE_PAIRS.start_id]) == "\n"


def test_the_size_of_byte_pairs_is_exact() -> None:
    text = " ".join(f"{a}{b}{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx")
    assert len(vocabulary(text, unit="bpe", vocabulary_size=320)) == 320
    assert len(vocabulary(text, unit="bpe", vocabulary_size=256)) == 256


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"split": "space", "lowercase": True}, {"end_of_line": False}, {"unit": "character"}, {"unit": "bpe"}],
    ids=str,
)
def test_what_is_dumped_parses_into_the_same_vocabulary(options: dict[str, Any]) -> None:
    made = vocabulary(**options)
    again = Vocabulary.parse(made.dump(), made.unit)
    text = TEXT + "Unknown “things” 🙂\n"
    assert again.dump() == made.dump()
    assert again.encode(text) == made.encode(text)
    assert again.decode(made.encode(text)) == made.decode(made.encode(text))
    assert (len(again), again.start_id, again.unknown_id) == (len(made), made.start_id, made.unknown_id)


def test_the_same_text_gives_the_same_file() -> None:
    """Ties in frequency must not be broken by chance, or no run could be reproduced."""
    text = " ".join(f"w{n}" for n in range(500))
    assert vocabulary(text, vocabulary_size=100).dump() == vocabulary(text, vocabulary_size=100).dump()
