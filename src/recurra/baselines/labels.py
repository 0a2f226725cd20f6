"""What classification reaches without recurrence, by scikit-learn: majority, linear model, network on features."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

MOST_FEATURES = 50_000
LARGEST_BATCH = 200
STEPS_AN_EPOCH = 20  # at the least: with one, as of a single batch, the network would hardly leave its first weights
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Baseline(NamedTuple):
    """A plain classifier, and what the table calls it."""

    name: str
    build: Callable[[Sequence[int]], Any]  # of the training targets


def baselines(features: Callable[[], Any], seed: int) -> list[Baseline]:
    """The plain classifiers to compare with.

    Args:
        features: makes what turns contents into rows of numbers, `text_features` or `series_features`.
        seed: of the network's weights.
    """

    def network(targets: Sequence[int]) -> Pipeline:
        batch = min(max(len(targets) // STEPS_AN_EPOCH, 1), LARGEST_BATCH)
        stops = can_hold_out(targets)
        return make_pipeline(
            features(), MLPClassifier((64,), batch_size=batch, early_stopping=stops, max_iter=40, random_state=seed)
        )

    return [
        Baseline("majority", lambda _: DummyClassifier(strategy="prior")),
        Baseline("linear", lambda _: make_pipeline(features(), LogisticRegression(C=10.0, max_iter=500))),
        Baseline("mlp", network),
    ]


def can_hold_out(targets: Sequence[int]) -> bool:
    """Whether scikit-learn can hold out a tenth of the examples, of two labels in proportion, to stop by."""
    counts = Counter(targets)
    return len(targets) > 10 and (len(counts) > 2 or min(counts.values()) > 1)


def probabilities_of(
    baseline: Baseline, train: Sequence[Any], targets: Sequence[int], contents: Sequence[Sequence[Any]], num_labels: int
) -> list[NDArray[np.float64]]:
    """Train a plain classifier; the probability of each label for some lists of contents, (examples, labels) each."""
    model = baseline.build(targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline is given its time, not more
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few examples may have many
        model.fit(train, targets)
    return [spread(model.predict_proba(given), model.classes_, num_labels) for given in contents]


def persistence(
    train: Sequence[int], before_train: Sequence[int], given: Sequence[int], num_labels: int
) -> NDArray[np.float64]:
    """Probabilities of a forecast that what held last goes on, as often as it did in training; (examples, labels).

    Args:
        train: label of each training example.
        before_train: the one that held before it, negative for none of the labels.
        given: the ones that hold before the examples to judge.
        num_labels: how many labels there are.
    """
    usual = np.bincount(train, minlength=num_labels) / len(train)
    pairs = [(now, before) for now, before in zip(train, before_train, strict=True) if before >= 0]
    stays = (sum(now == before for now, before in pairs) + 1) / (len(pairs) + 2)
    found = np.full((len(given), num_labels), (1 - stays) / (num_labels - 1))
    for row, before in enumerate(given):
        if before >= 0:
            found[row, before] = stays
        else:
            found[row] = usual
    return found


def spread(probabilities: NDArray[np.float64], classes: NDArray[np.integer], num_labels: int) -> NDArray[np.float64]:
    """Probabilities of the classes that a model knows, as those of all labels."""
    found = np.zeros((len(probabilities), num_labels))
    found[:, classes] = probabilities
    return found


def text_features(unit: str) -> Any:
    """Weighted counts (TF-IDF) of words and pairs; of up to four characters in a row where those are the unit."""
    shared = {"sublinear_tf": True, "max_features": MOST_FEATURES}
    if unit == "character":
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False, **shared)
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", **shared)


def series_features() -> Any:
    """Statistics of each channel over the window, scaled."""
    return make_pipeline(FunctionTransformer(statistics), StandardScaler())


def statistics(series: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Mean, deviation, quantiles, mean absolute step and last value of each channel of series (time, channels)."""
    rows = []
    for values in series:
        steps = np.abs(np.diff(values, axis=0)).mean(0) if len(values) > 1 else np.zeros(values.shape[1])
        rows.append(
            np.concatenate([values.mean(0), values.std(0), *np.quantile(values, QUANTILES, axis=0), steps, values[-1]])
        )
    return np.array(rows, np.float64)
