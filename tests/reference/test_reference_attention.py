"""Attention of the reference against a loop over every pair; its gradients are proved in test_gradients.py."""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference_proofs import Array

from recurra import reference
from recurra.errors import ShapeError, UsageError

TARGET, SOURCE, BATCH, QUERY, MEMORY, ATTENTION = 3, 5, 4, 2, 6, 7
LENGTHS = np.array([3, 0, SOURCE, 1])
SCORES = ("additive", "concat", "dot", "general")


def draw(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def width(score: str) -> int:
    return QUERY if score == "dot" else MEMORY


def arguments(score: str) -> list[Array]:
    """Queries, memory and the weights of a score."""
    v, bias, weight = draw(ATTENTION, seed=3), draw(ATTENTION, seed=4), draw(ATTENTION, QUERY + MEMORY, seed=5)
    weights = {
        "additive": [weight[:, :QUERY], weight[:, QUERY:], bias, v],
        "concat": [weight, v],
        "dot": [],
        "general": [draw(QUERY, MEMORY, seed=6)],
    }
    return [draw(TARGET, BATCH, QUERY, seed=1), draw(SOURCE, BATCH, width(score), seed=2), *weights[score]]


def forward(score: str) -> Callable[..., Any]:
    return getattr(reference, f"{score}_score_forward")


def backward(score: str) -> Callable[..., Any]:
    return getattr(reference, f"{score}_score_backward")


def score_alone(score: str, query: Array, step: Array, *weights: Array) -> float:
    """Of one query and one step of the memory, as the equation says."""
    if score == "additive":
        weight_query, weight_memory, bias, v = weights
        return float(v @ np.tanh(weight_query @ query + weight_memory @ step + bias))
    if score == "concat":
        weight, v = weights
        return float(v @ np.tanh(weight @ np.concatenate([query, step])))
    return float(query @ (weights[0] @ step if weights else step))


@pytest.mark.parametrize("score", SCORES)
def test_all_is_as_computed_pair_by_pair(score: str) -> None:
    queries, memory, *weights = arguments(score)
    scores, _ = forward(score)(queries, memory, *weights)
    context, shares, _ = reference.attention_forward(scores, memory, LENGTHS)
    assert context.shape == (TARGET, BATCH, width(score))
    assert scores.shape == shares.shape == (TARGET, BATCH, SOURCE)
    for t in range(TARGET):
        for b, length in enumerate(LENGTHS):
            alone = [score_alone(score, queries[t, b], memory[s, b], *weights) for s in range(SOURCE)]
            np.testing.assert_allclose(scores[t, b], alone, rtol=1e-12)
            total = sum(np.exp(value) for value in alone[:length])
            expected = [np.exp(alone[s]) / total if s < length else 0.0 for s in range(SOURCE)]
            np.testing.assert_allclose(shares[t, b], expected, rtol=1e-12)
            mean = sum((expected[s] * memory[s, b] for s in range(length)), np.zeros(width(score)))
            np.testing.assert_allclose(context[t, b], mean, rtol=1e-11, atol=1e-13)


def run(score: str, queries: Array, memory: Array, *weights: Array) -> list[Array]:
    """Everything that comes out of a whole pass and back: values, and the gradient of each argument."""
    memory = reference.zero_padding(memory, LENGTHS)
    scores, score_cache = forward(score)(queries, memory, *weights)
    context, shares, cache = reference.attention_forward(scores, memory, LENGTHS)
    found = reference.attention_backward(draw(*context.shape, seed=8), draw(*shares.shape, seed=9), cache)
    d_queries, d_memory, *d_weights = backward(score)(found.d_scores, score_cache)
    return [context, shares, d_queries, d_memory + found.d_memory, *d_weights]


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("score", SCORES)
def test_what_stands_in_the_padding_reaches_nothing(score: str, rubbish: float) -> None:
    queries, memory, *weights = arguments(score)
    padding = np.arange(SOURCE)[:, np.newaxis] >= LENGTHS
    dirty = memory.copy()
    dirty[padding] = rubbish
    clean_results, dirty_results = run(score, queries, memory, *weights), run(score, queries, dirty, *weights)
    assert all(map(np.array_equal, clean_results, dirty_results))
    _, shares, d_queries, d_memory, *_ = dirty_results
    assert not shares[:, padding.T].any()
    assert not d_memory[padding].any()
    assert not d_queries[:, LENGTHS == 0].any()


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf])
def test_scores_and_memory_in_the_padding_need_not_be_numbers(rubbish: float) -> None:
    scores, memory = draw(TARGET, BATCH, SOURCE, seed=1), draw(SOURCE, BATCH, MEMORY, seed=2)
    padding = np.arange(SOURCE)[:, np.newaxis] >= LENGTHS
    dirty_scores, dirty_memory = scores.copy(), memory.copy()
    dirty_scores[:, padding.T] = dirty_memory[padding] = rubbish
    results = []
    for arrays in ((scores, memory), (dirty_scores, dirty_memory)):
        context, shares, cache = reference.attention_forward(*arrays, LENGTHS)
        found = reference.attention_backward(draw(*context.shape, seed=3), draw(*shares.shape, seed=4), cache)
        results.append([context, shares, *found])
    assert all(map(np.array_equal, *results))


def test_huge_scores_leave_only_the_best_step() -> None:
    scores, memory = 1e4 * draw(TARGET, BATCH, SOURCE, seed=1), draw(SOURCE, BATCH, MEMORY, seed=2)
    context, _, cache = reference.attention_forward(scores, memory, LENGTHS)
    for b, length in enumerate(LENGTHS):
        best = scores[:, b, :length].argmax(1) if length else []
        np.testing.assert_array_equal(context[:, b], memory[best, b] if length else np.zeros((TARGET, MEMORY)))
    found = reference.attention_backward(draw(*context.shape, seed=3), draw(*scores.shape, seed=4), cache)
    np.testing.assert_allclose(found.d_scores, 0, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_arguments_and_caches_are_untouched_and_backward_repeats(score: str) -> None:
    given, d_scores = arguments(score), draw(TARGET, BATCH, SOURCE, seed=7)
    scores, score_cache = forward(score)(*given)
    _, _, cache = reference.attention_forward(scores, given[1], LENGTHS)
    d_context = draw(TARGET, BATCH, width(score), seed=8)
    held = [*given, d_scores, *score_cache, *cache, d_context]
    kept = copy.deepcopy(held)
    first, second = (
        [*backward(score)(d_scores, score_cache), *reference.attention_backward(d_context, d_scores, cache)]
        for _ in range(2)
    )
    assert all(map(np.array_equal, first, second))
    assert all(map(np.array_equal, held, kept))


@pytest.mark.parametrize(
    ("score", "place", "shape", "message"),
    [
        ("additive", 0, (TARGET, BATCH, 3), "attention queries: expected (target_time, batch, 2), got (3, 4, 3)"),
        ("additive", 1, (SOURCE, 3, MEMORY), "attention memory: expected (source_time, 4, 6), got (5, 3, 6)"),
        ("additive", 2, (6, QUERY), "attention weight_query: expected (7, query), got (6, 2)"),
        ("additive", 3, (6, MEMORY), "attention weight_memory: expected (7, memory), got (6, 6)"),
        ("additive", 4, (6,), "attention bias: expected (7,), got (6,)"),
        ("additive", 5, (ATTENTION, 1), "attention v: expected (attention,), got (7, 1)"),
        ("concat", 2, (ATTENTION, 7), "attention weight: expected (attention, 8), got (7, 7)"),
        ("concat", 3, (6,), "attention v: expected (7,), got (6,)"),
        ("dot", 1, (SOURCE, BATCH, 3), "attention memory: expected (source_time, 4, 2), got (5, 4, 3)"),
        ("dot", 1, (SOURCE, 3, QUERY), "attention memory: expected (source_time, 4, 2), got (5, 3, 2)"),
        ("general", 2, (MEMORY, QUERY), "attention queries: expected (target_time, batch, 6), got (3, 4, 2)"),
        ("general", 1, (SOURCE, MEMORY), "attention memory: expected (source_time, 4, 6), got (5, 6)"),
    ],
)
def test_arrays_that_do_not_fit_a_score(score: str, place: int, shape: tuple[int, ...], message: str) -> None:
    given = arguments(score)
    given[place] = np.zeros(shape)
    with pytest.raises(ShapeError, match=re.escape(message)):
        forward(score)(*given)


@pytest.mark.parametrize("score", SCORES)
def test_gradients_that_do_not_fit_a_score(score: str) -> None:
    _, cache = forward(score)(*arguments(score))
    with pytest.raises(ShapeError, match=r"attention d_scores: expected \(3, 4, 5\), got \(3, 5, 4\)"):
        backward(score)(np.zeros((TARGET, SOURCE, BATCH)), cache)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"scores": np.zeros((TARGET, SOURCE, BATCH))},
            ShapeError,
            "scores: expected (target_time, 4, 5), got (3, 5, 4)",
        ),
        (
            {"memory": np.zeros((SOURCE, BATCH))},
            ShapeError,
            "memory: expected (source_time, batch, memory), got (5, 4)",
        ),
        ({"memory": np.zeros((SOURCE, BATCH, MEMORY), dtype=np.float32)}, UsageError, "expected a float64 array"),
        ({"lengths": LENGTHS[1:]}, ShapeError, "attention lengths: expected (4,), one a sequence, got (3,)"),
        ({"lengths": LENGTHS + 1}, UsageError, "attention lengths: expected values in 0..5, got 1..6"),
        ({"lengths": LENGTHS.astype(float)}, UsageError, "attention lengths: expected an array of integers"),
    ],
)
def test_arguments_that_do_not_fit_attention(change: dict[str, Any], error: type, message: str) -> None:
    given = {"scores": np.zeros((TARGET, BATCH, SOURCE)), "memory": np.zeros((SOURCE, BATCH, MEMORY))}
    with pytest.raises(error, match=re.escape(message)):
        reference.attention_forward(**given | {"lengths": LENGTHS} | change)


def test_a_source_has_a_step() -> None:
    empty = np.zeros((TARGET, BATCH, 0)), np.zeros((0, BATCH, MEMORY))
    with pytest.raises(ShapeError, match="attention memory: expected at least one step"):
        reference.attention_forward(*empty, np.zeros(BATCH, dtype=int))


@pytest.mark.parametrize(
    ("d_context", "d_weights", "message"),
    [
        ((TARGET, BATCH, 5), (TARGET, BATCH, SOURCE), "d_context: expected (3, 4, 6), got (3, 4, 5)"),
        ((TARGET, BATCH, MEMORY), (TARGET, SOURCE, BATCH), "d_weights: expected (3, 4, 5), got (3, 5, 4)"),
    ],
)
def test_gradients_that_do_not_fit_attention(
    d_context: tuple[int, ...], d_weights: tuple[int, ...], message: str
) -> None:
    scores, memory = draw(TARGET, BATCH, SOURCE, seed=1), draw(SOURCE, BATCH, MEMORY, seed=2)
    _, _, cache = reference.attention_forward(scores, memory, LENGTHS)
    with pytest.raises(ShapeError, match=re.escape(message)):
        reference.attention_backward(np.zeros(d_context), np.zeros(d_weights), cache)
