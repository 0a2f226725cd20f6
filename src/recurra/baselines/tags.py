"""Baseline taggers: majority tag, most frequent tag of each word, linear model and perceptron on token features."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self

from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

Sentences = Sequence[Sequence[str]]  # tokens of each sentence, or their tags

LINEAR_FEATURES = 200_000
LINEAR_EPOCHS = 5
MLP_FEATURES = 20_000
MLP_EPOCHS = 6
MAX_BATCH_SIZE = 1000  # tokens, of the perceptron
MIN_STEPS_PER_EPOCH = 100  # of the perceptron
MAX_AFFIX = 4  # characters
MAX_SHAPE = 6  # characters
EDGE = "\n"  # stands before and after a sentence, and is no token


class TagBaseline(Protocol):
    """A baseline tagger."""

    def fit(self, sentences: Sentences, tags: Sentences) -> Self:
        """Fit to tokens and tags of the training sentences."""
        ...

    def predict(self, sentences: Sentences) -> list[list[str]]:
        """Tag of each token of each sentence."""
        ...


class MajorityTag:
    """The most frequent tag for every token."""

    def fit(self, sentences: Sentences, tags: Sentences) -> Self:  # noqa: ARG002
        """Count the tags of the training sentences."""
        self.tag = most_frequent(tag for one in tags for tag in one)
        return self

    def predict(self, sentences: Sentences) -> list[list[str]]:
        """Tag of each token of each sentence."""
        return [[self.tag] * len(one) for one in sentences]


class WordTag:
    """The most frequent tag of each word; for an unknown word the most frequent one among words that occur once."""

    def fit(self, sentences: Sentences, tags: Sentences) -> Self:
        """Count the tags of each word of the training sentences."""
        counts: dict[str, Counter[str]] = {}
        for one, others in zip(sentences, tags, strict=True):
            for token, tag in zip(one, others, strict=True):
                counts.setdefault(token, Counter())[tag] += 1
        self.tags = {token: counted.most_common(1)[0][0] for token, counted in counts.items()}
        of_rare = [self.tags[token] for token, counted in counts.items() if counted.total() == 1]
        self.unknown = most_frequent(of_rare or (tag for one in tags for tag in one))
        return self

    def predict(self, sentences: Sentences) -> list[list[str]]:
        """Tag of each token of each sentence."""
        return [[self.tags.get(token, self.unknown) for token in one] for one in sentences]


class FeatureTagger:
    """A scikit-learn classifier on `token_features` of each token.

    Args:
        classifier: to fit.
        max_features: keep this many of the most frequent features.
    """

    def __init__(self, classifier: Any, max_features: int) -> None:
        features = CountVectorizer(analyzer=lambda given: given, binary=True, max_features=max_features)
        self.model = make_pipeline(features, classifier)

    def fit(self, sentences: Sentences, tags: Sentences) -> Self:
        """Fit to tokens and tags of the training sentences."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is limited on purpose
            self.model.fit(all_features(sentences), [tag for one in tags for tag in one])
        return self

    def predict(self, sentences: Sentences) -> list[list[str]]:
        """Tag of each token of each sentence."""
        tags = iter(self.model.predict(all_features(sentences)).tolist())
        return [[next(tags) for _ in one] for one in sentences]


class MLPTagger:
    """A perceptron with one hidden layer of 64 units on the most frequent token features.

    Args:
        seed: of its weights.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, sentences: Sentences, tags: Sentences) -> Self:
        """Fit to tokens and tags of the training sentences."""
        batch_size = min(max(sum(map(len, tags)) // MIN_STEPS_PER_EPOCH, 1), MAX_BATCH_SIZE)
        classifier = MLPClassifier((64,), batch_size=batch_size, max_iter=MLP_EPOCHS, random_state=self.seed)
        self.tagger = FeatureTagger(classifier, MLP_FEATURES).fit(sentences, tags)
        return self

    def predict(self, sentences: Sentences) -> list[list[str]]:
        """Tag of each token of each sentence."""
        return self.tagger.predict(sentences)


def linear_tagger(seed: int) -> FeatureTagger:
    """Logistic regression on token features, trained by averaged stochastic gradient descent."""
    classifier = SGDClassifier(
        loss="log_loss", alpha=1e-6, max_iter=LINEAR_EPOCHS, tol=None, average=True, random_state=seed
    )
    return FeatureTagger(classifier, LINEAR_FEATURES)


TAG_BASELINES: dict[str, Callable[[int], TagBaseline]] = {  # from a seed
    "majority": lambda _: MajorityTag(),
    "word": lambda _: WordTag(),
    "linear": linear_tagger,
    "mlp": MLPTagger,
}


def most_frequent(tags: Iterable[str]) -> str:
    """The most frequent of some tags, the first of equally frequent ones."""
    return Counter(tags).most_common(1)[0][0]


def all_features(sentences: Sentences) -> list[list[str]]:
    """Features of every token of some sentences, one list a token."""
    return [row for one in sentences for row in token_features(one)]


def token_features(tokens: Sequence[str]) -> list[list[str]]:
    """Features of each token: the word, its affixes and shape, and the two tokens on either side."""
    words = [EDGE, EDGE, *(token.lower() for token in tokens), EDGE, EDGE]
    rows = []
    for at, token in enumerate(tokens, 2):
        word = words[at]
        row = ["any", f"0 {word}", f"shape {shape_of(token)}"]
        row += [f"{offset:+} {words[at + offset]}" for offset in (-2, -1, 1, 2)]
        row += [f"-1 0 {words[at - 1]} {word}", f"0 +1 {word} {words[at + 1]}"]
        for length in range(1, MAX_AFFIX + 1):
            row += [f"begins {word[:length]}", f"ends {word[-length:]}"]
        rows.append(row)
    return rows


def shape_of(token: str) -> str:
    """The first characters of a token, with X, x or d for upper case, lower case and digits."""
    kinds = (("X", str.isupper), ("x", str.islower), ("d", str.isdigit))
    return "".join(next((kind for kind, is_so in kinds if is_so(c)), c) for c in token[:MAX_SHAPE])
