"""Losses of forecasts for each step, window and target; their means are the scores.

A loss is NaN where it is not defined: where the target is unknown (NaN itself), or the scale of the error is 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ShapeError, UsageError

Values = NDArray[np.floating[Any]]  # (horizon, batch, targets), unless said otherwise


def signed_errors(forecast: Values, targets: Values) -> Values:
    """Targets minus forecast, of the same shape.

    Raises:
        ShapeError: forecast and targets differ in shape.
    """
    if forecast.shape != targets.shape:
        raise ShapeError(f"forecast: expected the shape of the targets, {targets.shape}, got {forecast.shape}")
    difference: Values = targets - forecast
    return difference


def absolute_errors(forecast: Values, targets: Values) -> Values:
    """Absolute errors, whose mean is the MAE, in units of the targets."""
    return np.asarray(np.abs(signed_errors(forecast, targets)))


def squared_errors(forecast: Values, targets: Values) -> Values:
    """Squared errors, whose mean is the MSE, in squared units of the targets."""
    return np.asarray(np.square(signed_errors(forecast, targets)))


def seasonal_error(values: Values, season: int) -> NDArray[np.float64]:
    """Mean absolute error of the seasonal naive forecast within the training part: the unit of MASE.

    Args:
        values: training part of one series, NaN where unknown, (steps, targets).
        season: steps of a season; 1 for persistence.

    Returns:
        (targets,), NaN where no two known values are a season apart.
    Raises:
        UsageError: a season below 1, or not shorter than the training part.
    """
    if not 1 <= season < len(values):
        raise UsageError(f"season: expected 1 to {len(values) - 1} steps, less than the training part, got {season}")
    distances = np.abs(values[season:] - values[:-season])
    counts = np.count_nonzero(~np.isnan(distances), 0)
    return np.asarray(np.nansum(distances, 0) / np.where(counts, counts, np.nan), np.float64)


def scaled_errors(forecast: Values, targets: Values, unit: NDArray[np.float64]) -> Values:
    """Scaled absolute errors, whose mean is the MASE: below 1 is better than seasonal naive in the training part.

    Args:
        forecast: in the same units as the values that `unit` was computed from.
        targets: of the same shape.
        unit: `seasonal_error` of the series, (targets,); or of the series of each window, (batch, targets).

    Returns:
        Of the shape of the targets, NaN where the unit is 0, that is if the training part repeats itself exactly.
    Source: Hyndman & Koehler 2006.
    """
    return np.asarray(absolute_errors(forecast, targets) / np.where(unit > 0, unit, np.nan))


def symmetric_percentage_errors(forecast: Values, targets: Values) -> Values:
    """Symmetric percentage errors, 0 to 200, whose mean is the sMAPE: 200 |y - f| / (|y| + |f|), 0 if both are 0.

    Source: Makridakis 1993, with absolute values in the denominator as in the M4 competition.
    """
    distance = absolute_errors(forecast, targets)
    size = np.abs(targets) + np.abs(forecast)
    return np.asarray(200 * distance / np.where(size > 0, size, 1))


def pinball_losses(forecast: Values, targets: Values, quantile: float) -> Values:
    """Pinball loss of a quantile: the error times `quantile` if the target is above, times 1 - `quantile` if below.

    Args:
        forecast: of the quantile.
        targets: of the same shape.
        quantile: level between 0 and 1; at 0.5 the mean loss is half the MAE.

    Raises:
        UsageError: a level outside (0, 1).
    """
    if not 0 < quantile < 1:
        raise UsageError(f"quantile: expected a number between 0 and 1, got {quantile}")
    difference = signed_errors(forecast, targets)
    return np.asarray(np.maximum(quantile * difference, (quantile - 1) * difference))


def inside_interval(lower: Values, upper: Values, targets: Values) -> Values:
    """1 for targets inside a prediction interval, its ends included, 0 for others; their mean is the coverage."""
    is_inside = (signed_errors(lower, targets) >= 0) & (signed_errors(upper, targets) <= 0)
    return np.where(np.isnan(targets), np.nan, is_inside)
