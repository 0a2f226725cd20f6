from enum import Enum
from typing import Any

from numpy.typing import NDArray

class Cell(Enum):
    rnn_tanh = ...
    rnn_relu = ...
    rnn_sigmoid = ...
    lstm = ...
    gru = ...
    gru_reset_before = ...

class Scan:
    cell: Cell
    is_double: bool
    reverse: bool
    backward: bool
    save: bool
    hidden: int
    inputs: int
    steps: int
    batch: int
    counts: int
    offsets: int
    x: int
    input_weights: int
    weights: int
    bias: int
    inner_bias: int
    gates: int
    inner: int
    h0: int
    c0: int
    h: int
    c: int
    h_n: int
    c_n: int
    d_h: int
    d_h_n: int
    d_gates: int
    d_h0: int
    d_c: int

    def __init__(self) -> None: ...

class Logits:
    is_double: bool
    rows: int
    features: int
    types: int
    hidden: int
    weights: int
    bias: int
    values: int
    targets: int
    losses: int
    shares: int

    def __init__(self) -> None: ...

class Stream:
    def __init__(self, kernels: Kernels, layers: list[Scan], /) -> None: ...
    def step(self, x: NDArray[Any], y: NDArray[Any], threads: int, /) -> None: ...

class ThreadPlan:
    """How threads share each step of a scan: by rows, and by the panels that the weights are cut into."""

    threads: int
    row_shares: int
    panel_shares: int
    panels: list[int]

    def rows_of(self, rank: int, /) -> list[tuple[int, int]]: ...
    def panels_of(self, rank: int, /) -> list[tuple[int, int]]: ...

class Kernels:
    name: str
    vector_bytes: int

    def packed_size(self, cell: Cell, is_double: bool, hidden: int, columns: int, backward: bool, /) -> int: ...
    def pack(
        self,
        cell: Cell,
        is_double: bool,
        hidden: int,
        columns: int,
        weights: int,
        to: int,
        backward: bool,
        threads: int,
        /,
    ) -> None: ...
    def thread_plan(self, scan: Scan, threads: int, /) -> ThreadPlan: ...
    def run(self, scan: Scan, threads: int, /) -> None: ...
    def transpose(
        self,
        is_double: bool,
        rows: int,
        columns: int,
        source: int,
        source_stride: int,
        to: int,
        to_stride: int,
        threads: int,
        /,
    ) -> None: ...
    def cross_entropy(self, logits: Logits, threads: int, /) -> None: ...

def supported() -> list[Kernels]: ...
