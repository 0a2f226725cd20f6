"""How good predicted probabilities of labels are: the figures of a table, and what figures are drawn from."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

UNKNOWN = -1  # target whose label no training example had: never predicted right
BINS = 10  # of a reliability diagram
WORST = 20  # examples listed
TINY = 1e-12  # probability below which its logarithm is not taken


def classification_scores(probabilities: Floats, targets: Ints) -> dict[str, float]:
    """Figures of a classifier on one split.

    Args:
        probabilities: (examples, labels).
        targets: label of each example, UNKNOWN where training had none such.

    Returns:
        loss (mean nats of the right label, where it is known), accuracy (share), macro_f1 (mean over the labels that
        occur), calibration_error (mean gap between confidence and accuracy over ten bins, weighted by their size),
        examples.
    """
    predicted, known = probabilities.argmax(1), targets != UNKNOWN
    right = probabilities[np.flatnonzero(known), targets[known]]
    return {
        "loss": float(-np.log(np.maximum(right, TINY)).mean()) if len(right) else float("nan"),
        "accuracy": float((predicted == targets).mean()),
        "macro_f1": float(f1_score(targets, predicted, labels=np.unique(targets), average="macro", zero_division=0)),
        "calibration_error": calibration_error(reliability(probabilities, targets)),
        "examples": len(targets),
    }


def reliability(probabilities: Floats, targets: Ints) -> list[dict[str, float]]:
    """Accuracy beside confidence in bins of confidence that are not empty."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "examples": int((bins == bin).sum()),
            "confidence": float(confidence[bins == bin].mean()),
            "accuracy": float(right[bins == bin].mean()),
        }
        for bin in np.unique(bins)
    ]


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Mean gap between confidence and accuracy, weighted by examples."""
    total = sum(bin["examples"] for bin in bins)
    return sum(bin["examples"] * abs(bin["confidence"] - bin["accuracy"]) for bin in bins) / total


def classification_details(
    probabilities: Floats,
    targets: Ints,
    labels: Sequence[str],
    describe: Callable[[int], dict[str, Any]],
    predicted: Ints | None = None,
) -> dict[str, Any]:
    """What figures of one split are drawn from, as plain values.

    Args:
        probabilities: (examples, labels).
        targets: label of each example, UNKNOWN where training had none such.
        labels: their names.
        describe: what to tell of an example by its number: at least its place and its label.
        predicted: label of each example; by default the likeliest.

    Returns:
        labels; confusion (rows are the true labels), where one is unknown with a last row for those; classes
        (precision, recall, f1, examples of each label); reliability; worst (of the examples predicted wrong those
        whose true label was given the least probability, with what was predicted).
    """
    predicted = probabilities.argmax(1) if predicted is None else predicted
    indices, each = np.arange(len(labels)), np.arange(len(targets))
    columns = precision_recall_fscore_support(targets, predicted, labels=indices, zero_division=0)
    names = ("precision", "recall", "f1", "examples")
    classes = [
        {"label": label, **dict(zip(names, map(float, row), strict=True))}
        for label, *row in zip(labels, *columns, strict=True)
    ]
    has_unknown = bool((targets == UNKNOWN).any())
    confusion = confusion_matrix(targets, predicted, labels=[*indices, UNKNOWN] if has_unknown else indices)
    right = np.where(targets == UNKNOWN, 0, probabilities[each, np.maximum(targets, 0)])
    sure = probabilities[each, predicted]
    order = [index for index in np.argsort(right, kind="stable").tolist() if predicted[index] != targets[index]]
    worst = [
        {**describe(index), "predicted": labels[predicted[index]], "probability": float(sure[index])}
        for index in order[:WORST]
    ]
    return {
        "labels": list(labels),
        "confusion": confusion[:, : len(labels)].tolist(),
        "classes": classes,
        "reliability": reliability(probabilities, targets),
        "worst": worst,
    }
