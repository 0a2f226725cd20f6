"""The fused kernels against the step-by-step operators: any size, every instruction set, any number of threads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import CASES, FUSED, loss
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from recurra.errors import ShapeError, UsageError
from recurra.ops import gemm
from recurra.ops.backends import Backend, use_backend
from recurra.ops.instructions import INSTRUCTIONS, all_instructions, kernels_for
from recurra.ops.kernels import Cell, Scan


@contextmanager
def num_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Leaves = tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]


def draw(name: str, sizes: tuple[int, int, int, int], dtype: torch.dtype, bias: bool = True, seed: int = 5) -> Leaves:
    """Random x, state and weights, as leaves."""
    time, batch, inputs, hidden = sizes
    case, generator = CASES[name], torch.Generator().manual_seed(seed)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    shapes = case.cell.weight_shapes(case.sizes(inputs, hidden, bias))
    weights = {name: leaf(*shape) for name, shape in shapes.items()}
    with torch.no_grad():
        weights["weight_hh"].mul_(0.8 / hidden**0.5)
    return leaf(time, batch, inputs), tuple(leaf(batch, hidden) for _ in case.cell.parts), weights


def results(
    name: str, leaves: Leaves, lengths: Tensor | None, reverse: bool, backend: Backend, **options: bool
) -> list[Tensor]:
    """Output, final state, and the gradient of everything."""
    x, state, weights = leaves
    with use_backend(backend):
        output, final = CASES[name].call(x, state, weights, lengths=lengths, reverse=reverse, **options)
    wanted = [x, *state, *weights.values()]
    return [output, *final, *torch.autograd.grad(loss(output, final), wanted, materialize_grads=True)]


def distance(one: Tensor, other: Tensor) -> float:
    """Largest difference in parts of the largest value, or of 1, the size of what was added up."""
    return ((one - other).abs().max() / other.abs().max().clamp_min(1)).item() if one.numel() else 0.0


SIZES = st.tuples(st.integers(1, 6), st.integers(1, 30), st.integers(1, 5), st.integers(1, 70))


@pytest.mark.parametrize("instructions", all_instructions())
@pytest.mark.parametrize("name", FUSED)
@settings(max_examples=15)
@given(
    sizes=SIZES,
    data=st.data(),
    reverse=st.booleans(),
    bias=st.booleans(),
    threads=st.sampled_from([1, 2]),
    large=st.booleans(),
    recompute=st.booleans(),
)
def test_equals_steps(
    name: str,
    instructions: str,
    sizes: tuple[int, int, int, int],
    data: st.DataObject,
    reverse: bool,
    bias: bool,
    threads: int,
    large: bool,
    recompute: bool,
) -> None:
    """In any size, though the gemm of the large are not those of the small; and with gates kept or not."""
    time, batch = sizes[:2]
    options = {"recompute": True} if recompute else {}
    listed = data.draw(st.none() | st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    lengths = None if listed is None else torch.tensor(listed)
    with pytest.MonkeyPatch.context() as patch, num_threads(threads):
        patch.setenv(INSTRUCTIONS, instructions)
        patch.setattr(gemm, "LARGE", 0 if large else gemm.LARGE)
        for dtype, forward, backward in ((torch.float64, 1e-10, 1e-10), (torch.float32, 1e-5, 1e-4)):
            leaves = draw(name, sizes, dtype, bias)
            ours = results(name, leaves, lengths, reverse, "kernels", **options)
            # Float is judged by the double of the same numbers: else the rounding of the steps would count too.
            exact = tuple_to(leaves, torch.float64)
            theirs = results(name, exact, lengths, reverse, "steps")
            num_results = 1 + len(CASES[name].cell.parts)
            for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                assert distance(one.double(), other) < (forward if index < num_results else backward), index


def tuple_to(leaves: Leaves, dtype: torch.dtype) -> Leaves:
    """Leaves of the same values in another precision."""

    def convert(part: Tensor) -> Tensor:
        return part.detach().to(dtype).requires_grad_()

    x, state, weights = leaves
    return convert(x), tuple(map(convert, state)), {name: convert(weight) for name, weight in weights.items()}


@pytest.mark.parametrize("instructions", all_instructions())
@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(12, 1, 3, 200), (9, 3, 4, 150), (5, 12, 3, 200), (6, 29, 3, 65), (9, 70, 2, 33)])
def test_threads_change_no_bit(
    name: str, instructions: str, dtype: torch.dtype, sizes: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the way the work is split: over units for a small batch, over rows for a large one, over both between.

    The input is 0, since the large gemm are torch's, whose BLAS does not promise as much.
    """
    monkeypatch.setenv(INSTRUCTIONS, instructions)
    lengths = torch.arange(sizes[1]) % (sizes[0] + 1)
    for valid in (None, lengths):
        found = []
        for threads in (1, 2, 3, 7):
            x, state, weights = draw(name, sizes, dtype)
            with num_threads(threads):
                output, final = CASES[name].call(torch.zeros_like(x), state, weights, lengths=valid)
                found.append([output, *final, *torch.autograd.grad(loss(output, final), state)])
        for other in found[1:]:
            assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", FUSED)
def test_the_sizes_of_the_test_above_take_several_threads(name: str) -> None:
    scan = Scan()
    scan.cell = getattr(Cell, name)
    for scan.backward, (scan.steps, scan.batch, scan.hidden) in product(
        (False, True), ((12, 1, 200), (9, 3, 150), (5, 12, 200), (6, 29, 65), (9, 70, 33))
    ):
        assert kernels_for(None).thread_plan(scan, 7).threads > 1


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_operator_keeps_torchs_rules(name: str, with_lengths: bool, recompute: bool) -> None:
    x, state, weights = draw(name, (4, 3, 2, 5), torch.float64)
    lengths = torch.tensor([4, 0, 2]) if with_lengths else None
    c0 = state[1] if len(state) == 2 else None
    arguments = (x, state[0], c0, *weights.values(), lengths, name, False, True, recompute)
    # A compiler need not know the number of valid steps: it is a size of its own.
    checks = ["test_schema", "test_autograd_registration", "test_faketensor"]
    torch.library.opcheck(torch.ops.recurra.scan.default, arguments, test_utils=checks)
    kept = [part.numel() for part in torch.ops.recurra.scan(*arguments)[3:]]
    cell = CASES[name].cell
    assert bool(kept[0]) == (len(cell.gates) > 1 and not recompute), "the gates"
    assert bool(kept[1]) == (cell.family == "GRU" and not recompute), "what a GRU keeps inside"
    assert bool(kept[2]) == (len(cell.parts) > 1), "c"


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, of its compiler looking around
def test_compiles_around_lengths() -> None:
    """Not whole, since checking lengths reads data; and never into the kernels' addresses."""
    x, state, weights = draw("lstm", (4, 3, 2, 5), torch.float64)
    lengths = torch.tensor([4, 0, 2])

    def run(x: Tensor) -> Tensor:
        output, final = CASES["lstm"].call(2 * x, state, weights, lengths=lengths)
        return loss(output, final)

    compiled = torch.compile(run, backend="aot_eager")
    found = [torch.autograd.grad(function(x), [x, *weights.values()]) for function in (run, compiled)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_recorded_graph_runs_the_kernels_again() -> None:
    x, state, weights = draw("gru", (4, 3, 2, 5), torch.float64)
    x, state, weights = x.detach(), (state[0].detach(),), {name: part.detach() for name, part in weights.items()}

    def run(x: Tensor) -> Tensor:
        return CASES["gru"].call(x, state, weights)[0]

    torch.testing.assert_close(make_fx(run)(x)(2 * x), run(2 * x), rtol=0, atol=0)


def test_fewer_threads_than_asked_for_compute_the_same() -> None:
    """OpenMP may give fewer: the whole work must then be one's."""
    code = (
        "import torch; from recurra import nn; torch.set_num_threads(4); torch.manual_seed(1); l = nn.LSTM(9, 200);"
        "print(l(torch.randn(3, 2, 9))[0].double().sum().item(), l(torch.randn(3, 20, 9))[0].double().sum().item())"
    )
    lines = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_THREAD_LIMIT": limit},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for limit in ("1", "4")
    ]
    found = [[float(number) for number in line.split()] for line in lines]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_denormals_are_flushed_inside_and_nowhere_else() -> None:
    tiny = torch.tensor([1e-41])
    x, state, weights = draw("rnn_relu", (1, 1, 1, 4), torch.float32)
    with torch.no_grad():
        for part in (x, *state, *weights.values()):
            part.zero_()
        state[0].fill_(1e-41)
        weights["weight_hh"].copy_(torch.eye(4))
        output, _ = CASES["rnn_relu"].call(x, state, weights)
    assert float(output.abs().max()) == 0
    assert float((tiny * 1.0)[0]) > 0, "the caller's setting was changed"


@pytest.mark.parametrize("name", FUSED)
def test_tensors_that_do_not_fit_are_refused(name: str) -> None:
    """The kernels see addresses only: what does not fit would be read past its end."""
    x, state, weights = draw(name, (3, 9, 2, 5), torch.float32)
    call = CASES[name].call
    with pytest.raises(UsageError, match=r"h0: expected torch\.float32, the type of x, got torch\.float64"):
        call(x, (state[0].double(), *state[1:]), weights)
    with pytest.raises(ShapeError, match=r"h0: expected \(9, 5\)"):
        call(x, (state[0][:1], *state[1:]), weights)
    with pytest.raises(ShapeError, match=r"weight_ih: expected "):
        call(x, state, weights | {"weight_ih": weights["weight_ih"][:, :1]})
    with pytest.raises(UsageError, match="bias_hh: expected"):
        call(x, state, weights | {"bias_hh": weights["bias_hh"].double()})


@pytest.mark.parametrize("name", FUSED)
def test_inputs_that_hang_together_have_their_own_gradients(name: str) -> None:
    """A state computed from the input, one matrix in both places, and a gradient that is itself differentiated."""
    x, _, weights = draw(name, (3, 2, 5, 5), torch.float64)
    weights |= {"weight_hh": weights["weight_ih"]}
    found = []
    for backend, further in (("kernels", False), ("kernels", True), ("steps", True)):
        state = tuple(torch.tanh(2 * x[0]) for _ in CASES[name].cell.parts)
        with use_backend(backend):
            output, final = CASES[name].call(x, state, weights)
            wanted = [x, weights["weight_ih"]]
            found.append(torch.autograd.grad(loss(output, final), wanted, create_graph=further))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", FUSED)
def test_no_steps_and_one_bias_have_gradients_too(name: str) -> None:
    x, state, weights = draw(name, (0, 2, 3, 4), torch.float64)
    wanted = [*state, *weights.values()]
    output, final = CASES[name].call(x, state, weights)
    gradients = torch.autograd.grad(loss(output, final), wanted, materialize_grads=True)
    assert not any(gradient.any() for gradient in gradients[len(state) :])
    x, state, weights = draw(name, (3, 2, 3, 4), torch.float64)
    for bias in ("bias_ih", "bias_hh"):
        one = {name: weight for name, weight in weights.items() if name != bias}
        found = [results(name, (x, state, one), None, False, backend) for backend in ("kernels", "steps")]
        for ours, other in zip(*found, strict=True):
            torch.testing.assert_close(ours, other, rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch's own, of forward-mode rules
def test_other_ways_to_differentiate_run_step_by_step() -> None:
    x, state, weights = draw("gru", (3, 2, 3, 4), torch.float64)
    x = x.detach()

    def total(x: Tensor) -> Tensor:
        fixed = {name: weight.detach() for name, weight in weights.items()}
        return CASES["gru"].call(x, (state[0].detach(),), fixed)[0].sum()

    ahead = torch.func.jvp(total, (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(ahead, torch.func.grad(total)(x).sum())
    each = torch.func.vmap(total)(torch.stack([x, 2 * x]))
    torch.testing.assert_close(each, torch.stack([total(x), total(2 * x)]))
    x.requires_grad_()
    torch.testing.assert_close(ahead, torch.autograd.grad(total(x), x)[0].sum())
