"""A trained forecaster in use."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from recurra.config import Section
from recurra.data.tables import Table
from recurra.data.timeline.scaling import Values, normalize, normalize_series
from recurra.data.timeline.timeline import Timeline
from recurra.data.timeline.windows import Windows, cut_spans, describe_dropped, drop_short
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.forecasting.forecast import Forecast, describe_backtest
from recurra.tasks.forecasting.scoring import EVALUATION_BATCH
from recurra.tasks.forecasting.task import Forecasting, to_array
from recurra.tasks.task import inference
from recurra.tasks.trained import Input, TrainedModel, Verb


class PredictOptions(Section):
    """Options of `predict`."""

    horizon: int | None = Field(
        None,
        ge=1,
        description="steps to forecast, by default as in training; beyond that the model continues from its own "
        "forecast, and prediction intervals do not widen accordingly",
    )
    quantiles: list[float] | None = Field(
        None,
        description="levels between 0 and 1, such as 0.1,0.5,0.9; by default those of the recipe, where the model "
        "forecasts quantiles",
    )
    backtest: bool = Field(
        False, description="forecast the test part instead, block by block, beside the actual values"
    )
    stride: int | None = Field(
        None, ge=1, description="with backtest: steps from one forecast to the next; by default the horizon"
    )

    @field_validator("stride")
    @classmethod
    def only_a_backtest_has_a_stride(cls, stride: int | None, info: ValidationInfo) -> int | None:
        """There is one forecast of each series otherwise."""
        if stride is not None and not info.data.get("backtest"):
            raise ValueError("none without backtest")
        return stride


def predict(
    model: "TrainedForecaster", inputs: list[Input], options: PredictOptions, progress: Progress
) -> list[Forecast]:
    """Forecasts of the series of each table that are at least as long as the context.

    Args:
        model: forecasts.
        inputs: tables, or their paths.
        options: what to forecast.
        progress: receives notes about series that are too short.

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

    def figures(self, answers: Sequence[Forecast]) -> Sequence[Any]:
        """A chart for each series and target."""
        from recurra.tasks.forecasting.page import forecast_figures

        return forecast_figures([one.chart(target) for one in answers for target in range(len(one.targets))])

    def summary(self, answers: Sequence[Forecast]) -> list[str]:
        """Mean absolute error and coverage of each target, of a backtest."""
        return describe_backtest(answers) if answers and answers[0].is_backtest else []

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
        """The series of a table with at least a context and a horizon of steps; notes which are shorter.

        Raises:
            DataError: all are shorter, or the table cannot be used.
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
        """Forecasts that start at given steps.

        Args:
            timelines: in units of the table.
            starts: number of the series and first step of each forecast, in the order of the series.
            horizon: steps, by default as in training.
            quantiles: levels, by default those of the recipe.

        Raises:
            DataError: fewer steps than the context before a start, or fewer steps of future covariates than needed.
            UsageError: a horizon or quantiles that the model cannot forecast.
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
        last_starts = dict(sorted(starts))  # by series
        known = {
            series: self.known_until(scaled[series], last + steps, horizon) for series, last in last_starts.items()
        }
        found = []
        for first in range(0, len(starts), EVALUATION_BATCH):
            batch = starts[first : first + EVALUATION_BATCH]
            context = np.stack([self.context_of(scaled[series], start) for series, start in batch], 1)
            future = np.stack([known[series][start : start + steps] for series, start in batch], 1)
            with inference(self.task.model):
                parameters = self.parameters_of(context, future)[:horizon]
            found += [
                self.task.forecast(timelines[series], start, parameters[:, column], levels)
                for column, (series, start) in enumerate(batch)
            ]
        return found

    def context_of(self, scaled: Timeline, start: int) -> Values:
        """The normalized values before a step, (context, channels).

        Raises:
            DataError: there are too few.
        """
        context = self.options.context
        if start < max(context, scaled.first_complete + 1):
            raise DataError(
                f"{scaled.place}: {start:,} steps before the forecast, expected a context of {context:,}, and a value "
                "of every column"
            )
        return scaled.as_known(np.arange(start - context, start))

    def known_until(self, scaled: Timeline, stop: int, horizon: int) -> Values:
        """Normalized future covariates of all steps up to `stop`, (steps, known).

        Args:
            scaled: the series, normalized.
            stop: number of the first step without them.
            horizon: steps that were asked for, for the message.

        Raises:
            DataError: the table has them for fewer steps.
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

    def parameters_of(self, context: Values, future: Values) -> Tensor:
        """Parameters of the head for any number of steps, (steps, batch, targets, width).

        A direct model forecasts block by block: after each its own forecast becomes the end of the context.

        Args:
            context: normalized, (context, batch, channels).
            future: normalized future covariates, (steps, batch, known); for a direct model of whole blocks of the
                trained horizon.
        """
        task, block = self.task, self.options.horizon
        if task.recipe.model.decoding == "autoregressive" or len(future) == block:
            return task.parameters(context, future)
        blocks = []
        for first in range(0, len(future), block):
            covariates = future[first : first + block]
            blocks.append(task.parameters(context, covariates))
            forecast = np.concatenate(
                [to_array(task.head.point(blocks[-1])), covariates], 2
            )  # (block, batch, channels)
            context = np.concatenate([context, forecast])[-len(context) :]
        return torch.cat(blocks)


TRAINED = TrainedForecaster
