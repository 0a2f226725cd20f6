"""Search on a model whose every probability is known, against an enumeration of all sequences."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch

from recurra.decoding.beam import (
    BeamOptions,
    DecoderOutput,
    Hypothesis,
    SearchInputs,
    beam_search,
    build_search,
    decode_without_beam,
)
from recurra.errors import UsageError

VOCABULARY_SIZE, START, END = 4, 3, 1
MAX_LENGTH = 4  # tokens, with the end token
SOURCE_TIME = 5


class KnownModel:
    """Fixed random probabilities and attention that depend on the source and on every token so far.

    The state of a row is its source and its tokens, so a state that is not selected with its row shows.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.rows_seen = seed, 0
        self.of = cache(self.draw)

    def draw(self, source: int, written: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, source, *written])
        logits, read = 2 * rng.standard_normal(VOCABULARY_SIZE), rng.random(SOURCE_TIME) ** 3
        read[length_of(source) :] = 0
        return logits - np.log(np.exp(logits).sum()), read / read.sum()

    def step(self, tokens: torch.Tensor, state: list[tuple[int, tuple[int, ...]]]) -> DecoderOutput:
        self.rows_seen += len(tokens)
        after = [(source, (*written, token)) for (source, written), token in zip(state, tokens.tolist(), strict=True)]
        found = [self.of(source, written) for source, written in after]
        return DecoderOutput(*(torch.tensor(np.array(part)) for part in zip(*found, strict=True)), after)

    def expand(self, state: list, size: int) -> list:
        return [row for row in state for _ in range(size)]

    def select(self, state: list, rows: torch.Tensor, sources: torch.Tensor | None) -> list:
        assert (sources is None) == (len(rows) == len(state))
        return [state[row] for row in rows.tolist()]


def length_of(source: int) -> int:
    return SOURCE_TIME - source % 2


def inputs_of(sources: list[int], max_length: int = MAX_LENGTH) -> SearchInputs:
    lengths = torch.tensor([length_of(source) for source in sources])
    return SearchInputs(
        [(source, ()) for source in sources], torch.full((len(sources),), max_length), lengths, START, END
    )


def everything(
    model: KnownModel, source: int, options: BeamOptions, max_length: int = MAX_LENGTH
) -> list[tuple[float, list[int]]]:
    """Score and tokens of every complete sequence, the best first, by the formula of Wu et al. 2016."""
    found = []
    others = [id for id in range(VOCABULARY_SIZE) if id != END]
    for length in range(max_length):
        for tokens in itertools.product(others, repeat=length):
            total, coverage, written = 0.0, np.zeros(SOURCE_TIME), (START,)
            for token in (*tokens, END):
                log_probabilities, read = model.of(source, written)
                total, coverage, written = total + log_probabilities[token], coverage + read, (*written, token)
            penalty = sum(math.log(min(share, 1)) for share in coverage[: length_of(source)])
            score = total / ((5 + length + 1) / 6) ** options.length_penalty + options.coverage_penalty * penalty
            found.append((score, list(tokens)))
    return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("options", [(0.0, 0.0), (1.0, 0.0), (0.6, 0.4), (2.0, 1.5)], ids=str)
@pytest.mark.parametrize("num_best", [1, 3, 7])
def test_wide_beam_finds_the_best_of_all_sequences(options: tuple[float, float], num_best: int) -> None:
    model, sources = KnownModel(), [0, 1, 2, 3, 4]
    given = BeamOptions((VOCABULARY_SIZE - 1) ** MAX_LENGTH, *options, num_best=num_best)
    found = beam_search(model, inputs_of(sources), given)
    for source, hypotheses in zip(sources, found, strict=True):
        expected = everything(model, source, given)[:num_best]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in expected]
        np.testing.assert_allclose([one.score for one in hypotheses], [score for score, _ in expected], rtol=1e-12)
        assert all(one.complete for one in hypotheses)


def plain_beam(model: KnownModel, source: int, options: BeamOptions, max_length: int) -> list[tuple[float, list[int]]]:
    """The same search for one sequence with lists, without early stopping."""
    live, closed = [(0.0, (START,), np.zeros(SOURCE_TIME))], []
    for step in range(1, max_length + 1):
        extended = []
        for total, written, coverage in live:
            log_probabilities, read = model.of(source, written)
            covered = coverage + read
            penalty = sum(math.log(min(share, 1)) for share in covered[: length_of(source)])
            score = (total + log_probabilities[END]) / (
                (5 + step) / 6
            ) ** options.length_penalty + options.coverage_penalty * penalty
            closed.append((score, list(written[1:])))
            extended += [
                (total + log_probabilities[id], (*written, id), covered) for id in range(VOCABULARY_SIZE) if id != END
            ]
        live = sorted(extended, key=lambda one: -one[0])[: options.beam_size]
    return sorted(closed, key=lambda pair: -pair[0])[: options.num_best]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("options", [(0.0, 0.0), (1.0, 0.0), (0.7, 0.3)], ids=str)
def test_narrow_beam_is_the_plain_search_that_never_stops_early(size: int, options: tuple[float, float]) -> None:
    model, sources, max_length = KnownModel(1), list(range(12)), 9
    given = BeamOptions(size, *options, num_best=2)
    found = beam_search(model, inputs_of(sources, max_length), given)
    for source, hypotheses in zip(sources, found, strict=True):
        expected = plain_beam(model, source, given, max_length)
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in expected]
        np.testing.assert_allclose([one.score for one in hypotheses], [score for score, _ in expected], rtol=1e-12)


def test_search_stops_when_nothing_can_improve() -> None:
    model, sources = KnownModel(1), list(range(12))
    beam_search(model, inputs_of(sources, 60), BeamOptions(3, 0.0))
    assert model.rows_seen < 12 * 3 * 20


def test_sequences_do_not_depend_on_their_neighbors() -> None:
    model, sources, options = KnownModel(2), [5, 1, 4, 2], BeamOptions(3, 0.9, 0.2, num_best=3)
    together = beam_search(model, inputs_of(sources, 8), options)
    for source, expected in zip(sources, together, strict=True):
        (alone,) = beam_search(model, inputs_of([source], 8), options)
        for one, other in zip(alone, expected, strict=True):
            same(one, other)
    written = decode_without_beam(model, inputs_of(sources, 8))
    for source, expected in zip(sources, written, strict=True):
        same(decode_without_beam(model, inputs_of([source], 8))[0], expected)


def same(one: Hypothesis, other: Hypothesis) -> None:
    assert one.tokens == other.tokens
    assert one.score == pytest.approx(other.score, rel=1e-12)
    assert one.log_probability == pytest.approx(other.log_probability, rel=1e-12)
    torch.testing.assert_close(one.attention, other.attention)


@pytest.mark.parametrize("search", ["beam", "greedy"])
def test_hypotheses_have_their_own_probability_and_attention(search: str) -> None:
    model, sources = KnownModel(3), [0, 3, 6]
    inputs = inputs_of(sources, 12)
    if search == "beam":
        found = beam_search(model, inputs, BeamOptions(4, 1.0, num_best=4))
    else:
        found = [[one] for one in decode_without_beam(model, inputs)]
    for source, hypotheses in zip(sources, found, strict=True):
        for one in hypotheses:
            total, written, read = 0.0, (START,), []
            for token in [*one.tokens, END]:
                log_probabilities, attention = model.of(source, written)
                total, written = total + log_probabilities[token], (*written, token)
                read.append(attention)
            assert one.complete
            assert one.log_probability == pytest.approx(total, rel=1e-12)
            np.testing.assert_allclose(one.attention.numpy(), np.array(read)[:, : length_of(source)], rtol=1e-12)


def test_greedy_search_takes_the_most_probable_token_each_time() -> None:
    model = KnownModel(4)
    for source, found in enumerate(decode_without_beam(model, inputs_of([0, 1, 2, 3, 4, 5], 7))):
        written = [START]
        while len(written) <= 7 and written[-1] != END:
            written.append(int(model.of(source, tuple(written))[0].argmax()))
        assert found.tokens == [id for id in written[1:] if id != END]
        assert found.complete == (written[-1] == END)


def test_sampled_tokens_follow_their_probabilities() -> None:
    model, generator = KnownModel(5), torch.Generator().manual_seed(1)
    num = 4000

    def draw(log_probabilities: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(log_probabilities.exp(), 1, generator=generator).squeeze(1)

    found = decode_without_beam(model, inputs_of([2] * num, 6), draw)
    first = np.exp(model.of(2, (START,))[0])
    counts = np.bincount([one.tokens[0] if one.tokens else END for one in found], minlength=VOCABULARY_SIZE) / num
    np.testing.assert_allclose(counts, first, atol=4 * math.sqrt(0.25 / num))  # four standard deviations


class NeverEnds(KnownModel):
    """The end token has probability 0."""

    def draw(self, source: int, written: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        log_probabilities, read = super().draw(source, written)
        return np.where(np.arange(VOCABULARY_SIZE) == END, -np.inf, log_probabilities), read


def test_a_sequence_without_an_end_is_cut_off_and_incomplete() -> None:
    model = NeverEnds(6)
    ((beamed,),) = beam_search(model, inputs_of([1], 5), BeamOptions(VOCABULARY_SIZE**5))
    (written,) = decode_without_beam(model, inputs_of([1], 5))
    assert not beamed.complete
    assert not written.complete
    assert len(beamed.tokens) == len(written.tokens) == len(beamed.attention) == len(written.attention) == 5
    others = [id for id in range(VOCABULARY_SIZE) if id != END]
    totals = {}
    for tokens in itertools.product(others, repeat=5):
        totals[tokens] = sum(model.of(1, (START, *tokens[:at]))[0][token] for at, token in enumerate(tokens))
    assert tuple(beamed.tokens) == max(totals, key=totals.__getitem__)
    assert beamed.log_probability == pytest.approx(max(totals.values()), rel=1e-12)


class Broken(KnownModel):
    """A model with NaN weights."""

    def draw(self, source: int, written: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        log_probabilities, read = super().draw(source, written)
        return log_probabilities * np.nan, read


@pytest.mark.parametrize("size", [1, 3])
def test_there_is_always_a_hypothesis(size: int) -> None:
    found = build_search(BeamOptions(size))(Broken(), inputs_of([0, 1]))
    assert [len(hypotheses) for hypotheses in found] == [1, 1]


def test_a_banned_token_is_never_produced() -> None:
    banned, sources = 2, [0, 1, 2]
    inputs = inputs_of(sources, 6)._replace(banned=banned)
    plain = [one.tokens for one in decode_without_beam(KnownModel(9), inputs_of(sources, 6))]
    assert any(banned in tokens for tokens in plain)
    assert all(banned not in one.tokens for one in decode_without_beam(KnownModel(9), inputs))
    for source, hypotheses in zip(
        sources, beam_search(KnownModel(9), inputs, BeamOptions(400, num_best=3)), strict=True
    ):
        expected = [pair for pair in everything(KnownModel(9), source, BeamOptions(1), 6) if banned not in pair[1]][:3]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in expected]


def test_a_beam_of_one_is_greedy_with_the_score_of_a_beam() -> None:
    model, sources = KnownModel(8), list(range(10))
    found = build_search(BeamOptions(1, 0.7))(model, inputs_of(sources, 12))
    for (one,), other in zip(found, decode_without_beam(model, inputs_of(sources, 12)), strict=True):
        assert one.tokens == other.tokens
        expected = other.log_probability / ((5 + len(one.tokens) + one.complete) / 6) ** 0.7
        assert one.score == pytest.approx(expected, rel=1e-12)


def test_a_coverage_penalty_needs_attention() -> None:
    inputs = inputs_of([0])._replace(source_lengths=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(UsageError, match="without attention"):
        beam_search(KnownModel(), inputs, BeamOptions(3, coverage_penalty=0.1))


def test_each_sequence_has_its_own_maximum_length() -> None:
    model = NeverEnds(7)
    inputs = inputs_of([0, 1, 2])._replace(max_lengths=torch.tensor([2, 6, 1]))
    beamed = beam_search(model, inputs, BeamOptions(2))
    assert (
        [len(one.tokens) for (one,) in beamed]
        == [len(one.tokens) for one in decode_without_beam(model, inputs)]
        == [2, 6, 1]
    )


@pytest.mark.parametrize(
    "options", [{"beam_size": 0}, {"num_best": 0}, {"length_penalty": -0.1}, {"coverage_penalty": -1.0}]
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="beam search: expected beam_size and num_best of at least 1"):
        beam_search(KnownModel(), inputs_of([0]), BeamOptions(**options))
