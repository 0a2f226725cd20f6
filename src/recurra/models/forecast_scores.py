"""How far forecasts are off; each score is a mean over all steps, windows and targets."""

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


def mae(forecast: Values, targets: Values) -> float:
    """Mean absolute error, in units of the targets."""
    return float(np.abs(errors(forecast, targets)).mean())


def mse(forecast: Values, targets: Values) -> float:
    """Mean squared error, in squared units of the targets."""
    return float(np.square(errors(forecast, targets)).mean())


def seasonal_error(values: Values, season: int) -> NDArray[np.float64]:
    """Mean absolute error of the value one season before, within the training part: the unit of MASE.

    Args:
        values: training part of one series, (steps, targets).
        season: steps of a season; 1 for persistence.

    Returns:
        (targets,).
    Raises:
        UsageError: no season, or a training part that is no longer than one.
    """
    if not 1 <= season < len(values):
        raise UsageError(f"season: expected 1 to {len(values) - 1} steps, less than the training part, got {season}")
    return np.asarray(np.abs(values[season:] - values[:-season]).mean(0), np.float64)


def mase(forecast: Values, targets: Values, unit: NDArray[np.float64]) -> float:
    """Mean absolute scaled error: below 1 is better than the value one season before was within the training part.

    Args:
        forecast: in the same units as the values that `unit` was taken of.
        targets: of the same shape.
        unit: `seasonal_error` of the series, (targets,); or of the series of each window, (batch, targets).

    Returns:
        NaN where a unit is 0: of a training part that repeats itself exactly the score is not defined.
    Source: Hyndman & Koehler 2006.
    """
    if not (unit > 0).all():
        return float("nan")
    return float((np.abs(errors(forecast, targets)) / unit).mean())


def smape(forecast: Values, targets: Values) -> float:
    """Symmetric mean absolute percentage error, 0 to 200: 200 |y - f| / (|y| + |f|), 0 where both are 0.

    Source: Makridakis 1993, with absolute values in the denominator as in the M4 competition.
    """
    distance = np.abs(errors(forecast, targets))
    size = np.abs(targets) + np.abs(forecast)
    return float((200 * distance / np.where(size > 0, size, 1)).mean())


def pinball(forecast: Values, targets: Values, quantile: float) -> float:
    """Pinball loss of one quantile: an error costs `quantile` above the forecast, 1 - `quantile` below it.

    Args:
        forecast: of that quantile.
        targets: of the same shape.
        quantile: between 0 and 1; at 0.5 the loss is half the MAE.

    Raises:
        UsageError: a quantile that is none.
    """
    if not 0 < quantile < 1:
        raise UsageError(f"quantile: expected a number between 0 and 1, got {quantile}")
    missing = errors(forecast, targets)
    return float(np.maximum(quantile * missing, (quantile - 1) * missing).mean())


def coverage(lower: Values, upper: Values, targets: Values) -> float:
    """Share of targets within an interval, its ends included."""
    return float(((errors(lower, targets) >= 0) & (errors(upper, targets) <= 0)).mean())
