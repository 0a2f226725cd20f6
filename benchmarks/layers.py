"""How fast are the layers? Against torch.nn, interleaved in one process; the ratio is torch's time over ours.

Inference is compared with ONNX Runtime too, where it is installed (`pip install onnx onnxruntime`).

python benchmarks/layers.py [--cells lstm,gru,rnn] [--only TEXT] [--seconds 0.5] [--threads 2] [--save FOLDER]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from recurra import nn as ours

SHAPES = (  # batch, steps, input, hidden
    (1, 100, 64, 64),
    (1, 100, 256, 256),
    (1, 200, 512, 512),
    (16, 50, 64, 64),
    (32, 100, 128, 128),
    (60, 20, 200, 256),
    (20, 35, 650, 650),
    (64, 100, 256, 256),
    (64, 50, 512, 512),
    (32, 35, 1024, 1024),
)
LARGE = SHAPES[5:]
GEMM = 1024  # width of the matrix product that large cases are compared with
STREAMED = (64, 128, 256, 512)
CELL_STEPS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
CELLS = {"lstm": (nn.LSTM, ours.LSTM, 4), "gru": (nn.GRU, ours.GRU, 3), "rnn": (nn.RNN, ours.RNN, 1)}

Run = Callable[[], object]


class Case(NamedTuple):
    """One comparison."""

    group: str
    name: str
    theirs: Run
    ours: Run
    operations: float = 0  # multiplications and additions of the matrix products; 0 where nobody asks
    peer: Run | None = None  # the same by ONNX Runtime


class Result(NamedTuple):
    """What came out of a case: medians in milliseconds."""

    group: str
    name: str
    theirs: float
    ours: float
    ratio: float
    share: float  # of the rate of a large matrix product, measured in turn with the case; 0 where nobody asks
    peer: float  # the ratio for ONNX Runtime; 0 where it does not run


def training(layer: nn.Module, x: torch.Tensor, run: Callable[[torch.Tensor], torch.Tensor]) -> Run:
    """Forward and backward, with the gradient of the input and of the weights."""
    x = x.clone().requires_grad_()
    with torch.no_grad():
        direction = torch.randn_like(run(x))

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        run(x).backward(direction)

    return step


def inference(run: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Run:
    """Forward alone."""

    def step() -> torch.Tensor:
        with torch.inference_mode():
            return run(x)

    return step


def dense_cases(cells: list[str]) -> Iterator[Case]:
    for cell in cells:
        theirs, mine, gates = CELLS[cell]
        for batch, steps, inputs, hidden in SHAPES:
            x = torch.randn(steps, batch, inputs)
            a, b = theirs(inputs, hidden), mine(inputs, hidden)
            name = f"{cell} {batch}x{steps} {inputs}->{hidden}"
            operations = 2.0 * steps * batch * gates * hidden * (inputs + hidden)
            runs = [inference(lambda x, layer=layer: layer(x)[0], x) for layer in (a, b)]
            yield Case("inference", name, *runs, operations, onnx_runtime(a, x))
            runs = [training(layer, x, lambda x, layer=layer: layer(x)[0]) for layer in (a, b)]
            yield Case("training", name, *runs, 3 * operations)


def onnx_runtime(layer: nn.RNNBase, x: torch.Tensor) -> Run | None:
    """The layer in ONNX Runtime, where that is installed."""
    if not (find_spec("onnx") and find_spec("onnxruntime")):
        return None
    from onnx_peer import session

    runtime, given = session(layer, torch.get_num_threads()), {"x": x.numpy()}
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(runtime.run(None, given)[0][:, 0]), layer(x)[0])
    return lambda: runtime.run(None, given)


def length_cases(cells: list[str]) -> Iterator[Case]:
    for cell in cells:
        if cell == "rnn":
            continue
        theirs, mine, _ = CELLS[cell]
        lengths = torch.randint(5, 101, (64,))
        x = torch.randn(100, 64, 128)
        a, b = theirs(128, 128), mine(128, 128)

        def packed(x: torch.Tensor, layer: nn.Module = a, lengths: torch.Tensor = lengths) -> torch.Tensor:
            output, _ = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
            return nn.utils.rnn.pad_packed_sequence(output, total_length=100)[0]

        def padded(x: torch.Tensor, layer: nn.Module = b, lengths: torch.Tensor = lengths) -> torch.Tensor:
            return layer(x, lengths=lengths)[0]

        yield Case("lengths, inference", cell, inference(packed, x), inference(padded, x))
        yield Case("lengths, training", cell, training(a, x, packed), training(b, x, padded))


def bidirectional_cases(cells: list[str]) -> Iterator[Case]:
    for cell in cells:
        theirs, mine, _ = CELLS[cell]
        x = torch.randn(100, 32, 128)
        a, b = theirs(128, 128, bidirectional=True), mine(128, 128, bidirectional=True)
        runs = [inference(lambda x, layer=layer: layer(x)[0], x) for layer in (a, b)]
        yield Case("bidirectional, inference", cell, *runs)
        runs = [training(layer, x, lambda x, layer=layer: layer(x)[0]) for layer in (a, b)]
        yield Case("bidirectional, training", cell, *runs)


def streaming_cases(cells: list[str]) -> Iterator[Case]:
    """100 single steps. A cell of torch.nn is its fastest way: a layer of one step takes two to ten times as long."""
    for cell in cells:
        for width in STREAMED:
            step = CELL_STEPS[cell](width, width)
            stream = CELLS[cell][1](width, width).stream()
            x = torch.randn(100, width)

            def theirs(step: nn.Module = step, x: torch.Tensor = x) -> None:
                with torch.inference_mode():
                    state = None
                    for row in x.unbind():
                        state = step(row, state)

            def mine(step: Run = stream.step, rows: list = list(x.numpy())) -> None:  # noqa: B006, B008
                for row in rows:
                    step(row)

            yield Case("streaming", f"{cell} {width}", theirs, mine)


def seconds_of(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median_seconds(runs: list[Run], seconds: float, *, rehearsed: bool = False) -> list[float]:
    """Medians of runs in turn, at least five of each; where `rehearsed`, each is run once for nothing before."""
    for run in runs * 2:
        run()
    times: list[list[float]] = [[] for _ in runs]
    started = time.perf_counter()
    while len(times[0]) < 5 or time.perf_counter() - started < seconds:
        for run, taken in zip(runs, times, strict=True):
            if rehearsed:
                run()
            taken.append(seconds_of(run))
    return [statistics.median(taken) for taken in times]


def measure(case: Case, seconds: float) -> Result:
    """A case against torch, and a large matrix product in turn with both; then against ONNX Runtime."""
    a, b = torch.randn(2, GEMM, GEMM)
    theirs, mine, gemm = median_seconds([case.theirs, case.ours, lambda: a.mm(b)], seconds)
    share = case.operations / mine * gemm / (2 * GEMM**3)
    peer = 0.0
    if case.peer:  # rehearsed, since torch's threads and its own go on spinning in each other's way
        ours, theirs_there = median_seconds([case.ours, case.peer], seconds / 2, rehearsed=True)
        peer = theirs_there / ours
    return Result(case.group, case.name, theirs * 1e3, mine * 1e3, theirs / mine, share, peer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="lstm,gru,rnn")
    parser.add_argument("--only", default="", help="cases whose group and name contain this")
    parser.add_argument("--seconds", type=float, default=0.5, help="at least this long for a case")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, help="folder for layers.json and layers.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    cells = options.cells.split(",")
    console = Console()
    results = []
    for source in (dense_cases, length_cases, bidirectional_cases, streaming_cases):
        for case in source(cells):
            if options.only in f"{case.group} {case.name}":
                results.append(measure(case, options.seconds))
                print(line(results[-1]), flush=True)
    console.print(table(results))
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        rows = [result._asdict() for result in results]
        (options.save / "layers.json").write_text(json.dumps({"threads": options.threads, "results": rows}, indent=2))
        heads = ("group", "case", "torch ms", "ours ms", "torch / ours", "share of GEMM rate", "ONNX Runtime / ours")
        text = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
        for r in results:
            numbers = (f"{r.theirs:.3f}", f"{r.ours:.3f}", f"{r.ratio:.2f}", f"{r.share:.2f}", f"{r.peer:.2f}")
            text.append(f"| {r.group} | {r.name} | {' | '.join('' if n == '0.00' else n for n in numbers)} |")
        (options.save / "layers.md").write_text("\n".join(text) + "\n")


def line(result: Result) -> str:
    share = f"  {result.share:5.2f} of GEMM" if result.share else ""
    peer = f"  {result.peer:5.2f} of ONNX Runtime" if result.peer else ""
    times = f"{result.theirs:9.3f} {result.ours:9.3f} ms"
    return f"{result.group:26} {result.name:24} {times}  {result.ratio:6.2f}{share}{peer}"


def table(results: list[Result]) -> Table:
    """Geometric mean and worst ratio of each group; the mean beside ONNX Runtime."""
    found = Table("group", "cases", "geometric mean", "least", "least share, large shapes", "ONNX Runtime")
    large = {f"{batch}x{steps} {inputs}->{hidden}" for batch, steps, inputs, hidden in LARGE}
    for group in dict.fromkeys(result.group for result in results):
        members = [result for result in results if result.group == group]
        ratios = [result.ratio for result in members]
        shares = [result.share for result in members if result.name.partition(" ")[2] in large]
        peers = [result.peer for result in members if result.peer]
        found.add_row(
            group,
            str(len(members)),
            f"{statistics.geometric_mean(ratios):.2f}",
            f"{min(ratios):.2f}",
            f"{min(shares):.2f}" if any(shares) else "",
            f"{statistics.geometric_mean(peers):.2f}" if peers else "",
        )
    return found


if __name__ == "__main__":
    main()
