"""Optimizers, clipping and the moving average of the weights."""

from typing import Any

import pytest
import torch
from torch import nn

from recurra.config import TrainingOptions
from recurra.training.optimizers import (
    build_optimizer,
    clip_gradients,
    ema_weights,
    set_learning_rate,
    update_ema,
)


def options(**values: Any) -> TrainingOptions:
    return TrainingOptions.parse(values, "test")


def parameters_with_gradients() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(2)
    parameters = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (5,))]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return [*parameters, nn.Parameter(torch.zeros(2))]  # the last took no part


@pytest.mark.parametrize("limit", [0.5, 50.0])
def test_clipping_by_norm_equals_torch(limit: float) -> None:
    ours, torchs = parameters_with_gradients(), parameters_with_gradients()
    norm = clip_gradients(ours, options(clip_norm=limit))
    assert norm == pytest.approx(float(nn.utils.clip_grad_norm_(torchs, limit)))
    for one, other in zip(ours[:2], torchs[:2], strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_clipping_by_value_equals_torch() -> None:
    ours, torchs = parameters_with_gradients(), parameters_with_gradients()
    clip_gradients(ours, options(clip_value=0.3))
    nn.utils.clip_grad_value_(torchs, 0.3)
    for one, other in zip(ours[:2], torchs[:2], strict=True):
        assert torch.equal(one.grad, other.grad)


def test_without_clipping_gradients_stay() -> None:
    ours, untouched = parameters_with_gradients(), parameters_with_gradients()
    assert clip_gradients(ours, options(clip_norm=0)) > 1
    assert torch.equal(ours[0].grad, untouched[0].grad)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ({"optimizer": "sgd", "momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
        ({"optimizer": "adam", "beta1": 0.7, "beta2": 0.8}, torch.optim.Adam, {"betas": (0.7, 0.8)}),
        ({"optimizer": "adamw", "weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
    ],
)
def test_optimizers(given: dict[str, Any], kind: type, expected: dict[str, Any]) -> None:
    optimizer = build_optimizer(parameters_with_gradients(), options(learning_rate=0.25, **given))
    assert type(optimizer) is kind
    assert {**expected, "lr": 0.25}.items() <= optimizer.param_groups[0].items()
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_weight_may_get_its_first_gradient_late(momentum: float) -> None:
    first, late = nn.Parameter(torch.tensor([[1.0]])), nn.Parameter(torch.tensor([[2.0]]))
    optimizer = build_optimizer([first, late], options(optimizer="sgd", momentum=momentum, learning_rate=0.5))
    first.grad = torch.tensor([[0.2]])
    optimizer.step()
    late.grad = torch.tensor([[0.4]])
    optimizer.step()
    assert first.item() == pytest.approx(1 - 0.5 * 0.2 - 0.5 * (momentum * 0.2 + 0.2))
    assert late.item() == pytest.approx(2 - 0.5 * 0.4)


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_weight_decay_pulls_matrices_and_no_biases(rule: str) -> None:
    parameters = parameters_with_gradients()
    before = [parameter.detach().clone() for parameter in parameters]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    build_optimizer(parameters, options(optimizer=rule, learning_rate=0.5, weight_decay=0.1)).step()
    torch.testing.assert_close(parameters[0].detach(), before[0] * 0.95)
    assert torch.equal(parameters[1], before[1])


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_moving_averages_replace_the_weights_inside_a_block(rule: str) -> None:
    first, second, unused = (weight.detach().clone().requires_grad_() for weight in parameters_with_gradients())
    optimizer = build_optimizer([first, second, unused], options(optimizer=rule, learning_rate=0.3, ema_decay=0.2))
    generator, seen = torch.Generator().manual_seed(5), []
    for step in range(1, 6):
        first.grad = torch.randn(first.shape, generator=generator)
        second.grad = torch.randn(second.shape, generator=generator) if step > 1 else None  # takes part from then on
        optimizer.step()
        update_ema(optimizer, 0.2, step)
        seen.append((first.detach().clone(), second.detach().clone()))
    firsts, seconds = zip(*seen, strict=True)
    expected, late = torch.lerp(firsts[1], firsts[0], 2 / 11), seconds[1]
    for one, other in zip(firsts[2:], seconds[2:], strict=True):  # 3 / 12 is more than the decay
        expected, late = 0.2 * expected + 0.8 * one, 0.2 * late + 0.8 * other
    with ema_weights(optimizer):
        assert torch.allclose(first, expected)
        assert torch.allclose(second, late)
        assert torch.equal(unused, torch.zeros(2))
    assert torch.equal(first, firsts[-1])
    assert torch.equal(second, seconds[-1])
