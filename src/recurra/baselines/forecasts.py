"""The plain forecasts that a recurrent one has to beat.

A model may also learn what one of them leaves over: trained on `targets - seasonal_naive(...)`, its forecast is its
output plus the same `seasonal_naive(...)`.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from recurra.errors import ShapeError

Values = NDArray[np.floating[Any]]


def persistence(context: Values, horizon: int) -> Values:
    """The last value, for ever.

    Args:
        context: targets up to the present, (context, batch, targets).
        horizon: steps to forecast.

    Returns:
        (horizon, batch, targets).
    """
    return seasonal_naive(context, horizon, 1)


def seasonal_naive(context: Values, horizon: int, season: int) -> Values:
    """The last season, over and over: each step is what stood the fewest whole seasons before it.

    Args:
        context: targets up to the present, (context, batch, targets).
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


class LinearForecast:
    """Every step of the horizon a linear function of every value of the context, by ridge regression.

    Args:
        context: training windows, (context, batch, channels); the fit keeps about twice their memory.
        targets: what followed, (horizon, batch, targets).
        alpha: pull of the weights towards zero, as in scikit-learn.
    """

    def __init__(self, context: Values, targets: Values, alpha: float = 1.0) -> None:
        self.horizon, _, self.num_targets = targets.shape
        self.ridge = Ridge(alpha).fit(rows(context), rows(targets))

    def __call__(self, context: Values) -> Values:
        """Forecast after a context (context, batch, channels): (horizon, batch, targets)."""
        forecast = self.ridge.predict(rows(context)).reshape(-1, self.horizon, self.num_targets)
        return np.asarray(forecast.swapaxes(0, 1))


class NetworkForecast:
    """A network of one layer of 64 units over every value of the context, stopped by a tenth of the windows.

    Args:
        context: training windows, (context, batch, channels).
        targets: what followed, (horizon, batch, targets).
        seed: of its weights.
    """

    def __init__(self, context: Values, targets: Values, seed: int) -> None:
        self.horizon, batch, self.num_targets = targets.shape
        self.network = MLPRegressor(hidden_layer_sizes=(64,), early_stopping=batch > 20, max_iter=60, random_state=seed)
        wanted = rows(targets)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline is given its time, not more
            self.network.fit(rows(context), wanted[:, 0] if wanted.shape[1] == 1 else wanted)

    def __call__(self, context: Values) -> Values:
        """Forecast after a context (context, batch, channels): (horizon, batch, targets)."""
        forecast = self.network.predict(rows(context)).reshape(-1, self.horizon, self.num_targets)
        return np.asarray(forecast.swapaxes(0, 1))


def rows(values: Values) -> NDArray[np.float64]:
    """One row a window, (batch, time * channels), of (time, batch, channels)."""
    return values.swapaxes(0, 1).reshape(values.shape[1], -1).astype(np.float64)
