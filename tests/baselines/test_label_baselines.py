"""Baseline classifiers: their features, that they learn, and that they can be fitted to any small data set."""

import random
import warnings

import numpy as np
import pytest

from recurra.baselines.labels import (
    LabelBaseline,
    LabelPersistence,
    label_baselines,
    series_features,
    statistics,
    text_features,
)

NAMES = ("majority", "linear", "mlp")


def sentences(count: int, seed: int) -> tuple[list[str], list[int]]:
    """A word for each of three labels among others; the first label is there as often as both others together."""
    draw = random.Random(seed)
    targets = [draw.choice([0, 0, 1, 2]) for _ in range(count)]
    texts = [" ".join([*draw.sample(["one", "a", "the", "so"], 3), ["ape", "bee", "cat"][t]]) for t in targets]
    return texts, targets


def test_models_of_words_are_accurate_and_the_majority_is_not() -> None:
    texts, targets = sentences(240, 1)
    held_out, expected = sentences(60, 2)
    for baseline, name in zip(label_baselines(lambda: text_features("word"), 3), NAMES, strict=True):
        assert baseline.name == name
        fitted = baseline.fit(texts, targets, 3)
        found = [fitted.predict(held_out), fitted.predict(texts[:7])]
        assert [len(probabilities) for probabilities in found] == [60, 7]
        np.testing.assert_allclose(found[0].sum(1), 1, rtol=1e-9)
        accuracy = (found[0].argmax(1) == expected).mean()
        if name == "majority":
            assert accuracy == np.mean(np.array(expected) == 0)
            np.testing.assert_allclose(found[0], np.broadcast_to(np.bincount(targets) / 240, (60, 3)))
        else:
            assert accuracy > 0.95, name


def test_the_same_seed_gives_the_same_perceptron() -> None:
    texts, targets = sentences(25, 1)
    first, again, other = (
        label_baselines(lambda: text_features("word"), seed)[2].fit(texts, targets, 3).predict(texts)
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class TwoOfFive:
    """A classifier that has seen the labels 1 and 3."""

    classes_ = np.array([1, 3])

    def fit(self, contents: list[str], targets: list[int]) -> None:
        """Nothing to learn."""

    def predict_proba(self, contents: list[str]) -> np.ndarray:
        return np.array([[0.2, 0.8], [0.5, 0.5]])[: len(contents)]


def test_labels_that_training_lacks_have_probability_0() -> None:
    fitted = LabelBaseline("stub", lambda _: TwoOfFive()).fit(["a", "b"], [1, 3], 5)
    assert fitted.predict(["c", "d"]).tolist() == [[0, 0.2, 0, 0.8, 0], [0, 0.5, 0, 0.5, 0]]
    texts, targets = sentences(60, 1)
    for baseline in label_baselines(lambda: text_features("word"), 3):
        found = baseline.fit(texts, [2 * target + 1 for target in targets], 7).predict(texts)
        assert not found[:, [0, 2, 4, 6]].any()
        np.testing.assert_allclose(found.sum(1), 1)


@pytest.mark.parametrize(
    "targets",
    [
        [0, 1],
        [0, 1] * 5,
        [0, 1, 2] * 3,
        [0, 1, 2, 3],
        [0] * 11 + [1],
        [0] * 9 + [1, 1],
        [0] * 20 + [1, 2],
    ],
    ids=lambda targets: f"{len(targets)} of {max(targets) + 1}",
)
def test_few_examples_or_a_label_with_one_stop_no_baseline(targets: list[int]) -> None:
    """scikit-learn refuses to hold out a tenth of them; and it warns where labels are many."""
    texts = [f"word{number} of {target}" for number, target in enumerate(targets)]
    for baseline in label_baselines(lambda: text_features("word"), 3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = baseline.fit(texts, targets, max(targets) + 1).predict(texts)
        np.testing.assert_allclose(found.sum(1), 1)


def test_text_features_are_words_and_pairs_or_runs_of_characters() -> None:
    words = text_features("word").fit(["so good , so good", "é"])
    assert set(words.vocabulary_) == {"so", "good", ",", "so good", "good ,", ", so", "é"}
    characters = text_features("character").fit(["abcde"])
    assert set(characters.vocabulary_) == {"abcde"[i : i + n] for n in (1, 2, 3, 4) for i in range(6 - n)}
    assert text_features("character").fit(["aA"]).vocabulary_.keys() == {"a", "A", "aA"}


# --- series ------------------------------------------------------------------------------------------------------


def test_statistics_by_hand() -> None:
    """Of two channels: mean, deviation, least, quartiles, largest, mean absolute step, last; channels side by side."""
    series = np.array([[1, 0], [3, -2], [2, 0], [10, 2], [4, 0]], np.float32)
    expected = [
        [4, np.sqrt(((np.array([1, 3, 2, 10, 4]) - 4.0) ** 2).mean()), 1, 2, 3, 4, 10, (2 + 1 + 8 + 6) / 4, 4],
        [0, np.sqrt(8 / 5), -2, 0, 0, 0, 2, 2, 0],
    ]
    (found,) = statistics([series])
    np.testing.assert_allclose(found.reshape(9, 2).T, expected, rtol=1e-6)
    (single,) = statistics([np.array([[5, -1]], np.float32)])
    np.testing.assert_array_equal(single.reshape(9, 2), [[5, -1], [0, 0], *[[5, -1]] * 5, [0, 0], [5, -1]])


def test_series_of_any_length_are_told_apart() -> None:
    generator = np.random.default_rng(2)
    targets = [number % 2 for number in range(80)]
    series = [
        np.cumsum(generator.normal(size=(9 + number % 5, 3)) * (1, 1000, 1), axis=0) * (3 if target else 1)
        for number, target in enumerate(targets)
    ]
    scaled = series_features().fit_transform(series)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-9)
    for baseline in label_baselines(series_features, 3)[1:]:
        found = baseline.fit(series[:60], targets[:60], 2).predict(series[60:])
        assert (found.argmax(1) == targets[60:]).mean() > 0.8, baseline.name


def test_persistence_has_the_probability_of_training() -> None:
    train, before = [0, 0, 1, 1, 2], [0, 1, 1, -1, 2]  # of four that are known before, three stayed
    found = LabelPersistence().fit(before, train, 3).predict([1, -1])
    stays = (3 + 1) / (4 + 2)
    np.testing.assert_allclose(found, [[(1 - stays) / 2, stays, (1 - stays) / 2], [2 / 5, 2 / 5, 1 / 5]])
