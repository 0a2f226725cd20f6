"""The linear-chain conditional random field: a loss and a decoder for a tag at every step, and its gradient by hand.

T time, B batch, K tags. The sequences of a batch are of one length. `transitions[i, j]` is the score of tag j right
after tag i; a score as low as -1e4 forbids.
"""

from typing import NamedTuple

import numpy as np

from recurra.errors import ShapeError
from recurra.reference.indices import check_indices
from recurra.reference.shapes import Array, Integers, check_shape


class CRFCache(NamedTuple):
    """What the forward pass keeps; it refers to the arguments, it does not copy them."""

    tags: Integers  # (T, B)
    alphas: Array  # (T, B, K), log-sum over all paths up to a step that end there in a tag
    sums: Array  # (T, B, K), the same before the emission of the step is added
    log_partition: Array  # (B,)
    transitions: Array  # (K, K)
    end: Array  # (K,)


class CRFGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_emissions: Array  # (T, B, K)
    d_transitions: Array  # (K, K)
    d_start: Array  # (K,)
    d_end: Array  # (K,)


def log_sum_exp(scores: Array, axis: int) -> Array:
    """Logarithm of the sum of exponentials along an axis, which goes; no score is too large."""
    largest: Array = scores.max(axis=axis, keepdims=True)
    log_sum: Array = np.log(np.exp(scores - largest).sum(axis=axis))
    return largest.squeeze(axis) + log_sum


def crf_log_partition(emissions: Array, transitions: Array, start: Array, end: Array) -> tuple[Array, Array, Array]:
    """Forward algorithm: the log-sum of the scores of all paths, in time linear in the steps.

    Args:
        emissions: score of each tag at each step, (time, batch, tags), at least one step.
        transitions: score of going from a tag (row) to a tag (column), (tags, tags).
        start: score of beginning with a tag, (tags,).
        end: score of ending with a tag, (tags,).

    Returns:
        The log-partition (batch,), and for the backward pass alphas and sums, each (time, batch, tags): the log-sum of
        all paths that have come to a tag at a step, with and without the emission there.

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: an array that is not float64.

    Source: Lafferty et al. 2001; Rabiner 1989; docs/equations.md, Linear-chain CRF.
    """
    check_scores(emissions, transitions, start, end)
    sums, alphas = np.empty_like(emissions), np.empty_like(emissions)
    for t in range(len(emissions)):
        if t == 0:
            sums[t] = start
        else:
            sums[t] = log_sum_exp(alphas[t - 1][:, :, np.newaxis] + transitions, axis=1)  # (B, from, to) over from
        alphas[t] = sums[t] + emissions[t]
    return log_sum_exp(alphas[-1] + end, axis=1), alphas, sums


def crf_path_score(emissions: Array, tags: Integers, transitions: Array, start: Array, end: Array) -> Array:
    """Score of one path for each sequence.

    Args:
        emissions: (time, batch, tags), at least one step.
        tags: the path, integers in 0..tags-1, (time, batch).
        transitions: from row to column, (tags, tags).
        start: (tags,).
        end: (tags,).

    Returns:
        (batch,).

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: tags that are no integers or outside their range; an array that is not float64.

    Source: Lafferty et al. 2001; docs/equations.md, Linear-chain CRF.
    """
    check_scores(emissions, transitions, start, end)
    check_indices("CRF tags", tags, len(start))
    if tags.shape != emissions.shape[:2]:
        raise ShapeError(f"CRF tags: expected {emissions.shape[:2]}, one a step of emissions, got {tags.shape}")
    emitted = np.take_along_axis(emissions, tags[:, :, np.newaxis], axis=2).sum(axis=(0, 2))  # (B,)
    score: Array = start[tags[0]] + emitted + transitions[tags[:-1], tags[1:]].sum(axis=0) + end[tags[-1]]
    return score


def crf_forward(
    emissions: Array, tags: Integers, transitions: Array, start: Array, end: Array
) -> tuple[Array, CRFCache]:
    """Negative log-likelihood of the right path: log-partition less its score.

    Args:
        emissions: (time, batch, tags), at least one step.
        tags: the right path, integers in 0..tags-1, (time, batch).
        transitions: from row to column, (tags, tags).
        start: (tags,).
        end: (tags,).

    Returns:
        The loss of each sequence in nats, (batch,), and the cache for `crf_backward`.

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: tags that are no integers or outside their range; an array that is not float64.

    Source: Lafferty et al. 2001; docs/equations.md, Linear-chain CRF.
    """
    score = crf_path_score(emissions, tags, transitions, start, end)
    log_partition, alphas, sums = crf_log_partition(emissions, transitions, start, end)
    return log_partition - score, CRFCache(tags, alphas, sums, log_partition, transitions, end)


def crf_backward(d_loss: Array, cache: CRFCache) -> CRFGradients:
    """Gradient of the negative log-likelihood: what the model expects to see less what the right path shows.

    Args:
        d_loss: gradient at the loss of each sequence, (batch,).
        cache: what `crf_forward` returned; left untouched.

    Returns:
        CRFGradients: d_emissions (time, batch, tags), d_transitions (tags, tags), d_start (tags,), d_end (tags,).

    Raises:
        ShapeError: d_loss does not belong to the cached forward pass.

    Source: Lafferty et al. 2001; docs/equations.md, Linear-chain CRF, backward.
    """
    tags, alphas, sums, log_partition, transitions, end = cache
    check_shape("CRF d_loss", d_loss, log_partition.shape, "one a sequence")
    one_hot = np.eye(len(end))[tags] * d_loss[:, np.newaxis]  # (T, B, K)
    d_alphas, d_transitions = np.empty_like(alphas), np.zeros_like(transitions)
    d_alphas[-1] = np.exp(alphas[-1] + end - log_partition[:, np.newaxis]) * d_loss[:, np.newaxis]
    for t in reversed(range(1, len(alphas))):
        shares = np.exp(alphas[t - 1][:, :, np.newaxis] + transitions - sums[t][:, np.newaxis, :])  # (B, from, to)
        d_pairs = shares * d_alphas[t][:, np.newaxis, :]  # (B, from, to)
        d_alphas[t - 1] = d_pairs.sum(axis=2)
        d_transitions += d_pairs.sum(axis=0) - one_hot[t - 1].T @ np.eye(len(end))[tags[t]]
    return CRFGradients(
        d_emissions=d_alphas - one_hot,
        d_transitions=d_transitions,
        d_start=(d_alphas[0] - one_hot[0]).sum(axis=0),
        d_end=(d_alphas[-1] - one_hot[-1]).sum(axis=0),
    )


def crf_viterbi(emissions: Array, transitions: Array, start: Array, end: Array) -> tuple[Integers, Array]:
    """The best path of each sequence: the forward algorithm with the largest in place of the log-sum.

    Args:
        emissions: (time, batch, tags), at least one step.
        transitions: from row to column, (tags, tags).
        start: (tags,).
        end: (tags,).

    Returns:
        tags (time, batch), and the score of that path (batch,).

    Raises:
        ShapeError: arrays that do not fit each other, or no step.
        UsageError: an array that is not float64.

    Source: Viterbi 1967; docs/equations.md, Viterbi.
    """
    check_scores(emissions, transitions, start, end)
    best, pointers = start + emissions[0], []  # (B, K)
    for emission in emissions[1:]:
        arrivals = best[:, :, np.newaxis] + transitions  # (B, from, to)
        pointers.append(arrivals.argmax(axis=1))
        best = arrivals.max(axis=1) + emission
    path = [(best + end).argmax(axis=1)]
    for pointer in reversed(pointers):
        path.append(np.take_along_axis(pointer, path[-1][:, np.newaxis], axis=1).squeeze(1))
    return np.stack(path[::-1]), (best + end).max(axis=1)


def check_scores(emissions: Array, transitions: Array, start: Array, end: Array) -> None:
    """Refuse scores that are not float64 or do not fit each other, and sequences without a step."""
    check_shape("CRF transitions", transitions, ("tags", "tags"))
    num_tags = len(transitions)
    check_shape("CRF transitions", transitions, (num_tags, num_tags), "from each tag to each tag")
    check_shape("CRF start", start, (num_tags,), "its length must equal the rows of transitions")
    check_shape("CRF end", end, (num_tags,), "its length must equal the rows of transitions")
    check_shape(
        "CRF emissions", emissions, ("time", "batch", num_tags), "the last axis must equal the rows of transitions"
    )
    if len(emissions) == 0:
        raise ShapeError(f"CRF emissions: expected at least one step, got {emissions.shape}")
