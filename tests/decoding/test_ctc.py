"""CTC against all alignments counted one by one: torch's loss and its gradient, both decoders."""

import math
from functools import cache
from itertools import groupby, pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.decoding.ctc import (
    BLANK,
    Language,
    Prefixes,
    counted_language,
    greedy,
    greedy_readings,
    prefix_beam,
    shortest,
)
from recurra.errors import ShapeError, UsageError

TIME, SYMBOLS = 6, 3
LENGTHS = torch.tensor([3, 6, 1, 0, 5])
EVERYTHING = 200  # a beam that holds every sequence of two symbols that is no longer than TIME


def draw(seed: int, symbols: int = SYMBOLS, time: int = TIME, batch: int = len(LENGTHS)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(time, batch, symbols, generator=generator, dtype=torch.double)


def read(alignment: tuple[int, ...]) -> tuple[int, ...]:
    """What an alignment reads as, by the definition: first repeats become one, then blanks go."""
    return tuple(symbol for symbol, _ in groupby(alignment) if symbol != BLANK)


def all_readings(log_probabilities: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Log-probability of every reading of one sequence (time, symbols), added up alignment by alignment."""
    time, symbols = log_probabilities.shape
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for alignment in product(range(symbols), repeat=time):
        total = log_probabilities[range(time), alignment].sum()
        found.setdefault(read(alignment), []).append(total)
    return {reading: torch.stack(totals).logsumexp(0) for reading, totals in found.items()}


def everything(frames: Tensor) -> list[tuple[int, ...]]:
    """Every sequence of symbols that is no longer than the frames."""
    symbols = range(1, frames.shape[1])
    return [target for length in range(len(frames) + 1) for target in product(symbols, repeat=length)]


@pytest.mark.parametrize(
    ("targets", "lengths"),
    [
        ([(1, 1), (2, 1, 1), (), (3,)], [3, 4, 2, 1]),  # repeats in as few frames as they fit into, empty, one frame
        ([(1, 2, 3), (2, 2), (1,), ()], [4, 4, 3, 1]),
        ([(3, 3, 2), (), (2, 1), (1, 1)], [4, 4, 4, 4]),
    ],
)
def test_loss_of_torch_and_its_gradient_are_the_sum_over_all_alignments(
    targets: list[tuple[int, ...]], lengths: list[int]
) -> None:
    logits = draw(1, symbols=4, time=4, batch=4).requires_grad_()
    padded = torch.tensor([[*target, *[2] * (3 - len(target))] for target in targets])
    losses = F.ctc_loss(
        logits.log_softmax(2), padded, torch.tensor(lengths), torch.tensor(list(map(len, targets))), reduction="none"
    )
    weights = torch.linspace(-0.5, 1.7, 4, dtype=torch.double)  # no sequence counts as much as another
    (slopes,) = torch.autograd.grad((losses * weights).sum(), logits)
    for row, (target, length) in enumerate(zip(targets, lengths, strict=True)):
        own = logits.detach()[:length, row].requires_grad_()
        loss = -all_readings(own.log_softmax(1))[target]
        assert losses[row].item() == pytest.approx(loss.item(), rel=1e-12)
        (slope,) = torch.autograd.grad(weights[row] * loss, own)
        torch.testing.assert_close(slopes[:length, row], slope, rtol=0, atol=1e-12)
        assert not slopes[length:, row].any()


@pytest.mark.parametrize("time", range(5))
def test_shortest_is_the_least_number_of_frames_that_has_an_alignment(time: int) -> None:
    reachable = {read(alignment) for alignment in product(range(3), repeat=time)}
    for target in [target for length in range(6) for target in product((1, 2), repeat=length)]:
        assert (shortest(target) <= time) == (target in reachable), target


def test_a_target_longer_than_its_frames_costs_infinitely() -> None:
    for target, time in [((1, 1), 2), ((2, 1, 1, 2), 4)]:
        frames, sizes = draw(2, time=time, batch=1).log_softmax(2), torch.tensor([len(target)])
        loss = F.ctc_loss(frames, torch.tensor([target]), torch.tensor([time]), sizes, reduction="none")
        assert shortest(target) == time + 1
        assert loss.item() == math.inf


def test_a_greedy_reading_has_the_probability_of_all_its_alignments() -> None:
    frames = draw(4, batch=9).log_softmax(2)
    lengths = torch.arange(9) % (TIME + 1)
    frames[:, 5, BLANK] += 20  # silence
    frames = frames.log_softmax(2)
    found = greedy_readings(frames, lengths)
    assert [one.symbols for one in found] == greedy(frames, lengths)
    for row, (one, length) in enumerate(zip(found, lengths.tolist(), strict=True)):
        expected = all_readings(frames[:length, row])[tuple(one.symbols)].item()
        assert one.log_probability == pytest.approx(expected, rel=1e-12)
        assert one.score == one.log_probability
    assert found[0] == found[5]._replace(log_probability=0, score=0)
    assert greedy_readings(frames[:0], torch.zeros(9, dtype=torch.int64)) == [([], 0, 0)] * 9


def test_greedy_reads_the_likeliest_alignment() -> None:
    frames = draw(3, batch=40).log_softmax(2)
    lengths = torch.arange(40) % (TIME + 1)
    expected = []
    for row, length in enumerate(lengths.tolist()):
        alignments = product(range(SYMBOLS), repeat=length)
        best = max(alignments, key=lambda alignment: frames[range(len(alignment)), row, alignment].sum().item())
        expected.append([*read(best)])
    assert greedy(frames, lengths) == expected
    assert any(one == other for row in expected for one, other in pairwise(row))


def test_wide_beam_gives_every_reading_its_probability() -> None:
    frames = draw(4).log_softmax(2)
    found = prefix_beam(frames, LENGTHS, EVERYTHING)
    for row, length in enumerate(LENGTHS.tolist()):
        exact = all_readings(frames[:length, row]) if length else {(): torch.zeros(())}
        assert [tuple(one.symbols) for one in found[row]] == sorted(exact, key=lambda one: -exact[one].item())
        for one in found[row]:
            assert one.log_probability == pytest.approx(exact[tuple(one.symbols)].item(), abs=1e-12)
            assert one.score == one.log_probability
        assert sum(math.exp(one.log_probability) for one in found[row]) == pytest.approx(1, rel=1e-12)


def drawn_language(prefixes: list[list[int]]) -> Tensor:
    """Probabilities that depend on the whole prefix."""
    return torch.stack([drawn_row(tuple(prefix)) for prefix in prefixes])


@cache
def drawn_row(prefix: tuple[int, ...]) -> Tensor:
    return torch.tensor(np.random.default_rng([7, *prefix]).standard_normal(SYMBOLS)).log_softmax(0)


def prior_of(target: tuple[int, ...], language: Language, weight: float, bonus: float) -> float:
    """What language and bonus add to the score of a reading, its end included."""
    steps = [(target[:at], symbol) for at, symbol in enumerate((*target, BLANK))]
    return weight * sum(language([prefix])[0, symbol].item() for prefix, symbol in steps) + bonus * len(target)


@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.7), (0.6, 0.0), (1.3, 2.5), (2.0, -1.0)])
def test_language_and_bonus_rank_the_readings_of_a_wide_beam(weight: float, bonus: float) -> None:
    frames = draw(5).log_softmax(2)
    found = prefix_beam(frames, LENGTHS, EVERYTHING, drawn_language, weight, bonus)
    for row, length in enumerate(LENGTHS.tolist()):
        exact = all_readings(frames[:length, row]) if length else {(): torch.zeros(())}
        scores = {one: exact[one].item() + prior_of(one, drawn_language, weight, bonus) for one in exact}
        assert [tuple(one.symbols) for one in found[row]] == sorted(scores, key=lambda one: -scores[one])
        for one in found[row]:
            assert one.score == pytest.approx(scores[tuple(one.symbols)], abs=1e-12)
            assert one.log_probability == pytest.approx(exact[tuple(one.symbols)].item(), abs=1e-12)


def plain_beam(frames: np.ndarray, beam: int, weight: float, bonus: float) -> dict[tuple[int, ...], float]:
    """The search as the paper writes it, for one sequence, with dictionaries and probabilities."""
    kept = {(): (1.0, 0.0)}  # probability of alignments that end in a blank, and that do not
    for frame in np.exp(frames):
        after: dict[tuple[int, ...], list[float]] = {}
        for prefix, (in_blank, in_symbol) in kept.items():
            stays = after.setdefault(prefix, [0.0, 0.0])
            stays[0] += (in_blank + in_symbol) * frame[BLANK]
            for symbol in range(1, len(frame)):
                grown = after.setdefault((*prefix, symbol), [0.0, 0.0])
                if prefix and symbol == prefix[-1]:
                    stays[1] += in_symbol * frame[symbol]
                    grown[1] += in_blank * frame[symbol]
                else:
                    grown[1] += (in_blank + in_symbol) * frame[symbol]

        def score(prefix: tuple[int, ...], sums: list[float]) -> float:
            end = weight * drawn_language([prefix])[0, BLANK].item()  # which counts behind the last frame alone
            return math.log(sum(sums)) + prior_of(prefix, drawn_language, weight, bonus) - end

        best = sorted((one for one in after.items() if sum(one[1])), key=lambda one: -score(*one))[:beam]
        kept = {prefix: tuple(sums) for prefix, sums in best}
    return {prefix: math.log(sum(sums)) for prefix, sums in kept.items()}


@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (0.8, 0.5)])
def test_narrow_beam_is_the_plain_search(beam: int, weight: float, bonus: float) -> None:
    """Long enough for prefixes to be dropped and to grow again out of their parents."""
    frames, lengths = draw(6, time=20, batch=12).log_softmax(2), torch.arange(9, 21)
    found = prefix_beam(frames, lengths, beam, drawn_language, weight, bonus)
    for row, length in enumerate(lengths.tolist()):
        expected = plain_beam(frames[:length, row].numpy(), beam, weight, bonus)
        assert {tuple(one.symbols) for one in found[row]} == expected.keys()
        for one in found[row]:
            assert one.log_probability == pytest.approx(expected[tuple(one.symbols)], abs=1e-10)
            prior = prior_of(tuple(one.symbols), drawn_language, weight, bonus)
            assert one.score == pytest.approx(one.log_probability + prior, abs=1e-10)
        assert [one.score for one in found[row]] == sorted((one.score for one in found[row]), reverse=True)


def test_language_is_asked_once_of_each_prefix() -> None:
    asked: list[tuple[int, ...]] = []

    def language(prefixes: list[list[int]]) -> Tensor:
        asked.extend(map(tuple, prefixes))
        return drawn_language(prefixes)

    prefix_beam(draw(7, time=15, batch=1).log_softmax(2), torch.tensor([15]), 4, language)
    assert len(asked) == len(set(asked)) > 4


def test_what_is_impossible_is_not_read() -> None:
    """A language without a word but 1 2, and frames that leave no choice."""

    def language(prefixes: list[list[int]]) -> Tensor:
        follows = {(): 1, (1,): 2, (1, 2): BLANK}
        return F.one_hot(torch.tensor([follows[tuple(prefix)] for prefix in prefixes]), SYMBOLS).double().log()

    frames, lengths = draw(8).log_softmax(2), torch.tensor([3, 6, 2, 4, 5])
    found = prefix_beam(frames, lengths, 9, language, 0.3)
    assert [[one.symbols for one in readings] for readings in found] == [[[1, 2]]] * 5
    for row, (one,) in enumerate(found):
        exact = all_readings(frames[: lengths[row], row])[1, 2].item()
        assert one.log_probability == pytest.approx(exact, abs=1e-12)
    certain = F.one_hot(torch.tensor([[2], [2], [0], [2], [1]]), SYMBOLS).double().log()
    assert prefix_beam(certain, torch.tensor([5]), 9) == [[([2, 2, 1], 0.0, 0.0)]]
    assert prefix_beam(certain, torch.tensor([5]), 9, language) == [[]]


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf])
def test_results_do_not_depend_on_neighbors_and_padding(rubbish: float) -> None:
    clean = draw(9, time=9).log_softmax(2)
    lengths = torch.tensor([4, 9, 1, 0, 7])
    dirty = clean.clone()
    for row, length in enumerate(lengths.tolist()):
        dirty[length:, row] = rubbish
    together = prefix_beam(dirty, lengths, 3, drawn_language, 0.4, 0.2)
    assert together == prefix_beam(clean, lengths, 3, drawn_language, 0.4, 0.2)
    for row, length in enumerate(lengths.tolist()):
        alone, its_length = clean[:length, row : row + 1], lengths[row : row + 1]
        assert prefix_beam(alone, its_length, 3, drawn_language, 0.4, 0.2) == [together[row]]
        assert greedy(alone, its_length) == [greedy(dirty, lengths)[row]]


def test_no_frames_or_no_sequences() -> None:
    assert greedy(torch.zeros(0, 2, 3), torch.zeros(2, dtype=torch.int64)) == [[], []]
    assert prefix_beam(torch.zeros(0, 2, 3), torch.zeros(2, dtype=torch.int64)) == [[([], 0.0, 0.0)]] * 2
    assert greedy(torch.zeros(4, 0, 3), torch.zeros(0, dtype=torch.int64)) == []
    assert prefix_beam(torch.zeros(4, 0, 3), torch.zeros(0, dtype=torch.int64)) == []


def test_counted_language() -> None:
    """Spelled words: where a beginning is known so is what follows, and each row is a distribution."""
    words = ["one", "two", "seven", "six", "", "one"] * 20
    letters = sorted(set("".join(words)))
    ids = [[1 + letters.index(letter) for letter in word] for word in words]
    language = counted_language(ids, len(letters) + 1)
    prefixes = [[], *ids[:4], ids[0][:1], ids[2][:2], [1, 1, 1]]
    found = language(prefixes)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(len(prefixes), dtype=torch.double), rtol=0, atol=1e-12)
    assert found.isfinite().all()
    assert found[1:5].argmax(1).tolist() == [BLANK] * 4
    assert letters[found[5].argmax() - 1] == "n"
    assert letters[found[6].argmax() - 1] == "v"
    for letter, share in {"s": 2, "o": 2, "t": 1}.items():  # of the five words
        assert found[0, 1 + letters.index(letter)].exp().item() == pytest.approx(share / 5, abs=0.02)
    assert torch.equal(language([ids[2]]), found[3:4])


def test_language_mends_what_was_heard_wrongly() -> None:
    language = counted_language([[1, 2, 3], [3, 1]] * 10, 4)
    frames = torch.full((6, 1, 4), 0.05, dtype=torch.double)
    for time, symbol in enumerate([1, 0, 0, 2, 3, 0]):
        frames[time, 0, symbol] = 0.85
    frames[3, 0] = torch.tensor([0.05, 0.49, 0.41, 0.05])  # rather another 1
    lengths = torch.tensor([6])
    assert prefix_beam(frames.log(), lengths)[0][0].symbols == [1, 1, 3]
    assert prefix_beam(frames.log(), lengths, language=language)[0][0].symbols == [1, 2, 3]


def test_a_prefix_has_one_number_however_often_it_grows() -> None:
    prefixes = Prefixes(2, torch.zeros(3), None, 1.0)
    one, other = prefixes.extended(0, 2), prefixes.extended(1, 2)
    assert one != other
    assert prefixes.extended(0, 2) == one
    assert prefixes.symbols_of(prefixes.extended(prefixes.extended(one, 2), 1)) == [2, 2, 1]
    assert prefixes.symbols_of(1) == []


def test_wrong_use() -> None:
    frames, lengths = torch.zeros(4, 2, 3), torch.tensor([4, 2])
    with pytest.raises(UsageError, match=r"expected beam of 1 up and weight of 0 up, got 0 and 0\.5"):
        prefix_beam(frames, lengths, 0)
    with pytest.raises(UsageError, match="got 2 and -1"):
        prefix_beam(frames, lengths, 2, weight=-1)
    with pytest.raises(ShapeError, match=r"greedy log_probabilities: expected \(time, batch, symbols\).*got \(4, 2\)"):
        greedy(frames[:, :, 0], lengths)
    with pytest.raises(ShapeError, match=r"got \(4, 2, 0\)"):
        prefix_beam(frames[:, :, :0], lengths)
    with pytest.raises(ShapeError, match=r"lengths: every value must lie in 0\.\.4"):
        prefix_beam(frames, torch.tensor([5, 1]))
