"""Baseline taggers: what each can and cannot predict."""

from collections.abc import Callable

import pytest

from recurra.baselines.tags import (
    TAG_BASELINES,
    MajorityTag,
    MLPTagger,
    TagBaseline,
    WordTag,
    linear_tagger,
    token_features,
)

SENTENCES = [["the", "walk", "ended"], ["the", "walk", "is"], ["we", "walk", "home"], ["the", "end"]]
TAGS = [["D", "N", "V"], ["D", "N", "V"], ["P", "V", "R"], ["D", "N"]]


def test_majority() -> None:
    fitted = MajorityTag().fit(SENTENCES, [*TAGS[:3], ["D", "D"]])
    assert fitted.predict([["we", "know"], []]) == [["D", "D"], []]


def test_each_word_has_its_most_frequent_tag_and_unknown_ones_that_of_rare_words() -> None:
    fitted = WordTag().fit(SENTENCES, TAGS)
    # walk is N twice and V once; of the words seen once (ended, is, we, home, end) two are V
    assert fitted.predict([["the", "walk", "ended"], ["strange", "end"]]) == [["D", "N", "V"], ["V", "N"]]
    nothing_rare = WordTag().fit([*SENTENCES, *SENTENCES, ["the"]], [*TAGS, *TAGS, ["D"]])
    assert nothing_rare.predict([["strange"]]) == [["D"]]


@pytest.mark.parametrize("build", [linear_tagger, MLPTagger])
def test_learned_models_know_neighbors_and_endings(build: Callable[[int], TagBaseline]) -> None:
    sentences = [["to", "run", "it"], ["a", "run", "it"], ["to", "hope"], ["a", "hope"]] * 5
    tags = [["T", "V", "P"], ["D", "N", "P"], ["T", "V"], ["D", "N"]] * 5
    fitted = build(1).fit(sentences, tags)
    assert fitted.predict([["a", "run"], [], ["to", "hope", "it"]]) == [["D", "N"], [], ["T", "V", "P"]]
    assert fitted.predict([["to", "slope"]]) == [["T", "V"]]
    assert fitted.predict(sentences) == build(1).fit(sentences, tags).predict(sentences)


def test_features_by_hand() -> None:
    first, second = token_features(["The", "B-2s"])
    assert {"0 the", "+1 b-2s", "-1 \n", "-2 \n", "+2 \n", "shape Xxx", "begins th", "ends he"} <= set(first)
    assert {"0 b-2s", "-1 the", "+1 \n", "-1 0 the b-2s", "shape X-dx", "ends -2s", "ends b-2s"} <= set(second)
    assert not {"-1 the", "+1 the"} & set(first)


def test_names() -> None:
    assert list(TAG_BASELINES) == ["majority", "word", "linear", "mlp"]
