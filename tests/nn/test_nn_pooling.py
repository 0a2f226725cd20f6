"""Pooling over time against a plain loop over each sequence alone; the padding never counts."""

from collections.abc import Callable

import pytest
import torch
from layer_table import DOUBLE, draw, gradients
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.nn import AttentionPooling, max_over_time, mean_over_time

TIME, FEATURES = 7, 3
LENGTHS = torch.tensor([3, 7, 0, 1, 6])
BATCH = len(LENGTHS)
VALID = (torch.arange(TIME).unsqueeze(1) < LENGTHS).unsqueeze(2)  # (time, batch, 1)

Pool = Callable[[Tensor, Tensor], Tensor]


def build(scale: float = 1.0) -> AttentionPooling:
    torch.manual_seed(8)
    pooling = AttentionPooling(FEATURES).double()
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter.normal_(std=scale)
    return pooling


def attention_alone(pooling: AttentionPooling, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Of one sequence (length, features), step by step as the equation says."""
    weight, bias, context = pooling.project.weight, pooling.project.bias, pooling.score.weight[0]
    scores = [torch.dot(context, torch.tanh(weight @ step + bias)) for step in steps]
    total = torch.stack([score.exp() for score in scores]).sum()
    weights = [score.exp() / total for score in scores]
    return torch.stack([share * step for share, step in zip(weights, steps, strict=True)]).sum(0), torch.stack(weights)


POOLS: dict[str, tuple[Pool, Callable[[Tensor], Tensor], nn.Module]] = {
    "mean": (mean_over_time, lambda steps: steps.mean(0), nn.Identity()),
    "max": (max_over_time, lambda steps: steps.max(0).values, nn.Identity()),
}
ATTENTION = build()
POOLS["attention"] = (
    lambda output, lengths: ATTENTION(output, lengths)[0],
    lambda steps: attention_alone(ATTENTION, steps)[0],
    ATTENTION,
)


def steps_below_zero(seed: int = 1) -> Tensor:
    """Outputs (time, batch, features), all negative: a maximum that saw padding of 0 would be 0."""
    return (draw(TIME, BATCH, FEATURES, seed=seed).detach() - 6).requires_grad_()


@pytest.mark.parametrize("name", POOLS)
def test_each_sequence_as_if_alone_values_and_gradients(name: str) -> None:
    pool, alone, module = POOLS[name]
    output = steps_below_zero()
    found = pool(output, LENGTHS)
    expected = torch.stack(
        [alone(output[:length, row]) if length else output.new_zeros(FEATURES) for row, length in enumerate(LENGTHS)]
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    leaves = [output, *module.parameters()]
    slopes = gradients([found], leaves)
    torch.testing.assert_close(slopes, gradients([expected], leaves), rtol=1e-12, atol=1e-12)
    assert not slopes[0].masked_fill(VALID, 0).any()


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("name", POOLS)
def test_garbage_in_the_padding_changes_nothing(name: str, garbage: float) -> None:
    pool, _, module = POOLS[name]
    clean = steps_below_zero()
    dirty = torch.where(VALID, clean, garbage).detach().requires_grad_()
    results = []
    for output in (clean, dirty):
        pooled = pool(output, LENGTHS)
        results.append([pooled, *gradients([pooled], [output, *module.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.isfinite().all()


@pytest.mark.parametrize("name", POOLS)
def test_more_padding_changes_nothing(name: str) -> None:
    pool, _, _ = POOLS[name]
    output = steps_below_zero()
    longer = torch.cat([output, draw(4, BATCH, FEATURES, seed=2)])
    torch.testing.assert_close(pool(longer, LENGTHS.int()), pool(output, LENGTHS), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("time", [0, 2])
def test_nothing_but_empty_sequences(name: str, time: int) -> None:
    pool, _, module = POOLS[name]
    output = draw(time, BATCH, FEATURES, seed=1)
    pooled = pool(output, torch.zeros(BATCH, dtype=torch.long))
    assert pooled.shape == (BATCH, FEATURES)
    assert not pooled.any()
    for slope in gradients([pooled], [output, *module.parameters()]):
        assert not slope.any()


def test_weights_of_attention() -> None:
    pooling, output = build(), steps_below_zero()
    _, weights = pooling(output, LENGTHS)
    assert weights.shape == (TIME, BATCH)
    torch.testing.assert_close(weights.sum(0), (LENGTHS > 0).double(), rtol=1e-12, atol=1e-12)
    for row, length in enumerate(LENGTHS.tolist()):
        assert not weights[length:, row].any()
        if length:
            expected = attention_alone(pooling, output[:length, row])[1]
            torch.testing.assert_close(weights[:length, row], expected, rtol=1e-12, atol=1e-12)


def test_attention_of_huge_scores_is_the_best_step() -> None:
    pooling, output = build(), draw(TIME, BATCH, FEATURES, seed=1)
    with torch.no_grad():
        pooling.score.weight.mul_(1e5)
    pooled, weights = pooling(output, LENGTHS)
    best = weights.argmax(0)
    for row in (0, 1, 3, 4):
        torch.testing.assert_close(pooled[row], output[best[row], row], rtol=0, atol=1e-12)
    assert all(slope.isfinite().all() for slope in gradients([pooled], [output, *pooling.parameters()]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_attention_under_autocast(dtype: torch.dtype) -> None:
    """Scores come in the smaller type there, in which the least number of the outputs' type does not exist."""
    pooling, output = build().float(), draw(TIME, BATCH, FEATURES, seed=1).float()
    expected, _ = pooling(output, LENGTHS)
    with torch.autocast("cpu", dtype=dtype):
        pooled, weights = pooling(output, LENGTHS)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0.05)  # bfloat16 has eight bits
    assert not weights.masked_fill(VALID.squeeze(2), 0).any()


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((TIME, FEATURES), [3], r"output: expected \(time, batch, features\), got \(7, 3\)"),
        ((TIME, 2, FEATURES), [3, 8], r"lengths: every value must lie in 0\.\.7"),
        ((TIME, 2, FEATURES), [3], r"lengths: expected shape \(2,\)"),
    ],
)
def test_what_is_no_batch(name: str, shape: tuple[int, ...], lengths: list[int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        POOLS[name][0](torch.zeros(shape, dtype=DOUBLE), torch.tensor(lengths))
