"""Cross-entropy from hidden states, against torch's from logits."""

import pytest
import torch
import torch.nn.functional as F

import recurra.nn.losses
from recurra.errors import ShapeError
from recurra.nn.losses import linear_cross_entropy

FEATURES, TYPES = 6, 11


def tensors(dtype: torch.dtype = torch.double) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    hidden, weight, bias = (
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
        for shape in ((7, 5, FEATURES), (TYPES, FEATURES), (TYPES,))
    )
    targets = torch.randint(-1, TYPES, (7, 5), generator=generator)  # some are ignored
    return hidden, weight, bias, targets


@pytest.mark.parametrize("elements", [1, 3 * TYPES, 1_000_000], ids=["one-row", "three-rows", "all-rows"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.double, 1e-12), (torch.float, 1e-5)])
def test_equals_torch(elements: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurra.nn.losses, "LOGITS_AT_ONCE", elements)
    hidden, weight, bias, targets = tensors(dtype)
    ours = linear_cross_entropy(hidden, weight, bias, targets)
    logits = F.linear(hidden, weight, bias)
    torchs = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")
    torch.testing.assert_close(ours, torchs, rtol=tolerance, atol=tolerance)
    for one, other in zip(
        torch.autograd.grad(ours * 0.3, (hidden, weight, bias)),
        torch.autograd.grad(torchs * 0.3, (hidden, weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_gradient_against_finite_differences() -> None:
    hidden, weight, bias, targets = tensors()
    assert torch.autograd.gradcheck(lambda *inputs: linear_cross_entropy(*inputs, targets), (hidden, weight, bias))


def test_huge_logits_stay_finite() -> None:
    hidden, weight, bias, targets = tensors()
    loss = linear_cross_entropy(hidden * 1e4, weight, bias, targets)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(loss, (hidden, weight, bias)))


def test_inference_keeps_no_gradient() -> None:
    hidden, weight, bias, targets = tensors()
    with torch.inference_mode():
        loss = linear_cross_entropy(hidden, weight, bias, targets)
    assert not loss.requires_grad


def test_shapes_that_do_not_fit() -> None:
    hidden, weight, bias, targets = tensors()
    for wrong in (
        (hidden, weight[:, 1:], bias, targets),
        (hidden, weight, bias[1:], targets),
        (hidden, weight, bias, targets[1:]),
    ):
        with pytest.raises(ShapeError, match="linear_cross_entropy"):
            linear_cross_entropy(*wrong)
