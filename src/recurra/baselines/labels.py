"""Baseline classifiers: majority label, logistic regression and a multilayer perceptron on features, persistence."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

MAX_FEATURES = 50_000
MAX_BATCH_SIZE = 200
MIN_STEPS_PER_EPOCH = 20  # with a single batch an epoch the perceptron would hardly move away from its first weights
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class LabelBaseline:
    """A scikit-learn classifier.

    Args:
        name: of the baseline in tables.
        build: makes the classifier, given the training targets.
    """

    def __init__(self, name: str, build: Callable[[Sequence[int]], Any]) -> None:
        self.name, self.build = name, build

    def fit(self, contents: Sequence[Any], targets: Sequence[int], num_labels: int) -> Self:
        """Fit.

        Args:
            contents: of the training examples: texts, or series (time, channels).
            targets: their labels, 0..num_labels-1; some labels may be missing.
            num_labels: number of labels.
        """
        self.model, self.num_labels = self.build(targets), num_labels
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is limited on purpose
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # of few examples it is fine
            self.model.fit(contents, targets)
        return self

    def predict(self, contents: Sequence[Any]) -> NDArray[np.float64]:
        """Probability of each label, 0 where the training targets had none such, (examples, labels)."""
        probabilities = np.zeros((len(contents), self.num_labels))
        probabilities[:, self.model.classes_] = self.model.predict_proba(contents)
        return probabilities


def label_baselines(features: Callable[[], Any], seed: int) -> list[LabelBaseline]:
    """Majority label, logistic regression and a perceptron with one hidden layer of 64 units.

    Args:
        features: makes the transformer from contents to rows of features, `text_features` or `series_features`.
        seed: of the perceptron's weights.
    """

    def mlp(targets: Sequence[int]) -> Pipeline:
        batch_size = min(max(len(targets) // MIN_STEPS_PER_EPOCH, 1), MAX_BATCH_SIZE)
        stops_early = can_hold_out(targets)
        return make_pipeline(
            features(),
            MLPClassifier((64,), batch_size=batch_size, early_stopping=stops_early, max_iter=40, random_state=seed),
        )

    return [
        LabelBaseline("majority", lambda _: DummyClassifier(strategy="prior")),
        LabelBaseline("linear", lambda _: make_pipeline(features(), LogisticRegression(C=10.0, max_iter=500))),
        LabelBaseline("mlp", mlp),
    ]


def can_hold_out(targets: Sequence[int]) -> bool:
    """Whether scikit-learn can hold out a tenth of the examples for early stopping, stratified if two labels occur."""
    counts = Counter(targets)
    return len(targets) > 10 and (len(counts) > 2 or min(counts.values()) > 1)


class LabelPersistence:
    """Predicts that the previous label goes on, with the probability that it did so in training."""

    def fit(self, previous: Sequence[int], targets: Sequence[int], num_labels: int) -> Self:
        """Fit.

        Args:
            previous: label before each training example, negative if it is none of the labels.
            targets: label of each training example.
            num_labels: number of labels.
        """
        self.frequencies = np.bincount(targets, minlength=num_labels) / len(targets)
        pairs = [(now, before) for now, before in zip(targets, previous, strict=True) if before >= 0]
        self.stays = (sum(now == before for now, before in pairs) + 1) / (len(pairs) + 2)  # add-one smoothing
        return self

    def predict(self, previous: Sequence[int]) -> NDArray[np.float64]:
        """Probability of each label, (examples, labels), given the label before each example.

        Where that is negative, the label frequencies of training.
        """
        num_labels = len(self.frequencies)
        probabilities = np.full((len(previous), num_labels), (1 - self.stays) / (num_labels - 1))
        for row, before in enumerate(previous):
            if before >= 0:
                probabilities[row, before] = self.stays
            else:
                probabilities[row] = self.frequencies
        return probabilities


def text_features(unit: str) -> Any:
    """TF-IDF of words and pairs of words; of 1 to 4 characters in a row if the unit is "character"."""
    options = {"sublinear_tf": True, "max_features": MAX_FEATURES}
    if unit == "character":
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False, **options)
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", **options)


def series_features() -> Any:
    """Standardized statistics of each channel of a series; see `statistics`."""
    return make_pipeline(FunctionTransformer(statistics), StandardScaler())


def statistics(series: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Features of each channel of series (time, channels), one row a series.

    They are mean, standard deviation, quantiles, mean absolute difference between steps, and last value.
    """
    rows = []
    for values in series:
        steps = np.abs(np.diff(values, axis=0)).mean(0) if len(values) > 1 else np.zeros(values.shape[1])
        rows.append(
            np.concatenate([values.mean(0), values.std(0), *np.quantile(values, QUANTILES, axis=0), steps, values[-1]])
        )
    return np.array(rows, np.float64)
