"""Scores against plain loops, by hand where a value is known, and for what minimizes them."""

import math

import numpy as np
import pytest

from recurra.errors import ShapeError, UsageError
from recurra.metrics.forecasts import (
    absolute_errors,
    inside_interval,
    pinball_losses,
    scaled_errors,
    seasonal_error,
    squared_errors,
    symmetric_percentage_errors,
)

GENERATOR = np.random.default_rng(3)
TARGETS = GENERATOR.normal(size=(3, 5, 2)) + 1
FORECAST = GENERATOR.normal(size=(3, 5, 2))
PAIRS = list(zip(TARGETS.ravel().tolist(), FORECAST.ravel().tolist(), strict=True))


def mean_of(losses: list[float]) -> float:
    return sum(losses) / len(losses)


def test_mean_errors() -> None:
    assert math.isclose(
        absolute_errors(FORECAST, TARGETS).mean(), mean_of([abs(y - f) for y, f in PAIRS]), rel_tol=1e-12
    )
    assert math.isclose(
        squared_errors(FORECAST, TARGETS).mean(), mean_of([(y - f) ** 2 for y, f in PAIRS]), rel_tol=1e-12
    )


def test_smape() -> None:
    expected = mean_of([200 * abs(y - f) / (abs(y) + abs(f)) for y, f in PAIRS])
    assert math.isclose(symmetric_percentage_errors(FORECAST, TARGETS).mean(), expected, rel_tol=1e-12)
    by_hand = symmetric_percentage_errors(np.array([3.0, 0.0, -1.0, 0.0]), np.array([1.0, 0.0, 1.0, 5.0])).mean()
    assert math.isclose(by_hand, (100 + 0 + 200 + 200) / 4, rel_tol=1e-12)


@pytest.mark.parametrize("season", [1, 4])
def test_mase_is_one_for_an_error_of_the_size_of_the_naive_one(season: int) -> None:
    values = GENERATOR.normal(size=(11, 2)) * [1, 100]
    unit = seasonal_error(values, season)
    for target in range(2):
        steps = [abs(values[step, target] - values[step - season, target]) for step in range(season, 11)]
        assert math.isclose(unit[target], mean_of(steps), rel_tol=1e-12)
    assert math.isclose(scaled_errors(TARGETS - 3 * unit, TARGETS, unit).mean(), 3, rel_tol=1e-12)


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
    assert math.isclose(scaled_errors(FORECAST, TARGETS, unit).mean(), expected, rel_tol=1e-12)


def test_mase_is_not_defined_after_exact_repetition() -> None:
    unit = seasonal_error(np.tile([[1.0, 5.0], [2.0, 5.0]], (4, 1)), 2)
    assert unit.tolist() == [0, 0]
    losses = scaled_errors(FORECAST, TARGETS, np.array([2.0, 0.0]))
    np.testing.assert_allclose(losses[..., 0], np.abs(TARGETS - FORECAST)[..., 0] / 2, rtol=1e-12)
    assert np.isnan(losses[..., 1]).all()
    for season in (0, 8):
        with pytest.raises(UsageError, match=f"expected 1 to 7 steps, less than the training part, got {season}"):
            seasonal_error(np.zeros((8, 2)), season)


def test_the_unit_of_mase_is_of_values_that_are_known() -> None:
    values = np.array([[1.0, 5.0], [np.nan, np.nan], [4.0, np.nan], [9.0, np.nan]])
    unit = seasonal_error(values, 1)
    assert unit[0] == 5
    assert math.isnan(unit[1])


@pytest.mark.parametrize(
    "losses",
    [
        absolute_errors,
        squared_errors,
        symmetric_percentage_errors,
        lambda f, y: scaled_errors(f, y, np.ones(2)),
        lambda f, y: pinball_losses(f, y, 0.3),
        lambda f, y: inside_interval(f - 1, f + 1, y),
    ],
)
def test_where_no_target_is_known_there_is_no_loss(losses) -> None:
    targets = TARGETS.copy()
    targets[1, 2, 0] = np.nan
    found, whole = losses(FORECAST, targets), losses(FORECAST, TARGETS)
    assert np.argwhere(np.isnan(found)).tolist() == [[1, 2, 0]]
    np.testing.assert_array_equal(found[~np.isnan(found)], whole[~np.isnan(found)])


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_pinball(quantile: float) -> None:
    losses = [quantile * (y - f) if y > f else (1 - quantile) * (f - y) for y, f in PAIRS]
    assert math.isclose(pinball_losses(FORECAST, TARGETS, quantile).mean(), mean_of(losses), rel_tol=1e-12)
    sample = GENERATOR.normal(size=1001)
    levels = np.linspace(-3, 3, 601)
    best = levels[np.argmin([pinball_losses(np.full(1001, level), sample, quantile).mean() for level in levels])]
    assert abs(best - np.quantile(sample, quantile)) < 0.011  # the levels lie 0.01 apart


@pytest.mark.parametrize("quantile", [0, 1, -0.1, math.nan])
def test_a_quantile_lies_between_0_and_1(quantile: float) -> None:
    with pytest.raises(UsageError, match="expected a number between 0 and 1"):
        pinball_losses(FORECAST, TARGETS, quantile)


def test_coverage_includes_the_ends() -> None:
    targets = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    lower, upper = np.array([0.0, 0.0, 2.5, 2.0, 5.0]), np.array([1.0, 1.0, 3.0, 2.5, 6.0])
    assert inside_interval(lower, upper, targets).mean() == 2 / 5


@pytest.mark.parametrize(
    "score",
    [
        absolute_errors,
        squared_errors,
        symmetric_percentage_errors,
        lambda f, y: pinball_losses(f, y, 0.3),
        lambda f, y: scaled_errors(f, y, np.ones(2)),
        lambda f, y: inside_interval(f, f, y),
    ],
)
def test_a_forecast_that_would_only_broadcast_is_refused(score) -> None:
    with pytest.raises(ShapeError, match=r"expected the shape of the targets, \(3, 5, 2\), got \(3, 1, 2\)"):
        score(FORECAST[:, :1], TARGETS)
