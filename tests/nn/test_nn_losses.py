"""Cross-entropy from hidden states, against torch's from logits."""

import pytest
import torch
import torch.nn.functional as F

from recurra.errors import ShapeError, UsageError
from recurra.nn.losses import linear_cross_entropy
from recurra.ops import cross_entropy, gemm
from recurra.ops.instructions import INSTRUCTIONS, all_instructions

FEATURES, TYPES = 6, 41


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
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("large", [0, gemm.LARGE], ids=["large", "small"])
@pytest.mark.parametrize("kernels", [True, False])
def test_equals_torch(
    elements: int,
    dtype: torch.dtype,
    tolerance: float,
    smoothing: float,
    large: float,
    kernels: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cross_entropy, "BLOCK", elements)
    monkeypatch.setattr(gemm, "LARGE", large)
    if not kernels:
        monkeypatch.setattr(cross_entropy, "runs_kernels", lambda _: False)
    hidden, weight, bias, targets = tensors(dtype)
    ours = linear_cross_entropy(hidden, weight, bias, targets, label_smoothing=smoothing)
    logits = F.linear(hidden, weight, bias).flatten(0, 1)
    torchs = F.cross_entropy(logits, targets.flatten(), ignore_index=-1, reduction="sum", label_smoothing=smoothing)
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


def test_a_graph_that_is_kept_can_be_gone_back_twice() -> None:
    hidden, weight, bias, targets = tensors()
    loss = linear_cross_entropy(hidden, weight, bias, targets) / 7
    once = torch.autograd.grad(loss, (hidden, weight, bias), retain_graph=True)
    again = torch.autograd.grad(loss, (hidden, weight, bias))
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_only_ignored_targets_cost_nothing() -> None:
    hidden, weight, bias, targets = tensors()
    loss = linear_cross_entropy(hidden, weight, bias, torch.full_like(targets, -100))
    assert loss == 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(loss, (hidden, weight, bias)))


def test_what_is_ignored_may_be_anything() -> None:
    hidden, weight, bias, targets = tensors()
    rubbish = torch.where((targets < 0).unsqueeze(-1), torch.nan, hidden)
    expected = linear_cross_entropy(hidden, weight, bias, targets)
    assert torch.equal(linear_cross_entropy(rubbish, weight, bias, targets), expected)


def test_values_outside_their_range() -> None:
    hidden, weight, bias, targets = tensors()
    with pytest.raises(UsageError, match="targets: expected types below 41, got 41"):
        linear_cross_entropy(hidden, weight, bias, targets.clamp_min(TYPES))
    with pytest.raises(UsageError, match=r"label_smoothing: expected 0\.\.1, got 2"):
        linear_cross_entropy(hidden, weight, bias, targets, label_smoothing=2)


def test_types_that_differ_are_refused() -> None:
    """The kernels see addresses only."""
    hidden, weight, bias, targets = tensors(torch.float)
    for wrong in ((hidden.double(), weight, bias), (hidden, weight, bias.double()), (hidden, weight.double(), bias)):
        with pytest.raises(UsageError, match="expected one type"):
            linear_cross_entropy(*wrong, targets)
    with pytest.raises(UsageError, match="targets: expected integers"):
        linear_cross_entropy(hidden, weight, bias, targets.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = linear_cross_entropy(hidden.bfloat16(), weight, bias, targets)
    expected = linear_cross_entropy(hidden.bfloat16().float(), weight, bias, targets)
    assert torch.equal(found, expected)


def test_a_graph_that_is_gone_says_so() -> None:
    hidden, weight, bias, targets = tensors()
    loss = linear_cross_entropy(hidden, weight, bias, targets) + 0
    torch.autograd.grad(loss, hidden, retain_graph=False)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(loss, hidden)


def test_it_compiles() -> None:
    hidden, weight, bias, targets = tensors()
    compiled = torch.compile(linear_cross_entropy, fullgraph=True, backend="aot_eager")
    pairs = []
    for function in (linear_cross_entropy, compiled):
        loss = function(hidden, weight, bias, targets, label_smoothing=0.1)
        pairs.append([loss, *torch.autograd.grad(loss, (hidden, weight, bias))])
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("instructions", all_instructions())
@pytest.mark.parametrize("threads", [1, 2])
def test_every_instruction_set(instructions: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSTRUCTIONS, instructions)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        hidden, weight, bias, targets = tensors(torch.float)
        found = linear_cross_entropy(hidden, weight, bias, targets)
        gradients = torch.autograd.grad(found, (hidden, weight, bias))
    finally:
        torch.set_num_threads(before)
    exact = [part.detach().double().requires_grad_() for part in (hidden, weight, bias)]
    logits = F.linear(*exact).flatten(0, 1)
    expected = F.cross_entropy(logits, targets.flatten(), ignore_index=-1, reduction="sum")
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    for one, other in zip(gradients, torch.autograd.grad(expected, exact), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5)


def test_shapes_that_do_not_fit() -> None:
    hidden, weight, bias, targets = tensors()
    for wrong in (
        (hidden, weight[:, 1:], bias, targets),
        (hidden, weight, bias[1:], targets),
        (hidden, weight, bias, targets[1:]),
    ):
        with pytest.raises(ShapeError, match="linear_cross_entropy"):
            linear_cross_entropy(*wrong)
