"""Which code runs a layer: chosen, explained, the same for all, and never left silently or shared by threads."""

import threading
from collections.abc import Callable

import pytest
import torch
from op_table import CASES, FUSED, IN_TORCH, loss, sequence
from torch import Tensor

from recurra import nn
from recurra.errors import UsageError
from recurra.ops.backends import BACKEND, Backend, choose_backend, explain_backend, use_backend
from recurra.ops.cells import CELLS
from recurra.ops.instructions import INSTRUCTIONS, all_instructions

BACKENDS: dict[Backend, list[str]] = {"kernels": FUSED, "torch": IN_TORCH, "steps": list(CASES)}
PAIRS = [(name, backend) for backend, names in BACKENDS.items() for name in names]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch's own
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 0, 2], [0, 0, 0], [3, 1, 3]], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("name", IN_TORCH)
def test_torchs_operators_compute_the_same(
    name: str, dtype: torch.dtype, tolerance: float, lengths: list[int] | None, reverse: bool
) -> None:
    """Results and all gradients. Rounding of float32 alone is 1e-5 here, of sums of some hundred values."""
    case, found = CASES[name], []
    for backend, precision in (("torch", dtype), ("steps", torch.float64)):
        x, state, weights = sequence(batch=3), case.state(batch=3), case.weights()
        leaves = [part.detach().to(precision).requires_grad_() for part in (x, *state, *weights.values())]
        parts = leaves[1 : 1 + len(state)]
        own = dict(zip(weights, leaves[1 + len(state) :], strict=True))
        steps = None if lengths is None else torch.tensor(lengths)
        with use_backend(backend):
            output, final = case.call(leaves[0], tuple(parts), own, lengths=steps, reverse=reverse)
        slopes = torch.autograd.grad(loss(output, final), leaves, materialize_grads=True)
        found.append([part.double() for part in (output, *final, *slopes)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("missing", ["bias_ih", "bias_hh", "both"])
def test_torchs_operators_without_a_bias(missing: str) -> None:
    case = CASES["lstm_projected"]
    x, state, weights = sequence(), case.state(), case.weights()
    absent = ("bias_ih", "bias_hh") if missing == "both" else (missing,)
    given = {name: weight for name, weight in weights.items() if name not in absent}
    found = []
    for backend in ("torch", "steps"):
        with use_backend(backend):
            found.append(case.call(x, state, given))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_steps_leave_the_state_alone_on_any_backend(backend: Backend) -> None:
    case = CASES["lstm"]
    state = case.state()
    with use_backend(backend):
        output, final = case.call(sequence(time=0), state, case.weights())
    assert output.shape == (0, *state[0].shape)
    torch.testing.assert_close(final, state, rtol=0, atol=0)


def test_the_backend_is_chosen_and_never_silently_left(monkeypatch: pytest.MonkeyPatch) -> None:
    case, cell = CASES["lstm"], CELLS["lstm"]
    x, state, weights = sequence(), case.state(), case.weights()
    assert explain_backend(cell, x, weights) == f"kernels, compiled for {all_instructions()[0]}"
    with use_backend("steps"):
        assert explain_backend(cell, x, weights) == "steps, chosen"
        with use_backend("torch"):
            assert explain_backend(cell, x, weights) == "torch, chosen"
        assert choose_backend(cell, x, weights) == "steps"
    assert explain_backend(cell, x.half(), weights).startswith("steps, ")
    assert "float16" in explain_backend(cell, x.half(), weights)
    projected = CASES["lstm_projected"].weights()
    assert explain_backend(cell, x, projected) == "steps, the kernels have no projection"
    with use_backend("kernels"), pytest.raises(UsageError, match="backend kernels: the kernels have no projection"):
        case.call(x, state, projected)
    monkeypatch.setenv(BACKEND, "steps")
    assert explain_backend(cell, x, weights) == "steps, chosen"
    with use_backend("kernels"):
        assert choose_backend(cell, x, weights) == "kernels"
    monkeypatch.setenv(BACKEND, "fast")
    with pytest.raises(UsageError, match="RECURRA_BACKEND: expected kernels, torch or steps, got 'fast'"):
        case.call(x, state, weights)
    monkeypatch.delenv(BACKEND)
    monkeypatch.setenv(INSTRUCTIONS, "mmx")
    with pytest.raises(UsageError, match="RECURRA_INSTRUCTIONS=mmx: this processor has"):
        case.call(x, state, weights)
    with (
        pytest.raises(UsageError, match="backend: expected kernels, torch or steps, got 'quick'"),
        use_backend("quick"),
    ):
        pass


@pytest.mark.parametrize("name", [name for name in CASES if name not in IN_TORCH])
def test_what_torch_does_not_have_is_refused(name: str) -> None:
    case = CASES[name]
    with use_backend("torch"), pytest.raises(UsageError, match=f"backend torch: torch has no operator for {name}"):
        case.call(sequence(), case.state(), case.weights())


def test_threads_do_not_share_a_backend() -> None:
    """One thread trains on the kernels while another steps a stream and chooses in turn; each keeps its own."""
    layer = nn.LSTM(3, 4)
    weights = layer.weights_of("_l0")
    x = torch.randn(5, 2, 3)
    chosen, other_chose, looked = [], threading.Event(), threading.Event()

    def stream_steps() -> None:
        with use_backend("steps"):
            stream = layer.stream()
            assert "steps" in repr(stream)
            other_chose.set()
            assert looked.wait(60)
            stream.step(x[0, 0].numpy())
            chosen.append(choose_backend(layer.cell, x, weights))

    thread = threading.Thread(target=stream_steps)
    thread.start()
    assert other_chose.wait(60)
    output, _ = layer(x)
    chosen.append(choose_backend(layer.cell, x, weights))
    assert "PlainScan" in names_of_graph(output)
    looked.set()
    thread.join()
    assert chosen == ["kernels", "steps"]


def names_of_graph(output: Tensor) -> str:
    """Names of all operators that led to a result."""
    nodes, names = [output.grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None:
            names.append(node.name())
            nodes += [below for below, _ in node.next_functions]
    return " ".join(names)


def test_a_stream_of_steps_chooses_nothing_for_its_thread() -> None:
    """While it steps, in the middle of a layer, the backend of the thread stays what it was."""
    layer = nn.GRU(3, 4)
    with use_backend("steps"):
        stream = layer.stream()
    seen: list[Backend] = []
    run: Callable = stream._layer.run_layers

    def watched(*arguments: object, **options: object) -> object:
        seen.append(choose_backend(layer.cell, torch.zeros(1, 1, 3), layer.weights_of("_l0")))
        return run(*arguments, **options)

    stream._layer.run_layers = watched
    stream.step([1.0, 2.0, 3.0])
    assert seen == ["kernels"]


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_compiles_whole(name: str, backend: Backend) -> None:
    case = CASES[name]
    x, state, weights = sequence(), case.state(), case.weights()

    def run(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, final = case.call(x, state, weights)
        return output, *final

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    wanted = [x, *state, *weights.values()]
    pairs = []
    for function in (run, compiled):
        with use_backend(backend):
            output, *final = function(x, *state)
        pairs.append([output, *final, *torch.autograd.grad(loss(output, tuple(final)), wanted)])
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
