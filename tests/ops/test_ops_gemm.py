"""Large products give what torch's give, by whichever library."""

import pytest
import torch

from recurra.ops import gemm
from recurra.ops.gemm import Factor


@pytest.fixture(params=[0, gemm.LARGE], ids=["large", "small"])
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "LARGE", request.param)


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "k", "m"), [(33, 17, 5), (1, 40, 70), (16, 16, 16)])
def test_products_of_any_strides(n: int, k: int, m: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(n)
    x, weight, bias = (torch.randn(shape, generator=generator, dtype=dtype) for shape in ((n, k), (m, k), (m,)))
    gaps = torch.randn(m, 2 * k, generator=generator, dtype=dtype)[:, 3 : 3 + k]  # rows apart, as a slice of columns
    tolerance = {"rtol": 0, "atol": 1e-12 if dtype == torch.float64 else 1e-5}
    for one in (weight, weight.t().contiguous().t(), gaps):
        expected = (x.double() @ one.double().t()).to(dtype)
        torch.testing.assert_close(gemm.linear(x, one), expected, **tolerance)
        torch.testing.assert_close(gemm.linear(x, one, bias), expected + bias, **tolerance)
        torch.testing.assert_close(gemm.product(x, one.t()), expected, **tolerance)
    torch.testing.assert_close(gemm.transposed(gaps), gaps.t(), rtol=0, atol=0)


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [21, 6])  # so that either side is the one to be turned
def test_gradients_of_weights_from_pieces(steps: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    d_gates, turned, h0, h = (
        torch.randn(s, generator=generator, dtype=dtype) for s in ((steps, 45), (5, steps), (3, 7), (steps - 3, 7))
    )
    x = turned.t()  # as the output of a convolution lies
    states = torch.cat([h0, h])
    tolerance = {"rtol": 0, "atol": 1e-12 if dtype == torch.float64 else 1e-5}
    for gradient in (d_gates, d_gates[:, 2:39]):
        of_x, of_h = gemm.weight_gradients(gradient, Factor((x,)), Factor((h0, h)))
        torch.testing.assert_close(of_x, gradient.t() @ x, **tolerance)
        torch.testing.assert_close(of_h, gradient.t() @ states, **tolerance)
        of_x, of_h = gemm.weight_gradients(gradient, Factor((x,), slice(8)), Factor((h0, h), slice(3, None)))
        torch.testing.assert_close(of_x, gradient[:, :8].t() @ x, **tolerance)
        torch.testing.assert_close(of_h, gradient[:, 3:].t() @ states, **tolerance)


def test_what_onednn_would_compute_in_plain_loops_is_not_given_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, gaps = torch.ones(300, 200), torch.ones(400, 200), torch.ones(400, 300)[:, :200]
    assert gemm.takes_onednn(x, weight) == torch.backends.mkldnn.is_available()
    assert not gemm.takes_onednn(x, gaps)
    assert not gemm.takes_onednn(x.double(), weight.double())
    assert not gemm.takes_onednn(x[:9], weight), "too small to be worth it"
    monkeypatch.setattr(gemm, "LARGE", 0)
    monkeypatch.setattr(gemm, "is_onednn_enabled", lambda: False)
    assert not gemm.takes_onednn(x, weight), "switched off"
