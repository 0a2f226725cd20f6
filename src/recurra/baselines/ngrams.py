"""The plain language models that a recurrent one has to beat: counted, not trained."""

import mmap

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Probabilities = NDArray[np.float64]

PIECE = 500_000  # tokens counted or scored at a time
LARGEST_SAMPLE = 5_000_000  # tokens whose pairs and triples are counted: more would take more than 1 GB


def frequencies(ids: NDArray[np.unsignedinteger], vocabulary_size: int) -> Probabilities:
    """Share of each type in a text, (types,); one occurrence is added to each, so that none is 0."""
    counts = np.ones(vocabulary_size, np.int64)
    for first in range(0, len(ids), PIECE):
        counts += np.bincount(ids[first : first + PIECE], minlength=vocabulary_size)
        forget_pages(ids)
    shares: Probabilities = counts / counts.sum()
    return shares


def forget_pages(ids: NDArray[np.unsignedinteger]) -> None:
    """Let go of what was read of a mapped file: it would count as memory of ours until another wants it."""
    mapped = getattr(ids, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class Counts:
    """How often each key occurs, looked up many at a time.

    Args:
        keys: non-negative integers, any number of times each.
    """

    def __init__(self, keys: Ids) -> None:
        self.keys, self.counts = np.unique(keys, return_counts=True)

    def __getitem__(self, keys: Ids) -> Ids:
        """Counts of the given keys, 0 for the unseen."""
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.counts[at], 0)

    @property
    def discount(self) -> float:
        """The absolute discount n1 / (n1 + 2 n2) of Ney, Essen & Kneser 1994; n1, n2: keys seen once, twice."""
        once, twice = int((self.counts == 1).sum()), int((self.counts == 2).sum())
        return once / (once + 2 * twice) if once else 0.5


class Unigram:
    """How frequent each token is, whatever stands before it; one occurrence is added to each type.

    Args:
        ids: training tokens, (tokens,).
        vocabulary_size: size of the vocabulary.
    """

    name = "unigram"

    def __init__(self, ids: NDArray[np.unsignedinteger], vocabulary_size: int) -> None:
        self.probabilities = frequencies(ids, vocabulary_size)

    def nats(self, ids: NDArray[np.unsignedinteger], start: int) -> float:  # noqa: ARG002
        """Total negative log-probability of a text; `start` is what stands before it."""
        return float(-np.log(self.probabilities[ids]).sum())


class Trigram:
    """Interpolated Kneser-Ney: how frequent each token is after the two before it, smoothed by shorter contexts.

    Lower orders count in how many contexts a token stands, not how often. Below the unigram stands the uniform.

    Args:
        ids: training tokens, (tokens,); the first `LARGEST_SAMPLE` are counted.
        vocabulary_size: size of the vocabulary.

    Source: Kneser & Ney 1995; Chen & Goodman 1999, interpolated form with one discount an order.
    """

    name = "trigram"

    def __init__(self, ids: NDArray[np.unsignedinteger], vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        tokens = ids[:LARGEST_SAMPLE].astype(np.int64)
        first, second, third = tokens[:-2], tokens[1:-1], tokens[2:]
        self.trigrams = Counts(self.key(first, second, third))
        self.bigram_contexts = Counts(self.key(first, second))
        seen = self.trigrams.keys
        self.trigram_fans = Counts(seen // vocabulary_size)  # distinct tokens after a pair
        self.bigrams = Counts(seen % vocabulary_size**2)  # distinct tokens before a pair
        self.unigram_contexts = Counts(seen % vocabulary_size**2 // vocabulary_size)
        pairs = self.bigrams.keys
        self.bigram_fans = Counts(pairs // vocabulary_size)
        self.unigrams = Counts(pairs % vocabulary_size)

    def key(self, *tokens: Ids) -> Ids:
        """One number for a sequence of tokens."""
        key = np.zeros_like(tokens[0])
        for token in tokens:
            key = key * self.vocabulary_size + token
        return key

    def probabilities(self, first: Ids, second: Ids, third: Ids) -> Probabilities:
        """Probability of each third token after the first and second, (tokens,)."""
        order0 = np.full(len(third), 1 / self.vocabulary_size)
        total = np.full(len(third), len(self.bigrams.keys))
        fan = np.full(len(third), len(self.unigrams.keys))
        order1 = interpolate(self.unigrams, third, total, fan, order0)
        order2 = interpolate(
            self.bigrams, self.key(second, third), self.unigram_contexts[second], self.bigram_fans[second], order1
        )
        context = self.key(first, second)
        return interpolate(
            self.trigrams, self.key(context, third), self.bigram_contexts[context], self.trigram_fans[context], order2
        )

    def nats(self, ids: NDArray[np.unsignedinteger], start: int) -> float:
        """Total negative log-probability of a text; `start` is what stands before it."""
        total, before = 0.0, np.array([start, start], np.int64)
        for first in range(0, len(ids), PIECE):
            tokens = np.concatenate([before, ids[first : first + PIECE]]).astype(np.int64)
            total -= float(np.log(self.probabilities(tokens[:-2], tokens[1:-1], tokens[2:])).sum())
            before = tokens[-2:]
        return total


def interpolate(counts: Counts, keys: Ids, total: Ids, fan: Ids, lower: Probabilities) -> Probabilities:
    """Discounted relative frequency plus the freed mass times the lower order.

    Args:
        counts: of this order.
        keys: what is looked up, (tokens,).
        total: sum of the counts after each context, (tokens,).
        fan: distinct tokens after each context, (tokens,).
        lower: probability by the order below, (tokens,); alone where the context was never seen.
    """
    discount = counts.discount
    seen = np.maximum(total, 1)
    mixed = np.maximum(counts[keys] - discount, 0) / seen + discount * fan / seen * lower
    return np.where(total > 0, mixed, lower)
