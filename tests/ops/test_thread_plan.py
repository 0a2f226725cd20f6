"""How threads share a scan, as a function of sizes: nobody is idle, nothing is done twice or left out."""

from itertools import pairwise, product

import pytest

from recurra.ops.instructions import all_instructions, kernels_for
from recurra.ops.kernels import Cell, Scan, ThreadPlan

CELLS = [Cell.rnn_tanh, Cell.rnn_relu, Cell.rnn_sigmoid, Cell.lstm, Cell.gru, Cell.gru_reset_before]
HIDDEN = (8, 64, 256, 4096)
BATCH = (1, 8, 13, 4096)
THREADS = range(1, 65)


def scan_of(
    cell: Cell, hidden: int, batch: int, *, steps: int = 100, backward: bool = False, is_double: bool = False
) -> Scan:
    """A scan with sizes alone: a plan looks at no memory."""
    scan = Scan()
    scan.cell, scan.hidden, scan.batch, scan.steps = cell, hidden, batch, steps
    scan.backward, scan.is_double = backward, is_double
    return scan


def is_cut(ranges: list[tuple[int, int]], count: int) -> bool:
    """Whether the ranges, empty ones aside, hold each of `count` things once."""
    filled = sorted(one for one in ranges if one[0] < one[1])
    ends_meet = all(one[1] == other[0] for one, other in pairwise(filled))
    return bool(filled) and filled[0][0] == 0 and filled[-1][1] == count and ends_meet


def check_shares(plan: ThreadPlan, batch: int) -> None:
    """Every thread has rows and panels; every row meets every panel of each pass in one thread."""
    panels_by_rows: dict[tuple[tuple[int, int], ...], list[list[tuple[int, int]]]] = {}
    for rank in range(plan.threads):
        panels_by_rows.setdefault(tuple(plan.rows_of(rank)), []).append(plan.panels_of(rank))
    assert all(any(begin < end for begin, end in rows) for rows in panels_by_rows), "a thread without rows"
    assert is_cut([one for rows in panels_by_rows for one in rows], batch), "rows"
    for shares in panels_by_rows.values():
        for number, count in enumerate(plan.panels):
            assert all(begin < end for begin, end in (share[number] for share in shares)), "a thread without panels"
            assert is_cut([share[number] for share in shares], count), "panels"


@pytest.mark.parametrize("instructions", all_instructions())
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("is_double", [False, True])
def test_every_thread_works_and_nothing_is_left(instructions: str, cell: Cell, backward: bool, is_double: bool) -> None:
    kernels = kernels_for(instructions)
    for hidden, batch in product(HIDDEN, BATCH):
        scan, seen = scan_of(cell, hidden, batch, backward=backward, is_double=is_double), set()
        for threads in THREADS:
            plan = kernels.thread_plan(scan, threads)
            assert plan.threads == plan.row_shares * plan.panel_shares <= threads
            if (plan.row_shares, plan.panel_shares) not in seen:
                seen.add((plan.row_shares, plan.panel_shares))
                check_shares(plan, batch)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backward", [False, True])
def test_one_thread_fewer_would_leave_a_larger_share(cell: Cell, backward: bool) -> None:
    kernels = kernels_for(None)
    for (hidden, batch), threads in product(product(HIDDEN, BATCH), THREADS):
        plan = kernels.thread_plan(scan_of(cell, hidden, batch, backward=backward), threads)
        for count, shares in ((batch, plan.row_shares), (min(plan.panels), plan.panel_shares)):
            assert shares == 1 or -(-count // (shares - 1)) > -(-count // shares)


@pytest.mark.parametrize("cell", CELLS)
def test_one_sequence_takes_no_more_threads_than_panels(cell: Cell) -> None:
    kernels = kernels_for(None)
    for backward, hidden in product((False, True), HIDDEN):
        plan = kernels.thread_plan(scan_of(cell, hidden, 1, backward=backward), 64)
        assert plan.threads <= min(plan.panels)


def test_threads_split_rows_or_panels_or_both() -> None:
    """One sequence of a wide layer by panels, many sequences by rows, a few sequences on many threads by both."""
    kernels = kernels_for(None)
    shares = []
    for hidden, batch in ((2048, 1), (64, 256), (512, 16)):
        plan = kernels.thread_plan(scan_of(Cell.lstm, hidden, batch), 16)
        shares.append((plan.row_shares > 1, plan.panel_shares > 1))
    assert shares == [(False, True), (True, False), (True, True)]


@pytest.mark.parametrize("cell", CELLS)
def test_too_little_work_wakes_nobody(cell: Cell) -> None:
    """One step of a small layer takes less time than waking a thread; a long sequence of the same steps does not."""
    kernels = kernels_for(None)
    assert kernels.thread_plan(scan_of(cell, 16, 16, steps=1), 64).threads == 1
    assert kernels.thread_plan(scan_of(cell, 16, 16, steps=2000), 64).threads > 1


def test_no_steps_no_sequences() -> None:
    kernels = kernels_for(None)
    assert kernels.thread_plan(scan_of(Cell.gru, 64, 0), 64).threads == 1
    assert kernels.thread_plan(scan_of(Cell.gru, 64, 8, steps=0), 64).threads == 1
