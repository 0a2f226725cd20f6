"""Metrics of predicted tags: of tokens, and of spans if the tags are BIO (begin, inside, outside)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

OUTSIDE = "O"
Tags = Sequence[str]  # of the tokens of a sentence


class Span(NamedTuple):
    """Consecutive tokens of one type, such as a name."""

    type: str
    start: int  # first token
    stop: int  # one past the last token


def is_bio(labels: Iterable[str]) -> bool:
    """Whether all tags are O, B-type or I-type, and at least one is not O."""
    labels = set(labels)
    inside = labels - {OUTSIDE}
    return bool(inside) and all(label[:2] in ("B-", "I-") and len(label) > 2 for label in inside)


def is_invalid_bio(tags: Tags) -> bool:
    """Whether an I- tag does not follow a B- or I- tag of the same type."""
    return any(
        tag.startswith("I-") and before[1:] != tag[1:] for before, tag in zip([OUTSIDE, *tags], tags, strict=False)
    )


def spans_of(tags: Tags) -> list[Span]:
    """Spans of a sentence.

    As in the CoNLL shared tasks, an I- tag that does not follow a tag of its type starts a span.
    """
    found: list[Span] = []
    is_open = False  # whether the last span ends right before this token
    for step, tag in enumerate(tags):
        if tag.startswith("I-") and is_open and found[-1].type == tag[2:]:
            found[-1] = found[-1]._replace(stop=step + 1)
        elif tag.startswith(("B-", "I-")):
            found.append(Span(tag[2:], step, step + 1))
        is_open = tag.startswith(("B-", "I-"))
    return found


def tagging_scores(true: Sequence[Tags], predicted: Sequence[Tags], *, by_span: bool) -> dict[str, float]:
    """Scores of a tagger on one split.

    Args:
        true: correct tags of each sentence.
        predicted: predicted tags of each sentence.
        by_span: whether the tags are BIO.

    Returns:
        accuracy (share of the tokens, 0..1), tokens (their number), and span_f1, span_precision and span_recall (0..1;
        a span is correct if its type and both its ends are), or for other tags macro_f1 (mean over the tags that occur,
        0..1).
    """
    flat = [tag for tags in true for tag in tags]
    flat_predicted = [tag for tags in predicted for tag in tags]
    num_correct = sum(one == other for one, other in zip(flat, flat_predicted, strict=True))
    if by_span:
        total = total_counts(span_counts(true, predicted).values())
        others = {"span_f1": total.f1, "span_precision": total.precision, "span_recall": total.recall}
    else:
        from sklearn.metrics import f1_score

        labels = sorted(set(flat))
        f1 = f1_score(flat, flat_predicted, labels=labels, average="macro", zero_division=0)
        others = {"macro_f1": float(f1)}
    return {"accuracy": num_correct / len(flat), **others, "tokens": len(flat)}


class SpanCounts(NamedTuple):
    """Numbers of true, predicted and correct spans."""

    true: int
    predicted: int
    correct: int

    @property
    def precision(self) -> float:
        """Share of the predicted spans that are correct, 0 if there is none."""
        return self.correct / max(self.predicted, 1)

    @property
    def recall(self) -> float:
        """Share of the true spans that were predicted, 0 if there is none."""
        return self.correct / max(self.true, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / max(self.true + self.predicted, 1)


def span_counts(true: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, SpanCounts]:
    """Counts of each type of span, by its name."""
    true_counts: Counter[str] = Counter()
    predicted_counts: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for one, other in zip(true, predicted, strict=True):
        spans, guesses = spans_of(one), spans_of(other)
        true_counts.update(span.type for span in spans)
        predicted_counts.update(span.type for span in guesses)
        correct.update(span.type for span in set(spans) & set(guesses))
    return {
        type: SpanCounts(true_counts[type], predicted_counts[type], correct[type])
        for type in sorted(true_counts | predicted_counts)
    }


def total_counts(counts: Iterable[SpanCounts]) -> SpanCounts:
    """Sum of counts over all types."""
    return SpanCounts(*np.array([(0, 0, 0), *counts]).sum(0).tolist())


def scores_by_span_type(true: Sequence[Tags], predicted: Sequence[Tags]) -> list[dict[str, Any]]:
    """Precision, recall, f1 and number of true spans (`examples`) of each type of span (`label`)."""
    return [
        {"label": type, "precision": c.precision, "recall": c.recall, "f1": c.f1, "examples": float(c.true)}
        for type, c in span_counts(true, predicted).items()
    ]
