"""Log-count ratios, the weights of a naive Bayes classifier."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def log_count_ratios(
    sequences: Sequence[NDArray[np.integer]], targets: NDArray[np.integer], vocabulary_size: int, num_labels: int
) -> NDArray[np.float64]:
    """How much more frequent each token is in the examples of a label than in the geometric mean over the labels.

    Args:
        sequences: token ids of each example, (time,); a token counts once an example.
        targets: label of each example, (examples,).
        vocabulary_size: number of different tokens.
        num_labels: number of labels.

    Returns:
        Natural logarithms of the ratios, (vocabulary_size, num_labels), with add-one smoothing.

    Source: Wang & Manning 2012, Baselines and bigrams.
    """
    counts = np.ones((vocabulary_size, num_labels))
    for ids, target in zip(sequences, targets, strict=True):
        counts[np.unique(ids), target] += 1
    logarithms = np.log(counts / counts.sum(0))
    ratios: NDArray[np.float64] = logarithms - logarithms.mean(1, keepdims=True)
    return ratios
