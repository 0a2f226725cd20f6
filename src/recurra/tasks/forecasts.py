"""Forecasts with what stands around them, and how far they are off."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.normaliser import Normaliser
from recurra.data.scaling import restore
from recurra.data.stamps import Times
from recurra.data.timeline import Timeline
from recurra.data.windows import Example, Windows
from recurra.models.forecast_scores import coverage, mae, mase, mse, pinball, seasonal_error, smape
from recurra.models.naive import LinearForecast, NetworkForecast, persistence, rows, seasonal_naive
from recurra.runs import Json
from recurra.tasks.task import Metrics

MOST_NUMBERS = 30_000_000  # that a plain model is trained on
JUDGED_AT_ONCE = 256  # windows
SHOWN = 3  # times the horizon, of what stands before a forecast in a figure

Values = NDArray[np.floating[Any]]
PlainForecast = Callable[[Example], Values]  # (horizon, batch, targets) of windows in training deviations


class Forecast(NamedTuple):
    """What is said of some steps of a series, in units of the table."""

    timeline: Timeline
    start: int  # the step it begins at
    times: Times  # (horizon,)
    values: Values  # (horizon, targets)
    quantiles: dict[float, Values]  # by level, (horizon, targets)

    @property
    def actual(self) -> Values:
        """What came, as far as the table tells, (0 to horizon, targets)."""
        return self.timeline.values[self.start : self.start + len(self.times)]

    def fan(self, target: int) -> Json:
        """One target as plain values that a figure is drawn from."""
        first = max(self.start - SHOWN * len(self.times), 0)
        name = self.timeline.channels[target]
        return {
            "title": name if name == self.timeline.name else f"{self.timeline.name}: {name}",
            "history_times": self.timeline.write(self.timeline.times[first : self.start]),
            "history": self.timeline.values[first : self.start, target].tolist(),
            "times": self.timeline.write(self.times),
            "forecast": self.values[:, target].tolist(),
            "actual": self.actual[:, target].tolist(),
            "quantiles": {str(level): values[:, target].tolist() for level, values in self.quantiles.items()},
        }


class Scorer:
    """Scores of forecasts in training deviations, and in units of the table.

    Args:
        normaliser: what made these of those.
        timelines: the series, in units of the table.
        spans: steps of each that say how hard it is to forecast, for MASE.
        season: steps.
    """

    def __init__(
        self, normaliser: Normaliser, timelines: Sequence[Timeline], spans: Sequence[range], season: int
    ) -> None:
        self.normaliser = normaliser
        parts = [timeline.values[span.start : span.stop] for timeline, span in zip(timelines, spans, strict=True)]
        undefined = np.full(timelines[0].num_targets, np.nan)
        units = [seasonal_error(part, season) if len(part) > season else undefined for part in parts]
        self.units = np.array(units)  # (series, targets)

    def score(self, forecast: Values, targets: Values, series: NDArray[np.int64]) -> Metrics:
        """Scores of some windows.

        Args:
            forecast: (horizon, batch, targets).
            targets: of the same shape.
            series: which series each window is of, (batch,).
        """
        told, came = restore(forecast, self.normaliser), restore(targets, self.normaliser)
        return {
            "mse": mse(forecast, targets),
            "mae": mae(forecast, targets),
            "mae_unscaled": mae(told, came),
            "mase": mase(told, came, self.units[series]),
            "smape": smape(told, came),
        }


def quantile_scores(quantiles: Values, targets: Values, levels: Sequence[float]) -> Metrics:
    """Coverage between the outer quantiles, and the mean pinball loss.

    Args:
        quantiles: (horizon, batch, targets, levels).
        targets: (horizon, batch, targets).
        levels: rising.
    """
    losses = [pinball(quantiles[..., index], targets, level) for index, level in enumerate(levels)]
    return {
        "coverage": coverage(quantiles[..., 0], quantiles[..., -1], targets),
        "pinball": float(np.mean(losses)),
    }


def mean_scores(parts: Iterable[tuple[int, Metrics]]) -> Metrics:
    """Mean over batches, each with its number of windows; what is not defined is left out."""
    windows, sums = 0, dict[str, float]()
    for count, scores in parts:
        windows += count
        sums = {name: sums.get(name, 0.0) + count * score for name, score in scores.items()}
    return {name: total / windows for name, total in sums.items() if not np.isnan(total)}


def in_batches(windows: Windows) -> list[NDArray[np.int64]]:
    """All windows, some at once."""
    numbers = np.arange(len(windows))
    return np.array_split(numbers, -(-len(numbers) // JUDGED_AT_ONCE))


def plain_forecasts(train: Windows, season: int, seed: int) -> dict[str, Callable[[], PlainForecast]]:
    """What a forecaster has to beat, by name; the last two learn from training windows when they are called.

    Those forecast the difference to the last value, from the differences of the context to its last values.
    """
    one = train.timelines[0]
    num_targets, first_known, horizon = one.num_targets, one.first_known, train.horizon

    def past(example: Example) -> Values:
        return example.context[..., :num_targets]

    def features(example: Example) -> Values:
        context = example.context.copy()
        context[..., :first_known] -= example.context[-1:, :, :first_known]
        return np.hstack([rows(context), rows(example.future)])[None]  # (1, batch, features)

    def learned(fit: Callable[[Values, Values], Callable[[Values], Values]]) -> PlainForecast:
        width = train.context * len(one.channels) + horizon * (one.num_known + num_targets)
        count = min(len(train), max(MOST_NUMBERS // width, 1))
        example = train.batch(np.linspace(0, len(train) - 1, count).astype(np.int64))
        model = fit(features(example), example.targets - past(example)[-1:])
        return lambda example: model(features(example)) + past(example)[-1:]

    found: dict[str, Callable[[], PlainForecast]] = {
        "persistence": lambda: lambda example: persistence(past(example), horizon)
    }
    if 1 < season <= train.context:
        found["seasonal_naive"] = lambda: lambda example: seasonal_naive(past(example), horizon, season)
    found["linear"] = lambda: learned(LinearForecast)
    found["mlp"] = lambda: learned(lambda context, targets: NetworkForecast(context, targets, seed))
    return found


def scores_of(forecast: PlainForecast, windows: Windows, scorer: Scorer) -> Metrics:
    """Scores of a plain forecast."""

    def scores() -> Iterator[tuple[int, Metrics]]:
        for numbers in in_batches(windows):
            example = windows.batch(numbers)
            yield len(numbers), scorer.score(forecast(example), example.targets, windows.locate(numbers)[0])

    return mean_scores(scores())
