"""How fast are the layers? Against torch.nn, interleaved in one process; the ratio is torch's time over ours.

python benchmarks/layers.py [--cells lstm,gru,rnn] [--only TEXT] [--seconds 0.5] [--threads 2] [--save FOLDER]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
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
    operations: float  # multiplications and additions of the matrix products; 0 where nobody asks


class Result(NamedTuple):
    """What came out of a case: medians in milliseconds."""

    group: str
    name: str
    theirs: float
    ours: float
    ratio: float
    share: float  # of the rate of a large matrix product


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
            yield Case("inference", name, *runs, operations)
            runs = [training(layer, x, lambda x, layer=layer: layer(x)[0]) for layer in (a, b)]
            yield Case("training", name, *runs, 3 * operations)


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

        yield Case("lengths, inference", cell, inference(packed, x), inference(padded, x), 0)
        yield Case("lengths, training", cell, training(a, x, packed), training(b, x, padded), 0)


def bidirectional_cases(cells: list[str]) -> Iterator[Case]:
    for cell in cells:
        theirs, mine, _ = CELLS[cell]
        x = torch.randn(100, 32, 128)
        a, b = theirs(128, 128, bidirectional=True), mine(128, 128, bidirectional=True)
        runs = [inference(lambda x, layer=layer: layer(x)[0], x) for layer in (a, b)]
        yield Case("bidirectional, inference", cell, *runs, 0)
        runs = [training(layer, x, lambda x, layer=layer: layer(x)[0]) for layer in (a, b)]
        yield Case("bidirectional, training", cell, *runs, 0)


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

            yield Case("streaming", f"{cell} {width}", theirs, mine, 0)


def seconds_of(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measure(case: Case, seconds: float, rate: float) -> Result:
    """Medians of runs in turn, at least five of each."""
    for run in (case.theirs, case.ours) * 2:
        run()
    times: tuple[list[float], list[float]] = ([], [])
    started = time.perf_counter()
    while len(times[0]) < 5 or time.perf_counter() - started < seconds:
        for run, taken in zip((case.theirs, case.ours), times, strict=True):
            taken.append(seconds_of(run))
    theirs, mine = map(statistics.median, times)
    return Result(case.group, case.name, theirs * 1e3, mine * 1e3, theirs / mine, case.operations / mine / rate)


def gemm_rate() -> float:
    """Operations a second of a large float32 matrix product."""
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    return 2 * 1536**3 / min(seconds_of(lambda: a.mm(b)) for _ in range(10))


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
    rate = gemm_rate()
    console = Console()
    console.print(f"matrix product: {rate / 1e9:.0f} GFLOP/s with {options.threads} threads")
    results = []
    for source in (dense_cases, length_cases, bidirectional_cases, streaming_cases):
        for case in source(cells):
            if options.only in f"{case.group} {case.name}":
                results.append(measure(case, options.seconds, rate))
                print(line(results[-1]), flush=True)
    console.print(table(results))
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        rows = [result._asdict() for result in results]
        (options.save / "layers.json").write_text(json.dumps({"gemm_rate": rate, "results": rows}, indent=2))
        text = ["| group | case | torch ms | ours ms | ratio | share of GEMM rate |", "| --- " * 6 + "|"]
        text += [
            f"| {r.group} | {r.name} | {r.theirs:.3f} | {r.ours:.3f} | {r.ratio:.2f} | {r.share:.2f} |" for r in results
        ]
        (options.save / "layers.md").write_text("\n".join(text) + "\n")


def line(result: Result) -> str:
    share = f"{result.share:5.2f} of GEMM" if result.share else ""
    return (
        f"{result.group:26} {result.name:24} {result.theirs:9.3f} {result.ours:9.3f} ms  {result.ratio:6.2f}  {share}"
    )


def table(results: list[Result]) -> Table:
    """Geometric mean and worst ratio of each group."""
    found = Table("group", "cases", "geometric mean", "least", "least share, large shapes")
    large = {f"{batch}x{steps} {inputs}->{hidden}" for batch, steps, inputs, hidden in LARGE}
    for group in dict.fromkeys(result.group for result in results):
        members = [result for result in results if result.group == group]
        ratios = [result.ratio for result in members]
        shares = [result.share for result in members if result.name.partition(" ")[2] in large]
        found.add_row(
            group,
            str(len(members)),
            f"{statistics.geometric_mean(ratios):.2f}",
            f"{min(ratios):.2f}",
            f"{min(shares):.2f}" if shares else "",
        )
    return found


if __name__ == "__main__":
    main()
