"""Scores against plain loops, by hand where a value is known, and for what minimises them."""

import math

import numpy as np
import pytest

from recurra.errors import ShapeError, UsageError
from recurra.models.forecast_scores import coverage, mae, mase, mse, pinball, seasonal_error, smape

GENERATOR = np.random.default_rng(3)
TARGETS = GENERATOR.normal(size=(3, 5, 2)) + 1
FORECAST = GENERATOR.normal(size=(3, 5, 2))
PAIRS = list(zip(TARGETS.ravel().tolist(), FORECAST.ravel().tolist(), strict=True))


def mean_of(losses: list[float]) -> float:
    return sum(losses) / len(losses)


def test_mean_errors() -> None:
    assert math.isclose(mae(FORECAST, TARGETS), mean_of([abs(y - f) for y, f in PAIRS]), rel_tol=1e-12)
    assert math.isclose(mse(FORECAST, TARGETS), mean_of([(y - f) ** 2 for y, f in PAIRS]), rel_tol=1e-12)


def test_smape() -> None:
    expected = mean_of([200 * abs(y - f) / (abs(y) + abs(f)) for y, f in PAIRS])
    assert math.isclose(smape(FORECAST, TARGETS), expected, rel_tol=1e-12)
    by_hand = smape(np.array([3.0, 0.0, -1.0, 0.0]), np.array([1.0, 0.0, 1.0, 5.0]))
    assert math.isclose(by_hand, (100 + 0 + 200 + 200) / 4, rel_tol=1e-12)


@pytest.mark.parametrize("season", [1, 4])
def test_mase_is_one_for_an_error_of_the_size_of_the_naive_one(season: int) -> None:
    values = GENERATOR.normal(size=(11, 2)) * [1, 100]
    unit = seasonal_error(values, season)
    for target in range(2):
        steps = [abs(values[step, target] - values[step - season, target]) for step in range(season, 11)]
        assert math.isclose(unit[target], mean_of(steps), rel_tol=1e-12)
    assert math.isclose(mase(TARGETS - 3 * unit, TARGETS, unit), 3, rel_tol=1e-12)


def test_mase_of_windows_of_several_series() -> None:
    unit = np.random.default_rng(4).uniform(1, 5, size=(5, 2))  # (batch, targets)
    expected = mean_of(
        [
            abs(TARGETS[step, window, target] - FORECAST[step, window, target]) / unit[window, target]
            for step in range(3)
            for window in range(5)
            for target in range(2)
        ]
    )
    assert math.isclose(mase(FORECAST, TARGETS, unit), expected, rel_tol=1e-12)


def test_mase_is_not_defined_after_exact_repetition() -> None:
    unit = seasonal_error(np.tile([[1.0, 5.0], [2.0, 5.0]], (4, 1)), 2)
    assert unit.tolist() == [0, 0]
    assert math.isnan(mase(FORECAST, TARGETS, np.array([2.0, 0.0])))
    for season in (0, 8):
        with pytest.raises(UsageError, match=f"expected 1 to 7 steps, less than the training part, got {season}"):
            seasonal_error(np.zeros((8, 2)), season)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_pinball(quantile: float) -> None:
    losses = [quantile * (y - f) if y > f else (1 - quantile) * (f - y) for y, f in PAIRS]
    assert math.isclose(pinball(FORECAST, TARGETS, quantile), mean_of(losses), rel_tol=1e-12)
    sample = GENERATOR.normal(size=1001)
    levels = np.linspace(-3, 3, 601)
    best = levels[np.argmin([pinball(np.full(1001, level), sample, quantile) for level in levels])]
    assert abs(best - np.quantile(sample, quantile)) < 0.011  # the levels lie 0.01 apart


@pytest.mark.parametrize("quantile", [0, 1, -0.1, math.nan])
def test_a_quantile_lies_between_0_and_1(quantile: float) -> None:
    with pytest.raises(UsageError, match="expected a number between 0 and 1"):
        pinball(FORECAST, TARGETS, quantile)


def test_coverage_includes_the_ends() -> None:
    targets = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    lower, upper = np.array([0.0, 0.0, 2.5, 2.0, 5.0]), np.array([1.0, 1.0, 3.0, 2.5, 6.0])
    assert coverage(lower, upper, targets) == 2 / 5


@pytest.mark.parametrize(
    "score",
    [
        mae,
        mse,
        smape,
        lambda f, y: pinball(f, y, 0.3),
        lambda f, y: mase(f, y, np.ones(2)),
        lambda f, y: coverage(f, f, y),
    ],
)
def test_a_forecast_that_would_only_broadcast_is_refused(score) -> None:
    with pytest.raises(ShapeError, match=r"expected the shape of the targets, \(3, 5, 2\), got \(3, 1, 2\)"):
        score(FORECAST[:, :1], TARGETS)
