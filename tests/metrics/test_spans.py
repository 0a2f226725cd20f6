"""Spans and their scores against cases worked out by hand."""

import random

import pytest

from recurra.metrics.spans import (
    Span,
    is_bio,
    is_invalid_bio,
    scores_by_span_type,
    spans_of,
    tagging_scores,
)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("", []),
        ("O O", []),
        ("B-x", [Span("x", 0, 1)]),
        ("O B-x I-x I-x O", [Span("x", 1, 4)]),
        ("B-x B-x I-x", [Span("x", 0, 1), Span("x", 1, 3)]),
        ("B-x I-y", [Span("x", 0, 1), Span("y", 1, 2)]),
        ("O I-x I-x O I-x", [Span("x", 1, 3), Span("x", 4, 5)]),  # I- without B- begins
        ("I-x O I-x", [Span("x", 0, 1), Span("x", 2, 3)]),
        ("I-x B-x", [Span("x", 0, 1), Span("x", 1, 2)]),
        ("B-a-b I-a-b", [Span("a-b", 0, 2)]),
    ],
)
def test_spans_by_hand(tags: str, spans: list[Span]) -> None:
    assert spans_of(tags.split()) == spans


def test_scores_by_hand() -> None:
    true = [["B-x", "I-x", "O", "B-y"], ["O", "B-x"], ["B-y", "I-y"]]
    predicted = [["B-x", "I-x", "O", "O"], ["B-x", "B-x"], ["B-y", "O"]]
    # three of the four spans of the prediction: x 0-2 right, x 0-1 too much, x 1-2 right, y 0-1 too short
    found = tagging_scores(true, predicted, by_span=True)
    assert found == {
        "accuracy": 5 / 8,
        "span_f1": pytest.approx(2 * 2 / (4 + 4)),
        "span_precision": 2 / 4,
        "span_recall": 2 / 4,
        "tokens": 8,
    }
    assert scores_by_span_type(true, predicted) == [
        {"label": "x", "precision": 2 / 3, "recall": 1.0, "f1": pytest.approx(4 / 5), "examples": 2.0},
        {"label": "y", "precision": 0.0, "recall": 0.0, "f1": 0.0, "examples": 2.0},
    ]


def test_a_right_boundary_of_another_type_or_another_sentence_is_wrong() -> None:
    true, predicted = [["B-x"], ["O"]], [["B-y"], ["B-x"]]
    assert tagging_scores(true, predicted, by_span=True)["span_f1"] == 0
    assert tagging_scores([["O"]], [["O"]], by_span=True)["span_f1"] == 0  # nothing to find, nothing found


def test_macro_f1_is_over_the_tags_that_occur() -> None:
    true, predicted = [["A", "A", "B"], ["B"]], [["A", "C", "B"], ["A"]]
    # A: precision 1/2, recall 1/2; B: precision 1, recall 1/2; C never occurs
    found = tagging_scores(true, predicted, by_span=False)
    assert found == {"accuracy": 0.5, "macro_f1": pytest.approx((1 / 2 + 2 / 3) / 2), "tokens": 4}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["O", "B-x", "I-x"], True),
        (["B-x"], True),
        (["O", "I-x"], True),
        (["O"], False),
        (["O", "B-"], False),
        (["O", "B-x", "S-x"], False),
        (["NOUN", "VERB"], False),
    ],
)
def test_which_tags_are_bio(labels: list[str], expected: bool) -> None:
    assert is_bio(labels) == expected


@pytest.mark.parametrize("tags", ["I-x", "O I-x", "B-y I-x", "B-x O I-x"])
def test_what_breaks_bio(tags: str) -> None:
    assert is_invalid_bio(tags.split())
    assert not is_invalid_bio(tags.replace("I-", "B-").split())
    assert not is_invalid_bio(["O", "B-x", "I-x", "I-x", "B-x"])


def test_spans_of_random_tags_cover_all_that_is_inside() -> None:
    draw = random.Random(3)
    for _ in range(200):
        tags = [draw.choice(["O", "B-x", "I-x", "B-y", "I-y"]) for _ in range(draw.randint(1, 9))]
        spans = spans_of(tags)
        covered = [(step, span.type) for span in spans for step in range(span.start, span.stop)]
        assert covered == [(step, tag[2:]) for step, tag in enumerate(tags) if tag != "O"]
        repaired = ["O"] * len(tags)
        for span in spans:
            repaired[span.start : span.stop] = [f"B-{span.type}"] + [f"I-{span.type}"] * (span.stop - span.start - 1)
        assert not is_invalid_bio(repaired)
        assert spans_of(repaired) == spans
        assert all(one == other for one, other in zip(tags, repaired, strict=True) if one != "O" and other[0] == one[0])
