"""Attention against the reference, gradients included; the padding and the rest of the batch never count."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layer_table import DOUBLE, draw, gradients
from torch import Tensor

from recurra import reference
from recurra.errors import ShapeError, UsageError
from recurra.nn import Attention, Memory
from recurra.nn.attention import _AdditiveScores

TARGET, SOURCE, QUERY, MEMORY, WIDTH = 3, 5, 2, 6, 7
LENGTHS = torch.tensor([3, 0, SOURCE, 1])
BATCH = len(LENGTHS)
PADDING = torch.arange(SOURCE) >= LENGTHS.unsqueeze(1)  # (batch, source_time)
SCORES = ("additive", "dot", "general", "concat")


def build(score: str, scale: float = 1.0) -> Attention:
    """In double, with random weights, the bias too."""
    attention = Attention(
        QUERY,
        QUERY if score == "dot" else MEMORY,
        score=score,
        attention_size=WIDTH if score in ("additive", "concat") else None,
    ).double()
    with torch.no_grad():
        for index, parameter in enumerate(attention.parameters()):
            parameter.copy_(scale * draw(*parameter.shape, seed=30 + index))
    return attention


def inputs(attention: Attention, target: int = TARGET) -> tuple[Tensor, Tensor]:
    """Queries and memory."""
    return draw(target, BATCH, QUERY, seed=1), draw(SOURCE, BATCH, attention.memory_size, seed=2)


def read(attention: Attention, queries: Tensor, memory: Tensor, lengths: Tensor = LENGTHS) -> tuple[Tensor, Tensor]:
    return attention(queries, attention.prepare(memory, lengths))


def read_and_back(attention: Attention, queries: Tensor, memory: Tensor, lengths: Tensor = LENGTHS) -> list[Tensor]:
    """Context, weights, and the gradient of queries, memory and every parameter."""
    results = read(attention, queries, memory, lengths)
    return [*results, *gradients(results, [queries, memory, *attention.parameters()])]


def as_in_the_reference(score: str, by_name: dict[str, Tensor]) -> list[np.ndarray]:
    """Parameters, or their gradients, in the order of the reference's arguments."""
    arrays = {name: tensor.detach().numpy() for name, tensor in by_name.items()}
    if score == "dot":
        return []
    if score == "general":
        return [arrays["project_memory.weight"]]
    from_query, from_memory = arrays["project_query.weight"], arrays["project_memory.weight"]
    v = arrays["combine.weight"][0]
    if score == "concat":
        return [np.concatenate([from_query, from_memory], axis=1), v]
    return [from_query, from_memory, arrays["project_memory.bias"], v]


@pytest.mark.parametrize("score", SCORES)
def test_values_and_gradients_are_those_of_the_reference(score: str) -> None:
    attention = build(score)
    queries, memory = inputs(attention)
    parameters = dict(attention.named_parameters())
    context, weights, d_queries, d_memory, *d_parameters = read_and_back(attention, queries, memory)
    d_weights = as_in_the_reference(score, dict(zip(parameters, d_parameters, strict=True)))

    forward, backward = (getattr(reference, f"{score}_score_{way}") for way in ("forward", "backward"))
    arrays = [queries.detach().numpy(), memory.detach().numpy(), *as_in_the_reference(score, parameters)]
    scores, score_cache = forward(*arrays)
    *expected, cache = reference.attention_forward(scores, arrays[1], LENGTHS.numpy())
    d_results = [draw(*result.shape, seed=20 + index).detach().numpy() for index, result in enumerate(expected)]
    through_values = reference.attention_backward(*d_results, cache)
    through_scores = backward(through_values.d_scores, score_cache)
    expected += [through_scores[0], through_scores[1] + through_values.d_memory, *through_scores[2:]]

    found = [context, weights, d_queries, d_memory, *map(torch.from_numpy, d_weights)]
    for one, other in zip(found, expected, strict=True):
        assert other.any()
        torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("target", "batch", "source"), [(3, 4, 5), (1, 2, 3), (0, 2, 3), (3, 0, 2), (3, 2, 0)])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_additive_scores_are_those_of_autograd(target: int, batch: int, source: int, scale: float) -> None:
    """With pre-activations of thousands too, where tanh is 1 or -1 and an exponential would overflow."""
    leaves = [draw(target, batch, WIDTH, seed=1), draw(batch, source, WIDTH, seed=2), draw(WIDTH, seed=3)]
    ours = _AdditiveScores.apply(leaves[0] * scale, leaves[1] * scale, leaves[2])
    theirs = (leaves[0].unsqueeze(2) * scale + leaves[1] * scale).tanh() @ leaves[2]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients([ours], leaves), gradients([theirs], leaves), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("score", SCORES)
def test_rubbish_in_the_padding_changes_nothing(score: str, rubbish: float) -> None:
    attention = build(score)
    queries, clean = inputs(attention)
    dirty = clean.masked_fill(PADDING.t().unsqueeze(2), rubbish).detach().requires_grad_()
    results = read_and_back(attention, queries, dirty)
    assert all(map(torch.equal, read_and_back(attention, queries, clean), results))
    _, weights, d_queries, d_memory, *_ = results
    assert not weights.masked_select(PADDING).any()
    assert not d_memory[PADDING.t()].any()
    assert not d_queries[:, LENGTHS == 0].any()


@pytest.mark.parametrize("score", SCORES)
def test_each_sequence_as_if_alone(score: str) -> None:
    attention = build(score)
    queries, memory = inputs(attention)
    context, weights, d_queries, d_memory, *d_parameters = read_and_back(attention, queries, memory)
    totals = [torch.zeros_like(parameter) for parameter in attention.parameters()]
    d_results = [draw(*result.shape, seed=20 + index).detach() for index, result in enumerate((context, weights))]
    for row, length in enumerate(LENGTHS.tolist()):
        own = [queries[:, row : row + 1].detach(), memory[:length, row : row + 1].detach()]
        leaves = [*(one.requires_grad_() for one in own), *attention.parameters()]
        results = read(attention, *own, torch.tensor([length]))
        slopes = torch.autograd.grad(
            results, leaves, [d_results[0][:, row : row + 1], d_results[1][:, row : row + 1, :length]]
        )
        pairs = [
            (results[0][:, 0], context[:, row]),
            (results[1][:, 0], weights[:, row, :length]),
            (slopes[0][:, 0], d_queries[:, row]),
            (slopes[1][:, 0], d_memory[:length, row]),
        ]
        for alone, together in pairs:
            torch.testing.assert_close(alone, together, rtol=0, atol=1e-13)
        for total, slope in zip(totals, slopes[2:], strict=True):
            total += slope
    torch.testing.assert_close(totals, d_parameters, rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_step_by_step_is_all_at_once(score: str) -> None:
    """A decoder whose queries depend on what was read prepares once and reads step after step."""
    attention = build(score)
    queries, memory = inputs(attention)
    prepared = attention.prepare(memory, LENGTHS)
    steps = [attention(query.unsqueeze(0), prepared) for query in queries]
    results = [torch.cat(parts) for parts in zip(*steps, strict=True)]
    found = [*results, *gradients(results, [queries, memory, *attention.parameters()])]
    torch.testing.assert_close(found, read_and_back(attention, queries, memory), rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_selected_sequences_are_those_that_were_prepared(score: str) -> None:
    """With repeats, whose gradients add up."""
    attention, rows = build(score), torch.tensor([2, 0, 2, 3, 1])
    _, memory = inputs(attention)
    queries = draw(TARGET, len(rows), QUERY, seed=3)
    results = attention(queries, attention.prepare(memory, LENGTHS).select(rows))
    expected = read(attention, queries, memory[:, rows], LENGTHS[rows])
    leaves = [queries, memory, *attention.parameters()]
    torch.testing.assert_close(results, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradients(results, leaves), gradients(expected, leaves), rtol=0, atol=1e-12)


@pytest.mark.parametrize("time", [0, SOURCE])
@pytest.mark.parametrize("score", SCORES)
def test_nothing_to_read(score: str, time: int) -> None:
    attention, lengths = build(score), torch.zeros(BATCH, dtype=torch.int32)
    queries, memory = draw(TARGET, BATCH, QUERY, seed=1), draw(time, BATCH, attention.memory_size, seed=2)
    context, weights, *slopes = read_and_back(attention, queries, memory, lengths)
    assert context.shape == (TARGET, BATCH, attention.memory_size)
    assert weights.shape == (TARGET, BATCH, time)
    assert not any(result.any() for result in (context, weights, *slopes))


@pytest.mark.parametrize("score", SCORES)
def test_huge_scores_leave_only_the_best_step(score: str) -> None:
    attention = build(score, scale=1e3)
    queries, memory = (1e3 * each.detach() for each in inputs(attention))
    context, weights, *slopes = read_and_back(attention, queries.requires_grad_(), memory.requires_grad_())
    assert ((weights == 0) | (weights > 1 - 1e-12)).float().mean() > 0.9
    assert all(result.isfinite().all() for result in (context, weights, *slopes))
    torch.testing.assert_close(weights.sum(2), (LENGTHS > 0).double().expand(TARGET, BATCH), rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_float32(score: str) -> None:
    attention = build(score)
    queries, memory = inputs(attention)
    expected = read_and_back(attention, queries, memory)
    narrow = [each.detach().float().requires_grad_() for each in (queries, memory)]
    attention = attention.float()
    results = read(attention, *narrow)
    d_results = [draw(*result.shape, seed=20 + index).detach().float() for index, result in enumerate(results)]
    found = [*results, *torch.autograd.grad(results, [*narrow, *attention.parameters()], d_results)]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("score", SCORES)
def test_under_autocast(score: str, dtype: torch.dtype) -> None:
    """Scores may come in the smaller type there, in which the least number of the outputs' type does not exist."""
    attention = build(score, scale=0.5).float()
    queries, memory = (each.detach().float().requires_grad_() for each in inputs(attention))
    leaves = [queries, memory, *attention.parameters()]
    expected, _ = read(attention, queries, memory)
    slopes = torch.autograd.grad(expected.square().sum(), leaves)
    with torch.autocast("cpu", dtype=dtype):
        context, weights = read(attention, queries, memory)
        found = torch.autograd.grad(context.float().square().sum(), leaves)
    torch.testing.assert_close(context.float(), expected, rtol=0, atol=0.05)  # bfloat16 has eight bits
    assert not weights.masked_select(PADDING).any()
    for one, other in zip(found, slopes, strict=True):
        assert (one - other).abs().max() <= 0.05 * other.abs().max()  # bfloat16 again


def test_additive_scores_keep_their_precision_under_autocast() -> None:
    leaves = [draw(TARGET, BATCH, WIDTH, seed=1), draw(BATCH, SOURCE, WIDTH, seed=2), draw(WIDTH, seed=3)]
    leaves = [leaf.detach().float().requires_grad_() for leaf in leaves]
    expected = _AdditiveScores.apply(*leaves)
    slopes = torch.autograd.grad(expected.square().sum(), leaves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _AdditiveScores.apply(*leaves)
        assert torch.equal(found, expected)
        assert all(map(torch.equal, torch.autograd.grad(found.square().sum(), leaves), slopes))


def test_memory_is_what_its_names_say() -> None:
    attention = build("additive")
    _, memory = inputs(attention)
    prepared = attention.prepare(memory, LENGTHS)
    assert isinstance(prepared, Memory)
    assert prepared.keys.shape == (BATCH, SOURCE, WIDTH)
    assert torch.equal(prepared.values, memory.transpose(0, 1).masked_fill(PADDING.unsqueeze(2), 0))
    assert torch.equal(prepared.mask, ~PADDING)


def test_parameters_and_default_size() -> None:
    names = {"project_query.weight", "project_memory.weight", "combine.weight"}
    expected = {"additive": {*names, "project_memory.bias"}, "concat": names, "general": {"project_memory.weight"}}
    for score in SCORES:
        attention = Attention(QUERY, QUERY, score=score)
        assert attention.state_dict().keys() == expected.get(score, set())
    assert Attention(QUERY, MEMORY).combine.in_features == QUERY
    assert repr(Attention(3, 3, score="dot")).startswith("Attention(\n  3, 3, score='dot'")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Attention(2, 6, score="dots"), UsageError, "score: expected one of additive, dot, general, concat"),
        (lambda: Attention(2, 6, score="dot"), UsageError, "got query_size 2 and memory_size 6; use general"),
        (lambda: Attention(2, 6, score="general", attention_size=3), UsageError, "attention_size: expected None with"),
        (lambda: Attention(2, 2, score="dot", attention_size=3), UsageError, "attention_size: expected None with"),
        (lambda: Attention(0, 6), UsageError, "Attention query_size: expected at least 1, got 0"),
        (lambda: Attention(2, 0), UsageError, "Attention memory_size: expected at least 1, got 0"),
        (lambda: Attention(2, 6, attention_size=0), UsageError, "Attention attention_size: expected at least 1, got 0"),
        (lambda: prepared(torch.zeros(5, 4, 7)), ShapeError, "memory: expected (source_time, batch, 6), got (5, 4, 7)"),
        (lambda: prepared(torch.zeros(4, 6)), ShapeError, "memory: expected (source_time, batch, 6), got (4, 6)"),
        (lambda: prepared(torch.zeros(5, 3, 6)), ShapeError, "lengths: expected shape (3,)"),
        (lambda: prepared(torch.zeros(4, 4, 6)), ShapeError, "lengths: every value must lie in 0..4"),
        (lambda: asked(torch.zeros(3, 4, 6)), ShapeError, "queries: expected (target_time, 4, 2), got (3, 4, 6)"),
        (lambda: asked(torch.zeros(3, 1, 2)), ShapeError, "queries: expected (target_time, 4, 2), got (3, 1, 2)"),
        (lambda: asked(torch.zeros(4, 2)), ShapeError, "queries: expected (target_time, 4, 2), got (4, 2)"),
    ],
)
def test_arguments_that_do_not_fit(call: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def prepared(memory: Tensor) -> Memory:
    return build("additive").prepare(memory.to(DOUBLE), LENGTHS)


def asked(queries: Tensor) -> Any:
    attention = build("additive")
    return read(attention, queries.to(DOUBLE), inputs(attention)[1])
