"""How far forecasts are off: losses of each step, window and target, whose mean is the score.

A loss is NaN where it is not defined: where no target is known (it is NaN itself), or there is nothing to measure by.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ShapeError, UsageError

Values = NDArray[np.floating[Any]]  # (horizon, batch, targets), unless said otherwise


def errors(forecast: Values, targets: Values) -> Values:
    """What is missing to the targets, of the same shape."""
    if forecast.shape != targets.shape:
        raise ShapeError(f"forecast: expected the shape of the targets, {targets.shape}, got {forecast.shape}")
    difference: Values = targets - forecast
    return difference


def absolute_errors(forecast: Values, targets: Values) -> Values:
    """Their mean is the MAE, in units of the targets."""
    return np.asarray(np.abs(errors(forecast, targets)))


def squared_errors(forecast: Values, targets: Values) -> Values:
    """Their mean is the MSE, in squared units of the targets."""
    return np.asarray(np.square(errors(forecast, targets)))


def seasonal_error(values: Values, season: int) -> NDArray[np.float64]:
    """Mean absolute error of the value one season before, within the training part: the unit of MASE.

    Args:
        values: training part of one series, NaN where none is known, (steps, targets).
        season: steps of a season; 1 for persistence.

    Returns:
        (targets,), NaN where no two values lie a season apart.
    Raises:
        UsageError: no season, or a training part that is no longer than one.
    """
    if not 1 <= season < len(values):
        raise UsageError(f"season: expected 1 to {len(values) - 1} steps, less than the training part, got {season}")
    distances = np.abs(values[season:] - values[:-season])
    counts = np.count_nonzero(~np.isnan(distances), 0)
    return np.asarray(np.nansum(distances, 0) / np.where(counts, counts, np.nan), np.float64)


def scaled_errors(forecast: Values, targets: Values, unit: NDArray[np.float64]) -> Values:
    """Their mean is the MASE: below 1 is better than the value one season before was within the training part.

    Args:
        forecast: in the same units as the values that `unit` was taken of.
        targets: of the same shape.
        unit: `seasonal_error` of the series, (targets,); or of the series of each window, (batch, targets).

    Returns:
        Of the shape of the targets, NaN where a unit is 0: of a training part that repeats itself exactly the score is
        not defined.
    Source: Hyndman & Koehler 2006.
    """
    return np.asarray(absolute_errors(forecast, targets) / np.where(unit > 0, unit, np.nan))


def percentage_errors(forecast: Values, targets: Values) -> Values:
    """Their mean is the symmetric MAPE, 0 to 200: 200 |y - f| / (|y| + |f|), 0 where both are 0.

    Source: Makridakis 1993, with absolute values in the denominator as in the M4 competition.
    """
    distance = absolute_errors(forecast, targets)
    size = np.abs(targets) + np.abs(forecast)
    return np.asarray(200 * distance / np.where(size > 0, size, 1))


def pinball_losses(forecast: Values, targets: Values, quantile: float) -> Values:
    """Pinball loss of one quantile: an error costs `quantile` above the forecast, 1 - `quantile` below it.

    Args:
        forecast: of that quantile.
        targets: of the same shape.
        quantile: between 0 and 1; at 0.5 the mean loss is half the MAE.

    Raises:
        UsageError: a quantile that is none.
    """
    if not 0 < quantile < 1:
        raise UsageError(f"quantile: expected a number between 0 and 1, got {quantile}")
    missing = errors(forecast, targets)
    return np.asarray(np.maximum(quantile * missing, (quantile - 1) * missing))


def hits(lower: Values, upper: Values, targets: Values) -> Values:
    """1 for targets within an interval, its ends included, 0 for others; their mean is the coverage."""
    is_hit = (errors(lower, targets) >= 0) & (errors(upper, targets) <= 0)
    return np.where(np.isnan(targets), np.nan, is_hit)
