"""Searching alone, on a model whose every probability is known: against all sequences that there are."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch

from recurra.decoding.beam import Assignment, BeamRules, Hypothesis, Next, beam_search, searching, write
from recurra.errors import UsageError

TYPES, START, END = 4, 3, 1
LONGEST = 4  # tokens, the end among them
SOURCE_TIME = 5


class KnownModel:
    """Probabilities and attention that depend on the source and on every token so far, drawn once and for all.

    The state of a row is its source and what it has written, so a state that is not selected with its row shows.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.rows_seen = seed, 0
        self.of = cache(self.draw)

    def draw(self, source: int, written: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, source, *written])
        logits, read = 2 * rng.standard_normal(TYPES), rng.random(SOURCE_TIME) ** 3
        read[length_of(source) :] = 0
        return logits - np.log(np.exp(logits).sum()), read / read.sum()

    def step(self, tokens: torch.Tensor, state: list[tuple[int, tuple[int, ...]]]) -> Next:
        self.rows_seen += len(tokens)
        after = [(source, (*written, token)) for (source, written), token in zip(state, tokens.tolist(), strict=True)]
        found = [self.of(source, written) for source, written in after]
        return Next(*(torch.tensor(np.array(part)) for part in zip(*found, strict=True)), after)

    def spread(self, state: list, size: int) -> list:
        return [row for row in state for _ in range(size)]

    def select(self, state: list, rows: torch.Tensor, sources: torch.Tensor | None) -> list:
        assert (sources is None) == (len(rows) == len(state))
        return [state[row] for row in rows.tolist()]


def length_of(source: int) -> int:
    return SOURCE_TIME - source % 2


def assignment(sources: list[int], longest: int = LONGEST) -> Assignment:
    lengths = torch.tensor([length_of(source) for source in sources])
    return Assignment([(source, ()) for source in sources], torch.full((len(sources),), longest), lengths, START, END)


def everything(
    model: KnownModel, source: int, rules: BeamRules, longest: int = LONGEST
) -> list[tuple[float, list[int]]]:
    """Score and tokens of every sequence that comes to an end, the best first; the formula of Wu et al. 2016."""
    found = []
    others = [id for id in range(TYPES) if id != END]
    for length in range(longest):
        for tokens in itertools.product(others, repeat=length):
            total, coverage, written = 0.0, np.zeros(SOURCE_TIME), (START,)
            for token in (*tokens, END):
                log_probabilities, read = model.of(source, written)
                total, coverage, written = total + log_probabilities[token], coverage + read, (*written, token)
            penalty = sum(math.log(min(share, 1)) for share in coverage[: length_of(source)])
            score = total / ((5 + length + 1) / 6) ** rules.length + rules.coverage * penalty
            found.append((score, list(tokens)))
    return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("rules", [(0.0, 0.0), (1.0, 0.0), (0.6, 0.4), (2.0, 1.5)], ids=str)
@pytest.mark.parametrize("num_best", [1, 3, 7])
def test_wide_beam_finds_the_best_of_all_sequences(rules: tuple[float, float], num_best: int) -> None:
    model, sources = KnownModel(), [0, 1, 2, 3, 4]
    given = BeamRules((TYPES - 1) ** LONGEST, *rules, num_best=num_best)
    found = beam_search(model, assignment(sources), given)
    for source, hypotheses in zip(sources, found, strict=True):
        expected = everything(model, source, given)[:num_best]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in expected]
        np.testing.assert_allclose([one.score for one in hypotheses], [score for score, _ in expected], rtol=1e-12)
        assert all(one.ended for one in hypotheses)


def plain_beam(model: KnownModel, source: int, rules: BeamRules, longest: int) -> list[tuple[float, list[int]]]:
    """The same search for one sequence in plain lists, without stopping early."""
    live, closed = [(0.0, (START,), np.zeros(SOURCE_TIME))], []
    for step in range(1, longest + 1):
        extended = []
        for total, written, coverage in live:
            log_probabilities, read = model.of(source, written)
            covered = coverage + read
            penalty = sum(math.log(min(share, 1)) for share in covered[: length_of(source)])
            score = (total + log_probabilities[END]) / ((5 + step) / 6) ** rules.length + rules.coverage * penalty
            closed.append((score, list(written[1:])))
            extended += [(total + log_probabilities[id], (*written, id), covered) for id in range(TYPES) if id != END]
        live = sorted(extended, key=lambda one: -one[0])[: rules.size]
    return sorted(closed, key=lambda pair: -pair[0])[: rules.num_best]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("rules", [(0.0, 0.0), (1.0, 0.0), (0.7, 0.3)], ids=str)
def test_narrow_beam_is_the_plain_search_that_never_stops_early(size: int, rules: tuple[float, float]) -> None:
    model, sources, longest = KnownModel(1), list(range(12)), 9
    given = BeamRules(size, *rules, num_best=2)
    found = beam_search(model, assignment(sources, longest), given)
    for source, hypotheses in zip(sources, found, strict=True):
        expected = plain_beam(model, source, given, longest)
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in expected]
        np.testing.assert_allclose([one.score for one in hypotheses], [score for score, _ in expected], rtol=1e-12)


def test_search_stops_where_nothing_better_can_come() -> None:
    model, sources = KnownModel(1), list(range(12))
    beam_search(model, assignment(sources, 60), BeamRules(3, 0.0))
    assert model.rows_seen < 12 * 3 * 20


def test_sequences_do_not_depend_on_their_neighbors() -> None:
    model, sources, rules = KnownModel(2), [5, 1, 4, 2], BeamRules(3, 0.9, 0.2, num_best=3)
    together = beam_search(model, assignment(sources, 8), rules)
    for source, expected in zip(sources, together, strict=True):
        (alone,) = beam_search(model, assignment([source], 8), rules)
        for one, other in zip(alone, expected, strict=True):
            same(one, other)
    written = write(model, assignment(sources, 8))
    for source, expected in zip(sources, written, strict=True):
        same(write(model, assignment([source], 8))[0], expected)


def same(one: Hypothesis, other: Hypothesis) -> None:
    assert one.tokens == other.tokens
    assert one.score == pytest.approx(other.score, rel=1e-12)
    assert one.log_probability == pytest.approx(other.log_probability, rel=1e-12)
    torch.testing.assert_close(one.attention, other.attention)


@pytest.mark.parametrize("search", ["beam", "greedy"])
def test_hypotheses_bring_their_own_probability_and_attention(search: str) -> None:
    model, sources = KnownModel(3), [0, 3, 6]
    what = assignment(sources, 12)
    if search == "beam":
        found = beam_search(model, what, BeamRules(4, 1.0, num_best=4))
    else:
        found = [[one] for one in write(model, what)]
    for source, hypotheses in zip(sources, found, strict=True):
        for one in hypotheses:
            total, written, read = 0.0, (START,), []
            for token in [*one.tokens, END]:
                log_probabilities, attention = model.of(source, written)
                total, written = total + log_probabilities[token], (*written, token)
                read.append(attention)
            assert one.ended
            assert one.log_probability == pytest.approx(total, rel=1e-12)
            np.testing.assert_allclose(one.attention.numpy(), np.array(read)[:, : length_of(source)], rtol=1e-12)


def test_writing_takes_the_likeliest_token_each_time() -> None:
    model = KnownModel(4)
    for source, found in enumerate(write(model, assignment([0, 1, 2, 3, 4, 5], 7))):
        written = [START]
        while len(written) <= 7 and written[-1] != END:
            written.append(int(model.of(source, tuple(written))[0].argmax()))
        assert found.tokens == [id for id in written[1:] if id != END]
        assert found.ended == (written[-1] == END)


def test_drawn_tokens_follow_their_probabilities() -> None:
    model, generator = KnownModel(5), torch.Generator().manual_seed(1)
    num = 4000

    def draw(log_probabilities: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(log_probabilities.exp(), 1, generator=generator).squeeze(1)

    found = write(model, assignment([2] * num, 6), draw)
    first = np.exp(model.of(2, (START,))[0])
    counts = np.bincount([one.tokens[0] if one.tokens else END for one in found], minlength=TYPES) / num
    np.testing.assert_allclose(counts, first, atol=4 * math.sqrt(0.25 / num))  # four standard deviations


class NeverEnds(KnownModel):
    """The end has no probability at all."""

    def draw(self, source: int, written: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        log_probabilities, read = super().draw(source, written)
        return np.where(np.arange(TYPES) == END, -np.inf, log_probabilities), read


def test_what_never_ends_is_cut_off_and_says_so() -> None:
    model = NeverEnds(6)
    ((beamed,),) = beam_search(model, assignment([1], 5), BeamRules(TYPES**5))
    (written,) = write(model, assignment([1], 5))
    assert not beamed.ended
    assert not written.ended
    assert len(beamed.tokens) == len(written.tokens) == len(beamed.attention) == len(written.attention) == 5
    others = [id for id in range(TYPES) if id != END]
    totals = {}
    for tokens in itertools.product(others, repeat=5):
        totals[tokens] = sum(model.of(1, (START, *tokens[:at]))[0][token] for at, token in enumerate(tokens))
    assert tuple(beamed.tokens) == max(totals, key=totals.__getitem__)
    assert beamed.log_probability == pytest.approx(max(totals.values()), rel=1e-12)


class Broken(KnownModel):
    """A model whose weights are lost."""

    def draw(self, source: int, written: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        log_probabilities, read = super().draw(source, written)
        return log_probabilities * np.nan, read


@pytest.mark.parametrize("size", [1, 3])
def test_there_is_always_a_hypothesis(size: int) -> None:
    found = searching(BeamRules(size))(Broken(), assignment([0, 1]))
    assert [len(hypotheses) for hypotheses in found] == [1, 1]


def test_what_is_never_written() -> None:
    banned, sources = 2, [0, 1, 2]
    what = assignment(sources, 6)._replace(never=banned)
    plain = [one.tokens for one in write(KnownModel(9), assignment(sources, 6))]
    assert any(banned in tokens for tokens in plain)
    assert all(banned not in one.tokens for one in write(KnownModel(9), what))
    for source, hypotheses in zip(sources, beam_search(KnownModel(9), what, BeamRules(400, num_best=3)), strict=True):
        expected = [pair for pair in everything(KnownModel(9), source, BeamRules(1), 6) if banned not in pair[1]][:3]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in expected]


def test_a_beam_of_one_is_greedy_and_ranked_alike() -> None:
    model, sources = KnownModel(8), list(range(10))
    found = searching(BeamRules(1, 0.7))(model, assignment(sources, 12))
    for (one,), other in zip(found, write(model, assignment(sources, 12)), strict=True):
        assert one.tokens == other.tokens
        expected = other.log_probability / ((5 + len(one.tokens) + one.ended) / 6) ** 0.7
        assert one.score == pytest.approx(expected, rel=1e-12)


def test_coverage_of_what_nothing_is_read_of() -> None:
    what = assignment([0])._replace(source_lengths=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(UsageError, match="without attention"):
        beam_search(KnownModel(), what, BeamRules(3, coverage=0.1))


def test_each_sequence_has_a_longest_length_of_its_own() -> None:
    model = NeverEnds(7)
    what = assignment([0, 1, 2])._replace(longest=torch.tensor([2, 6, 1]))
    beamed = beam_search(model, what, BeamRules(2))
    assert [len(one.tokens) for (one,) in beamed] == [len(one.tokens) for one in write(model, what)] == [2, 6, 1]


@pytest.mark.parametrize("rules", [{"size": 0}, {"num_best": 0}, {"length": -0.1}, {"coverage": -1.0}])
def test_impossible_rules(rules: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="beam: expected"):
        beam_search(KnownModel(), assignment([0]), BeamRules(**rules))
