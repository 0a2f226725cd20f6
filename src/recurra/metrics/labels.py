"""Metrics of predicted label probabilities: scores, confusion matrix, calibration and the worst errors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

UNKNOWN = -1  # target whose label did not occur in training, so that no prediction of it is correct
NUM_BINS = 10  # of a reliability diagram
NUM_WORST = 20  # examples that are listed
MIN_PROBABILITY = 1e-12  # lower probabilities are raised to it before taking the logarithm


def classification_scores(probabilities: Floats, targets: Ints) -> dict[str, float]:
    """Scores of a classifier on one split.

    Args:
        probabilities: (examples, labels).
        targets: label of each example, or UNKNOWN, (examples,).

    Returns:
        loss (mean cross-entropy over the examples with a known label, nats), accuracy (0..1), macro_f1 (mean over the
        labels that occur, 0..1), calibration_error (0..1, see `calibration_error`), examples (their number).
    """
    from sklearn.metrics import f1_score

    predicted, known = probabilities.argmax(1), targets != UNKNOWN
    of_targets = probabilities[np.flatnonzero(known), targets[known]]
    return {
        "loss": float(-np.log(np.maximum(of_targets, MIN_PROBABILITY)).mean()) if len(of_targets) else float("nan"),
        "accuracy": float((predicted == targets).mean()),
        "macro_f1": float(f1_score(targets, predicted, labels=np.unique(targets), average="macro", zero_division=0)),
        "calibration_error": calibration_error(reliability(probabilities, targets)),
        "examples": len(targets),
    }


def reliability(probabilities: Floats, targets: Ints) -> list[dict[str, float]]:
    """The points of a reliability diagram.

    Args:
        probabilities: (examples, labels).
        targets: label of each example, or UNKNOWN, (examples,).

    Returns:
        examples, mean confidence (probability of the predicted label) and accuracy of each non-empty bin of ten equal
        bins of confidence.
    """
    confidence, is_correct = probabilities.max(1), probabilities.argmax(1) == targets
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    return [
        {
            "examples": int((bins == bin).sum()),
            "confidence": float(confidence[bins == bin].mean()),
            "accuracy": float(is_correct[bins == bin].mean()),
        }
        for bin in np.unique(bins)
    ]


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over the bins, weighted by examples."""
    total = sum(bin["examples"] for bin in bins)
    return sum(bin["examples"] * abs(bin["confidence"] - bin["accuracy"]) for bin in bins) / total


def classification_details(
    probabilities: Floats,
    targets: Ints,
    labels: Sequence[str],
    describe: Callable[[int], dict[str, Any]],
    predicted: Ints | None = None,
) -> dict[str, Any]:
    """Data of the figures of one split, as plain values.

    Args:
        probabilities: (examples, labels).
        targets: label of each example, or UNKNOWN, (examples,).
        labels: names of the labels.
        describe: maps the index of an example to fields that describe it, at least its place and its label.
        predicted: label predicted for each example, (examples,); by default the most probable.

    Returns:
        labels; confusion (counts, rows are the true labels, with a last row for unknown ones if there are any); classes
        (precision, recall, f1 and examples of each label); reliability; worst (the misclassified examples with the
        least probability of the true label: their fields, the predicted label and its probability).
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

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
    of_targets = np.where(targets == UNKNOWN, 0, probabilities[each, np.maximum(targets, 0)])
    confidence = probabilities[each, predicted]
    order = [index for index in np.argsort(of_targets, kind="stable").tolist() if predicted[index] != targets[index]]
    worst = [
        {**describe(index), "predicted": labels[predicted[index]], "probability": float(confidence[index])}
        for index in order[:NUM_WORST]
    ]
    return {
        "labels": list(labels),
        "confusion": confusion[:, : len(labels)].tolist(),
        "classes": classes,
        "reliability": reliability(probabilities, targets),
        "worst": worst,
    }
