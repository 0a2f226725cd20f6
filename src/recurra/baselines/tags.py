"""What tagging reaches without recurrence: one tag for all, one a word, plain models of a word and its neighbors."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

Sentences = Sequence[Sequence[str]]  # tokens of each, or their tags
Rule = Callable[[Sentences], list[list[str]]]  # from tokens to tags

MOST_FEATURES = 200_000
PASSES = 5  # of the linear model over the training tokens
NETWORK_FEATURES = 20_000
NETWORK_PASSES = 6
LARGEST_BATCH = 1000  # tokens
STEPS_A_PASS = 100  # of the network, at the least
LONGEST_AFFIX = 4  # characters
LONGEST_SHAPE = 6  # characters
EDGE = "\n"  # stands before and behind a sentence, and is no token


def majority_rule(sentences: Sentences, tags: Sentences, seed: int) -> Rule:  # noqa: ARG001
    """The most frequent tag, everywhere."""
    usual = Counter(tag for one in tags for tag in one).most_common(1)[0][0]
    return lambda tokens: [[usual] * len(one) for one in tokens]


def word_rule(sentences: Sentences, tags: Sentences, seed: int) -> Rule:  # noqa: ARG001
    """The most frequent tag of each word; for an unknown one the most frequent of the words that were seen once."""
    counts: dict[str, Counter[str]] = {}
    for one, others in zip(sentences, tags, strict=True):
        for token, tag in zip(one, others, strict=True):
            counts.setdefault(token, Counter())[tag] += 1
    usual = {token: counted.most_common(1)[0][0] for token, counted in counts.items()}
    once = Counter(usual[token] for token, counted in counts.items() if counted.total() == 1)
    unknown = (once or Counter(tag for one in tags for tag in one)).most_common(1)[0][0]
    return lambda tokens: [[usual.get(token, unknown) for token in one] for one in tokens]


def linear_rule(sentences: Sentences, tags: Sentences, seed: int) -> Rule:
    """A linear model (averaged logistic regression by single examples) on features of each token."""
    learner = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=PASSES, tol=None, average=True, random_state=seed)
    return learned(learner, MOST_FEATURES, sentences, tags)


def network_rule(sentences: Sentences, tags: Sentences, seed: int) -> Rule:
    """A network of one hidden layer on the most frequent of the same features."""
    batch = min(max(sum(map(len, tags)) // STEPS_A_PASS, 1), LARGEST_BATCH)
    learner = MLPClassifier((64,), batch_size=batch, max_iter=NETWORK_PASSES, random_state=seed)
    return learned(learner, NETWORK_FEATURES, sentences, tags)


def learned(learner: Any, most_features: int, sentences: Sentences, tags: Sentences) -> Rule:
    """What a classifier makes of the features of single tokens."""
    features = CountVectorizer(analyzer=lambda given: given, binary=True, max_features=most_features)
    model = make_pipeline(features, learner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline is given its time, not more
        model.fit([row for one in sentences for row in token_features(one)], [tag for one in tags for tag in one])

    def rule(tokens: Sentences) -> list[list[str]]:
        found = iter(model.predict([row for one in tokens for row in token_features(one)]).tolist())
        return [[next(found) for _ in one] for one in tokens]

    return rule


TAG_BASELINES: dict[str, Callable[[Sentences, Sentences, int], Rule]] = {
    "majority": majority_rule,
    "word": word_rule,
    "linear": linear_rule,
    "mlp": network_rule,
}


def token_features(tokens: Sequence[str]) -> list[list[str]]:
    """What plain models know of each token: the word, its affixes and shape, and two neighbors on either side."""
    words = [EDGE, EDGE, *(token.lower() for token in tokens), EDGE, EDGE]
    rows = []
    for at, token in enumerate(tokens, 2):
        word = words[at]
        row = ["any", f"0 {word}", f"shape {shape_of(token)}"]
        row += [f"{offset:+} {words[at + offset]}" for offset in (-2, -1, 1, 2)]
        row += [f"-1 0 {words[at - 1]} {word}", f"0 +1 {word} {words[at + 1]}"]
        for length in range(1, LONGEST_AFFIX + 1):
            row += [f"begins {word[:length]}", f"ends {word[-length:]}"]
        rows.append(row)
    return rows


def shape_of(token: str) -> str:
    """Its first characters as X, x or d, for upper case, lower case and digits; others as they are."""
    kinds = (("X", str.isupper), ("x", str.islower), ("d", str.isdigit))
    return "".join(next((kind for kind, is_so in kinds if is_so(c)), c) for c in token[:LONGEST_SHAPE])
