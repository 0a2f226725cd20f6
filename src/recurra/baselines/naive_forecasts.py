"""Naive forecasts: the last value or the last season, repeated.

A model may also learn the residuals of one of them: trained on `targets - seasonal_naive(...)`, its forecast is its
output plus the same `seasonal_naive(...)`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ShapeError

Values = NDArray[np.floating[Any]]


def persistence(context: Values, horizon: int) -> Values:
    """Repeat the last value.

    Args:
        context: past targets, (context, batch, targets).
        horizon: steps to forecast.

    Returns:
        (horizon, batch, targets).
    """
    return seasonal_naive(context, horizon, 1)


def seasonal_naive(context: Values, horizon: int, season: int) -> Values:
    """Repeat the last season.

    Args:
        context: past targets, (context, batch, targets).
        horizon: steps to forecast.
        season: steps of a season; 1 is persistence.

    Returns:
        (horizon, batch, targets).
    Raises:
        ShapeError: the context is shorter than a season.
    """
    if not 1 <= season <= len(context):
        raise ShapeError(
            f"seasonal naive forecast: expected a season of 1 to {len(context)} steps, the context, got {season}"
        )
    forecast: Values = context[-season:][np.arange(horizon) % season]
    return forecast
