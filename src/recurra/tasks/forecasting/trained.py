"""A trained forecaster in use."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from recurra.config import Section
from recurra.data.tables import Table
from recurra.data.timeline.scaling import Values, normalize, normalize_series
from recurra.data.timeline.timeline import Timeline
from recurra.data.timeline.windows import Windows, cut_spans, describe_dropped, drop_short
from recurra.errors import DataError, UsageError, counted
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.forecasting.scoring import EVALUATION_BATCH, Forecast
from recurra.tasks.forecasting.task import Forecasting, to_array
from recurra.tasks.task import inference
from recurra.tasks.trained import Input, TrainedModel, Verb


class PredictOptions(Section):
    """Options of `predict`."""

    horizon: int | None = Field(
        None,
        ge=1,
        description="steps to forecast, by default as in training; beyond them the model continues from its own "
        "forecast, and its quantiles do not grow wider for that",
    )
    quantiles: list[float] | None = Field(
        None, description="levels such as 0.1,0.5,0.9; by default those of the recipe, where the model has any"
    )
    backtest: bool = Field(
        False, description="forecast the test part instead, block by block, beside the actual values"
    )
    stride: int | None = Field(
        None, ge=1, description="of a backtest: steps from one forecast to the next; by default the horizon"
    )


def predict(
    model: "TrainedForecaster", inputs: list[Input], options: PredictOptions, progress: Progress
) -> list[Forecast]:
    """Forecasts of the series of each table that are as long as the context.

    Raises:
        DataError: a table that cannot be used, or without a series as long as the context.
        UsageError: a horizon or quantiles that the model does not have.
    """
    forecast = model.backtest_table if options.backtest else model.forecast_table
    return [found for one in inputs for found in forecast(one.value, options, progress)]


class TrainedForecaster(TrainedModel[Forecasting]):
    """A forecaster, ready to use; arguments and errors as of `TrainedModel`.

    Inputs are tables with the columns of training: paths, or `recurra.data.tables.Table`.
    """

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(PredictOptions, predict)}
    plots: ClassVar[Literal["never", "asked", "always"]] = "always"
    batch_size: ClassVar[int] = 1  # tables, so that the forecasts before one that cannot be read come first

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.options = self.task.recipe.data

    @property
    def reads_files(self) -> bool:
        """Tables are given as files."""
        return True

    def default_inputs(self) -> list[Any]:
        """The table of the run."""
        return [self.options.path]

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The path itself: a table is read when it is forecast."""
        yield Input(path, path)

    def forecast(self, data: str | Path | Table | None = None, **options: Any) -> list[Forecast]:
        """Forecasts of one table, by default that of the run; options and errors as of `predict`."""
        return self.predict(self.default_inputs() if data is None else [data], **options)

    def backtest(self, data: str | Path | Table | None = None, **options: Any) -> list[Forecast]:
        """Forecasts over the test part of each series, each from the steps before it; options as of `predict`."""
        return self.forecast(data, backtest=True, **options)

    def figures(self, answers: Sequence[Forecast]) -> list[Any]:
        """A chart for each series and target."""
        from recurra.tasks.forecasting.page import by_series, fan_figure

        fans = [one.fan(target) for one in answers for target in range(one.values.shape[1])]
        return [fan_figure(several) for several in by_series(fans)]

    def summary(self, answers: Sequence[Forecast]) -> list[str]:
        """Mean absolute error of each target of a backtest, and the share of values between the outermost quantiles."""
        if not (answers and answers[0].is_backtest):
            return []
        lines, levels = [], sorted(answers[0].quantiles)
        for target, name in enumerate(answers[0].timeline.channels[: answers[0].values.shape[1]]):
            actual = np.concatenate([one.actual[:, target] for one in answers])
            known = ~np.isnan(actual)
            error = np.abs(np.concatenate([one.values[:, target] for one in answers]) - actual)[known].mean()
            text = f"{name}: mean absolute error {error:,.4g} over {counted(len(answers), 'forecast')}"
            if len(levels) > 1:
                low, high = (
                    np.concatenate([one.quantiles[level][:, target] for one in answers])[known]
                    for level in (levels[0], levels[-1])
                )
                coverage = ((low <= actual[known]) & (actual[known] <= high)).mean()
                text += (
                    f"; {coverage:.1%} of the values between q{levels[0]:g} and q{levels[-1]:g}, expected "
                    f"{levels[-1] - levels[0]:.1%}"
                )
            lines.append(text)
        return lines

    def forecast_table(self, data: str | Path | Table, options: PredictOptions, progress: Progress) -> list[Forecast]:
        """What follows the last step of each series of a table."""
        timelines = self.read_long_enough(data, 0, progress)
        starts = [(number, len(timeline.times)) for number, timeline in enumerate(timelines)]
        return self.forecast_from(timelines, starts, options.horizon, options.quantiles)

    def backtest_table(self, data: str | Path | Table, options: PredictOptions, progress: Progress) -> list[Forecast]:
        """Forecasts over the test part of each series, split as in training, so that no forecast step was trained on.

        Raises:
            DataError: the test part is shorter than a horizon.
        """
        horizon = options.horizon or self.options.horizon
        timelines = self.read_long_enough(data, self.options.horizon, progress)
        spans = cut_spans(timelines, self.options)["test"]
        windows = Windows(timelines, spans, self.options.context, horizon, options.stride or horizon)
        if not len(windows):
            raise DataError(
                f"{timelines[0].place}: the test part holds {max(map(len, spans)):,} steps, expected a horizon of "
                f"{horizon:,}; choose a smaller one, or give more data"
            )
        starts = np.stack(windows.locate(np.arange(len(windows))), 1).tolist()
        found = self.forecast_from(timelines, starts, horizon, options.quantiles)
        return [one._replace(is_backtest=True) for one in found]

    def read_long_enough(self, data: str | Path | Table, horizon: int, progress: Progress) -> list[Timeline]:
        """The series of a table that hold a context and a horizon; notes which do not.

        Raises:
            DataError: none does, or they cannot be used.
        """
        everything = self.task.read_series(data)
        timelines = drop_short(everything, self.options.context, horizon)
        for words in describe_dropped(everything, timelines):
            progress.note(words)
        return timelines

    def forecast_from(
        self,
        timelines: Sequence[Timeline],
        starts: Sequence[tuple[int, int]],
        horizon: int | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> list[Forecast]:
        """Forecasts of some series from some steps on.

        Args:
            timelines: in units of the table.
            starts: of each forecast, the number of the series and the first step; the context is before it.
            horizon: steps, by default as many as were trained on.
            quantiles: levels to forecast; by default those of the recipe.

        Raises:
            DataError: too few steps before a start, or covariates known in advance are not known for so long.
            UsageError: a horizon or quantiles that the model does not have.
        """
        block = self.options.horizon
        horizon = block if horizon is None else horizon
        levels = self.task.levels if quantiles is None else sorted(set(quantiles))
        is_direct = self.task.recipe.model.decoding == "direct"
        if is_direct and horizon > block and self.options.covariates_past:
            raise UsageError(
                f"horizon: expected at most {block} steps, since {', '.join(self.options.covariates_past)} would have "
                "to be known beyond them; train with a longer horizon, or with decoding = autoregressive"
            )
        steps = -(-horizon // block) * block if is_direct else horizon
        scaled = [normalize_series(timeline, self.task.normalizer) for timeline in timelines]
        ends = dict(sorted(starts))  # the last start in each series
        known = {series: self.known_until(scaled[series], end + steps, horizon) for series, end in ends.items()}
        found = []
        for first in range(0, len(starts), EVALUATION_BATCH):
            some = starts[first : first + EVALUATION_BATCH]
            before = np.stack([self.context_of(scaled[series], start) for series, start in some], 1)
            future = np.stack([known[series][start : start + steps] for series, start in some], 1)
            with inference(self.task.model):
                parameters = self.extend(before, future)[:horizon]
            found += [
                self.task.forecast(timelines[series], start, parameters[:, lane], levels)
                for lane, (series, start) in enumerate(some)
            ]
        return found

    def context_of(self, scaled: Timeline, start: int) -> Values:
        """The values before a step, in training deviations, (context, channels)."""
        context = self.options.context
        if start < max(context, scaled.first_complete + 1):
            raise DataError(
                f"{scaled.place}: {start:,} steps before the forecast, expected a context of {context:,}, and a value "
                "of every column"
            )
        return scaled.as_known(np.arange(start - context, start))

    def known_until(self, scaled: Timeline, stop: int, horizon: int) -> Values:
        """Covariates known in advance for all steps up to one, in training deviations, (steps, known).

        Raises:
            DataError: it is not known for so long.
        """
        missing = stop - len(scaled.times)
        if missing <= 0:
            return scaled.known
        try:
            after = scaled.future_known(missing)
        except DataError as error:
            block = self.options.horizon
            if self.task.recipe.model.decoding == "autoregressive" or horizon % block == 0:
                raise
            raise DataError(
                f"{error}. A direct model always forecasts whole blocks of {block} steps and needs that many; one "
                f"trained with decoding = autoregressive needs {horizon}"
            ) from None
        return np.concatenate([scaled.known, normalize(after, self.task.normalizer, scaled.first_known)])

    def extend(self, context: Values, future: Values) -> Tensor:
        """Parameters of the head for all steps of a future; where decoding is direct, block by block.

        Args:
            context: in training deviations, (context, batch, channels).
            future: covariates known beforehand; where direct, whole blocks of the trained horizon, (steps, batch,
                known).
        """
        task, block = self.task, self.options.horizon
        if task.recipe.model.decoding == "autoregressive" or len(future) == block:
            return task.parameters(context, future)
        found = []
        for first in range(0, len(future), block):
            ahead = future[first : first + block]
            found.append(task.parameters(context, ahead))
            after = np.concatenate([to_array(task.head.point(found[-1])), ahead], 2)  # (block, batch, channels)
            context = np.concatenate([context, after])[-len(context) :]
        return torch.cat(found)


TRAINED = TrainedForecaster
