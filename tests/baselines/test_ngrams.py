"""N-gram models against the published formula, written out with dictionaries."""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.baselines import ngrams
from recurra.baselines.ngrams import Trigram, Unigram, frequencies


class SlowTrigram:
    """Interpolated Kneser-Ney as in Chen & Goodman 1999 (section 4.1.6, one discount an order, D = n1/(n1+2n2)).

    Highest order: counts. Lower orders: continuation counts N1+, the number of distinct tokens seen before an n-gram.
    """

    def __init__(self, tokens: Sequence[int], vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self.trigrams = Counter(zip(tokens, tokens[1:], tokens[2:], strict=False))
        self.bigrams = Counter((v, w) for _, v, w in self.trigrams)
        self.unigrams = Counter((w,) for _, w in self.bigrams)

    def probability(self, context: tuple[int, ...], token: int) -> float:
        counts = (self.unigrams, self.bigrams, self.trigrams)[len(context)]
        lower = self.probability(context[1:], token) if context else 1 / self.vocabulary_size
        followers = {key[-1]: count for key, count in counts.items() if key[:-1] == context}
        if not followers:
            return lower
        once, twice = (sum(count == times for count in counts.values()) for times in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        total = sum(followers.values())
        freed = discount * len(followers) / total
        return max(followers.get(token, 0) - discount, 0) / total + freed * lower


def text(num_tokens: int, vocabulary_size: int, seed: int = 3) -> np.ndarray:
    """Random tokens with frequent pairs, in which the last one of the vocabulary never occurs."""
    generator = np.random.default_rng(seed)
    steps = generator.geometric(0.4, num_tokens)
    return (np.cumsum(steps) % (vocabulary_size - 1)).astype(np.uint16)


def all_after(model: Trigram, first: int, second: int) -> np.ndarray:
    """Probability of every token after two given ones."""
    each = np.arange(model.vocabulary_size)
    return model.probabilities(np.full_like(each, first), np.full_like(each, second), each)


@pytest.mark.parametrize(("num_tokens", "vocabulary_size"), [(400, 9), (60, 17), (3, 4), (2, 4), (1, 3)])
def test_the_trigram_equals_the_formula_for_every_context(num_tokens: int, vocabulary_size: int) -> None:
    ids = text(num_tokens, vocabulary_size)
    fast, slow = Trigram(vocabulary_size).fit(ids), SlowTrigram(ids.tolist(), vocabulary_size)
    for first in range(vocabulary_size):
        for second in range(vocabulary_size):
            expected = [slow.probability((first, second), token) for token in range(vocabulary_size)]
            np.testing.assert_allclose(all_after(fast, first, second), expected, rtol=1e-12)


@given(
    ids=st.lists(st.integers(0, 5), min_size=1, max_size=60), context=st.tuples(st.integers(0, 6), st.integers(0, 6))
)
def test_the_trigram_is_a_distribution_after_any_context(ids: list[int], context: tuple[int, int]) -> None:
    """Token 6 is never in the text, so a context with it is unseen."""
    probabilities = all_after(Trigram(7).fit(np.array(ids, np.uint16)), *context)
    assert (probabilities > 0).all()
    assert math.isclose(probabilities.sum(), 1, rel_tol=1e-12)


def test_the_trigram_of_a_text_is_the_product_of_its_steps() -> None:
    ids, held_out = text(500, 11), text(40, 11, seed=4)
    fast, slow = Trigram(11).fit(ids), SlowTrigram(ids.tolist(), 11)
    start = 2
    padded = [start, start, *held_out.tolist()]
    expected = -sum(
        math.log(slow.probability((u, v), w)) for u, v, w in zip(padded, padded[1:], padded[2:], strict=False)
    )
    assert math.isclose(fast.nats(held_out, start), expected, rel_tol=1e-12)


def test_a_text_that_repeats_itself_is_nearly_certain() -> None:
    ids = np.tile(np.array([0, 1, 2, 3, 4], np.uint16), 200)
    perplexity = math.exp(Trigram(5).fit(ids).nats(ids[:100], 4) / 100)
    assert 1 < perplexity < 1.1
    assert math.isclose(math.exp(Unigram(5).fit(ids).nats(ids[:100], 4) / 100), 5, rel_tol=1e-12)


def test_only_the_first_tokens_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = text(400, 9)
    monkeypatch.setattr(ngrams, "LARGEST_SAMPLE", 150)
    counted = all_after(Trigram(9).fit(ids), 1, 2)
    monkeypatch.undo()
    np.testing.assert_array_equal(counted, all_after(Trigram(9).fit(ids[:150]), 1, 2))


def test_large_vocabularies_do_not_overflow() -> None:
    """Keys of 100,000 tokens cubed need 50 bits."""
    vocabulary_size = 100_000
    ids = np.array([99_999, 99_998, 99_997] * 30, np.uint32)
    model = Trigram(vocabulary_size).fit(ids)
    seen = model.probabilities(np.array([99_999]), np.array([99_998]), np.array([99_997]))
    unseen = model.probabilities(np.array([99_999]), np.array([99_998]), np.array([31_073]))
    assert seen[0] > 0.9
    assert unseen[0] < 1e-5


def test_the_unigram_has_add_one_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "CHUNK_SIZE", 3)
    ids = np.array([0, 1, 1, 3, 1, 0, 0, 0], np.uint16)
    expected = np.array([5, 4, 1, 2]) / 12
    np.testing.assert_allclose(frequencies(ids, 4), expected, rtol=1e-15)
    model = Unigram(4).fit(ids)
    assert math.isclose(model.probabilities.sum(), 1, rel_tol=1e-12)
    held_out = np.array([2, 0, 3], np.uint16)
    assert math.isclose(model.nats(held_out, 1), -np.log(expected[[2, 0, 3]]).sum(), rel_tol=1e-12)


def test_counting_a_memory_mapped_file_needs_no_memory_of_its_size(tmp_path: Path) -> None:
    """A corpus may be larger than memory. Measured in a process of its own, since peak memory belongs to a process."""
    path = tmp_path / "ids"
    path.write_bytes(bytes(80_000_000))
    code = (
        "import resource, sys, numpy\n"
        "from recurra.baselines.ngrams import frequencies\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "ids, before = numpy.memmap(sys.argv[1], '<u2', 'r'), peak()\n"
        "frequencies(ids, 3)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40_000, "kilobytes"
