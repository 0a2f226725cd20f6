"""Word-by-word translation with IBM Model 1."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, takewhile
from typing import Self

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 5  # of expectation maximization
LARGEST_SAMPLE = 6_000_000  # pairs of a source and a target word that are counted: more would take over 0.5 GB
Sentence = Sequence[str]


class WordTranslationModel:
    """Replaces each word by its most probable translation and keeps unknown words and the word order.

    The probabilities are learned by expectation maximization: each target word is shared out among the source words of
    its sentence pair in proportion to the current probabilities; these shares, summed up, give the next ones.

    Source: Brown et al. 1993, IBM Model 1, without the empty word.
    """

    def fit(self, sources: Sequence[Sentence], targets: Sequence[Sentence]) -> Self:
        """Fit to sentence pairs.

        Args:
            sources: words of the source sentences.
            targets: words of their translations.

        The first pairs are used, until their word pairs exceed LARGEST_SAMPLE; `num_pairs` tells how many.
        """
        sizes = accumulate(len(source) * len(target) for source, target in zip(sources, targets, strict=True))
        self.num_pairs = sum(1 for _ in takewhile(lambda size: size < LARGEST_SAMPLE, sizes)) + 1
        sources, targets = sources[: self.num_pairs], targets[: self.num_pairs]
        source_ids, target_ids = (word_ids(chain.from_iterable(side)) for side in (sources, targets))
        target_words = list(target_ids)
        num_targets = max(len(target_words), 1)
        source_words, translations, occurrence = word_pairs(sources, targets, source_ids, target_ids)
        keys, key_of = np.unique(source_words * num_targets + translations, return_inverse=True)  # distinct word pairs
        source_of_key = keys // num_targets
        probability = np.ones(len(keys))
        for _ in range(ITERATIONS):
            weights = probability[key_of]
            shares = weights / np.bincount(occurrence, weights)[occurrence]
            counts = np.bincount(key_of, shares, minlength=len(keys))
            probability = counts / np.bincount(source_of_key, counts)[source_of_key]
        order = np.argsort(probability, kind="stable")  # the most probable translation of a word comes last and stays
        best = dict(zip(source_of_key[order].tolist(), (keys[order] % num_targets).tolist(), strict=True))
        self.table = {word: target_words[best[id]] for word, id in source_ids.items() if id in best}
        return self

    def predict(self, source: Sentence) -> list[str]:
        """Translate the words of a sentence."""
        return [self.table.get(word, word) for word in source]


def word_ids(words: Iterable[str]) -> dict[str, int]:
    """Consecutive ids of the distinct words, in the order of their first occurrence."""
    return {word: id for id, word in enumerate(dict.fromkeys(words))}


def word_pairs(
    sources: Sequence[Sentence], targets: Sequence[Sentence], source_ids: dict[str, int], target_ids: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of a source word and a target word of the same sentence pair.

    Returns:
        Id of the source word, id of the target word, and number of the target word's occurrence over all sentences,
        each (pairs,).
    """
    words, others, occurrences, num_occurrences = [], [], [], 0
    for source, target in zip(sources, targets, strict=True):
        ids, their_ids = [source_ids[word] for word in source], [target_ids[word] for word in target]
        words.append(np.tile(np.array(ids, np.int64), len(their_ids)))
        others.append(np.repeat(np.array(their_ids, np.int64), len(ids)))
        occurrences.append(np.repeat(np.arange(num_occurrences, num_occurrences + len(their_ids)), len(ids)))
        num_occurrences += len(their_ids)
    return np.concatenate(words), np.concatenate(others), np.concatenate(occurrences)
