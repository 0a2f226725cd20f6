"""The linear-chain CRF of the reference against all paths, and its gradient by hand against central differences."""

import copy
import re
from itertools import product

import numpy as np
import pytest
from reference_proofs import Array, Problem, prove_gradients

from recurra.errors import ShapeError, UsageError
from recurra.reference.crf import crf_backward, crf_forward, crf_log_partition, crf_path_score, crf_viterbi

TIME, BATCH, TAGS = 5, 2, 3


def scores(time: int = TIME, scale: float = 1.0) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng(time)
    shapes = [(time, BATCH, TAGS), (TAGS, TAGS), (TAGS,), (TAGS,)]
    emissions, transitions, start, end = (scale * rng.standard_normal(shape) for shape in shapes)
    return emissions, transitions, start, end


def right_tags(time: int = TIME) -> np.ndarray:
    return np.random.default_rng(8).integers(TAGS, size=(time, BATCH))


def all_paths(row: int, emissions: Array, transitions: Array, start: Array, end: Array) -> dict[tuple[int, ...], float]:
    """Score of every path of one sequence, added up one by one."""
    found = {}
    for path in product(range(TAGS), repeat=len(emissions)):
        score = start[path[0]] + end[path[-1]]
        for t, tag in enumerate(path):
            score += emissions[t, row, tag]
            score += transitions[path[t - 1], tag] if t else 0.0
        found[path] = float(score)
    return found


@pytest.mark.parametrize("time", [1, 2, TIME])
def test_sums_and_the_best_are_those_of_all_paths(time: int) -> None:
    arguments, tags = scores(time), right_tags(time)
    log_partition, _, _ = crf_log_partition(*arguments)
    score = crf_path_score(arguments[0], tags, *arguments[1:])
    loss, _ = crf_forward(arguments[0], tags, *arguments[1:])
    best_tags, best = crf_viterbi(*arguments)
    for row in range(BATCH):
        paths = all_paths(row, *arguments)
        total = np.log(np.sum(np.exp(list(paths.values()))))
        assert log_partition[row] == pytest.approx(total, rel=1e-13)
        assert score[row] == pytest.approx(paths[tuple(tags[:, row])], rel=1e-13)
        assert loss[row] == pytest.approx(total - paths[tuple(tags[:, row])], rel=1e-12)
        assert tuple(best_tags[:, row]) == max(paths, key=paths.__getitem__)
        assert best[row] == pytest.approx(max(paths.values()), rel=1e-13)


@pytest.mark.parametrize("time", [1, 2, TIME])
@pytest.mark.parametrize("forbidden", [False, True])
def test_gradient_by_hand_is_the_central_difference(time: int, forbidden: bool) -> None:
    emissions, transitions, start, end = scores(time)
    tags, d_loss = right_tags(time), np.array([1.7, -0.6])
    if forbidden:
        tags[:] = 1
        transitions[0, 2] = transitions[2, 2] = start[2] = -1e4

    def loss() -> float:
        return float(crf_forward(emissions, tags, transitions, start, end)[0] @ d_loss)

    def gradients() -> dict[str, Array]:
        found = crf_backward(d_loss, crf_forward(emissions, tags, transitions, start, end)[1])
        if forbidden:
            assert found.d_transitions[0, 2] == found.d_transitions[2, 2] == found.d_start[2] == 0
        by_name = {name.removeprefix("d_"): gradient for name, gradient in found._asdict().items()}
        return by_name if time > 1 else {name: by_name[name] for name in arguments}

    arguments = {"emissions": emissions, "transitions": transitions, "start": start, "end": end}
    if time == 1:
        del arguments["transitions"]  # a path of one step goes nowhere, so there is nothing to compare
    prove_gradients(Problem(arguments, loss, gradients))


def test_huge_scores_leave_only_the_best_path() -> None:
    arguments = scores(scale=1e4)
    best_tags, best = crf_viterbi(*arguments)
    loss, cache = crf_forward(arguments[0], best_tags, *arguments[1:])
    np.testing.assert_allclose(crf_log_partition(*arguments)[0], best, rtol=1e-14)
    np.testing.assert_allclose(loss, 0, atol=1e-10)
    for gradient in crf_backward(np.ones(BATCH), cache):
        np.testing.assert_allclose(gradient, 0, atol=1e-10)


def test_arguments_and_cache_are_untouched_and_backward_repeats() -> None:
    arguments, tags = scores(), right_tags()
    _, cache = crf_forward(arguments[0], tags, *arguments[1:])
    kept = copy.deepcopy((arguments, tags, cache))
    crf_viterbi(*arguments)
    first, second = (crf_backward(np.array([1.7, -0.6]), cache) for _ in range(2))
    assert all(map(np.array_equal, first, second))
    assert all(map(np.array_equal, [*arguments, tags, *cache], [*kept[0], kept[1], *kept[2]]))


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, np.zeros((TIME, BATCH, 4)), "CRF emissions: expected (time, batch, 3), got (5, 2, 4)"),
        (0, np.zeros((0, BATCH, TAGS)), "CRF emissions: expected at least one step, got (0, 2, 3)"),
        (1, np.zeros((TAGS, 4)), "CRF transitions: expected (3, 3), got (3, 4)"),
        (2, np.zeros(4), "CRF start: expected (3,), got (4,)"),
        (3, np.zeros(4), "CRF end: expected (3,), got (4,)"),
    ],
)
def test_scores_that_do_not_fit_are_refused_by_name(place: int, wrong: Array, message: str) -> None:
    arguments: list[Array] = list(scores())
    arguments[place] = wrong
    with pytest.raises(ShapeError, match=re.escape(message)):
        crf_log_partition(*arguments)
    with pytest.raises(ShapeError, match=re.escape(message)):
        crf_viterbi(*arguments)
    with pytest.raises(ShapeError, match=re.escape(message)):
        crf_forward(arguments[0], right_tags(), *arguments[1:])


def test_tags_and_gradients_that_do_not_fit_are_refused_by_name() -> None:
    (emissions, *rest), tags = scores(), right_tags()
    with pytest.raises(ShapeError, match=r"CRF tags: expected \(5, 2\), one a step of emissions, got \(4, 2\)"):
        crf_forward(emissions, tags[1:], *rest)
    with pytest.raises(UsageError, match=r"CRF tags: expected values in 0\.\.2, got 3\.\.3"):
        crf_forward(emissions, np.full_like(tags, 3), *rest)
    with pytest.raises(ShapeError, match=r"CRF d_loss: expected \(2,\), got \(3,\)"):
        crf_backward(np.ones(3), crf_forward(emissions, tags, *rest)[1])
