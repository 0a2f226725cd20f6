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


class Stepper(Protocol):
    """What writes: tokens in, what may follow out. A row is one text under way, those about one source side by side."""

    def step(self, tokens: Tensor, state: Any) -> Next:
        """What follows on `tokens`, (rows,)."""
        ...

    def spread(self, state: Any, size: int) -> Any:
        """The state of one row a source as that of `size` rows a source."""
        ...

    def select(self, state: Any, rows: Tensor, sources: Tensor | None) -> Any:
        """The state of some rows, each any number of times, as many about each source as before.

        Args:
            state: of all rows.
            rows: which, (rows,); each takes the place of one about the same source.
            sources: which sources these are about, where they are no longer all, (sources,).
        """
        ...


class Assignment(NamedTuple):
    """What is to be written."""

    state: Any  # of the decoder before the first token about each source
    longest: Tensor  # tokens of each text at the most, the end among them, integer (sources,), 1 or more
    source_lengths: Tensor  # steps of each source that can be read, integer (sources,); 0 where nothing is read
    start: int  # id of what stands before the first token
    end: int  # id of what ends a text
    never: int | None = None  # id that is never written, such as that of unknown tokens

    def allowed(self, log_probabilities: Tensor) -> Tensor:
        """Log-probabilities (rows, types) without what is never written."""
        if self.never is not None:
            log_probabilities[:, self.never] = -torch.inf
        return log_probabilities


class Hypothesis(NamedTuple):
    """A text that was written."""

    tokens: list[int]  # without start and end
    log_probability: float  # nats, of all tokens and the end
    score: float  # by which hypotheses are ranked
    attention: Tensor  # for each token, that for the end last, (tokens + 1, steps of the source), on the CPU
    ended: bool  # False where the longest length cut it off


class BeamRules(NamedTuple):
    """How a beam search goes about.

    The score of a hypothesis Y of a source X is log P(Y|X) / ((5 + |Y|) / 6)^length, with |Y| its tokens and the end,
    plus coverage times the sum over X of log(min(attention in all, 1)).

    Source: Wu et al. 2016, equation 14.
    """

    size: int = 5  # hypotheses under way; with 1 the likeliest token is taken each time
    length: float = 1.0  # 0 prefers short ones, 1 is nearly the mean
    coverage: float = 0.0  # above 0 punishes source that nothing was read of
    num_best: int = 1  # hypotheses returned about each source

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


Search = Callable[[Stepper, Assignment], list[list[Hypothesis]]]  # about each source, the best first


def searching(rules: BeamRules) -> Search:
    """The search of some rules: with a beam or, where this is of size 1, greedily.

    Raises:
        UsageError: a rule outside its range.
    """
    rules.check()
    if rules.size > 1:
        return lambda decoder, what: beam_search(decoder, what, rules)
    return lambda decoder, what: [[ranked(one, rules)] for one in write(decoder, what)]


def drawing(choose: Callable[[Tensor], Tensor]) -> Search:
    """A search that chooses every token once and for all; see `write`."""
    return lambda decoder, what: [[one] for one in write(decoder, what, choose)]


def ranked(found: Hypothesis, rules: BeamRules) -> Hypothesis:
    """A hypothesis with the score that a beam search would give it but for coverage."""
    num_tokens = len(found.tokens) + found.ended
    return found._replace(score=found.log_probability / float(rules.divisor(num_tokens)))


def likeliest(log_probabilities: Tensor) -> Tensor:
    """The likeliest token of each row."""
    return log_probabilities.argmax(1)


def write(decoder: Stepper, what: Assignment, choose: Callable[[Tensor], Tensor] = likeliest) -> list[Hypothesis]:
    """Texts of which every token is chosen once and for all.

    Args:
        decoder: what writes.
        what: about which sources.
        choose: from log-probabilities (rows, types) to a token each, (rows,): the likeliest, or one that is drawn.

    Returns:
        A hypothesis about each source, whose score is its log-probability.
    """
    state, longest, is_open = what.state, what.longest, what.longest > 0
    tokens, written, gained, read = torch.full_like(longest, what.start), [], [], []
    while is_open.any():
        found = decoder.step(tokens, state)
        log_probabilities = what.allowed(found.log_probabilities)
        tokens = torch.where(is_open, choose(log_probabilities), what.end)  # (sources,)
        gain = log_probabilities.gather(1, tokens.unsqueeze(1)).squeeze(1)
        gained.append(torch.where(is_open, gain, 0))
        written.append(tokens)
        read.append(found.attention)
        is_open = is_open & (tokens != what.end) & (len(written) < longest)
        state = found.state
    if not written:
        return []
    rows, totals = torch.stack(written, 1).tolist(), torch.stack(gained).sum(0).tolist()
    attention = torch.stack(read, 1).cpu()  # (sources, step, source_time)
    hypotheses = []
    limits = zip(longest.tolist(), what.source_lengths.tolist(), strict=True)
    for index, (row, total, (most, width)) in enumerate(zip(rows, totals, limits, strict=True)):
        ended = what.end in row[:most]
        length = row.index(what.end) if ended else most
        seen = attention[index, : length + ended, :width].clone()
        hypotheses.append(Hypothesis(row[:length], total, total, seen, ended))
    return hypotheses


class Beams(NamedTuple):
    """Hypotheses under way: as many about each source."""

    sources: Tensor  # which these are about, (sources,)
    tokens: Tensor  # so far, the start first, (sources, size, step + 1)
    totals: Tensor  # log-probabilities, those of places that nothing has taken -inf, (sources, size)
    attention: Tensor  # (sources, size, step, source_time)
    state: Any  # of the decoder, sources x size rows

    @classmethod
    def first(cls, decoder: Stepper, what: Assignment, size: int) -> "Beams":
        """One beginning about each source."""
        sources = torch.arange(len(what.longest), device=what.longest.device)
        tokens = sources.new_full((len(sources), size, 1), what.start)
        totals = torch.full(tokens.shape[:2], -torch.inf, device=tokens.device)
        totals[:, 0] = 0
        nothing_read = torch.zeros(len(sources), size, 0, 0, device=tokens.device)
        return cls(sources, tokens, totals, nothing_read, decoder.spread(what.state, size))

    def read(self, attention: Tensor) -> Tensor:
        """Attention so far with that of one more step, (sources, size, step, source_time)."""
        latest = attention.view(*self.totals.shape, 1, attention.shape[1])
        return latest if self.tokens.shape[2] == 1 else torch.cat([self.attention, latest], 2)

    def go_on(self, totals: Tensor, read: Tensor) -> tuple["Beams", Tensor]:
        """The best ways to go on.

        Args:
            totals: log-probability of each hypothesis with each type behind it, (sources, size, types).
            read: attention, the step included.

        Returns:
            Them, the state still that of before; and the row from which each came, (sources, size).
        """
        num_sources, size, vocabulary_size = totals.shape
        best, places = totals.flatten(1).topk(size)  # (sources, size)
        parents = places // vocabulary_size
        kept = parents.unsqueeze(2)
        tokens = self.tokens.gather(1, kept.expand_as(self.tokens))
        tokens = torch.cat([tokens, (places % vocabulary_size).unsqueeze(2)], 2)
        read = read.gather(1, kept.unsqueeze(3).expand_as(read))
        first_rows = torch.arange(num_sources, device=parents.device).unsqueeze(1) * size
        return Beams(self.sources, tokens, best, read, self.state), first_rows + parents

    def hypothesis(self, place: int, beam: int, score: float, ended: bool, what: Assignment) -> Hypothesis:
        """One of them by itself."""
        width = int(what.source_lengths[self.sources[place]])
        seen = self.attention[place, beam, :, :width].cpu().clone()
        return Hypothesis(self.tokens[place, beam, 1:].tolist(), float(self.totals[place, beam]), score, seen, ended)


def beam_search(decoder: Stepper, what: Assignment, rules: BeamRules) -> list[list[Hypothesis]]:
    """The best hypotheses found by keeping a few about each source under way.

    A source is done when none of those under way could still become better than the worst that is returned, whatever
    it went on with.

    Args:
        decoder: what writes.
        what: about which sources.
        rules: how.

    Returns:
        About each source up to `num_best` hypotheses, the best first. Where none has come to its end there is one, the
        best of those that were cut off.

    Raises:
        UsageError: a rule outside its range, or coverage of sources that nothing is read of.
    """
    rules.check()
    if rules.coverage and not what.source_lengths.any():
        raise UsageError("coverage_penalty: expected 0 without attention, which reads nothing of a source")
    found: list[list[Hypothesis]] = [[] for _ in what.longest]
    beams = Beams.first(decoder, what, rules.size)
    while len(beams.sources):
        after = decoder.step(beams.tokens[:, :, -1].flatten(), beams.state)
        totals = beams.totals.unsqueeze(2) + what.allowed(after.log_probabilities).view(*beams.totals.shape, -1)
        read = beams.read(after.attention)
        ending = beams._replace(totals=totals[:, :, what.end].clone(), attention=read)
        close(ending, found, rules, what)
        totals[:, :, what.end] = -torch.inf
        beams, rows = beams.go_on(totals, read)
        kept = torch.tensor([is_open(beams, place, found, rules, what) for place in range(len(rows))])
        if kept.all():
            beams = beams._replace(state=decoder.select(after.state, rows.flatten(), None))
        else:
            places = kept.nonzero().squeeze(1).to(rows.device)
            state = decoder.select(after.state, rows[places].flatten(), places)
            sources, tokens, totals, read = (part[places] for part in beams[:-1])
            beams = Beams(sources, tokens, totals, read, state)
    return found


def close(beams: Beams, found: list[list[Hypothesis]], rules: BeamRules, what: Assignment) -> None:
    """Add to what is found the hypotheses that end here; their totals are with the end."""
    scores = beams.totals / rules.divisor(beams.tokens.shape[2])
    if rules.coverage:
        read = beams.attention
        inside = valid_steps(what.source_lengths[beams.sources], read.shape[3]).t().unsqueeze(1)
        shares = read.sum(2).clamp(torch.finfo(read.dtype).tiny, 1)  # (sources, size, source_time)
        scores = scores + rules.coverage * torch.where(inside, shares.log(), 0).sum(2)
    for place, (source, row) in enumerate(zip(beams.sources.tolist(), scores.tolist(), strict=True)):
        best = found[source]
        for beam, score in enumerate(row):
            if score > (best[-1].score if len(best) == rules.num_best else -torch.inf):
                best.append(beams.hypothesis(place, beam, score, True, what))
                best.sort(key=lambda one: -one.score)
                del best[rules.num_best :]


def is_open(beams: Beams, place: int, found: list[list[Hypothesis]], rules: BeamRules, what: Assignment) -> bool:
    """Whether the search about one of the sources goes on; where it ends without a result, the best there is is one."""
    source = int(beams.sources[place])
    best, longest, step = found[source], int(what.longest[source]), beams.tokens.shape[2] - 1
    total = float(beams.totals[place].max())
    bar = best[-1].score if len(best) == rules.num_best else -torch.inf
    # No more than the divisor of the longest text and full coverage could come to their help.
    if step < longest and total / float(rules.divisor(longest)) > bar:
        return True
    if not best:
        score = total / float(rules.divisor(step))
        best.append(beams.hypothesis(place, int(beams.totals[place].argmax()), score, False, what))
    return False
