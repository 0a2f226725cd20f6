"""What translates without a network: the source as it is, and each word by the one it most often becomes."""

from collections.abc import Sequence
from itertools import accumulate, chain, takewhile

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5  # of expectation and maximization
LARGEST_SAMPLE = 6_000_000  # words beside words of their translations that are counted: more would take over 0.5 GB
Sentence = Sequence[str]


class WordTranslation:
    """Each word by its likeliest translation, in the order of the source; unknown words stay.

    Which word becomes which is learned from sentence pairs alone: a word of the target is shared out among all words of
    its source by how probable each makes it, and these shares, counted, are the next probabilities.

    Args:
        sources: tokens of training sentences, of which so many are read that LARGEST_SAMPLE is not passed by much.
        targets: tokens of their translations.

    Source: Brown et al. 1993, IBM Model 1, without the empty word.
    """

    def __init__(self, sources: Sequence[Sentence], targets: Sequence[Sentence]) -> None:
        sizes = accumulate(len(source) * len(target) for source, target in zip(sources, targets, strict=True))
        self.num_read = sum(1 for _ in takewhile(lambda size: size < LARGEST_SAMPLE, sizes)) + 1
        sources, targets = sources[: self.num_read], targets[: self.num_read]
        source_ids, target_ids = (number(chain.from_iterable(side)) for side in (sources, targets))
        names = list(target_ids)
        word, became, group = occurrences(sources, targets, source_ids, target_ids)
        keys, kind = np.unique(word * len(names) + became, return_inverse=True)  # kinds of pairs of words
        words_of_keys = keys // max(len(names), 1)
        probability = np.ones(len(keys))
        for _ in range(ROUNDS):
            weights = probability[kind]
            shares = weights / np.bincount(group, weights)[group]
            counts = np.bincount(kind, shares, minlength=len(keys))
            probability = counts / np.bincount(words_of_keys, counts)[words_of_keys]
        order = np.argsort(probability, kind="stable")  # of each word the likeliest last
        best = dict(zip(words_of_keys[order].tolist(), (keys[order] % max(len(names), 1)).tolist(), strict=True))
        self.table = {word: names[best[id]] for word, id in source_ids.items() if id in best}

    def __call__(self, source: Sentence) -> list[str]:
        """A sentence word by word."""
        return [self.table.get(word, word) for word in source]


def number(words: chain[str]) -> dict[str, int]:
    """Words in the order of their first occurrence, counted."""
    return {word: id for id, word in enumerate(dict.fromkeys(words))}


def occurrences(
    sources: Sequence[Sentence], targets: Sequence[Sentence], source_ids: dict[str, int], target_ids: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every word of a source beside every word of its target.

    Returns:
        the source word, the target word, and which occurrence of a target word that is, counted over all sentences.
    """
    words, others, groups, num_targets = [], [], [], 0
    for source, target in zip(sources, targets, strict=True):
        ids, their_ids = [source_ids[word] for word in source], [target_ids[word] for word in target]
        words.append(np.tile(np.array(ids, np.int64), len(their_ids)))
        others.append(np.repeat(np.array(their_ids, np.int64), len(ids)))
        groups.append(np.repeat(np.arange(num_targets, num_targets + len(their_ids)), len(ids)))
        num_targets += len(their_ids)
    return np.concatenate(words), np.concatenate(others), np.concatenate(groups)
