"""Scores of forecasts: errors by window, their means over all batches, and those of baselines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.normalizer import Normalizer
from recurra.data.timeline.scaling import Values, restore
from recurra.data.timeline.timeline import Timeline
from recurra.data.timeline.windows import ForecastWindow, Windows
from recurra.metrics.forecasts import (
    absolute_errors,
    inside_interval,
    pinball_losses,
    scaled_errors,
    seasonal_error,
    squared_errors,
    symmetric_percentage_errors,
)
from recurra.tasks.task import Scores

if TYPE_CHECKING:
    from recurra.baselines.forecasts import ForecastBaseline

EVALUATION_BATCH = 256  # windows
MAX_NUMBERS = 30_000_000  # values that a baseline is fitted to

Errors = dict[str, Values]  # by metric, (horizon, batch, targets), NaN where undefined


class ErrorMeasures:
    """Errors of forecasts, normalized and in units of the table.

    Args:
        normalizer: of the series.
        timelines: the series, in units of the table.
        spans: steps of each series whose seasonal error is the unit of MASE.
        season: steps.
    """

    def __init__(
        self, normalizer: Normalizer, timelines: Sequence[Timeline], spans: Sequence[range], season: int
    ) -> None:
        self.normalizer, self.timelines = normalizer, timelines
        parts = [timeline.observed(np.array(span, np.int64)) for timeline, span in zip(timelines, spans, strict=True)]
        undefined = np.full(timelines[0].num_targets, np.nan)
        units = [seasonal_error(part, season) if len(part) > season else undefined for part in parts]
        self.units = np.array(units)  # (series, targets)

    def errors(self, forecast: Values, targets: Values, series: NDArray[np.int64]) -> Errors:
        """Errors of a batch of windows by metric.

        Args:
            forecast: normalized, (horizon, batch, targets).
            targets: normalized, NaN where unknown, (horizon, batch, targets).
            series: number of the series of each window, (batch,).
        """
        restored, actual = restore(forecast, self.normalizer), restore(targets, self.normalizer)
        return {
            "mse": squared_errors(forecast, targets),
            "mae": absolute_errors(forecast, targets),
            "mae_unscaled": absolute_errors(restored, actual),
            "mase": scaled_errors(restored, actual, self.units[series]),
            "smape": symmetric_percentage_errors(restored, actual),
        }


class HeldOut(NamedTuple):
    """Windows to evaluate on, normalized, and the errors to measure."""

    windows: Windows
    measures: ErrorMeasures


def quantile_errors(quantiles: Values, targets: Values, levels: Sequence[float]) -> Errors:
    """Mean pinball loss of all levels and, if there are two or more, coverage of the outermost quantiles.

    Args:
        quantiles: (horizon, batch, targets, levels).
        targets: (horizon, batch, targets).
        levels: increasing.
    """
    losses = [pinball_losses(quantiles[..., index], targets, level) for index, level in enumerate(levels)]
    inside = {"coverage": inside_interval(quantiles[..., 0], quantiles[..., -1], targets)} if len(levels) > 1 else {}
    return {**inside, "pinball": np.mean(losses, 0)}


class RunningMeans:
    """Mean errors over all batches added so far; undefined ones (NaN) do not count."""

    def __init__(self) -> None:
        self.sums: dict[str, Values] = {}  # by step ahead, (horizon,)
        self.counts: dict[str, NDArray[np.int64]] = {}

    def add(self, errors: Mapping[str, Values]) -> None:
        """Add a batch of errors, each (horizon, batch, targets)."""
        for name, values in errors.items():
            count = np.count_nonzero(~np.isnan(values), (1, 2))
            self.counts[name] = self.counts.get(name, 0) + count
            self.sums[name] = self.sums.get(name, 0) + np.nansum(values, (1, 2))

    def scores(self) -> Scores:
        """Means over all steps, windows and targets; without errors that were undefined everywhere."""
        return {name: float(self.sums[name].sum() / count.sum()) for name, count in self.counts.items() if count.any()}

    def by_step(self, name: str) -> list[float | None]:
        """Mean of each step ahead; None where it is undefined."""
        return none_for_nan(self.sums[name] / np.where(self.counts[name], self.counts[name], np.nan))


def none_for_nan(values: Values) -> list[float | None]:
    """Values as a list for JSON, which has no NaN."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def batch_indices(windows: Windows) -> list[NDArray[np.int64]]:
    """Indices of all windows in batches of at most EVALUATION_BATCH."""
    indices = np.arange(len(windows))
    return np.array_split(indices, -(-len(indices) // EVALUATION_BATCH))


def forward_filled(window: ForecastWindow) -> Values:
    """Targets of windows with the last known value in place of unknown ones, (horizon, batch, targets).

    For teacher forcing and for baselines, which need a value at every step.
    """
    known = np.concatenate([window.context[-1:, :, : window.targets.shape[2]], window.targets])
    steps = np.arange(len(known)).reshape(-1, 1, 1)
    latest = np.maximum.accumulate(np.where(np.isnan(known), 0, steps))  # (1 + horizon, batch, targets)
    return np.take_along_axis(known, latest, 0)[1:]


def fitting_windows(train: Windows) -> ForecastWindow:
    """Evenly spaced training windows to fit baselines to: all, or as many as hold MAX_NUMBERS values."""
    one = train.timelines[0]
    width = train.context * len(one.channels) + train.horizon * (one.num_known + one.num_targets)
    count = min(len(train), max(MAX_NUMBERS // width, 1))
    return train.batch(np.linspace(0, len(train) - 1, count).astype(np.int64))


def baseline_scores(baseline: "ForecastBaseline", held_out: HeldOut) -> Scores:
    """Scores of a fitted baseline."""
    (windows, measures), means = held_out, RunningMeans()
    for indices in batch_indices(windows):
        window = windows.batch(indices)
        forecast = baseline.predict(window.context, window.future)
        means.add(measures.errors(forecast, window.targets, windows.locate(indices)[0]))
    return means.scores()
