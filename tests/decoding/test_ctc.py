"""CTC against an enumeration of all alignments: torch's loss and its gradient, and both decoders."""

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
    PrefixTree,
    SymbolLanguageModel,
    greedy_decode,
    greedy_hypotheses,
    min_frames,
    prefix_beam_search,
    trigram_language_model,
)
from recurra.errors import ShapeError, UsageError

TIME, SYMBOLS = 6, 3
LENGTHS = torch.tensor([3, 6, 1, 0, 5])
EVERYTHING = 200  # a beam that holds every sequence of two symbols that is no longer than TIME


def draw(seed: int, symbols: int = SYMBOLS, time: int = TIME, batch: int = len(LENGTHS)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(time, batch, symbols, generator=generator, dtype=torch.double)


def collapse(alignment: tuple[int, ...]) -> tuple[int, ...]:
    """The symbols of an alignment, by the definition: repeats are merged, then blanks removed."""
    return tuple(symbol for symbol, _ in groupby(alignment) if symbol != BLANK)


def all_sequences(log_probabilities: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Log-probability of every sequence of symbols, summed over its alignments, from frames (time, symbols)."""
    time, symbols = log_probabilities.shape
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for alignment in product(range(symbols), repeat=time):
        total = log_probabilities[range(time), alignment].sum()
        found.setdefault(collapse(alignment), []).append(total)
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
        loss = -all_sequences(own.log_softmax(1))[target]
        assert losses[row].item() == pytest.approx(loss.item(), rel=1e-12)
        (slope,) = torch.autograd.grad(weights[row] * loss, own)
        torch.testing.assert_close(slopes[:length, row], slope, rtol=0, atol=1e-12)
        assert not slopes[length:, row].any()


@pytest.mark.parametrize("time", range(5))
def test_min_frames_is_the_least_number_of_frames_with_an_alignment(time: int) -> None:
    reachable = {collapse(alignment) for alignment in product(range(3), repeat=time)}
    for target in [target for length in range(6) for target in product((1, 2), repeat=length)]:
        assert (min_frames(target) <= time) == (target in reachable), target


def test_a_target_longer_than_its_frames_costs_infinitely() -> None:
    for target, time in [((1, 1), 2), ((2, 1, 1, 2), 4)]:
        frames, sizes = draw(2, time=time, batch=1).log_softmax(2), torch.tensor([len(target)])
        loss = F.ctc_loss(frames, torch.tensor([target]), torch.tensor([time]), sizes, reduction="none")
        assert min_frames(target) == time + 1
        assert loss.item() == math.inf


def test_a_greedy_hypothesis_has_the_probability_of_all_its_alignments() -> None:
    frames = draw(4, batch=9).log_softmax(2)
    lengths = torch.arange(9) % (TIME + 1)
    frames[:, 5, BLANK] += 20  # silence
    frames = frames.log_softmax(2)
    found = greedy_hypotheses(frames, lengths)
    assert [one.symbols for one in found] == greedy_decode(frames, lengths)
    for row, (one, length) in enumerate(zip(found, lengths.tolist(), strict=True)):
        expected = all_sequences(frames[:length, row])[tuple(one.symbols)].item()
        assert one.log_probability == pytest.approx(expected, rel=1e-12)
        assert one.score == one.log_probability
    assert found[0] == found[5]._replace(log_probability=0, score=0)
    assert greedy_hypotheses(frames[:0], torch.zeros(9, dtype=torch.int64)) == [([], 0, 0)] * 9


def test_greedy_decoding_takes_the_most_probable_alignment() -> None:
    frames = draw(3, batch=40).log_softmax(2)
    lengths = torch.arange(40) % (TIME + 1)
    expected = []
    for row, length in enumerate(lengths.tolist()):
        alignments = product(range(SYMBOLS), repeat=length)
        best = max(alignments, key=lambda alignment: frames[range(len(alignment)), row, alignment].sum().item())
        expected.append([*collapse(best)])
    assert greedy_decode(frames, lengths) == expected
    assert any(one == other for row in expected for one, other in pairwise(row))


def test_wide_beam_is_exact() -> None:
    frames = draw(4).log_softmax(2)
    found = prefix_beam_search(frames, LENGTHS, EVERYTHING)
    for row, length in enumerate(LENGTHS.tolist()):
        exact = all_sequences(frames[:length, row]) if length else {(): torch.zeros(())}
        assert [tuple(one.symbols) for one in found[row]] == sorted(exact, key=lambda one: -exact[one].item())
        for one in found[row]:
            assert one.log_probability == pytest.approx(exact[tuple(one.symbols)].item(), abs=1e-12)
            assert one.score == one.log_probability
        assert sum(math.exp(one.log_probability) for one in found[row]) == pytest.approx(1, rel=1e-12)


def random_language_model(prefixes: list[list[int]]) -> Tensor:
    """Probabilities that depend on the whole prefix."""
    return torch.stack([drawn_row(tuple(prefix)) for prefix in prefixes])


@cache
def drawn_row(prefix: tuple[int, ...]) -> Tensor:
    return torch.tensor(np.random.default_rng([7, *prefix]).standard_normal(SYMBOLS)).log_softmax(0)


def prior_of(target: tuple[int, ...], language: SymbolLanguageModel, weight: float, bonus: float) -> float:
    """What language model and bonus add to the score of a sequence, its end included."""
    steps = [(target[:at], symbol) for at, symbol in enumerate((*target, BLANK))]
    return weight * sum(language([prefix])[0, symbol].item() for prefix, symbol in steps) + bonus * len(target)


@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.7), (0.6, 0.0), (1.3, 2.5), (2.0, -1.0)])
def test_language_model_and_bonus_rank_the_hypotheses_of_a_wide_beam(weight: float, bonus: float) -> None:
    frames = draw(5).log_softmax(2)
    found = prefix_beam_search(frames, LENGTHS, EVERYTHING, random_language_model, weight, bonus)
    for row, length in enumerate(LENGTHS.tolist()):
        exact = all_sequences(frames[:length, row]) if length else {(): torch.zeros(())}
        scores = {one: exact[one].item() + prior_of(one, random_language_model, weight, bonus) for one in exact}
        assert [tuple(one.symbols) for one in found[row]] == sorted(scores, key=lambda one: -scores[one])
        for one in found[row]:
            assert one.score == pytest.approx(scores[tuple(one.symbols)], abs=1e-12)
            assert one.log_probability == pytest.approx(exact[tuple(one.symbols)].item(), abs=1e-12)


def plain_beam(frames: np.ndarray, beam: int, weight: float, bonus: float) -> dict[tuple[int, ...], float]:
    """The search as in the paper, for one sequence, with dictionaries and probabilities."""
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
            end = weight * random_language_model([prefix])[0, BLANK].item()  # which counts behind the last frame alone
            return math.log(sum(sums)) + prior_of(prefix, random_language_model, weight, bonus) - end

        best = sorted((one for one in after.items() if sum(one[1])), key=lambda one: -score(*one))[:beam]
        kept = {prefix: tuple(sums) for prefix, sums in best}
    return {prefix: math.log(sum(sums)) for prefix, sums in kept.items()}


@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (0.8, 0.5)])
def test_narrow_beam_is_the_plain_search(beam: int, weight: float, bonus: float) -> None:
    """Long enough for prefixes to be dropped and to grow again out of their parents."""
    frames, lengths = draw(6, time=20, batch=12).log_softmax(2), torch.arange(9, 21)
    found = prefix_beam_search(frames, lengths, beam, random_language_model, weight, bonus)
    for row, length in enumerate(lengths.tolist()):
        expected = plain_beam(frames[:length, row].numpy(), beam, weight, bonus)
        assert {tuple(one.symbols) for one in found[row]} == expected.keys()
        for one in found[row]:
            assert one.log_probability == pytest.approx(expected[tuple(one.symbols)], abs=1e-10)
            prior = prior_of(tuple(one.symbols), random_language_model, weight, bonus)
            assert one.score == pytest.approx(one.log_probability + prior, abs=1e-10)
        assert [one.score for one in found[row]] == sorted((one.score for one in found[row]), reverse=True)


def test_the_language_model_scores_each_prefix_once() -> None:
    asked: list[tuple[int, ...]] = []

    def language(prefixes: list[list[int]]) -> Tensor:
        asked.extend(map(tuple, prefixes))
        return random_language_model(prefixes)

    prefix_beam_search(draw(7, time=15, batch=1).log_softmax(2), torch.tensor([15]), 4, language)
    assert len(asked) == len(set(asked)) > 4


def test_impossible_sequences_are_not_returned() -> None:
    """A language model that allows only 1 2, and frames with certain symbols."""

    def language(prefixes: list[list[int]]) -> Tensor:
        follows = {(): 1, (1,): 2, (1, 2): BLANK}
        return F.one_hot(torch.tensor([follows[tuple(prefix)] for prefix in prefixes]), SYMBOLS).double().log()

    frames, lengths = draw(8).log_softmax(2), torch.tensor([3, 6, 2, 4, 5])
    found = prefix_beam_search(frames, lengths, 9, language, 0.3)
    assert [[one.symbols for one in sequences] for sequences in found] == [[[1, 2]]] * 5
    for row, (one,) in enumerate(found):
        exact = all_sequences(frames[: lengths[row], row])[1, 2].item()
        assert one.log_probability == pytest.approx(exact, abs=1e-12)
    certain = F.one_hot(torch.tensor([[2], [2], [0], [2], [1]]), SYMBOLS).double().log()
    assert prefix_beam_search(certain, torch.tensor([5]), 9) == [[([2, 2, 1], 0.0, 0.0)]]
    assert prefix_beam_search(certain, torch.tensor([5]), 9, language) == [[]]


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf])
def test_results_do_not_depend_on_neighbors_and_padding(rubbish: float) -> None:
    clean = draw(9, time=9).log_softmax(2)
    lengths = torch.tensor([4, 9, 1, 0, 7])
    dirty = clean.clone()
    for row, length in enumerate(lengths.tolist()):
        dirty[length:, row] = rubbish
    together = prefix_beam_search(dirty, lengths, 3, random_language_model, 0.4, 0.2)
    assert together == prefix_beam_search(clean, lengths, 3, random_language_model, 0.4, 0.2)
    for row, length in enumerate(lengths.tolist()):
        alone, its_length = clean[:length, row : row + 1], lengths[row : row + 1]
        assert prefix_beam_search(alone, its_length, 3, random_language_model, 0.4, 0.2) == [together[row]]
        assert greedy_decode(alone, its_length) == [greedy_decode(dirty, lengths)[row]]


def test_no_frames_or_no_sequences() -> None:
    assert greedy_decode(torch.zeros(0, 2, 3), torch.zeros(2, dtype=torch.int64)) == [[], []]
    assert prefix_beam_search(torch.zeros(0, 2, 3), torch.zeros(2, dtype=torch.int64)) == [[([], 0.0, 0.0)]] * 2
    assert greedy_decode(torch.zeros(4, 0, 3), torch.zeros(0, dtype=torch.int64)) == []
    assert prefix_beam_search(torch.zeros(4, 0, 3), torch.zeros(0, dtype=torch.int64)) == []


def test_trigram_language_model() -> None:
    """Letters of words, where a beginning determines the rest; each row is a distribution."""
    words = ["one", "two", "seven", "six", "", "one"] * 20
    letters = sorted(set("".join(words)))
    ids = [[1 + letters.index(letter) for letter in word] for word in words]
    language = trigram_language_model(ids, len(letters) + 1)
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


def test_a_language_model_corrects_the_acoustic_model() -> None:
    language = trigram_language_model([[1, 2, 3], [3, 1]] * 10, 4)
    frames = torch.full((6, 1, 4), 0.05, dtype=torch.double)
    for time, symbol in enumerate([1, 0, 0, 2, 3, 0]):
        frames[time, 0, symbol] = 0.85
    frames[3, 0] = torch.tensor([0.05, 0.49, 0.41, 0.05])  # rather another 1
    lengths = torch.tensor([6])
    assert prefix_beam_search(frames.log(), lengths)[0][0].symbols == [1, 1, 3]
    assert prefix_beam_search(frames.log(), lengths, language_model=language)[0][0].symbols == [1, 2, 3]


def test_equal_prefixes_have_one_number() -> None:
    tree = PrefixTree(2, torch.zeros(3), None, 1.0)
    one, other = tree.child(0, 2), tree.child(1, 2)
    assert one != other
    assert tree.child(0, 2) == one
    assert tree.symbols_of(tree.child(tree.child(one, 2), 1)) == [2, 2, 1]
    assert tree.symbols_of(1) == []


def test_errors() -> None:
    frames, lengths = torch.zeros(4, 2, 3), torch.tensor([4, 2])
    with pytest.raises(
        UsageError, match=r"expected beam_size of at least 1 and lm_weight of at least 0, got 0 and 0\.5"
    ):
        prefix_beam_search(frames, lengths, 0)
    with pytest.raises(UsageError, match="got 2 and -1"):
        prefix_beam_search(frames, lengths, 2, lm_weight=-1)
    with pytest.raises(
        ShapeError, match=r"greedy_decode log_probabilities: expected \(time, batch, symbols\).*got \(4, 2\)"
    ):
        greedy_decode(frames[:, :, 0], lengths)
    with pytest.raises(ShapeError, match=r"got \(4, 2, 0\)"):
        prefix_beam_search(frames[:, :, :0], lengths)
    with pytest.raises(ShapeError, match=r"lengths: every value must lie in 0\.\.4"):
        prefix_beam_search(frames, torch.tensor([5, 1]))
