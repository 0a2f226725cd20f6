"""Connectionist temporal classification (CTC): from symbol probabilities in each frame to a sequence of symbols.

In every frame a model gives a probability to each symbol and to a blank. An alignment picks one of them for each frame.
Merging repeats and then removing blanks turns it into a sequence of symbols, so two equal symbols in a row need a blank
between them. The probability of a sequence of symbols is the sum over its alignments.

Source: Graves et al. 2006.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.baselines.ngrams import Trigram
from recurra.errors import ShapeError, UsageError
from recurra.lengths import check_lengths, valid_steps

BLANK = 0
NO_PREFIX = -1  # number in unused places of a beam, and of the parent of an empty prefix

SymbolLanguageModel = Callable[[Sequence[Sequence[int]]], Tensor]
"""From prefixes to the log-probability of each next symbol, (prefixes, symbols); at BLANK that of the end."""


class CTCHypothesis(NamedTuple):
    """A sequence of symbols decoded from frames."""

    symbols: list[int]
    log_probability: float  # nats, of all its alignments that the search has kept
    score: float  # with language model and insertion bonus; hypotheses are ranked by it


def min_frames(target: Sequence[object]) -> int:
    """The fewest frames in which a target has an alignment: one a symbol, and one for the blank between equal symbols.

    In fewer frames the CTC loss is infinite.
    """
    return len(target) + sum(one == other for one, other in pairwise(target))


def greedy_decode(log_probabilities: Tensor, lengths: Tensor) -> list[list[int]]:
    """The symbols of the most probable alignment, which need not be the most probable sequence of symbols.

    Args:
        log_probabilities: of the blank, 0, and the symbols in each frame, (time, batch, symbols); logits do as well.
        lengths: valid frames of each sequence, integer (batch,).

    Returns:
        The symbols of each sequence, from 1.

    Raises:
        ShapeError: log_probabilities without three axes, or lengths that do not fit them.
    """
    valid = check_frames("greedy_decode", log_probabilities, lengths)
    best = log_probabilities.argmax(2)  # (time, batch)
    is_kept = valid & (best != BLANK)
    is_kept[1:] &= best[1:] != best[:-1]
    return [row[kept].tolist() for row, kept in zip(best.t(), is_kept.t(), strict=True)]


def greedy_hypotheses(log_probabilities: Tensor, lengths: Tensor) -> list[CTCHypothesis]:
    """The result of `greedy_decode` for each sequence, with the probability of all its alignments.

    Args:
        log_probabilities: of the blank, 0, and the symbols in each frame, (time, batch, symbols), in nats.
        lengths: valid frames of each sequence, integer (batch,).

    Raises:
        ShapeError: log_probabilities without three axes, or lengths that do not fit them.
    """
    decoded = greedy_decode(log_probabilities, lengths)
    if not len(log_probabilities):
        return [CTCHypothesis([], 0.0, 0.0)] * len(decoded)
    sizes = torch.tensor([len(symbols) for symbols in decoded])
    targets = torch.tensor([symbol for symbols in decoded for symbol in symbols], dtype=torch.int64)  # concatenated
    nats = F.ctc_loss(log_probabilities.cpu(), targets, lengths.cpu(), sizes, blank=BLANK, reduction="none")
    return [CTCHypothesis(symbols, -loss, -loss) for symbols, loss in zip(decoded, nats.tolist(), strict=True)]


def trigram_language_model(targets: Iterable[Sequence[int]], num_symbols: int) -> SymbolLanguageModel:
    """A language model that predicts each symbol from the two before it; see `Trigram`.

    Args:
        targets: training sequences, symbols in 1..num_symbols-1; empty ones are skipped.
        num_symbols: how many symbols there are, the blank included.
    """
    ids = [BLANK, BLANK]  # two BLANKs separate the sequences: context of a first symbol, and mark of an end
    for target in targets:
        ids += [*target, BLANK, BLANK] if len(target) else []
    trigram, symbols = Trigram(num_symbols).fit(np.array(ids, np.uint32)), np.arange(num_symbols)

    def language_model(prefixes: Sequence[Sequence[int]]) -> Tensor:
        before = np.array([[BLANK, BLANK, *prefix][-2:] for prefix in prefixes]).repeat(num_symbols, 0)
        found = trigram.probabilities(before[:, 0], before[:, 1], np.tile(symbols, len(prefixes)))
        return torch.from_numpy(np.log(found)).view(len(prefixes), num_symbols)

    return language_model


class PrefixTree:
    """All prefixes that the search has visited, each with a number; the empty ones of the sequences come first.

    The beams can then be tensors of numbers, and the language model scores every prefix only once.

    Args:
        num_sequences: sequences in the batch; each has a root, its empty prefix.
        gain: what each symbol adds to the score of any prefix, at BLANK for the end, (symbols,).
        language_model: its log-probabilities are added to the gain; None for none.
        lm_weight: weight of the language model.
    """

    def __init__(
        self, num_sequences: int, gain: Tensor, language_model: SymbolLanguageModel | None, lm_weight: float
    ) -> None:
        self.nodes = [(NO_PREFIX, BLANK)] * num_sequences  # parent and last symbol of each prefix
        self.numbers: dict[tuple[int, int], int] = {}
        self.gain, self.language_model, self.lm_weight = gain, language_model, lm_weight
        self.gains: dict[int, Tensor] = {}

    def child(self, parent: int, symbol: int) -> int:
        """Number of a prefix extended by a symbol; equal prefixes have equal numbers."""
        number = self.numbers.setdefault((parent, symbol), len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append((parent, symbol))
        return number

    def symbols_of(self, number: int) -> list[int]:
        """The symbols of a prefix."""
        found = []
        parent, symbol = self.nodes[number]
        while parent >= 0:
            found.append(symbol)
            parent, symbol = self.nodes[parent]
        return found[::-1]

    def gains_of(self, numbers: Tensor) -> Tensor:
        """What each next symbol adds to the score of each prefix, at BLANK for the end.

        Args:
            numbers: of the prefixes, integer (sequences, beam).

        Returns:
            (sequences, beam, symbols).
        """
        if self.language_model is None:
            return self.gain.expand(*numbers.shape, -1)
        flat = numbers.flatten().tolist()
        new = [number for number in flat if number >= 0 and number not in self.gains]
        if new:
            found = self.language_model([self.symbols_of(number) for number in new])
            self.gains.update(zip(new, self.gain + self.lm_weight * found.to(self.gain), strict=True))
        return torch.stack([self.gains.get(number, self.gain) for number in flat]).view(*numbers.shape, -1)


class PrefixBeams(NamedTuple):
    """The prefixes kept for each sequence, the best first; all fields (sequences, beam).

    The probability of a prefix is split by how its alignments end, since that decides the effect of its last symbol in
    the next frame: after itself the symbol is merged, after a blank it is appended once more.
    """

    numbers: Tensor  # in the `PrefixTree`; NO_PREFIX in unused places
    parents: Tensor  # numbers of the prefixes without their last symbol
    symbols: Tensor  # the last symbols; BLANK of an empty prefix
    in_blank: Tensor  # log-probability of the alignments that end in a blank
    in_symbol: Tensor  # log-probability of the alignments that end in the last symbol
    prior: Tensor  # what language model and insertion bonus have added to the score

    @classmethod
    def start(cls, num_sequences: int, size: int, like: Tensor) -> "PrefixBeams":
        """The empty prefix of each sequence, before the first frame."""
        numbers = torch.full((num_sequences, size), NO_PREFIX, device=like.device)
        impossible = torch.full(numbers.shape, -torch.inf, dtype=like.dtype, device=like.device)
        in_blank = impossible.clone()
        numbers[:, 0], in_blank[:, 0] = torch.arange(num_sequences), 0
        parents, symbols = torch.full_like(numbers, NO_PREFIX), torch.full_like(numbers, BLANK)
        return cls(numbers, parents, symbols, in_blank, impossible, torch.zeros_like(impossible))

    def advance(self, frame: Tensor, tree: PrefixTree) -> "PrefixBeams":
        """The best prefixes after one more frame.

        Args:
            frame: log-probabilities of the blank and the symbols, (sequences, symbols).
            tree: all prefixes; gets the new ones.
        """
        total = torch.logaddexp(self.in_blank, self.in_symbol)  # (sequences, beam)
        repeat = frame.gather(1, self.symbols)  # of the last symbol in this frame
        extended = total.unsqueeze(2) + frame.unsqueeze(1)  # (sequences, beam, symbols), prefixes with a symbol behind
        # The last symbol makes a longer prefix only after a blank: directly after itself it merges with it.
        extended.scatter_(2, self.symbols.unsqueeze(2), (self.in_blank + repeat).unsqueeze(2))

        # If a prefix and its child are both in the beam, the prefix extended by the child's symbol is the child itself.
        # The alignments of this extension are added to those of the child, and the extension is no candidate of its
        # own; otherwise one prefix would take two places of the beam, each with part of the probability.
        is_child = self.numbers.unsqueeze(2) == self.parents.unsqueeze(1)  # (sequences, parent, child)
        to_child = extended.gather(2, self.symbols.unsqueeze(1).expand_as(is_child))
        from_parent = torch.where(is_child, to_child, -torch.inf).amax(1)  # a prefix has one parent at most
        sequences, parents, children = is_child.nonzero(as_tuple=True)
        extended[sequences, parents, self.symbols[sequences, children]] = -torch.inf

        # A blank extends no prefix, so the column of the blank holds the prefixes that stay as they are.
        in_blank = total + frame[:, BLANK : BLANK + 1]
        extended[:, :, BLANK] = torch.logaddexp(self.in_symbol + repeat, from_parent)
        totals = extended.clone()
        totals[:, :, BLANK] = torch.logaddexp(extended[:, :, BLANK], in_blank)
        prior = self.prior.unsqueeze(2) + tree.gains_of(self.numbers)
        prior[:, :, BLANK] = self.prior
        best, places = (totals + prior).flatten(1).topk(self.numbers.shape[1])
        return self.pick(best, places, PrefixBeams(*self[:3], in_blank, extended, prior), tree)

    def pick(self, best: Tensor, places: Tensor, candidates: "PrefixBeams", tree: PrefixTree) -> "PrefixBeams":
        """The candidates at some places.

        Args:
            best: their scores, -inf for impossible ones, (sequences, beam).
            places: their indices among prefixes and symbols, flattened, integer (sequences, beam).
            candidates: in_symbol and prior with the symbols as last axis, at BLANK those of an unchanged prefix.
            tree: all prefixes; gets the new ones.
        """
        num_symbols = candidates.prior.shape[2]
        sources, symbols = places // num_symbols, places % num_symbols
        numbers, unchanged = self.numbers.gather(1, sources), symbols == BLANK
        triples = zip(best.flatten().tolist(), numbers.flatten().tolist(), symbols.flatten().tolist(), strict=True)
        picked = [
            NO_PREFIX if score == -torch.inf else number if symbol == BLANK else tree.child(number, symbol)
            for score, number, symbol in triples
        ]
        parents = torch.where(unchanged, self.parents.gather(1, sources), numbers)
        return PrefixBeams(
            torch.tensor(picked, dtype=numbers.dtype, device=numbers.device).view_as(numbers),
            torch.where(best > -torch.inf, parents, NO_PREFIX),
            torch.where(unchanged, self.symbols.gather(1, sources), symbols),
            torch.where(unchanged, candidates.in_blank.gather(1, sources), -torch.inf),
            candidates.in_symbol.flatten(1).gather(1, places),
            candidates.prior.flatten(1).gather(1, places),
        )

    def hypotheses(self, tree: PrefixTree) -> list[list[CTCHypothesis]]:
        """The possible ones for each sequence, the best first; scores include the end."""
        totals = torch.logaddexp(self.in_blank, self.in_symbol)
        scores = totals + self.prior + tree.gains_of(self.numbers)[:, :, BLANK]
        found = []
        for row in zip(self.numbers.tolist(), totals.tolist(), scores.tolist(), strict=True):
            possible = [
                CTCHypothesis(tree.symbols_of(number), total, score)
                for number, total, score in zip(*row, strict=True)
                if score > -torch.inf
            ]
            found.append(sorted(possible, key=lambda one: -one.score))
        return found


@torch.no_grad()
def prefix_beam_search(
    log_probabilities: Tensor,
    lengths: Tensor,
    beam_size: int = 16,
    language_model: SymbolLanguageModel | None = None,
    lm_weight: float = 0.5,
    insertion_bonus: float = 0.0,
) -> list[list[CTCHypothesis]]:
    """The best sequences of symbols found with a beam of prefixes, frame by frame.

    The score of symbols Y for frames X is log P(Y|X) + lm_weight log P(Y) + insertion_bonus |Y|. P(Y|X) lacks the
    alignments of Y through prefixes that were dropped from the beam; with a wide enough beam the search is exact.

    Args:
        log_probabilities: of the blank, 0, and the symbols in each frame, (time, batch, symbols), in nats.
        lengths: valid frames of each sequence, integer (batch,).
        beam_size: maximum number of prefixes kept, and of hypotheses returned, for each sequence.
        language_model: such as `trigram_language_model`; None for none. It is called once for each prefix.
        lm_weight: weight of the language model, at least 0.
        insertion_bonus: nats added for each symbol; above 0 makes up for a language model that prefers short sequences.

    Returns:
        Hypotheses of each sequence, the best first; none if every one has probability 0.

    Raises:
        ShapeError: log_probabilities without three axes, or lengths that do not fit them.
        UsageError: beam_size below 1, or lm_weight below 0.

    Source: Hannun et al. 2014, First-pass large vocabulary continuous speech recognition using bi-directional recurrent
    DNNs, algorithm 1.
    """
    if beam_size < 1 or lm_weight < 0:
        raise UsageError(
            "prefix_beam_search: expected beam_size of at least 1 and lm_weight of at least 0, got "
            f"{beam_size} and {lm_weight}"
        )
    valid = check_frames("prefix_beam_search", log_probabilities, lengths)
    frames = log_probabilities.double()
    certain_blank = frames.new_full(frames.shape[2:], -torch.inf)
    certain_blank[BLANK] = 0  # padding becomes frames that are blank for certain: they change no prefix and no score
    frames = torch.where(valid.unsqueeze(2), frames, certain_blank)

    gain = torch.full_like(certain_blank, insertion_bonus)
    gain[BLANK] = 0
    tree = PrefixTree(frames.shape[1], gain, language_model if lm_weight else None, lm_weight)
    beams = PrefixBeams.start(frames.shape[1], beam_size, frames)
    for frame in frames:
        beams = beams.advance(frame, tree)
    return beams.hypotheses(tree)


def check_frames(name: str, log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Validate a batch of frames; returns which are valid, (time, batch).

    Raises:
        ShapeError: log_probabilities without three axes, or lengths that do not fit them.
    """
    if log_probabilities.dim() != 3 or not log_probabilities.shape[2]:
        shape = tuple(log_probabilities.shape)
        raise ShapeError(f"{name} log_probabilities: expected (time, batch, symbols), the blank the first, got {shape}")
    time, batch, _ = log_probabilities.shape
    check_lengths(lengths, time, batch)
    return valid_steps(lengths.to(log_probabilities.device), time)
