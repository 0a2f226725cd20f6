"""Connectionist temporal classification: from a model's symbols frame by frame to what was said or written.

A model gives every symbol and a blank a probability in every frame. An alignment is a choice of one of them in each;
it reads as the symbols that are left when repeats are merged and then blanks removed, so a symbol that is to stand
twice in a row needs a blank between. The probability of a reading is the sum over its alignments.

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
NOTHING = -1  # the parent of an empty prefix, and what stands in places that no prefix has taken

Language = Callable[[Sequence[Sequence[int]]], Tensor]
"""From prefixes to the log-probability of each symbol that may follow, (prefixes, symbols); that of BLANK is of the
end."""


class Reading(NamedTuple):
    """What a sequence of frames may say."""

    symbols: list[int]
    log_probability: float  # nats, of all its alignments that the search has kept
    score: float  # with what language and bonus add; by which readings are ranked


def shortest(target: Sequence[object]) -> int:
    """Frames that a target needs at the least: one for each symbol, and one for a blank inside each repeat.

    In fewer it has no alignment: its loss is infinite.
    """
    return len(target) + sum(one == other for one, other in pairwise(target))


def greedy(log_probabilities: Tensor, lengths: Tensor) -> list[list[int]]:
    """What the likeliest alignment of each sequence reads as; that need not be the likeliest reading.

    Args:
        log_probabilities: of the blank, 0, and the symbols in each frame, (time, batch, symbols); any scores do.
        lengths: valid frames of each sequence, integer (batch,).

    Returns:
        Symbols of each sequence, 1 up.

    Raises:
        ShapeError: log_probabilities have not three axes, or lengths do not belong to them.
    """
    valid = check_frames("greedy", log_probabilities, lengths)
    best = log_probabilities.argmax(2)  # (time, batch)
    is_kept = valid & (best != BLANK)
    is_kept[1:] &= best[1:] != best[:-1]
    return [row[kept].tolist() for row, kept in zip(best.t(), is_kept.t(), strict=True)]


def greedy_readings(log_probabilities: Tensor, lengths: Tensor) -> list[Reading]:
    """What `greedy` reads in each sequence, with the probability of all alignments of that.

    Args:
        log_probabilities: of the blank, 0, and the symbols in each frame, (time, batch, symbols), in nats.
        lengths: valid frames of each sequence, integer (batch,).
    """
    found = greedy(log_probabilities, lengths)
    if not len(log_probabilities):
        return [Reading([], 0.0, 0.0)] * len(found)
    sizes = torch.tensor([len(symbols) for symbols in found])
    targets = torch.tensor([symbol for symbols in found for symbol in symbols], dtype=torch.int64)  # one after another
    nats = F.ctc_loss(log_probabilities.cpu(), targets, lengths.cpu(), sizes, blank=BLANK, reduction="none")
    return [Reading(symbols, -loss, -loss) for symbols, loss in zip(found, nats.tolist(), strict=True)]


def counted_language(targets: Iterable[Sequence[int]], num_symbols: int) -> Language:
    """How often each symbol follows the two before it, smoothed; see `Trigram`.

    Args:
        targets: what to count, symbols in 1..num_symbols-1; empty ones say nothing.
        num_symbols: the blank included.
    """
    ids = [BLANK, BLANK]  # before a beginning, and behind an end
    for target in targets:
        ids += [*target, BLANK, BLANK] if len(target) else []
    trigram, symbols = Trigram(np.array(ids, np.uint32), num_symbols), np.arange(num_symbols)

    def language(prefixes: Sequence[Sequence[int]]) -> Tensor:
        before = np.array([[BLANK, BLANK, *prefix][-2:] for prefix in prefixes]).repeat(num_symbols, 0)
        found = trigram.probabilities(before[:, 0], before[:, 1], np.tile(symbols, len(prefixes)))
        return torch.from_numpy(np.log(found)).view(len(prefixes), num_symbols)

    return language


class Prefixes:
    """Every prefix that was ever under way, by number: the empty ones of the sequences first, then as they grew.

    Args:
        num_sequences: how many sequences there are.
        gain: what each symbol behind any prefix adds to its score, that of the end at BLANK, (symbols,).
        language: what is added to that, or None.
        weight: of the language.
    """

    def __init__(self, num_sequences: int, gain: Tensor, language: Language | None, weight: float) -> None:
        self.last = [(NOTHING, BLANK)] * num_sequences  # parent and last symbol of each
        self.numbers: dict[tuple[int, int], int] = {}
        self.gain, self.language, self.weight = gain, language, weight
        self.gains: dict[int, Tensor] = {}

    def extended(self, parent: int, symbol: int) -> int:
        """Number of a prefix with a symbol behind it; always the same one."""
        number = self.numbers.setdefault((parent, symbol), len(self.last))
        if number == len(self.last):
            self.last.append((parent, symbol))
        return number

    def symbols_of(self, number: int) -> list[int]:
        """A prefix."""
        found = []
        parent, symbol = self.last[number]
        while parent >= 0:
            found.append(symbol)
            parent, symbol = self.last[parent]
        return found[::-1]

    def gains_of(self, numbers: Tensor) -> Tensor:
        """What each symbol adds behind each prefix, that of the end at BLANK, (sequences, beam, symbols)."""
        if self.language is None:
            return self.gain.expand(*numbers.shape, -1)
        flat = numbers.flatten().tolist()
        new = [number for number in flat if number >= 0 and number not in self.gains]
        if new:
            found = self.language([self.symbols_of(number) for number in new])
            self.gains.update(zip(new, self.gain + self.weight * found.to(self.gain), strict=True))
        return torch.stack([self.gains.get(number, self.gain) for number in flat]).view(*numbers.shape, -1)


class Beams(NamedTuple):
    """Prefixes under way: as many of each sequence, the best first; all (sequences, beam)."""

    numbers: Tensor  # in `Prefixes`, NOTHING in places that nothing has taken
    parents: Tensor  # numbers of the prefixes without their last symbols
    symbols: Tensor  # the last ones; BLANK where a prefix is empty
    in_blank: Tensor  # log-probability of the alignments that end in a blank
    in_symbol: Tensor  # log-probability of those that end in the last symbol
    prior: Tensor  # what language and bonus have added

    @classmethod
    def first(cls, num_sequences: int, size: int, like: Tensor) -> "Beams":
        """One empty prefix of each sequence, of which no frame has been read."""
        numbers = torch.full((num_sequences, size), NOTHING, device=like.device)
        nothing = torch.full(numbers.shape, -torch.inf, dtype=like.dtype, device=like.device)
        in_blank = nothing.clone()
        numbers[:, 0], in_blank[:, 0] = torch.arange(num_sequences), 0
        parents, symbols = torch.full_like(numbers, NOTHING), torch.full_like(numbers, BLANK)
        return cls(numbers, parents, symbols, in_blank, nothing, torch.zeros_like(nothing))

    def read(self, frame: Tensor, prefixes: Prefixes) -> "Beams":
        """The best prefixes after one more frame, whose log-probabilities are (sequences, symbols)."""
        total = torch.logaddexp(self.in_blank, self.in_symbol)  # (sequences, beam)
        again = frame.gather(1, self.symbols)  # that the last symbol comes once more
        grown = total.unsqueeze(2) + frame.unsqueeze(1)  # (sequences, beam, symbols), by each symbol
        grown.scatter_(2, self.symbols.unsqueeze(2), (self.in_blank + again).unsqueeze(2))  # a repeat needs a blank

        # What grows into another prefix under way is no new one: its alignments are that one's.
        is_child = self.numbers.unsqueeze(2) == self.parents.unsqueeze(1)  # (sequences, from, into)
        into = grown.gather(2, self.symbols.unsqueeze(1).expand_as(is_child))
        arriving = torch.where(is_child, into, -torch.inf).amax(1)  # from the only one it can come from
        sequences, sources, children = is_child.nonzero(as_tuple=True)
        grown[sequences, sources, self.symbols[sequences, children]] = -torch.inf

        # No prefix grows by a blank, so in the blank's place stands what stays as it is.
        in_blank = total + frame[:, BLANK : BLANK + 1]
        grown[:, :, BLANK] = torch.logaddexp(self.in_symbol + again, arriving)
        totals = grown.clone()
        totals[:, :, BLANK] = torch.logaddexp(grown[:, :, BLANK], in_blank)
        prior = self.prior.unsqueeze(2) + prefixes.gains_of(self.numbers)
        prior[:, :, BLANK] = self.prior
        best, places = (totals + prior).flatten(1).topk(self.numbers.shape[1])
        return self.chosen(best, places, Beams(*self[:3], in_blank, grown, prior), prefixes)

    def chosen(self, best: Tensor, places: Tensor, after: "Beams", prefixes: Prefixes) -> "Beams":
        """The prefixes at some places of what comes after a frame.

        Args:
            best: their scores, (sequences, beam); -inf where there is none.
            places: where among prefix and symbol, flattened, they stand.
            after: in_symbol and prior with symbols as a last axis, BLANK that of what stays.
            prefixes: all of them.
        """
        num_symbols = after.prior.shape[2]
        sources, symbols = places // num_symbols, places % num_symbols
        numbers, stays = self.numbers.gather(1, sources), symbols == BLANK
        triples = zip(best.flatten().tolist(), numbers.flatten().tolist(), symbols.flatten().tolist(), strict=True)
        grown = [
            NOTHING if score == -torch.inf else number if symbol == BLANK else prefixes.extended(number, symbol)
            for score, number, symbol in triples
        ]
        parents = torch.where(stays, self.parents.gather(1, sources), numbers)
        return Beams(
            torch.tensor(grown, dtype=numbers.dtype, device=numbers.device).view_as(numbers),
            torch.where(best > -torch.inf, parents, NOTHING),
            torch.where(stays, self.symbols.gather(1, sources), symbols),
            torch.where(stays, after.in_blank.gather(1, sources), -torch.inf),
            after.in_symbol.flatten(1).gather(1, places),
            after.prior.flatten(1).gather(1, places),
        )


@torch.no_grad()
def prefix_beam(
    log_probabilities: Tensor,
    lengths: Tensor,
    beam: int = 16,
    language: Language | None = None,
    weight: float = 0.5,
    bonus: float = 0.0,
) -> list[list[Reading]]:
    """The best readings found by keeping a few prefixes of each sequence under way, frame by frame.

    The score of a reading Y of frames X is log P(Y|X) + weight log P(Y) + bonus |Y|. What of P(Y|X) runs through
    prefixes that were once dropped is lost, so with a wide enough beam it is exact.

    Args:
        log_probabilities: of the blank, 0, and the symbols in each frame, (time, batch, symbols), in nats.
        lengths: valid frames of each sequence, integer (batch,).
        beam: prefixes kept under way, and readings returned, at the most.
        language: a model of what is read, such as `counted_language`; None for none. It is asked once of each prefix.
        weight: of the language, 0 up.
        bonus: nats that each symbol of a reading is worth; above 0 against a language that prefers short ones.

    Returns:
        Readings of each sequence, the best first; none where nothing has a probability above 0.

    Raises:
        ShapeError: log_probabilities have not three axes, or lengths do not belong to them.
        UsageError: beam below 1, or weight below 0.

    Source: Hannun et al. 2014, First-pass large vocabulary continuous speech recognition using bi-directional recurrent
    DNNs, algorithm 1.
    """
    if beam < 1 or weight < 0:
        raise UsageError(f"prefix_beam: expected beam of 1 up and weight of 0 up, got {beam} and {weight}")
    valid = check_frames("prefix_beam", log_probabilities, lengths)
    frames = log_probabilities.double()
    nothing_new = frames.new_full(frames.shape[2:], -torch.inf)
    nothing_new[BLANK] = 0  # behind its end a sequence goes on with blanks that are certain: all stays as it is
    frames = torch.where(valid.unsqueeze(2), frames, nothing_new)

    gain = torch.full_like(nothing_new, bonus)
    gain[BLANK] = 0
    prefixes = Prefixes(frames.shape[1], gain, language if weight else None, weight)
    beams = Beams.first(frames.shape[1], beam, frames)
    for frame in frames:
        beams = beams.read(frame, prefixes)
    totals = torch.logaddexp(beams.in_blank, beams.in_symbol)
    scores = totals + beams.prior + prefixes.gains_of(beams.numbers)[:, :, BLANK]
    return [
        sorted(
            (
                Reading(prefixes.symbols_of(number), total, score)
                for number, total, score in zip(*row, strict=True)
                if score > -torch.inf
            ),
            key=lambda reading: -reading.score,
        )
        for row in zip(beams.numbers.tolist(), totals.tolist(), scores.tolist(), strict=True)
    ]


def check_frames(name: str, log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Refuse what is no batch of frames; returns which are valid, (time, batch)."""
    if log_probabilities.dim() != 3 or not log_probabilities.shape[2]:
        shape = tuple(log_probabilities.shape)
        raise ShapeError(f"{name} log_probabilities: expected (time, batch, symbols), the blank the first, got {shape}")
    time, batch, _ = log_probabilities.shape
    check_lengths(lengths, time, batch)
    return valid_steps(lengths.to(log_probabilities.device), time)
