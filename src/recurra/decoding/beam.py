"""Search for the output sequences of a decoder: greedy, by sampling, or with a beam."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from recurra.errors import UsageError
from recurra.lengths import valid_steps


class DecoderOutput(NamedTuple):
    """One step of a decoder, for a batch of rows."""

    log_probabilities: Tensor  # of the next token, nats, (rows, vocabulary)
    attention: Tensor  # weight of each source step, (rows, source_time), or (rows, 0) without attention
    state: Any


class TokenDecoder(Protocol):
    """A model that predicts the next token. A row is one partial output; rows of one source are adjacent."""

    def step(self, tokens: Tensor, state: Any) -> DecoderOutput:
        """Predict the token after `tokens`, (rows,)."""
        ...

    def expand(self, state: Any, size: int) -> Any:
        """Turn the state of one row a source into that of `size` rows a source."""
        ...

    def select(self, state: Any, rows: Tensor, sources: Tensor | None) -> Any:
        """Pick rows of a state; a row may be picked more than once.

        Args:
            state: of all rows.
            rows: indices of the rows, integer (rows,); each replaces a row of the same source.
            sources: indices of the sources that are left, integer (sources,); None if all are.
        """
        ...


class SearchInputs(NamedTuple):
    """A batch of sources to decode."""

    state: Any  # of the decoder before the first token, one row a source
    max_lengths: Tensor  # maximum tokens of each output, the end token included, integer (sources,), 1 or more
    source_lengths: Tensor  # steps of each source that attention covers, integer (sources,); 0 without attention
    start: int  # id of the token before the first one
    end: int  # id of the end token
    banned: int | None = None  # id that is never produced, such as the one of unknown tokens

    def mask_banned(self, log_probabilities: Tensor) -> Tensor:
        """Set the banned token of log-probabilities (rows, vocabulary) to -inf, in place."""
        if self.banned is not None:
            log_probabilities[:, self.banned] = -torch.inf
        return log_probabilities


class Hypothesis(NamedTuple):
    """An output sequence."""

    tokens: list[int]  # without start and end token
    log_probability: float  # nats, of all tokens and the end token
    score: float  # hypotheses are ranked by it
    attention: Tensor  # for each token and last for the end token, (tokens + 1, source_time), on the CPU
    complete: bool  # False if the maximum length cut it off


class BeamOptions(NamedTuple):
    """Options of a beam search.

    The score of a hypothesis Y for a source X is log P(Y|X) / ((5 + |Y|) / 6)^length_penalty, where |Y| counts the
    tokens and the end token, plus coverage_penalty times the sum over the steps of X of log(min(total attention, 1)).

    Source: Wu et al. 2016, equation 14.
    """

    beam_size: int = 5  # open hypotheses for each source; 1 is greedy search
    length_penalty: float = 1.0  # 0 prefers short outputs, 1 is close to the mean log-probability of a token
    coverage_penalty: float = 0.0  # above 0 penalizes source steps without attention
    num_best: int = 1  # hypotheses returned for each source

    def check(self) -> None:
        """Validate the ranges.

        Raises:
            UsageError: a value outside its range.
        """
        if min(self.beam_size, self.num_best) < 1 or min(self.length_penalty, self.coverage_penalty) < 0:
            raise UsageError(
                "beam search: expected beam_size and num_best of at least 1, length_penalty and coverage_penalty of at "
                f"least 0, got {self}"
            )

    def length_divisor(self, num_tokens: Tensor | int) -> Any:
        """The divisor of the log-probability of a hypothesis with `num_tokens` tokens, the end token included."""
        return ((5 + num_tokens) / 6) ** self.length_penalty


Search = Callable[[TokenDecoder, SearchInputs], list[list[Hypothesis]]]  # for each source, the best hypothesis first


def build_search(options: BeamOptions) -> Search:
    """A beam search, or greedy search if the beam size is 1.

    Raises:
        UsageError: an option outside its range.
    """
    options.check()
    if options.beam_size > 1:
        return lambda decoder, inputs: beam_search(decoder, inputs, options)
    return lambda decoder, inputs: [[with_length_penalty(one, options)] for one in decode_without_beam(decoder, inputs)]


def sampling_search(choose: Callable[[Tensor], Tensor]) -> Search:
    """A search that returns one hypothesis a source, its tokens chosen by `choose`; see `decode_without_beam`."""
    return lambda decoder, inputs: [[one] for one in decode_without_beam(decoder, inputs, choose)]


def with_length_penalty(found: Hypothesis, options: BeamOptions) -> Hypothesis:
    """The hypothesis with the score of a beam search without coverage penalty."""
    num_tokens = len(found.tokens) + found.complete
    return found._replace(score=found.log_probability / float(options.length_divisor(num_tokens)))


def most_probable(log_probabilities: Tensor) -> Tensor:
    """The most probable token of each row, (rows,)."""
    return log_probabilities.argmax(1)


def decode_without_beam(
    decoder: TokenDecoder, inputs: SearchInputs, choose: Callable[[Tensor], Tensor] = most_probable
) -> list[Hypothesis]:
    """Decode with a single hypothesis for each source: greedy search or sampling.

    Args:
        decoder: the model.
        inputs: the sources.
        choose: picks a token for each row, (rows,), from log-probabilities (rows, vocabulary).

    Returns:
        One hypothesis a source; its score is its log-probability.
    """
    state, max_lengths, is_open = inputs.state, inputs.max_lengths, inputs.max_lengths > 0
    tokens, chosen, gains, attention = torch.full_like(max_lengths, inputs.start), [], [], []
    while is_open.any():
        output = decoder.step(tokens, state)
        log_probabilities = inputs.mask_banned(output.log_probabilities)
        tokens = torch.where(is_open, choose(log_probabilities), inputs.end)  # (sources,)
        gain = log_probabilities.gather(1, tokens.unsqueeze(1)).squeeze(1)
        gains.append(torch.where(is_open, gain, 0))
        chosen.append(tokens)
        attention.append(output.attention)
        is_open = is_open & (tokens != inputs.end) & (len(chosen) < max_lengths)
        state = output.state
    if not chosen:
        return []
    rows, totals = torch.stack(chosen, 1).tolist(), torch.stack(gains).sum(0).tolist()
    weights = torch.stack(attention, 1).cpu()  # (sources, step, source_time)
    hypotheses = []
    limits = zip(max_lengths.tolist(), inputs.source_lengths.tolist(), strict=True)
    for index, (row, total, (max_length, width)) in enumerate(zip(rows, totals, limits, strict=True)):
        complete = inputs.end in row[:max_length]
        length = row.index(inputs.end) if complete else max_length
        own_weights = weights[index, : length + complete, :width].clone()
        hypotheses.append(Hypothesis(row[:length], total, total, own_weights, complete))
    return hypotheses


class OpenHypotheses(NamedTuple):
    """Hypotheses that have not ended, the same number for each source."""

    sources: Tensor  # indices of the sources, integer (sources,)
    tokens: Tensor  # so far, the start token first, (sources, beam, step + 1)
    totals: Tensor  # log-probability, -inf in unused places, (sources, beam)
    attention: Tensor  # (sources, beam, step, source_time)
    state: Any  # of the decoder, sources x beam rows

    @classmethod
    def start(cls, decoder: TokenDecoder, inputs: SearchInputs, size: int) -> "OpenHypotheses":
        """One hypothesis a source, which holds the start token; the other `size - 1` places are unused."""
        sources = torch.arange(len(inputs.max_lengths), device=inputs.max_lengths.device)
        tokens = sources.new_full((len(sources), size, 1), inputs.start)
        totals = torch.full(tokens.shape[:2], -torch.inf, device=tokens.device)
        totals[:, 0] = 0
        no_attention = torch.zeros(len(sources), size, 0, 0, device=tokens.device)
        return cls(sources, tokens, totals, no_attention, decoder.expand(inputs.state, size))

    def append_attention(self, attention: Tensor) -> Tensor:
        """Attention so far together with that of one more step, (sources, beam, step, source_time)."""
        latest = attention.view(*self.totals.shape, 1, attention.shape[1])
        return latest if self.tokens.shape[2] == 1 else torch.cat([self.attention, latest], 2)

    def extend(self, totals: Tensor, attention: Tensor) -> tuple["OpenHypotheses", Tensor]:
        """Extend by one token and keep the best of each source.

        Args:
            totals: log-probability of each hypothesis with each next token, (sources, beam, vocabulary).
            attention: of all steps, (sources, beam, step, source_time).

        Returns:
            The hypotheses, with the decoder state from before; and the row each was extended from, (sources, beam).
        """
        num_sources, size, vocabulary_size = totals.shape
        best, places = totals.flatten(1).topk(size)  # (sources, beam)
        parents = places // vocabulary_size
        kept = parents.unsqueeze(2)
        tokens = self.tokens.gather(1, kept.expand_as(self.tokens))
        tokens = torch.cat([tokens, (places % vocabulary_size).unsqueeze(2)], 2)
        attention = attention.gather(1, kept.unsqueeze(3).expand_as(attention))
        first_rows = torch.arange(num_sources, device=parents.device).unsqueeze(1) * size
        return OpenHypotheses(self.sources, tokens, best, attention, self.state), first_rows + parents

    def hypothesis(self, row: int, beam: int, score: float, inputs: SearchInputs, *, complete: bool) -> Hypothesis:
        """One of the hypotheses: `row` is the position of its source, `beam` its place among those of the source."""
        width = int(inputs.source_lengths[self.sources[row]])
        attention = self.attention[row, beam, :, :width].cpu().clone()
        return Hypothesis(
            self.tokens[row, beam, 1:].tolist(), float(self.totals[row, beam]), score, attention, complete
        )


def beam_search(decoder: TokenDecoder, inputs: SearchInputs, options: BeamOptions) -> list[list[Hypothesis]]:
    """The best hypotheses found with a beam of open ones for each source.

    The search for a source ends when none of its open hypotheses can still score better than the worst of the
    `num_best` finished ones; see `can_improve`.

    Args:
        decoder: the model.
        inputs: the sources.
        options: beam size, penalties and how many hypotheses to return.

    Returns:
        For each source up to `num_best` hypotheses, the best first. If none has ended, the best incomplete one.

    Raises:
        UsageError: an option outside its range, or a coverage penalty without attention.
    """
    options.check()
    if options.coverage_penalty and not inputs.source_lengths.any():
        raise UsageError(
            f"coverage_penalty: expected 0 without attention, got {options.coverage_penalty}; coverage is measured by "
            "attention"
        )
    finished: list[list[Hypothesis]] = [[] for _ in inputs.max_lengths]
    beams = OpenHypotheses.start(decoder, inputs, options.beam_size)
    while len(beams.sources):
        output = decoder.step(beams.tokens[:, :, -1].flatten(), beams.state)
        totals = beams.totals.unsqueeze(2) + inputs.mask_banned(output.log_probabilities).view(*beams.totals.shape, -1)
        attention = beams.append_attention(output.attention)
        # Every hypothesis, whatever its rank, is also a candidate for ending here. The end token is then excluded from
        # the extensions, so that finished hypotheses take no place from the open ones.
        ending = beams._replace(totals=totals[:, :, inputs.end].clone(), attention=attention)
        add_finished(ending, finished, options, inputs)
        totals[:, :, inputs.end] = -torch.inf
        beams, rows = beams.extend(totals, attention)
        is_open = torch.tensor([can_improve(beams, row, finished, options, inputs) for row in range(len(rows))])
        if is_open.all():
            beams = beams._replace(state=decoder.select(output.state, rows.flatten(), None))
        else:  # sources whose search has ended leave the batch
            kept = is_open.nonzero().squeeze(1).to(rows.device)
            state = decoder.select(output.state, rows[kept].flatten(), kept)
            sources, tokens, totals, attention = (part[kept] for part in beams[:-1])
            beams = OpenHypotheses(sources, tokens, totals, attention, state)
    return finished


def add_finished(
    ending: OpenHypotheses, finished: list[list[Hypothesis]], options: BeamOptions, inputs: SearchInputs
) -> None:
    """Add the hypotheses that end at this step to the finished ones, and keep the `num_best` of each source.

    Args:
        ending: the hypotheses; their totals include the end token.
        finished: for each source the best first; changed in place.
        options: penalties and `num_best`.
        inputs: the sources.
    """
    scores = ending.totals / options.length_divisor(ending.tokens.shape[2])
    if options.coverage_penalty:
        attention = ending.attention
        inside = valid_steps(inputs.source_lengths[ending.sources], attention.shape[3]).t().unsqueeze(1)
        coverage = attention.sum(2).clamp(torch.finfo(attention.dtype).tiny, 1)  # (sources, beam, source_time)
        scores = scores + options.coverage_penalty * torch.where(inside, coverage.log(), 0).sum(2)
    for row, (source, row_scores) in enumerate(zip(ending.sources.tolist(), scores.tolist(), strict=True)):
        best = finished[source]
        for beam, score in enumerate(row_scores):
            if score > (best[-1].score if len(best) == options.num_best else -torch.inf):
                best.append(ending.hypothesis(row, beam, score, inputs, complete=True))
                best.sort(key=lambda one: -one.score)
                del best[options.num_best :]


def can_improve(
    beams: OpenHypotheses, row: int, finished: list[list[Hypothesis]], options: BeamOptions, inputs: SearchInputs
) -> bool:
    """Whether the search for a source goes on.

    If it ends without a finished hypothesis, the best open one is added to `finished` as an incomplete one.
    """
    source = int(beams.sources[row])
    best, max_length, step = finished[source], int(inputs.max_lengths[source]), beams.tokens.shape[2] - 1
    total = float(beams.totals[row].max())
    worst_kept = best[-1].score if len(best) == options.num_best else -torch.inf
    # More tokens only lower the log-probability, the divisor is largest at the maximum length, and the coverage penalty
    # is 0 at best: no continuation can score above this bound.
    if step < max_length and total / float(options.length_divisor(max_length)) > worst_kept:
        return True
    if not best:
        score = total / float(options.length_divisor(step))
        best.append(beams.hypothesis(row, int(beams.totals[row].argmax()), score, inputs, complete=False))
    return False
