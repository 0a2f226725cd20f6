"""Writing a sequence token by token, from a start symbol to an end symbol: greedily, by drawing, or with a beam."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from recurra.errors import UsageError
from recurra.lengths import valid_steps


class Next(NamedTuple):
    """What a decoder says of the token that comes next in each row."""

    log_probabilities: Tensor  # nats, (rows, types)
    attention: Tensor  # share of each step of the source in what was read, (rows, source_time), or (rows, 0)
    state: Any


class Decoder(Protocol):
    """What writes: tokens in, what may follow out."""

    def step(self, tokens: Tensor, state: Any) -> Next:
        """What follows on `tokens`, (rows,)."""
        ...

    def select(self, state: Any, rows: Tensor) -> Any:
        """The state of some rows, each any number of times."""
        ...


class Assignment(NamedTuple):
    """What is to be written."""

    state: Any  # of the decoder before the first token of each sequence
    longest: Tensor  # tokens of each sequence at the most, the end among them, integer (sequences,), 1 or more
    start: int  # id of what stands before the first token
    end: int  # id of what ends a sequence


class Hypothesis(NamedTuple):
    """A sequence that was written."""

    tokens: list[int]  # without start and end
    log_probability: float  # nats, of all tokens and the end
    score: float  # by which hypotheses are ranked
    attention: Tensor  # for each token, that for the end last, (tokens + 1, source_time); without attention (.., 0)
    ended: bool  # False where the longest length cut it off


class BeamRules(NamedTuple):
    """How a beam search goes about.

    The score of a hypothesis Y of a source X is log P(Y|X) / ((5 + |Y|) / 6)^length, with |Y| its tokens and the end,
    plus coverage times the sum over X of log(min(attention in all, 1)).

    Source: Wu et al. 2016, equation 14.
    """

    size: int = 5  # hypotheses under way
    length: float = 1.0  # 0 prefers short ones, 1 is nearly the mean
    coverage: float = 0.0  # above 0 punishes source that nothing was read of
    num_best: int = 1  # hypotheses returned of each sequence

    def check(self) -> None:
        """Refuse what makes no search.

        Raises:
            UsageError: a value outside its range.
        """
        if min(self.size, self.num_best) < 1 or min(self.length, self.coverage) < 0:
            raise UsageError(f"beam: expected size and num_best of at least 1, length and coverage of 0 up, got {self}")

    def divisor(self, num_tokens: Tensor | int) -> Any:
        """What the log-probability of so many tokens is divided by."""
        return ((5 + num_tokens) / 6) ** self.length


Search = Callable[
    [Decoder, Assignment, Tensor | None], list[list[Hypothesis]]
]  # the best first; lengths of the sources


def with_choice(choose: Callable[[Tensor], Tensor] | None = None) -> Search:
    """A search that chooses every token once and for all; see `write`."""
    return lambda decoder, what, _: [[one] for one in write(decoder, what, choose or likeliest)]


def with_beam(rules: BeamRules) -> Search:
    """A search that keeps some hypotheses under way; see `beam_search`."""
    return lambda decoder, what, lengths: beam_search(decoder, what, rules, lengths)


def likeliest(log_probabilities: Tensor) -> Tensor:
    """The likeliest token of each row."""
    return log_probabilities.argmax(1)


def write(decoder: Decoder, what: Assignment, choose: Callable[[Tensor], Tensor] = likeliest) -> list[Hypothesis]:
    """Sequences of which every token is chosen once and for all.

    Args:
        decoder: what writes.
        what: which sequences.
        choose: from log-probabilities (rows, types) to a token each, (rows,): the likeliest, or one that is drawn.

    Returns:
        A hypothesis for each sequence, whose score is its log-probability.
    """
    state, longest = what.state, what.longest
    is_open = longest > 0
    tokens = torch.full_like(longest, what.start)
    totals = torch.zeros_like(longest, dtype=torch.float64)
    written, attention = [], []
    while is_open.any():
        found = decoder.step(tokens, state)
        tokens = torch.where(is_open, choose(found.log_probabilities), what.end)  # (sequences,)
        gained = found.log_probabilities.gather(1, tokens.unsqueeze(1)).squeeze(1)
        totals += torch.where(is_open, gained, 0)
        written.append(tokens)
        attention.append(found.attention)
        is_open = is_open & (tokens != what.end) & (len(written) < longest)
        state = found.state
    if not written:
        return []
    rows, read = torch.stack(written, 1).tolist(), torch.stack(attention, 1)  # (sequences, step), (.., source_time)
    hypotheses = []
    for index, (row, total, most) in enumerate(zip(rows, totals.tolist(), longest.tolist(), strict=True)):
        ended = what.end in row[:most]
        length = row.index(what.end) if ended else most
        hypotheses.append(Hypothesis(row[:length], total, total, read[index, : length + ended], ended))
    return hypotheses


class Beams(NamedTuple):
    """Hypotheses under way: as many of each sequence."""

    sequences: Tensor  # which sequences they are of, (sequences,)
    tokens: Tensor  # so far, the start first, (sequences, size, step + 1)
    totals: Tensor  # log-probabilities, those of places that nothing has taken -inf, (sequences, size)
    attention: Tensor  # (sequences, size, step, source_time)
    state: Any  # of the decoder, sequences x size rows

    @classmethod
    def first(cls, decoder: Decoder, what: Assignment, size: int) -> "Beams":
        """One beginning of each sequence."""
        sequences = torch.arange(len(what.longest), device=what.longest.device)
        tokens = sequences.new_full((len(sequences), size, 1), what.start)
        totals = torch.full(tokens.shape[:2], -torch.inf, dtype=torch.float64, device=tokens.device)
        totals[:, 0] = 0
        nothing_read = torch.zeros(len(sequences), size, 0, 0, device=tokens.device)
        state = decoder.select(what.state, sequences.repeat_interleave(size))
        return cls(sequences, tokens, totals, nothing_read, state)

    def read(self, attention: Tensor) -> Tensor:
        """Attention so far with that of one more step, (sequences, size, step, source_time)."""
        latest = attention.view(*self.totals.shape, 1, attention.shape[1])
        return latest if self.tokens.shape[2] == 1 else torch.cat([self.attention, latest], 2)

    def go_on(self, totals: Tensor, read: Tensor, state: Any, decoder: Decoder) -> "Beams":
        """The best ways to go on.

        Args:
            totals: log-probability of each hypothesis with each type behind it, (sequences, size, types).
            read: attention, the step included.
            state: behind the step.
            decoder: whose state it is.
        """
        num_sequences, size, num_types = totals.shape
        best, places = totals.flatten(1).topk(size)  # (sequences, size)
        parents = places // num_types
        kept = parents.unsqueeze(2)
        tokens = self.tokens.gather(1, kept.expand_as(self.tokens))
        tokens = torch.cat([tokens, (places % num_types).unsqueeze(2)], 2)
        read = read.gather(1, kept.unsqueeze(3).expand_as(read))
        first_rows = torch.arange(num_sequences, device=parents.device).unsqueeze(1) * size
        return Beams(self.sequences, tokens, best, read, decoder.select(state, (first_rows + parents).flatten()))

    def select(self, kept: Tensor, decoder: Decoder) -> "Beams":
        """Those of some sequences; `kept` says which, boolean (sequences,)."""
        if kept.all():
            return self
        state = decoder.select(self.state, kept.repeat_interleave(self.totals.shape[1]).nonzero().squeeze(1))
        return Beams(self.sequences[kept], self.tokens[kept], self.totals[kept], self.attention[kept], state)


def beam_search(
    decoder: Decoder, what: Assignment, rules: BeamRules, source_lengths: Tensor | None = None
) -> list[list[Hypothesis]]:
    """The best hypotheses found by keeping a few of each sequence under way.

    A sequence is done when none of those under way could still become better than the worst that is returned, whatever
    it went on with.

    Args:
        decoder: what writes.
        what: which sequences.
        rules: how.
        source_lengths: steps of each source, integer (sequences,); needed where coverage counts.

    Returns:
        Of each sequence up to `num_best` hypotheses, the best first. Where none has come to its end there is one, the
        best of those that were cut off.

    Raises:
        UsageError: a rule outside its range.
    """
    rules.check()
    found: list[list[Hypothesis]] = [[] for _ in what.longest]
    beams = Beams.first(decoder, what, rules.size)
    while len(beams.sequences):
        after = decoder.step(beams.tokens[:, :, -1].flatten(), beams.state)
        totals = beams.totals.unsqueeze(2) + after.log_probabilities.view(*beams.totals.shape, -1)
        read = beams.read(after.attention)
        lengths = None if source_lengths is None else source_lengths[beams.sequences]
        close(beams, totals[:, :, what.end].clone(), read, found, rules, lengths)
        totals[:, :, what.end] = -torch.inf
        beams = beams.go_on(totals, read, after.state, decoder)
        kept = [is_open(beams, place, found, rules, what) for place in range(len(beams.sequences))]
        beams = beams.select(torch.tensor(kept, device=totals.device), decoder)
    return found


def close(
    beams: Beams,
    totals: Tensor,
    read: Tensor,
    found: list[list[Hypothesis]],
    rules: BeamRules,
    source_lengths: Tensor | None,
) -> None:
    """Add to what is found the hypotheses that end here, with log-probabilities (sequences, size) then."""
    scores = totals / rules.divisor(beams.tokens.shape[2])
    if rules.coverage and source_lengths is not None and read.shape[3]:
        inside = valid_steps(source_lengths, read.shape[3]).t().unsqueeze(1)  # (sequences, 1, source_time)
        shares = read.sum(2).clamp(torch.finfo(read.dtype).tiny, 1)  # (sequences, size, source_time)
        scores = scores + rules.coverage * torch.where(inside, shares.log(), 0).sum(2)
    for place, (sequence, row) in enumerate(zip(beams.sequences.tolist(), scores.tolist(), strict=True)):
        for beam, score in enumerate(row):
            best = found[sequence]
            if score > (best[-1].score if len(best) == rules.num_best else -torch.inf):
                tokens = beams.tokens[place, beam, 1:].tolist()
                best.append(Hypothesis(tokens, float(totals[place, beam]), score, read[place, beam], True))
                best.sort(key=lambda one: -one.score)
                del best[rules.num_best :]


def is_open(beams: Beams, place: int, found: list[list[Hypothesis]], rules: BeamRules, what: Assignment) -> bool:
    """Whether the search for one of the sequences goes on; where it ends without a result, the best there is."""
    sequence = int(beams.sequences[place])
    best, longest, step = found[sequence], int(what.longest[sequence]), beams.tokens.shape[2] - 1
    total = float(beams.totals[place].max())
    if step < longest:  # no more than the longest divisor and full coverage could come to its help
        bar = best[-1].score if len(best) == rules.num_best else -torch.inf
        return total / float(rules.divisor(longest)) > bar
    if not best:
        beam = int(beams.totals[place].argmax())
        tokens, read = beams.tokens[place, beam, 1:].tolist(), beams.attention[place, beam]
        best.append(Hypothesis(tokens, total, total / float(rules.divisor(step)), read, False))
    return False
