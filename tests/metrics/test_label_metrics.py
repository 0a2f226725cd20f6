"""Scores of a classifier: small cases by hand, larger ones by loops over examples, in part beside scikit-learn."""

import math

import numpy as np
import pytest
import sklearn.metrics

from recurra.metrics.labels import (
    NUM_BINS,
    NUM_WORST,
    UNKNOWN,
    calibration_error,
    classification_details,
    classification_scores,
    reliability,
)

LABELS = ["ape", "bee", "cat", "dog"]

# Five examples of three labels; bee is right once and missed once, the last has a label that nobody knows.
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.6, 0.3, 0.1], [0.05, 0.05, 0.9], [0.1, 0.15, 0.75]])
TARGETS = np.array([0, 1, 1, 2, UNKNOWN])


def drawn(count: int = 300, unknown: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(6)
    logits = random.normal(size=(count, 4)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.where(random.random(count) < 0.5, probabilities.argmax(1), random.integers(0, 3, count))
    return probabilities, np.where(random.random(count) < 0.1, UNKNOWN, targets) if unknown else targets


def told(count: int) -> list[dict[str, str]]:
    return [{"place": f"line {number + 1}", "label": "x", "content": f"text {number}"} for number in range(count)]


# --- figures of a table ------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    scores = classification_scores(PROBABILITIES[:4], TARGETS[:4])
    assert scores["loss"] == pytest.approx(-(math.log(0.7) + math.log(0.5) + math.log(0.3) + math.log(0.9)) / 4)
    assert scores["accuracy"] == 3 / 4
    # F1: ape 2*1/(2+1), bee 2*1/(2*1+0+1), cat 1.
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    # Bins of 0.5, 0.6, 0.7 and 0.9 with one example each, the second wrong.
    assert scores["calibration_error"] == pytest.approx((0.5 + 0.6 + 0.3 + 0.1) / 4)
    assert scores["examples"] == 4


def test_an_unknown_label_counts_as_wrong_but_not_in_the_loss() -> None:
    scores = classification_scores(PROBABILITIES, TARGETS)
    assert scores["loss"] == pytest.approx(classification_scores(PROBABILITIES[:4], TARGETS[:4])["loss"])
    assert scores["accuracy"] == 3 / 5
    # Cat has now been said once too often: 2*1/(2*1+1); the unknown label occurs, and is never found.
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 0) / 4)
    assert scores["examples"] == 5
    nothing_known = classification_scores(PROBABILITIES, np.full(5, UNKNOWN))
    assert math.isnan(nothing_known["loss"])
    assert (nothing_known["accuracy"], nothing_known["macro_f1"]) == (0, 0)


def test_macro_f1_is_over_the_labels_that_occur() -> None:
    """Dog is never true: neither does it count as 0 for that, nor does saying it go unpunished."""
    probabilities = np.eye(4)[[0, 0, 1, 3]]
    assert classification_scores(probabilities, np.array([0, 0, 1, 1]))["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("unknown", [False, True])
def test_scores_counted_one_by_one(unknown: bool) -> None:
    probabilities, targets = drawn(unknown=unknown)
    predicted = [int(np.argmax(row)) for row in probabilities]
    scores = classification_scores(probabilities, targets)
    nats = [-math.log(row[target]) for row, target in zip(probabilities, targets, strict=True) if target != UNKNOWN]
    assert scores["loss"] == pytest.approx(sum(nats) / len(nats))
    right = sum(said == target for said, target in zip(predicted, targets, strict=True))
    assert scores["accuracy"] == pytest.approx(right / len(targets))
    f1 = []
    for label in sorted({int(target) for target in targets}):
        hits = sum(said == target == label for said, target in zip(predicted, targets, strict=True))
        f1.append(2 * hits / (predicted.count(label) + sum(target == label for target in targets)))
    assert scores["macro_f1"] == pytest.approx(sum(f1) / len(f1))
    if not unknown:
        assert scores["loss"] == pytest.approx(sklearn.metrics.log_loss(targets, probabilities, labels=range(4)))


def test_a_probability_of_zero_costs_much_but_not_all() -> None:
    scores = classification_scores(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0]))
    assert scores["loss"] == pytest.approx(-math.log(1e-12) / 2)


# --- reliability -------------------------------------------------------------------------------------------------


def test_bins_by_hand() -> None:
    sure = np.array([0.51, 0.59, 0.72, 0.78, 0.75, 1.0, 0.97])
    found = reliability(np.stack([sure, 1 - sure], 1), np.array([0, 1, 0, 0, UNKNOWN, 0, 0]))
    expected = [(2, 0.55, 1 / 2), (3, 0.75, 2 / 3), (2, 0.985, 1.0)]
    assert [bin["examples"] for bin in found] == [2, 3, 2]
    for bin, (_, confidence, accuracy) in zip(found, expected, strict=True):
        assert (bin["confidence"], bin["accuracy"]) == (pytest.approx(confidence), pytest.approx(accuracy))
    assert calibration_error(found) == pytest.approx((2 * 0.05 + 3 * (0.75 - 2 / 3) + 2 * 0.015) / 7)


def test_bins_hold_every_example_once() -> None:
    probabilities, targets = drawn()
    found = reliability(probabilities, targets)
    assert sum(bin["examples"] for bin in found) == len(targets)
    assert len(found) <= NUM_BINS
    assert sum(bin["examples"] * bin["accuracy"] for bin in found) == pytest.approx(
        (probabilities.argmax(1) == targets).sum()
    )
    assert sum(bin["examples"] * bin["confidence"] for bin in found) == pytest.approx(probabilities.max(1).sum())


def test_who_is_as_right_as_sure_has_no_calibration_error() -> None:
    rows = np.array([[0.75, 0.25]] * 4 + [[0.4, 0.6]] * 5)
    targets = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0])
    assert classification_scores(rows, targets)["calibration_error"] == pytest.approx(0, abs=1e-12)


# --- what figures are drawn from ---------------------------------------------------------------------------------


@pytest.mark.parametrize("unknown", [False, True])
def test_confusion_and_classes_counted_one_by_one(unknown: bool) -> None:
    probabilities, targets = drawn(unknown=unknown)
    predicted = probabilities.argmax(1)
    details = classification_details(probabilities, targets, LABELS, told(len(targets)).__getitem__)
    rows = [0, 1, 2, 3, UNKNOWN] if unknown else [0, 1, 2, 3]
    pairs = list(zip(targets.tolist(), predicted.tolist(), strict=True))
    assert details["labels"] == LABELS
    assert details["confusion"] == [[pairs.count((true, said)) for said in range(4)] for true in rows]
    assert details["reliability"] == reliability(probabilities, targets)
    for label, row in enumerate(details["classes"]):
        hits, said, true = pairs.count((label, label)), (predicted == label).sum(), (targets == label).sum()
        assert (row["label"], row["examples"]) == (LABELS[label], true)
        assert row["precision"] == pytest.approx(hits / said)
        assert row["recall"] == pytest.approx(hits / true if true else 0)
        assert row["f1"] == pytest.approx(2 * hits / (said + true))


def test_the_worst_are_wrong_and_come_in_order() -> None:
    probabilities, targets = drawn(unknown=True)
    details = classification_details(probabilities, targets, LABELS, told(len(targets)).__getitem__)
    given = [0.0 if target == UNKNOWN else row[target] for row, target in zip(probabilities, targets, strict=True)]
    wrong = [index for index in np.argsort(given, kind="stable") if probabilities[index].argmax() != targets[index]]
    assert len(wrong) > NUM_WORST
    assert [row["place"] for row in details["worst"]] == [f"line {index + 1}" for index in wrong[:NUM_WORST]]
    for row, index in zip(details["worst"], wrong, strict=False):
        assert row["predicted"] == LABELS[probabilities[index].argmax()]
        assert row["probability"] == probabilities[index].max()
        assert row["content"] == f"text {index}"


def test_doubtful_but_right_examples_do_not_push_out_the_wrong_ones() -> None:
    doubtful, wrong = [[0.3, 0.28, 0.22, 0.2]] * (NUM_WORST + 5), [[0.55, 0.45, 0, 0]] * 2
    probabilities, targets = np.array(doubtful + wrong), np.array([0] * (NUM_WORST + 5) + [1] * 2)
    details = classification_details(probabilities, targets, LABELS, told(len(targets)).__getitem__)
    assert [row["place"] for row in details["worst"]] == ["line 26", "line 27"]


@pytest.mark.parametrize("target", [2, UNKNOWN])
def test_a_single_example(target: int) -> None:
    probabilities, targets = np.array([[0.1, 0.2, 0.6, 0.1]]), np.array([target])
    details = classification_details(probabilities, targets, LABELS, told(1).__getitem__)
    assert sum(map(sum, details["confusion"])) == 1
    assert len(details["worst"]) == (target == UNKNOWN)
    assert classification_scores(probabilities, targets)["accuracy"] == (target == 2)


def test_details_of_labels_that_are_not_the_likeliest_add_up() -> None:
    draw, labels = np.random.default_rng(4), ["A", "B", "C"]
    probabilities = draw.dirichlet(np.ones(3), 40)
    predicted = draw.integers(0, 3, 40)  # not always the likeliest, as a best path is not
    targets = draw.integers(-1, 3, 40)
    found = classification_details(
        probabilities, targets, labels, lambda i: {"place": f"line {i}", "label": "?"}, predicted
    )
    confusion = np.array(found["confusion"])
    for row, target in enumerate([0, 1, 2, UNKNOWN]):
        for column in range(3):
            assert confusion[row, column] == sum((targets == target) & (predicted == column))
    assert [row["examples"] for row in found["classes"]] == [sum(targets == i) for i in range(3)]
    assert found["classes"][1]["recall"] == pytest.approx(confusion[1, 1] / sum(targets == 1))
    worst = [int(row["place"].split()[1]) for row in found["worst"]]
    wrong = [i for i in range(40) if predicted[i] != targets[i]]
    given = [0 if targets[i] == UNKNOWN else probabilities[i, targets[i]] for i in range(40)]
    assert sorted(given[i] for i in wrong)[: len(worst)] == [given[i] for i in worst]
    assert len(worst) == min(len(wrong), 20)
    for row, i in zip(found["worst"], worst, strict=True):
        assert row["predicted"] == labels[predicted[i]] != row["label"]
        assert row["probability"] == probabilities[i, predicted[i]]
