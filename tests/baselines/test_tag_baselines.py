"""Taggers without recurrence: what each knows and does not know."""

from collections.abc import Callable

import pytest

from recurra.baselines.tags import (
    TAG_BASELINES,
    Rule,
    Sentences,
    linear_rule,
    majority_rule,
    network_rule,
    token_features,
    word_rule,
)

SENTENCES = [["the", "walk", "ended"], ["the", "walk", "is"], ["we", "walk", "home"], ["the", "end"]]
TAGS = [["D", "N", "V"], ["D", "N", "V"], ["P", "V", "R"], ["D", "N"]]


def test_majority() -> None:
    assert majority_rule(SENTENCES, [*TAGS[:3], ["D", "D"]], 1)([["we", "know"], []]) == [["D", "D"], []]


def test_each_word_has_its_most_frequent_tag_and_unknown_ones_that_of_rare_words() -> None:
    rule = word_rule(SENTENCES, TAGS, 1)
    # walk is N twice and V once; of the words seen once (ended, is, we, home, end) two are V
    assert rule([["the", "walk", "ended"], ["strange", "end"]]) == [["D", "N", "V"], ["V", "N"]]
    nothing_rare = word_rule([*SENTENCES, *SENTENCES, ["the"]], [*TAGS, *TAGS, ["D"]], 1)
    assert nothing_rare([["strange"]]) == [["D"]]


@pytest.mark.parametrize("learn", [linear_rule, network_rule])
def test_learned_models_know_neighbors_and_endings(learn: Callable[[Sentences, Sentences, int], Rule]) -> None:
    sentences = [["to", "run", "it"], ["a", "run", "it"], ["to", "hope"], ["a", "hope"]] * 5
    tags = [["T", "V", "P"], ["D", "N", "P"], ["T", "V"], ["D", "N"]] * 5
    rule = learn(sentences, tags, 1)
    assert rule([["a", "run"], [], ["to", "hope", "it"]]) == [["D", "N"], [], ["T", "V", "P"]]
    assert rule([["to", "slope"]]) == [["T", "V"]]
    assert rule(sentences) == learn(sentences, tags, 1)(sentences)


def test_features_by_hand() -> None:
    first, second = token_features(["The", "B-2s"])
    assert {"0 the", "+1 b-2s", "-1 \n", "-2 \n", "+2 \n", "shape Xxx", "begins th", "ends he"} <= set(first)
    assert {"0 b-2s", "-1 the", "+1 \n", "-1 0 the b-2s", "shape X-dx", "ends -2s", "ends b-2s"} <= set(second)
    assert not {"-1 the", "+1 the"} & set(first)


def test_their_names() -> None:
    assert list(TAG_BASELINES) == ["majority", "word", "linear", "mlp"]
