"""The linear-chain conditional random field: a loss, a decoder and probabilities for a tag at every step."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError, UsageError
from recurra.lengths import check_lengths, valid_steps

FORBIDDEN = -1e30  # a score whose exponential is 0; finite, so that no difference of two is NaN


class Allowed(NamedTuple):
    """Which paths there are: True where a tag may stand."""

    transitions: Tensor  # (tags, tags), from row to column
    start: Tensor  # (tags,)


def bio_constraints(labels: Sequence[str]) -> Allowed:
    """What BIO labels allow: I-city stands right after B-city or I-city only, and never at the start.

    Args:
        labels: names in the order of the tags, such as "O", "B-city", "I-city"; one without B- or I- is free.

    Returns:
        Allowed, for `LinearChainCRF`.

    Raises:
        UsageError: an I- label without its B- label, which no path could ever reach.
    """
    for label in labels:
        if label.startswith("I-") and f"B-{label[2:]}" not in labels:
            raise UsageError(
                f"bio_constraints: label {label!r} without 'B-{label[2:]}' can never begin; add that label"
            )
    transitions = [
        [not label.startswith("I-") or before in (f"B-{label[2:]}", label) for label in labels] for before in labels
    ]
    return Allowed(torch.tensor(transitions), torch.tensor([not label.startswith("I-") for label in labels]))


class LinearChainCRF(nn.Module):
    """Scores whole paths of tags: a model's score of each tag at each step, and learned ones for going between tags.

    Time-major, with lengths of any order, 0 allowed; what stands in the padding never matters. All scores begin at 0,
    where the tags do not depend on each other. It computes in the type of its parameters.

    Args:
        num_tags: how many tags there are.
        allowed: paths that there are, such as `bio_constraints(labels)`; None for all. All others have probability 0,
            are never decoded, and their scores get no gradient. It is not part of the state_dict.

    Attributes:
        transitions: score of going from a tag (row) to a tag (column), (num_tags, num_tags).
        start: score of beginning with a tag, (num_tags,).
        end: score of ending with a tag, (num_tags,).

    Raises:
        ShapeError: allowed is not of these shapes.
        UsageError: no tags; allowed is not boolean, or there is no start, or a tag that no tag may follow.

    Source: Lafferty et al. 2001; Collobert et al. 2011; docs/equations.md, Linear-chain CRF.
    """

    allowed_transitions: Tensor | None
    allowed_start: Tensor | None

    def __init__(self, num_tags: int, *, allowed: Allowed | None = None) -> None:
        super().__init__()
        if num_tags < 1:
            raise UsageError(f"LinearChainCRF num_tags: expected at least 1, got {num_tags}")
        if allowed is not None:
            _check_allowed(allowed, num_tags)
        self.num_tags = num_tags
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))
        self.register_buffer("allowed_transitions", allowed and allowed.transitions.clone(), persistent=False)
        self.register_buffer("allowed_start", allowed and allowed.start.clone(), persistent=False)

    def forward(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Negative log-likelihood of each sequence's tags.

        Args:
            emissions: score of each tag at each step, (time, batch, num_tags).
            tags: the right tag at each step, integer (time, batch); in the padding anything.
            lengths: valid steps of each sequence, integer (batch,).

        Returns:
            Loss in nats of each whole sequence, (batch,); 0 where the length is 0. It can be differentiated once.

        Raises:
            ShapeError: emissions, tags and lengths do not fit together.
            UsageError: tags that are no integers, outside 0..num_tags-1, or on a path that is not allowed.
        """
        emissions, valid = self._read(emissions, lengths)
        if tags.shape != valid.shape:
            raise ShapeError(
                f"LinearChainCRF tags: expected {tuple(valid.shape)}, one a step of emissions, got {tuple(tags.shape)}"
            )
        if tags.is_floating_point():
            raise UsageError(f"LinearChainCRF tags: expected integers, got {tags.dtype}")
        tags = torch.where(valid, tags, 0).long()
        self._check_path(tags, valid)
        scores = self._scores()
        return _log_partition(emissions, valid, *scores) - _path_score(emissions, valid, tags, *scores)

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The best path of each sequence, by the algorithm of Viterbi 1967.

        Args:
            emissions: (time, batch, num_tags).
            lengths: valid steps of each sequence, integer (batch,).

        Returns:
            tags int64 (time, batch), -1 in the padding; and the score of each path, (batch,), without a gradient.

        Raises:
            ShapeError: emissions and lengths do not fit together.
        """
        emissions, valid = self._read(emissions, lengths)
        if emissions.numel() == 0:
            return valid.long(), emissions.sum((0, 2))
        transitions, start, end = self._scores()
        into = transitions.t().contiguous()  # (to, from)
        bests = [start + emissions[0]]  # (batch, tags)
        for emission in emissions[1:]:
            arrivals = bests[-1].unsqueeze(1) + into  # (batch, to, from)
            bests.append(arrivals.amax(2) + emission)
        score, tag = (torch.stack(bests)[_last_step(valid)] + end).max(1)  # (batch,)
        path = [tag]
        for t in reversed(range(len(bests) - 1)):
            before = (bests[t] + into[tag]).argmax(1)
            tag = torch.where(valid[t + 1], before, tag)  # behind its end a sequence stays where it ends
            path.append(tag)
        return torch.where(valid, torch.stack(path[::-1]), -1), torch.where(valid[0], score, 0)

    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Probability of each tag at each step, given the whole sequence.

        Args:
            emissions: (time, batch, num_tags).
            lengths: valid steps of each sequence, integer (batch,).

        Returns:
            (time, batch, num_tags), without a gradient; 0 in the padding.

        Raises:
            ShapeError: emissions and lengths do not fit together.
        """
        with torch.inference_mode(False), torch.enable_grad():
            emissions, valid = self._read(emissions.detach().clone(), lengths.clone())
            scores = [score.detach() for score in self._scores()]
            total = _log_partition(emissions.requires_grad_(), valid, *scores).sum()
            return torch.autograd.grad(total, emissions)[0]  # that is what the gradient of the log-partition is

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        return f"{self.num_tags}" + ("" if self.allowed_start is None else ", constrained")

    def _read(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Emissions with 0 in the padding, and the mask of what is valid, (time, batch)."""
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags:
            raise ShapeError(
                f"LinearChainCRF emissions: expected (time, batch, {self.num_tags}), got {tuple(emissions.shape)}; "
                "the last axis must equal num_tags"
            )
        time, batch, _ = emissions.shape
        check_lengths(lengths, time, batch)
        valid = valid_steps(lengths.to(emissions.device), time)  # (time, batch)
        return torch.where(valid.unsqueeze(2), emissions.to(self.start.dtype), 0), valid

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions, start and end, with what is not allowed out of reach."""
        transitions: Tensor = self.transitions
        start: Tensor = self.start
        if self.allowed_transitions is not None and self.allowed_start is not None:
            transitions = torch.where(self.allowed_transitions, transitions, FORBIDDEN)
            start = torch.where(self.allowed_start, start, FORBIDDEN)
        return transitions, start, self.end

    def _check_path(self, tags: Tensor, valid: Tensor) -> None:
        """Refuse tags, 0 in the padding, that there are not or that may not stand there."""
        if tags.numel() and not (int(tags.min()) >= 0 and int(tags.max()) < self.num_tags):
            found = f"{int(tags.min())}..{int(tags.max())}"
            raise UsageError(f"LinearChainCRF tags: expected 0..{self.num_tags - 1} in every valid step, got {found}")
        if self.allowed_transitions is None or self.allowed_start is None:
            return
        allowed = torch.cat([self.allowed_start[tags[:1]], self.allowed_transitions[tags[:-1], tags[1:]]])
        wrong = (valid & ~allowed).nonzero()
        if len(wrong):
            step, row = wrong[0].tolist()
            before = f"after tag {int(tags[step - 1, row])}" if step else "at the start"
            where = f"sequence {row}, step {step}: tag {int(tags[step, row])} {before}"
            raise UsageError(f"LinearChainCRF tags: {where} is not allowed; correct the tags, or allow it")


def _check_allowed(allowed: Allowed, num_tags: int) -> None:
    for name, mask, shape in (
        ("transitions", allowed.transitions, (num_tags, num_tags)),
        ("start", allowed.start, (num_tags,)),
    ):
        if tuple(mask.shape) != shape:
            raise ShapeError(f"LinearChainCRF allowed.{name}: expected {shape}, got {tuple(mask.shape)}")
        if mask.dtype != torch.bool:
            raise UsageError(f"LinearChainCRF allowed.{name}: expected bool, True where allowed, got {mask.dtype}")
    if not allowed.start.any():
        raise UsageError("LinearChainCRF allowed.start: expected at least one tag to begin with, got none")
    if not allowed.transitions.any(1).all():
        stuck = int(allowed.transitions.any(1).logical_not().nonzero()[0])
        raise UsageError(f"LinearChainCRF allowed.transitions: expected a tag that may follow tag {stuck}, got none")


def _last_step(valid: Tensor) -> tuple[Tensor, Tensor]:
    """Index of each sequence's last valid step, or of its first where there is none, into (time, batch, ...)."""
    last = (valid.sum(0) - 1).clamp_min(0)
    return last, torch.arange(len(last), device=last.device)


def _path_score(
    emissions: Tensor, valid: Tensor, tags: Tensor, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """Score of one path for each sequence, (batch,); tags and emissions are 0 in the padding."""
    if emissions.numel() == 0:
        return emissions.sum((0, 2))
    emitted = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)  # (time, batch)
    followed = torch.where(valid[1:], transitions[tags[:-1], tags[1:]], 0)  # (time - 1, batch)
    ends = start[tags[0]] + end[tags[_last_step(valid)]]  # (batch,)
    return emitted.sum(0) + followed.sum(0) + torch.where(valid[0], ends, 0)


def _log_partition(emissions: Tensor, valid: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Forward algorithm: log-sum of the scores of all paths of each sequence, (batch,)."""
    if emissions.numel() == 0:
        return emissions.sum((0, 2))
    by_products: Tensor
    with torch.autocast(emissions.device.type, enabled=False):
        by_products, is_exact = _ByProducts.apply(emissions, valid, transitions, start, end)
    if is_exact:
        return by_products
    alphas = [start + emissions[0]]  # (batch, tags)
    for emission in emissions[1:]:
        arrivals = alphas[-1].unsqueeze(2) + transitions  # (batch, from, to)
        alphas.append(arrivals.logsumexp(1) + emission)
    log_sums = (torch.stack(alphas)[_last_step(valid)] + end).logsumexp(1)  # (batch,)
    return torch.where(valid[0], log_sums, 0)


class _ByProducts(torch.autograd.Function):
    """Forward algorithm by products of matrices, its gradient by hand; docs/equations.md, Linear-chain CRF, backward.

    A product adds exponentials, each of a score less the largest beside it. It is not exact where scores lie so far
    apart that one which counts could vanish.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, valid: Tensor, transitions: Tensor, start: Tensor, end: Tensor
    ) -> tuple[Tensor, bool]:
        """Log-partition (batch,), and whether it is exact."""
        largest = transitions.amax(0)  # (to,)
        factors = (transitions - largest).exp()  # (from, to)
        alpha = start + emissions[0]  # (batch, tags)
        arrivals = (emissions[1:] + largest).unbind()  # what was taken off the transitions comes back here
        alphas, shifts, weights, sums = [], [], [], []
        for t in range(len(emissions)):
            shifts.append(alpha.amax(1, keepdim=True))  # (batch, 1)
            alphas.append(alpha - shifts[t])
            weights.append(alphas[t].exp())
            if t < len(arrivals):
                sums.append(weights[t] @ factors)
                alpha = sums[t].log() + arrivals[t]
        last = torch.stack(alphas)[_last_step(valid)] + end  # (batch, tags)
        log_sums = torch.where(valid, torch.cat(shifts, 1).t(), 0).sum(0) + last.logsumexp(1)  # (batch,)
        all_sums = torch.stack(sums) if sums else emissions[1:]  # (time - 1, batch, tags)
        ctx.save_for_backward(valid, factors, torch.stack(weights), all_sums, last.softmax(1))
        limits = torch.finfo(emissions.dtype)
        # What vanished was less than tiny, so beside such sums it is nothing.
        is_exact = not sums or float(all_sums.min()) > limits.tiny / limits.eps**2
        return torch.where(valid[0], log_sums, 0), is_exact

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_log_partition: Tensor, _: None) -> tuple[Tensor | None, ...]:
        """From the end on, the gradient at each tag is shared out among the tags before it."""
        valid, factors, weights, sums, final = ctx.saved_tensors
        d_final = final * torch.where(valid[0], d_log_partition, 0).unsqueeze(1)  # (batch, tags)
        d_alphas, shares = torch.zeros_like(weights), torch.empty_like(sums)
        d_alphas[_last_step(valid)] = d_final
        with torch.autocast(weights.device.type, enabled=False):
            for t in reversed(range(len(sums))):
                torch.div(d_alphas[t + 1], sums[t], out=shares[t])
                d_alphas[t].addcmul_(weights[t], shares[t] @ factors.t())
            d_pairs = weights[:-1].flatten(0, 1).t() @ shares.flatten(0, 1)  # (from, to)
        return d_alphas, None, factors * d_pairs, d_alphas[0].sum(0), d_final.sum(0)
