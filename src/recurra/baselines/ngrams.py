"""N-gram language models: unigram and interpolated Kneser-Ney trigram."""

import mmap
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Probabilities = NDArray[np.float64]

CHUNK_SIZE = 500_000  # tokens counted or scored at a time
LARGEST_SAMPLE = 5_000_000  # tokens that the trigram model counts: more would take more than 1 GB


def frequencies(ids: NDArray[np.unsignedinteger], vocabulary_size: int) -> Probabilities:
    """Relative frequency of each token with add-one smoothing, so that none is 0.

    Args:
        ids: tokens of a text, (tokens,); may be memory-mapped.
        vocabulary_size: number of different tokens.

    Returns:
        (vocabulary_size,), which sums to 1.
    """
    counts = np.ones(vocabulary_size, np.int64)
    for first in range(0, len(ids), CHUNK_SIZE):
        counts += np.bincount(ids[first : first + CHUNK_SIZE], minlength=vocabulary_size)
        release_pages(ids)
    shares: Probabilities = counts / counts.sum()
    return shares


def release_pages(ids: NDArray[np.unsignedinteger]) -> None:
    """Release the pages read from a memory-mapped file, which would count as memory of this process.

    Has no effect on other arrays.
    """
    mapped = getattr(ids, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class Counts:
    """How often each key occurs, with vectorized lookup.

    Args:
        keys: all occurrences, non-negative integers, (occurrences,).
    """

    def __init__(self, keys: Ids) -> None:
        self.keys, self.counts = np.unique(keys, return_counts=True)

    def __getitem__(self, keys: Ids) -> Ids:
        """Counts of the given keys (queries,), 0 for unseen ones."""
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.counts[at], 0)

    @property
    def discount(self) -> float:
        """The absolute discount n1 / (n1 + 2 n2), where n1 and n2 keys were seen once and twice.

        Source: Ney, Essen & Kneser 1994.
        """
        once, twice = int((self.counts == 1).sum()), int((self.counts == 2).sum())
        return once / (once + 2 * twice) if once else 0.5


class Unigram:
    """Unigram language model with add-one smoothing.

    Args:
        vocabulary_size: number of different tokens.
    """

    name = "unigram"

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def fit(self, ids: NDArray[np.unsignedinteger]) -> Self:
        """Count the training tokens, (tokens,)."""
        self.probabilities = frequencies(ids, self.vocabulary_size)
        return self

    def nats(self, ids: NDArray[np.unsignedinteger], start: int) -> float:  # noqa: ARG002
        """Total negative log-probability of a text (tokens,), in nats.

        Args:
            ids: the text.
            start: the token before it; has no effect here.
        """
        return float(-np.log(self.probabilities[ids]).sum())


class Trigram:
    """Trigram language model with interpolated Kneser-Ney smoothing.

    Lower orders count the distinct contexts of a token, not its occurrences. The unigram is interpolated with the
    uniform distribution.

    Args:
        vocabulary_size: number of different tokens.

    Source: Kneser & Ney 1995; Chen & Goodman 1999, interpolated form with one discount an order.
    """

    name = "trigram"

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def fit(self, ids: NDArray[np.unsignedinteger]) -> Self:
        """Count the training tokens (tokens,), at most the first `LARGEST_SAMPLE`."""
        vocabulary_size = self.vocabulary_size
        tokens = ids[:LARGEST_SAMPLE].astype(np.int64)
        first, second, third = tokens[:-2], tokens[1:-1], tokens[2:]
        self.trigrams = Counts(self.key(first, second, third))
        self.bigram_contexts = Counts(self.key(first, second))
        seen = self.trigrams.keys
        self.trigram_successors = Counts(seen // vocabulary_size)  # distinct tokens after a pair
        self.bigrams = Counts(seen % vocabulary_size**2)  # distinct tokens before a pair
        self.unigram_contexts = Counts(seen % vocabulary_size**2 // vocabulary_size)
        pairs = self.bigrams.keys
        self.bigram_successors = Counts(pairs // vocabulary_size)
        self.unigrams = Counts(pairs % vocabulary_size)
        return self

    def key(self, *tokens: Ids) -> Ids:
        """One integer for each n-gram, from its tokens, each (ngrams,)."""
        key = np.zeros_like(tokens[0])
        for token in tokens:
            key = key * self.vocabulary_size + token
        return key

    def probabilities(self, first: Ids, second: Ids, third: Ids) -> Probabilities:
        """Probability of each third token after the first and second, all (tokens,)."""
        order0 = np.full(len(third), 1 / self.vocabulary_size)
        total = np.full(len(third), len(self.bigrams.keys))
        successors = np.full(len(third), len(self.unigrams.keys))
        order1 = interpolate(self.unigrams, third, total, successors, order0)
        order2 = interpolate(
            self.bigrams, self.key(second, third), self.unigram_contexts[second], self.bigram_successors[second], order1
        )
        context = self.key(first, second)
        return interpolate(
            self.trigrams,
            self.key(context, third),
            self.bigram_contexts[context],
            self.trigram_successors[context],
            order2,
        )

    def nats(self, ids: NDArray[np.unsignedinteger], start: int) -> float:
        """Total negative log-probability of a text (tokens,), in nats.

        Args:
            ids: the text.
            start: the token before it, in both places.
        """
        total, before = 0.0, np.array([start, start], np.int64)
        for first in range(0, len(ids), CHUNK_SIZE):
            tokens = np.concatenate([before, ids[first : first + CHUNK_SIZE]]).astype(np.int64)
            total -= float(np.log(self.probabilities(tokens[:-2], tokens[1:-1], tokens[2:])).sum())
            before = tokens[-2:]
        return total


def interpolate(counts: Counts, keys: Ids, total: Ids, successors: Ids, lower: Probabilities) -> Probabilities:
    """Discounted relative frequency, plus the discounted mass times the probability of the lower order, (tokens,).

    Args:
        counts: of this order.
        keys: the n-grams, (tokens,).
        total: sum of the counts after each context, (tokens,).
        successors: distinct tokens after each context, (tokens,).
        lower: probability by the next lower order, (tokens,); the result where the context was never seen.
    """
    discount = counts.discount
    seen = np.maximum(total, 1)
    mixed = np.maximum(counts[keys] - discount, 0) / seen + discount * successors / seen * lower
    return np.where(total > 0, mixed, lower)
