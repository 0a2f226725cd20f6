"""A trained forecaster in use."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recurra.data.tables import Table
from recurra.data.timeline.scaling import Values, normalize, normalize_series
from recurra.data.timeline.timeline import Timeline, read_timelines
from recurra.data.timeline.windows import Windows, cut_spans, describe_dropped, drop_short
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.evaluation import inference
from recurra.tasks.forecasting.scoring import JUDGED_AT_ONCE, Forecast
from recurra.tasks.forecasting.task import Forecasting, numbers_of
from recurra.tasks.trained import TrainedModel, is_own


class TrainedForecaster(TrainedModel[Forecasting]):
    """A forecaster, ready to use; arguments and errors as of `TrainedModel`."""

    task_type = Forecasting

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.options = self.task.recipe.data

    def forecast(
        self,
        data: str | Path | Table | None = None,
        horizon: int | None = None,
        quantiles: Sequence[float] | None = None,
        progress: Progress | None = None,
    ) -> list[Forecast]:
        """What comes after the last step of each series that is as long as the context.

        Args:
            data: a table with the columns the model was trained on; by default that of the run.
            horizon: steps, by default as many as were trained on; beyond them the model goes on from its own forecast,
                and its quantiles do not tell how unsure that is.
            quantiles: levels to tell, between 0 and 1; by default those of the recipe, where the model tells any.
            progress: told which series are too short.

        Returns:
            One forecast a series: `times` (horizon,), `values` (horizon, targets), and `quantiles`, by level.

        Raises:
            DataError: the table cannot be used, or no series is as long as the context.
            UsageError: a horizon or quantiles that the model does not give.
        """
        timelines = self.read_long_enough(data, 0, progress)
        places = [(number, len(timeline.times)) for number, timeline in enumerate(timelines)]
        return self.forecast_from(timelines, places, horizon, quantiles)

    def backtest(
        self,
        data: str | Path | Table | None = None,
        horizon: int | None = None,
        quantiles: Sequence[float] | None = None,
        stride: int | None = None,
        progress: Progress | None = None,
    ) -> list[Forecast]:
        """Forecasts over the test part of each series, each made from what stands before it.

        The series are those that would be trained on, cut as in training: what is forecast is no step that was seen.

        Args:
            data: a table with the columns the model was trained on; by default that of the run.
            horizon: steps, by default as many as were trained on.
            quantiles: levels to tell, between 0 and 1; by default those of the recipe, where the model tells any.
            stride: steps from one forecast to the next; by default the horizon, so that they follow one another.
            progress: told which series are too short.

        Raises:
            DataError: the table cannot be used, or its test part is shorter than a horizon.
            UsageError: a horizon, a stride or quantiles that there cannot be.
        """
        horizon = self.options.horizon if horizon is None else horizon
        stride = horizon if stride is None else stride
        if min(horizon, stride) < 1:
            raise UsageError(f"backtest: expected a horizon and a stride of at least 1, got {horizon} and {stride}")
        timelines = self.read_long_enough(data, self.options.horizon, progress)
        spans = cut_spans(timelines, self.options)["test"]
        windows = Windows(timelines, spans, self.options.context, horizon, stride)
        if not len(windows):
            raise DataError(
                f"{timelines[0].place}: the test part holds {max(map(len, spans)):,} steps, expected a horizon of "
                f"{horizon:,}; choose a smaller one, or give more data"
            )
        places = np.stack(windows.locate(np.arange(len(windows))), 1).tolist()
        return self.forecast_from(timelines, places, horizon, quantiles)

    def evaluate(self, data: str | Path | Table | None = None, progress: Progress | None = None) -> Json:
        """Scores of the model and, beside it, of plain forecasts.

        Args:
            data: a table of the kind it was trained on, all of which counts; by default the held-out parts of the run.
            progress: told how far it is.

        Returns:
            Scores by model ("model", "persistence", "seasonal_naive", "linear", "mlp") and by split ("given" for a
            table). The baselines are missing where the training series are no longer there.

        Raises:
            DataError: the table cannot be used, or the series of the run are no longer what they were.
        """
        progress = progress or Progress()
        if not isinstance(data, Table) and is_own(data, self.task):
            return self.evaluate_held_out(progress)
        timelines = self.read(data)
        whole = [range(len(timeline.times)) for timeline in timelines]
        scaled = [normalize_series(timeline, self.task.normalizer) for timeline in timelines]
        windows = Windows(scaled, whole, self.options.context, self.options.horizon)
        if not len(windows):
            raise DataError(
                f"{timelines[0].place}: expected at least {self.options.context + self.options.horizon:,} steps, a "
                f"context and a horizon, got {max(map(len, whole)):,}; give more data"
            )
        scorer = self.task.scorer(timelines, whole)
        metrics = {"given": self.task.evaluate(windows, scorer, progress, "evaluating")[0]}
        return self.beside_baselines(
            metrics, lambda: self.task.baselines({"given": windows}, scorer, progress), "training series", progress
        )

    def read(self, data: str | Path | Table | None) -> list[Timeline]:
        """The series of a table, as the model reads them.

        Raises:
            DataError: they cannot be used, or their steps are not those that were trained on.
        """
        known = self.task.shape.step
        if isinstance(data, Table):
            timelines = read_timelines(self.options, data, known)
        else:
            path = self.options.path if data is None else str(data)
            timelines = read_timelines(self.options.model_copy(update={"path": path}), expected=known)
        for timeline in timelines:
            if timeline.step._replace(day=1) != known._replace(day=1):
                raise DataError(f"{timeline.place}: steps of {timeline.step}, expected {known}, as in training")
        return timelines

    def read_long_enough(
        self, data: str | Path | Table | None, horizon: int, progress: Progress | None
    ) -> list[Timeline]:
        """The series of a table that hold a context and a horizon; says which do not.

        Raises:
            DataError: none does, or they cannot be used.
        """
        everything = self.read(data)
        timelines = drop_short(everything, self.options.context, horizon)
        for words in describe_dropped(everything, timelines):
            (progress or Progress()).note(words)
        return timelines

    def forecast_from(
        self,
        timelines: Sequence[Timeline],
        places: Sequence[tuple[int, int]],
        horizon: int | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> list[Forecast]:
        """Forecasts of some series from some steps on.

        Args:
            timelines: in units of the table.
            places: of each forecast, which series, and the first step, that after the last at the latest; the context
                stands before it.
            horizon: steps, by default as many as were trained on.
            quantiles: levels to tell; by default those of the recipe.

        Raises:
            DataError: too few steps before a start, or covariates known beforehand are not known for so long.
            UsageError: a horizon or quantiles that the model does not give.
        """
        block = self.options.horizon
        horizon = block if horizon is None else horizon
        levels = self.task.levels if quantiles is None else sorted(set(quantiles))
        if horizon < 1:
            raise UsageError(f"horizon: expected at least 1 step, got {horizon}")
        is_direct = self.task.recipe.model.decoding == "direct"
        if is_direct and horizon > block and self.options.covariates_past:
            raise UsageError(
                f"horizon: expected at most {block} steps, since {', '.join(self.options.covariates_past)} would have "
                "to be known beyond them; train with a longer horizon, or with decoding = autoregressive"
            )
        steps = -(-horizon // block) * block if is_direct else horizon
        scaled = [normalize_series(timeline, self.task.normalizer) for timeline in timelines]
        ends = dict(sorted(places))  # the last start in each series
        known = {series: self.known_until(scaled[series], end + steps, horizon) for series, end in ends.items()}
        found = []
        for first in range(0, len(places), JUDGED_AT_ONCE):
            some = places[first : first + JUDGED_AT_ONCE]
            before = np.stack([self.context_of(scaled[series], start) for series, start in some], 1)
            future = np.stack([known[series][start : start + steps] for series, start in some], 1)
            with inference(self.task.model):
                parameters = self.go_on(before, future)[:horizon]
            found += [
                self.task.tell(timelines[series], start, parameters[:, lane], levels)
                for lane, (series, start) in enumerate(some)
            ]
        return found

    def context_of(self, scaled: Timeline, start: int) -> Values:
        """What is known before a step, in training deviations, (context, channels)."""
        context = self.options.context
        if start < max(context, scaled.first_complete + 1):
            raise DataError(
                f"{scaled.place}: {start:,} steps before the forecast, expected a context of {context:,}, and a value "
                "of every column"
            )
        return scaled.as_known(np.arange(start - context, start))

    def known_until(self, scaled: Timeline, stop: int, horizon: int) -> Values:
        """What is known beforehand of all steps up to one, in training deviations, (steps, known).

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

    def go_on(self, context: Values, future: Values) -> Tensor:
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
            after = np.concatenate([numbers_of(task.head.point(found[-1])), ahead], 2)  # (block, batch, channels)
            context = np.concatenate([context, after])[-len(context) :]
        return torch.cat(found)
