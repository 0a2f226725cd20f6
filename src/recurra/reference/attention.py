"""Attention between an encoder and a decoder: four scores, the weighted mean of the memory, and the gradients by hand.

T target time, S source time, B batch, Q query, M memory, A attention. A score's pair of functions knows nothing of
lengths: `attention_forward` gives no weight to the padding, so no gradient comes back to it. But 0 times NaN is NaN, so
where the padding may hold such, `zero_padding` comes first.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ShapeError
from recurra.reference.indices import check_indices
from recurra.reference.output import softmax
from recurra.reference.shapes import Array, Integers, check_shape


class AdditiveScoreCache(NamedTuple):
    """What the forward pass of an additive score keeps; it refers to the arguments, it does not copy them."""

    queries: Array  # (T, B, Q)
    memory: Array  # (S, B, M)
    h: Array  # (T, B, S, A), what tanh returned
    weight_query: Array  # (A, Q)
    weight_memory: Array  # (A, M)
    v: Array  # (A,)


class AdditiveScoreGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_queries: Array  # (T, B, Q)
    d_memory: Array  # (S, B, M)
    d_weight_query: Array  # (A, Q)
    d_weight_memory: Array  # (A, M)
    d_bias: Array  # (A,)
    d_v: Array  # (A,)


class ConcatScoreGradients(NamedTuple):
    """The same for a concat score."""

    d_queries: Array  # (T, B, Q)
    d_memory: Array  # (S, B, M)
    d_weight: Array  # (A, Q + M)
    d_v: Array  # (A,)


class DotScoreCache(NamedTuple):
    """What the forward pass of a dot score keeps; it refers to the arguments, it does not copy them."""

    queries: Array  # (T, B, Q)
    memory: Array  # (S, B, Q)


class DotScoreGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_queries: Array  # (T, B, Q)
    d_memory: Array  # (S, B, Q)


class GeneralScoreCache(NamedTuple):
    """What the forward pass of a general score keeps; it refers to the arguments, it does not copy them."""

    queries: Array  # (T, B, Q)
    memory: Array  # (S, B, M)
    weight: Array  # (Q, M)


class GeneralScoreGradients(NamedTuple):
    """Gradient of the loss at every argument; each of the shape of its argument."""

    d_queries: Array  # (T, B, Q)
    d_memory: Array  # (S, B, M)
    d_weight: Array  # (Q, M)


class AttentionCache(NamedTuple):
    """What the forward pass of attention keeps."""

    weights: Array  # (T, B, S)
    memory: Array  # (S, B, M), 0 in the padding


class AttentionGradients(NamedTuple):
    """Gradient of the loss at the scores and at the memory, as far as the memory is what the weights weigh."""

    d_scores: Array  # (T, B, S)
    d_memory: Array  # (S, B, M)


def additive_score_forward(
    queries: Array, memory: Array, weight_query: Array, weight_memory: Array, bias: Array, v: Array
) -> tuple[Array, AdditiveScoreCache]:
    """Score of each pair: v . tanh(W_q q + W_m m + b).

    Args:
        queries: (target_time, batch, query).
        memory: (source_time, batch, memory).
        weight_query: W_q, (attention, query).
        weight_memory: W_m, (attention, memory).
        bias: b, (attention,).
        v: (attention,).

    Returns:
        Scores (target_time, batch, source_time), and the cache for `additive_score_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Bahdanau et al. 2015; docs/equations.md, Attention.
    """
    check_shape("attention v", v, ("attention",))
    check_shape("attention weight_query", weight_query, (len(v), "query"), "its rows must be the length of v")
    check_shape("attention weight_memory", weight_memory, (len(v), "memory"), "its rows must be the length of v")
    check_shape("attention bias", bias, v.shape, "the length of v")
    check_pairs(queries, memory, weight_query.shape[1], weight_memory.shape[1])
    from_queries = (queries @ weight_query.T)[:, :, np.newaxis]  # (T, B, 1, A)
    from_memory = (memory @ weight_memory.T).swapaxes(0, 1)  # (B, S, A)
    h = np.tanh(from_queries + from_memory + bias)  # (T, B, S, A)
    return h @ v, AdditiveScoreCache(queries, memory, h, weight_query, weight_memory, v)


def additive_score_backward(d_scores: Array, cache: AdditiveScoreCache) -> AdditiveScoreGradients:
    """Gradient of an additive score.

    Args:
        d_scores: loss gradient at every score, (target_time, batch, source_time).
        cache: what `additive_score_forward` returned; left untouched.

    Returns:
        AdditiveScoreGradients: d_queries (target_time, batch, query), d_memory (source_time, batch, memory), then one
        array a weight, each of its shape.

    Raises:
        ShapeError: d_scores does not belong to the cached forward pass.

    Source: docs/equations.md, Attention, backward.
    """
    queries, memory, h, weight_query, weight_memory, v = cache
    check_shape("attention d_scores", d_scores, h.shape[:3], "the shape of the scores")
    d_a = d_scores[..., np.newaxis] * v * (1.0 - h**2)  # (T, B, S, A)
    at_queries, at_memory = d_a.sum(axis=2), d_a.sum(axis=0).swapaxes(0, 1)  # (T, B, A) and (S, B, A)
    return AdditiveScoreGradients(
        d_queries=at_queries @ weight_query,
        d_memory=at_memory @ weight_memory,
        d_weight_query=np.einsum("tba,tbq->aq", at_queries, queries),
        d_weight_memory=np.einsum("sba,sbm->am", at_memory, memory),
        d_bias=d_a.sum(axis=(0, 1, 2)),
        d_v=np.einsum("tbs,tbsa->a", d_scores, h),
    )


def concat_score_forward(queries: Array, memory: Array, weight: Array, v: Array) -> tuple[Array, AdditiveScoreCache]:
    """Score of each pair: v . tanh(W [q; m]), which is the additive one with W = [W_q W_m] and no bias.

    Args:
        queries: (target_time, batch, query).
        memory: (source_time, batch, memory).
        weight: W, (attention, query + memory), the columns for queries first.
        v: (attention,).

    Returns:
        Scores (target_time, batch, source_time), and the cache for `concat_score_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Luong et al. 2015; docs/equations.md, Attention.
    """
    check_pairs(queries, memory, "query", "memory")
    query_size = queries.shape[2]
    columns = query_size + memory.shape[2]
    check_shape("attention weight", weight, ("attention", columns), "its columns must be query + memory")
    check_shape("attention v", v, weight.shape[:1], "its length must equal the rows of weight")
    parts = weight[:, :query_size], weight[:, query_size:]
    return additive_score_forward(queries, memory, *parts, np.zeros_like(v), v)


def concat_score_backward(d_scores: Array, cache: AdditiveScoreCache) -> ConcatScoreGradients:
    """Gradient of a concat score.

    Args:
        d_scores: loss gradient at every score, (target_time, batch, source_time).
        cache: what `concat_score_forward` returned; left untouched.

    Returns:
        ConcatScoreGradients: d_queries (target_time, batch, query), d_memory (source_time, batch, memory), d_weight
        (attention, query + memory), d_v (attention,).

    Raises:
        ShapeError: d_scores does not belong to the cached forward pass.

    Source: docs/equations.md, Attention, backward.
    """
    found = additive_score_backward(d_scores, cache)
    d_weight = np.concatenate([found.d_weight_query, found.d_weight_memory], axis=1)  # (A, Q + M)
    return ConcatScoreGradients(found.d_queries, found.d_memory, d_weight, found.d_v)


def dot_score_forward(queries: Array, memory: Array) -> tuple[Array, DotScoreCache]:
    """Score of each pair: q . m.

    Args:
        queries: (target_time, batch, query).
        memory: of the same width, (source_time, batch, query).

    Returns:
        Scores (target_time, batch, source_time), and the cache for `dot_score_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Luong et al. 2015; docs/equations.md, Attention.
    """
    check_shape("attention queries", queries, ("target_time", "batch", "query"))
    check_pairs(queries, memory, queries.shape[2], queries.shape[2])
    return np.einsum("tbq,sbq->tbs", queries, memory), DotScoreCache(queries, memory)


def dot_score_backward(d_scores: Array, cache: DotScoreCache) -> DotScoreGradients:
    """Gradient of a dot score.

    Args:
        d_scores: loss gradient at every score, (target_time, batch, source_time).
        cache: what `dot_score_forward` returned; left untouched.

    Returns:
        DotScoreGradients: d_queries (target_time, batch, query), d_memory (source_time, batch, query).

    Raises:
        ShapeError: d_scores does not belong to the cached forward pass.

    Source: docs/equations.md, Attention, backward.
    """
    queries, memory = cache
    check_shape("attention d_scores", d_scores, (*queries.shape[:2], len(memory)), "the shape of the scores")
    return DotScoreGradients(
        d_queries=np.einsum("tbs,sbq->tbq", d_scores, memory),
        d_memory=np.einsum("tbs,tbq->sbq", d_scores, queries),
    )


def general_score_forward(queries: Array, memory: Array, weight: Array) -> tuple[Array, GeneralScoreCache]:
    """Score of each pair: q . (W m).

    Args:
        queries: (target_time, batch, query).
        memory: (source_time, batch, memory).
        weight: W, (query, memory).

    Returns:
        Scores (target_time, batch, source_time), and the cache for `general_score_backward`.

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: an array that is not float64.

    Source: Luong et al. 2015; docs/equations.md, Attention.
    """
    check_shape("attention weight", weight, ("query", "memory"))
    check_pairs(queries, memory, *weight.shape)
    return np.einsum("tbq,qm,sbm->tbs", queries, weight, memory), GeneralScoreCache(queries, memory, weight)


def general_score_backward(d_scores: Array, cache: GeneralScoreCache) -> GeneralScoreGradients:
    """Gradient of a general score.

    Args:
        d_scores: loss gradient at every score, (target_time, batch, source_time).
        cache: what `general_score_forward` returned; left untouched.

    Returns:
        GeneralScoreGradients: d_queries (target_time, batch, query), d_memory (source_time, batch, memory), d_weight
        (query, memory).

    Raises:
        ShapeError: d_scores does not belong to the cached forward pass.

    Source: docs/equations.md, Attention, backward.
    """
    queries, memory, weight = cache
    check_shape("attention d_scores", d_scores, (*queries.shape[:2], len(memory)), "the shape of the scores")
    return GeneralScoreGradients(
        d_queries=np.einsum("tbs,qm,sbm->tbq", d_scores, weight, memory),
        d_memory=np.einsum("tbs,tbq,qm->sbm", d_scores, queries, weight),
        d_weight=np.einsum("tbs,tbq,sbm->qm", d_scores, queries, memory),
    )


def attention_forward(scores: Array, memory: Array, lengths: Integers) -> tuple[Array, Array, AttentionCache]:
    """Softmax of the scores over the valid steps of the source, and the mean of the memory with these weights.

    Args:
        scores: of each target step for each source step, (target_time, batch, source_time); in the padding anything.
        memory: (source_time, batch, memory), at least one step; in the padding anything.
        lengths: valid steps of each source, integers in 0..source_time, (batch,).

    Returns:
        context (target_time, batch, memory), weights (target_time, batch, source_time), and the cache for
        `attention_backward`. The weights are 0 in the padding; both are 0 where the length is 0.

    Raises:
        ShapeError: arrays that do not fit each other, or no step of the source.
        UsageError: lengths that are no integers or outside their range; an array that is not float64.

    Source: Bahdanau et al. 2015; docs/equations.md, Attention.
    """
    memory = zero_padding(memory, lengths)
    source_time, batch = memory.shape[:2]
    check_shape("attention scores", scores, ("target_time", batch, source_time), "(batch and steps of memory)")
    if source_time == 0:
        raise ShapeError(f"attention memory: expected at least one step, got {memory.shape}")
    valid = valid_steps(lengths, source_time)  # (B, S)
    weights = np.where(valid, softmax(np.where(valid, scores, np.finfo(float).min)), 0.0)  # (T, B, S)
    return np.einsum("tbs,sbm->tbm", weights, memory), weights, AttentionCache(weights, memory)


def attention_backward(d_context: Array, d_weights: Array, cache: AttentionCache) -> AttentionGradients:
    """Gradient of the weighted mean and of the softmax.

    Args:
        d_context: loss gradient at the context, (target_time, batch, memory).
        d_weights: loss gradient at the weights themselves, (target_time, batch, source_time); zeros where the loss sees
            them through the context only.
        cache: what `attention_forward` returned; left untouched.

    Returns:
        AttentionGradients: d_scores (target_time, batch, source_time), d_memory (source_time, batch, memory), to which
        the score's own d_memory is to be added. Both are 0 in the padding.

    Raises:
        ShapeError: a gradient does not belong to the cached forward pass.

    Source: docs/equations.md, Attention, backward.
    """
    weights, memory = cache
    check_shape("attention d_context", d_context, (*weights.shape[:2], memory.shape[2]), "the shape of the context")
    check_shape("attention d_weights", d_weights, weights.shape, "the shape of the weights")
    d_weights_total = d_weights + np.einsum("tbm,sbm->tbs", d_context, memory)  # (T, B, S)
    mean = (weights * d_weights_total).sum(axis=2, keepdims=True)  # (T, B, 1)
    return AttentionGradients(
        d_scores=weights * (d_weights_total - mean),
        d_memory=np.einsum("tbs,tbm->sbm", weights, d_context),
    )


def zero_padding(memory: Array, lengths: Integers) -> Array:
    """The memory with 0 in place of whatever stands in its padding.

    Args:
        memory: (source_time, batch, memory).
        lengths: valid steps of each source, integers in 0..source_time, (batch,).

    Raises:
        ShapeError: arrays that do not fit each other.
        UsageError: lengths that are no integers or outside their range; a memory that is not float64.
    """
    check_shape("attention memory", memory, ("source_time", "batch", "memory"))
    check_indices("attention lengths", lengths, len(memory) + 1)
    if lengths.shape != memory.shape[1:2]:
        raise ShapeError(f"attention lengths: expected {memory.shape[1:2]}, one a sequence, got {lengths.shape}")
    return np.where(valid_steps(lengths, len(memory)).T[:, :, np.newaxis], memory, 0.0)


def valid_steps(lengths: Integers, source_time: int) -> NDArray[np.bool_]:
    """True where a step belongs to the source, (B, S)."""
    return np.arange(source_time) < lengths[:, np.newaxis]


def check_pairs(queries: Array, memory: Array, query_size: int | str, memory_size: int | str) -> None:
    """Refuse queries and a memory whose widths are not those of the score's weights, or whose batches differ."""
    check_shape("attention queries", queries, ("target_time", "batch", query_size), "the width that the score takes")
    expected = ("source_time", queries.shape[1], memory_size)
    check_shape("attention memory", memory, expected, "(batch of queries, width that the score takes)")
