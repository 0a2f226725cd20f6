"""Baseline forecasts against their definitions, and on a series with a known answer."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from recurra.baselines.forecasts import LinearForecaster, MLPForecaster
from recurra.baselines.naive_forecasts import persistence, seasonal_naive
from recurra.errors import ShapeError


def values(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_persistence_is_the_last_value() -> None:
    context = values(5, 4, 2)
    forecast = persistence(context, 3)
    assert forecast.shape == (3, 4, 2)
    for step in range(3):
        np.testing.assert_array_equal(forecast[step], context[4])


@pytest.mark.parametrize(("season", "horizon"), [(3, 8), (7, 2), (1, 4), (5, 5)])
def test_the_seasonal_forecast_stands_whole_seasons_before(season: int, horizon: int) -> None:
    context = values(7, 4, 2)
    forecast = seasonal_naive(context, horizon, season)
    assert forecast.shape == (horizon, 4, 2)
    for step in range(horizon):
        before = 7 + step
        while before >= 7:
            before -= season
        np.testing.assert_array_equal(forecast[step], context[before])


@pytest.mark.parametrize("season", [0, 8])
def test_a_season_longer_than_the_context_is_refused(season: int) -> None:
    with pytest.raises(ShapeError, match=f"expected a season of 1 to 7 steps, the context, got {season}"):
        seasonal_naive(values(7, 4, 2), 3, season)


@pytest.mark.parametrize("alpha", [0.3, 20.0])
def test_the_linear_forecaster_is_the_ridge_solution(alpha: float) -> None:
    """(X'X + alpha) W = X'Y of centred X and Y, solved here window by window."""
    context, targets, new = values(4, 50, 3), values(2, 50, 5, seed=4), values(4, 6, 3, seed=5)
    inputs = np.array([context[:, window].ravel() for window in range(50)])
    outputs = np.array([targets[:, window].ravel() for window in range(50)])
    centred = inputs - inputs.mean(0)
    weights = np.linalg.solve(centred.T @ centred + alpha * np.eye(12), centred.T @ (outputs - outputs.mean(0)))
    forecast = LinearForecaster(alpha).fit(context, targets).predict(new)
    assert forecast.shape == (2, 6, 5)
    for window in range(6):
        expected = outputs.mean(0) + (new[:, window].ravel() - inputs.mean(0)) @ weights
        np.testing.assert_allclose(forecast[:, window].ravel(), expected, rtol=1e-9)


def test_the_linear_forecaster_learns_a_recursion() -> None:
    """x(t) = x(t-1) - 0.9 x(t-2): two values of context determine all later ones."""
    steps = list(values(2, 30, 1))
    for _ in range(4):
        steps.append(steps[-1] - 0.9 * steps[-2])
    context, targets = np.array(steps[:2]), np.array(steps[2:])
    model = LinearForecaster(1e-9).fit(context[:, :20], targets[:, :20])
    np.testing.assert_allclose(model.predict(context[:, 20:]), targets[:, 20:], atol=1e-8)


def test_single_precision_is_fitted_in_double() -> None:
    context, targets = values(30, 40, 1).astype(np.float32) * 1e-3 + 100, values(2, 40, 1).astype(np.float32)
    single, double = (
        LinearForecaster(1e-9).fit(context.astype(kind), targets).predict(context) for kind in (np.float32, np.float64)
    )
    np.testing.assert_array_equal(single, double)


def test_baselines_of_a_real_series_are_those_of_plain_loops() -> None:
    """Oil temperature of four months after sixteen, normalized by the first twelve; a day ahead at every hour."""
    path = Path(os.environ.get("RECURRA_DATA", "absent")) / "ett" / "ETTh1.csv"
    if not path.exists():
        pytest.skip("ett/ETTh1.csv is not in RECURRA_DATA")
    with path.open() as file:
        column = [float(row["OT"]) for row in csv.DictReader(file)]
    mean = sum(column[:8640]) / 8640
    deviation = (sum((value - mean) ** 2 for value in column[:8640]) / 8640) ** 0.5
    z = [(value - mean) / deviation for value in column]
    origins = range(11_520, 14_400 - 24 + 1)
    data = np.array(z)
    context = np.stack([data[origin - 48 : origin] for origin in origins], 1)[..., np.newaxis]
    targets = np.stack([data[origin : origin + 24] for origin in origins], 1)[..., np.newaxis]
    pairs = [(z[origin + step], z[origin - 1], z[origin + step - 24]) for origin in origins for step in range(24)]
    for forecast, squared in (
        (persistence(context, 24), sum((y - last) ** 2 for y, last, _ in pairs) / len(pairs)),
        (seasonal_naive(context, 24, 24), sum((y - day) ** 2 for y, _, day in pairs) / len(pairs)),
    ):
        np.testing.assert_allclose(np.square(forecast - targets).mean(), squared, rtol=1e-10)


def test_the_perceptron_learns_a_nonlinear_function() -> None:
    """The next value is the larger of the last two."""
    context, new = values(2, 4000, 1), values(2, 300, 1, seed=9)
    for targets in (1, 2):
        wanted = np.repeat(context.max(0)[None], targets, 0)
        mlp, linear = (model.fit(context, wanted) for model in (MLPForecaster(seed=1), LinearForecaster()))
        errors = [float(np.square(model.predict(new) - new.max(0)).mean()) for model in (mlp, linear)]
        assert errors[0] < 0.2 * errors[1]
        assert mlp.predict(new).shape == (targets, 300, 1)
    np.testing.assert_array_equal(MLPForecaster(seed=1).fit(context, wanted).predict(new), mlp.predict(new))
