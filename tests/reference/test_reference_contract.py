"""What a caller of the reference may rely on: arguments and caches untouched, wrong arguments refused by name."""

import copy
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_proofs import LAYERS, SIZES, functions, prove_gradients, sequence_problem, state, weights

from recurra import reference
from recurra.errors import ShapeError, UsageError

TIME, BATCH, INPUT, HIDDEN = SIZES.values()
NAMES = list({layer.cell.family: name for name, layer in reversed(LAYERS.items())}.values())  # one of each family


def run(name: str):
    """A layer's functions, a full set of arguments, and gradients for its backward."""
    layer, rng = LAYERS[name], np.random.default_rng(20)
    arguments = [rng.standard_normal((TIME, BATCH, INPUT)), state(layer, rng, BATCH, HIDDEN)]
    arguments += weights(layer, rng, INPUT, HIDDEN)
    return (
        functions(name),
        arguments,
        (rng.standard_normal((TIME, BATCH, HIDDEN)), state(layer, rng, BATCH, HIDDEN)),
    )


def leaves(nested) -> list:
    """Arrays and other leaves of nested tuples and lists, in order."""
    return [leaf for part in nested for leaf in leaves(part)] if isinstance(nested, (tuple, list)) else [nested]


def assert_same(actual, expected) -> None:
    assert all(map(np.array_equal, leaves(actual), leaves(expected)))


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_and_cache_are_untouched_and_backward_repeats(name: str) -> None:
    of, arguments, d_outputs = run(name)
    before = copy.deepcopy((arguments, d_outputs))
    *_, cache = of.forward(*arguments)
    kept = copy.deepcopy(cache)
    first = of.backward(*d_outputs, cache, window=2)
    second = of.backward(*d_outputs, cache, window=2)
    assert_same(cache, kept)
    assert_same((arguments, d_outputs), before)
    assert_same(first, second)


def test_compositions_leave_arguments_and_caches_untouched() -> None:
    of, (x, start, *ws), (d_h_all, d_final) = run("lstm")
    kept = copy.deepcopy((x, start, ws, d_h_all, d_final))
    *_, cache = reference.bidirectional_forward(of.forward, x, (start, start), ws, ws, merge="multiply")
    cached = copy.deepcopy(leaves(cache))
    reference.bidirectional_backward(of.backward, d_h_all, (d_final, d_final), cache)
    assert_same(leaves(cache), cached)
    *_, cache = reference.stacked_forward(of.forward, x, [start], ws)
    cached = copy.deepcopy(leaves(cache))
    reference.stacked_backward(of.backward, d_h_all, [d_final], cache)
    assert_same(leaves(cache), cached)
    assert_same((x, start, ws, d_h_all, d_final), kept)


def test_steps_make_the_sequence() -> None:
    for name in LAYERS:
        of, (x, carried, *ws), _ = run(name)
        h_all, final, _ = of.forward(x, carried, *ws)
        for t in range(TIME):
            carried, _ = of.cell_forward(x[t], carried, *ws)
            assert_same(carried[0] if isinstance(carried, tuple) else carried, h_all[t])
        assert_same(carried, final)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, np.zeros((TIME, BATCH, INPUT + 1)), "x: expected (time, batch, 3), got (5, 2, 4); the last axis"),
        (0, np.zeros((BATCH, INPUT)), "x: expected (time, batch, 3), got (2, 3)"),
        (0, np.zeros((0, BATCH, INPUT)), "x: expected at least one step, got (0, 2, 3)"),
        (2, np.zeros((7, INPUT)), "weight_ih: expected"),
        (3, np.zeros((HIDDEN, HIDDEN + 1)), "weight_hh: expected"),
        (4, np.zeros(HIDDEN + 1), "bias_ih: expected"),
        (5, np.zeros((HIDDEN, 1)), "bias_hh: expected"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(name: str, place: int, wrong: np.ndarray, message: str) -> None:
    of, arguments, _ = run(name)
    arguments[place] = wrong
    with pytest.raises(ShapeError, match=re.escape(message)):
        of.forward(*arguments)


@pytest.mark.parametrize("name", NAMES)
def test_states_that_do_not_fit_are_refused_by_name(name: str) -> None:
    of, (x, start, *ws), _ = run(name)
    wrong = np.zeros((BATCH + 1, HIDDEN))
    for bad in [(wrong, start[1]), (start[0], wrong)] if isinstance(start, tuple) else [wrong]:
        with pytest.raises(ShapeError, match=r"[hc]: expected \(2, 4\), got \(3, 4\)"):
            of.forward(x, bad, *ws)
        with pytest.raises(ShapeError, match=r"[hc]: expected \(2, 4\), got \(3, 4\)"):
            of.cell_forward(x[0], bad, *ws)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_do_not_fit_are_refused_by_name(name: str) -> None:
    of, arguments, (d_h_all, d_final) = run(name)
    *_, cache = of.forward(*arguments)
    with pytest.raises(ShapeError, match=r"d_h_all: expected \(5, 2, 4\), got \(4, 2, 4\)"):
        of.backward(d_h_all[1:], d_final, cache)
    wrong = np.zeros((BATCH, HIDDEN + 1))
    for bad in [(wrong, d_final[1]), (d_final[0], wrong)] if isinstance(d_final, tuple) else [wrong]:
        with pytest.raises(ShapeError, match=r"expected \(2, 4\), got \(2, 5\)"):
            of.backward(d_h_all, bad, cache)
        with pytest.raises(ShapeError, match=r"_next: expected \(2, 4\), got \(2, 5\)"):
            of.cell_backward(bad, cache[0])


@pytest.mark.parametrize("name", NAMES)
def test_only_float64_is_taken(name: str) -> None:
    of, (x, *rest), _ = run(name)
    with pytest.raises(UsageError, match="x: expected a float64 array, got float32"):
        of.forward(x.astype(np.float32), *rest)
    with pytest.raises(UsageError, match="x: expected a float64 array, got list"):
        of.forward(x.tolist(), *rest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("window", [0, -1, 1.5, True])
def test_a_window_is_a_whole_number_of_steps(name: str, window) -> None:
    of, arguments, d_outputs = run(name)
    *_, cache = of.forward(*arguments)
    with pytest.raises(UsageError, match="window: expected a whole number of steps"):
        of.backward(*d_outputs, cache, window=window)


def test_unknown_names_are_refused() -> None:
    of, (x, h0, *ws), _ = run("rnn_tanh")
    with pytest.raises(UsageError, match="nonlinearity: expected tanh, relu or sigmoid, got 'swish'"):
        reference.rnn_forward(x, h0, *ws, nonlinearity="swish")
    with pytest.raises(UsageError, match="merge: expected concat, sum, average or multiply, got 'max'"):
        reference.bidirectional_forward(of.forward, x, (h0, h0), ws, ws, merge="max")


def test_compositions_refuse_what_does_not_fit() -> None:
    of, (x, h0, *ws), (d_h_all, d_h_n) = run("rnn_tanh")
    with pytest.raises(ShapeError, match="one state for each layer, got 2 for 1"):
        reference.stacked_forward(of.forward, x, [h0, h0], ws)
    with pytest.raises(ShapeError, match="one d_state for each of 1 layers, got 2"):
        reference.stacked_backward(
            of.backward, d_h_all, [d_h_n] * 2, reference.stacked_forward(of.forward, x, [h0], ws)[2]
        )
    *_, cache = reference.bidirectional_forward(of.forward, x, (h0, h0), ws, ws)
    with pytest.raises(ShapeError, match=r"d_h_all: expected \(5, 2, 8\), got \(5, 2, 4\)"):
        reference.bidirectional_backward(of.backward, d_h_all, (d_h_n, d_h_n), cache)


def test_output_and_embedding_refuse_what_does_not_fit() -> None:
    h, weight, bias, targets = np.zeros((TIME, HIDDEN)), np.zeros((6, HIDDEN)), np.zeros(6), np.zeros(TIME, dtype=int)
    with pytest.raises(ShapeError, match=r"output h: expected \(5, 4\), got \(5, 3\)"):
        reference.output_forward(h[:, 1:], weight, bias, targets)
    with pytest.raises(ShapeError, match=r"output bias: expected \(6,\), got \(5,\)"):
        reference.output_forward(h, weight, bias[1:], targets)
    with pytest.raises(UsageError, match=r"targets: expected values in 0\.\.5, got 6\.\.6"):
        reference.output_forward(h, weight, bias, targets + 6)
    with pytest.raises(UsageError, match="targets: expected an array of integers, got float64"):
        reference.output_forward(h, weight, bias, targets.astype(float))
    with pytest.raises(ShapeError, match="at least one position"):
        reference.output_forward(h[:0], weight, bias, targets[:0])
    with pytest.raises(UsageError, match=r"ids: expected values in 0\.\.5, got -1\.\.-1"):
        reference.embedding_forward(targets - 1, weight)
    with pytest.raises(ShapeError, match=r"d_vectors: expected \(5, 4\), got \(4,\)"):
        reference.embedding_backward(h[0], reference.embedding_forward(targets, weight)[1])


def test_limits_of_clipping_must_be_positive() -> None:
    for clip in (reference.clip_by_value, reference.clip_by_norm):
        for limit in (0.0, -1.0, float("nan")):
            with pytest.raises(UsageError, match="expected a number above 0"):
                clip([np.ones(2)], limit)


def documented() -> dict[str, object]:
    """What `recurra.reference` offers, and the functions of every cell, which a module of its own may hold."""
    offered = {name: getattr(reference, name) for name in reference.__all__}
    for layer in LAYERS.values():
        module = sys.modules[layer.module]
        prefix = layer.module.rpartition(".")[2]
        offered |= {name: value for name, value in vars(module).items() if name.startswith(f"{prefix}_")}
    return offered


def test_the_page_of_equations_and_the_code_name_each_other() -> None:
    page, offered = (Path(__file__).parents[2] / "docs" / "equations.md").read_text(), documented()
    for name in re.findall(r"`(\w+_(?:forward|backward|jacobian|path))`", page):
        assert name in offered, f"docs/equations.md names {name}, which recurra.reference does not have"
    sections = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    for name, value in offered.items():
        for section in re.findall(r"docs/equations\.md, ([^.]+)\.", value.__doc__):
            assert section in sections, f"{name} names the section {section!r}, which docs/equations.md does not have"
        if name.endswith(("_forward", "_backward", "_jacobian", "_path")) or name.startswith("clip"):
            assert name in page, f"docs/equations.md does not name {name}"


size = st.integers(1, 4)


@settings(max_examples=12, deadline=None, database=None)
@given(
    name=st.sampled_from([name for name in LAYERS if name != "rnn_relu"]),  # a unit of it may be off at all steps
    time=size,
    batch=size,
    input_size=st.integers(1, 3),
    hidden_size=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
def test_gradients_are_right_at_any_size(name, time, batch, input_size, hidden_size, seed) -> None:
    """Sizes of one included, where a lost axis would broadcast instead of failing."""
    sizes = {"time": time, "batch": batch, "input_size": input_size, "hidden_size": hidden_size}
    prove_gradients(sequence_problem(name, **sizes, seed=seed))
