"""How good predicted tags are: by token, and by span where tags say begin, inside and outside (BIO)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import f1_score

OUTSIDE = "O"
Tags = Sequence[str]  # of a sentence


class Span(NamedTuple):
    """Some tokens in a row that are one thing."""

    type: str
    start: int  # first token
    stop: int  # token behind the last


def is_bio(labels: Iterable[str]) -> bool:
    """Whether some tags are O, B-type and I-type, and not O alone."""
    labels = set(labels)
    inside = labels - {OUTSIDE}
    return bool(inside) and all(label[:2] in ("B-", "I-") and len(label) > 2 for label in inside)


def breaks_bio(tags: Tags) -> bool:
    """Whether an I- tag does not follow a B- or I- tag of its type."""
    return any(
        tag.startswith("I-") and before[1:] != tag[1:] for before, tag in zip([OUTSIDE, *tags], tags, strict=False)
    )


def spans_of(tags: Tags) -> list[Span]:
    """Spans of a sentence, as the CoNLL shared tasks count: an I- tag without what it would go on from begins one."""
    found: list[Span] = []
    goes_on = False  # whether the last span reaches up to this token
    for step, tag in enumerate(tags):
        if tag.startswith("I-") and goes_on and found[-1].type == tag[2:]:
            found[-1] = found[-1]._replace(stop=step + 1)
        elif tag.startswith(("B-", "I-")):
            found.append(Span(tag[2:], step, step + 1))
        goes_on = tag.startswith(("B-", "I-"))
    return found


def tagging_scores(true: Sequence[Tags], predicted: Sequence[Tags], *, by_span: bool) -> dict[str, float]:
    """Figures of a tagger on one split.

    Args:
        true: tags of each sentence.
        predicted: tags of each sentence.
        by_span: whether the tags are BIO.

    Returns:
        accuracy (share of the tokens), tokens, and span_f1, span_precision and span_recall, where a span is right if
        its type and both its ends are; or, of other tags, macro_f1 (mean over the tags that occur).
    """
    flat = [tag for tags in true for tag in tags]
    flat_predicted = [tag for tags in predicted for tag in tags]
    right = sum(one == other for one, other in zip(flat, flat_predicted, strict=True))
    if by_span:
        total = add_up(span_counts(true, predicted).values())
        others = {"span_f1": total.f1, "span_precision": total.precision, "span_recall": total.recall}
    else:
        labels = sorted(set(flat))
        f1 = f1_score(flat, flat_predicted, labels=labels, average="macro", zero_division=0)
        others = {"macro_f1": float(f1)}
    return {"accuracy": right / len(flat), **others, "tokens": len(flat)}


class SpanCounts(NamedTuple):
    """How many spans there are, were predicted, and are right."""

    true: int
    predicted: int
    right: int

    @property
    def precision(self) -> float:
        """Share of the predicted ones that are right, 0 where there is none."""
        return self.right / max(self.predicted, 1)

    @property
    def recall(self) -> float:
        """Share of the true ones that were found, 0 where there is none."""
        return self.right / max(self.true, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(self.true + self.predicted, 1)


def span_counts(true: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, SpanCounts]:
    """Counts by type of span."""
    there: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for one, other in zip(true, predicted, strict=True):
        spans, guesses = spans_of(one), spans_of(other)
        there.update(span.type for span in spans)
        found.update(span.type for span in guesses)
        right.update(span.type for span in set(spans) & set(guesses))
    return {type: SpanCounts(there[type], found[type], right[type]) for type in sorted(there | found)}


def add_up(counts: Iterable[SpanCounts]) -> SpanCounts:
    """Counts over all types."""
    return SpanCounts(*np.array([(0, 0, 0), *counts]).sum(0).tolist())


def span_classes(true: Sequence[Tags], predicted: Sequence[Tags]) -> list[dict[str, Any]]:
    """Precision, recall, f1 and how many true spans there are, of each type."""
    return [
        {"label": type, "precision": c.precision, "recall": c.recall, "f1": c.f1, "examples": float(c.true)}
        for type, c in span_counts(true, predicted).items()
    ]
