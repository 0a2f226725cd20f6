"""Log-count ratios by hand."""

import numpy as np

from recurra.baselines.naive_bayes import log_count_ratios


def test_ratios_by_hand() -> None:
    sequences = [np.array([0, 1, 1]), np.array([1]), np.array([2, 0])]
    found = log_count_ratios(sequences, np.array([0, 1, 1]), vocabulary_size=4, num_labels=2)
    counts = np.array([[2, 2], [2, 2], [1, 2], [1, 1]])  # examples with each token, plus one
    logarithms = np.log(counts / [6, 7])
    np.testing.assert_allclose(found, logarithms - logarithms.mean(1, keepdims=True), rtol=1e-6)
