"""A trained forecaster in use."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recurra.data.scaling import Values, normalise, normalise_series
from recurra.data.tables import Table
from recurra.data.timeline import Timeline, read_timelines
from recurra.data.windows import Windows, split_spans
from recurra.errors import DataError, UsageError
from recurra.inference.opening import open_task
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks import load_data
from recurra.tasks.evaluation import inference
from recurra.tasks.forecasting import Forecasting, numbers_of
from recurra.tasks.forecasts import Forecast


class TrainedForecaster:
    """The model of a run, ready to use.

    Args:
        run: the run folder.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, or of another task.
        UsageError: no such device.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        self.run = run
        self.task = Forecasting.restore(run)
        self.trained_steps = open_task(self.task, run, device)
        self.options = self.task.recipe.data

    def forecast(
        self,
        data: str | Path | Table | None = None,
        horizon: int | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> list[Forecast]:
        """What comes after the last step of each series.

        Args:
            data: a table with the columns the model was trained on; by default that of the run.
            horizon: steps, by default as many as were trained on; beyond them the model goes on from its own forecast,
                and its quantiles do not tell how unsure that is.
            quantiles: levels to tell, between 0 and 1; by default those of the recipe, where the model tells any.

        Returns:
            One forecast a series: `times` (horizon,), `values` (horizon, targets), and `quantiles`, by level.

        Raises:
            DataError: the table cannot be used, or a series is shorter than the context.
            UsageError: a horizon or quantiles that the model does not give.
        """
        timelines = self.read(data)
        return [self.forecast_from(one, len(one.times), horizon, quantiles) for one in timelines]

    def backtest(
        self,
        data: str | Path | Table | None = None,
        horizon: int | None = None,
        quantiles: Sequence[float] | None = None,
        stride: int | None = None,
    ) -> list[Forecast]:
        """Forecasts over the test part of each series, each made from what stands before it.

        Args:
            data: a table with the columns the model was trained on; by default that of the run.
            horizon: steps, by default as many as were trained on.
            quantiles: levels to tell, between 0 and 1; by default those of the recipe, where the model tells any.
            stride: steps from one forecast to the next; by default the horizon, so that they follow one another.

        Raises:
            DataError: the table cannot be used, or its test part is shorter than a horizon.
            UsageError: a horizon, a stride or quantiles that there cannot be.
        """
        horizon = self.options.horizon if horizon is None else horizon
        stride = horizon if stride is None else stride
        if min(horizon, stride) < 1:
            raise UsageError(f"backtest: expected a horizon and a stride of at least 1, got {horizon} and {stride}")
        timelines = self.read(data)
        spans = split_spans(timelines, self.options, self.options.context, horizon)["test"]
        windows = Windows(timelines, spans, self.options.context, horizon, stride)
        places = zip(*windows.locate(np.arange(len(windows))), strict=True)
        return [self.forecast_from(timelines[number], int(start), horizon, quantiles) for number, start in places]

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
        if data is None:
            load_data(self.task, self.run, progress)
            return self.task.report(progress).metrics
        timelines = self.read(data)
        whole = [range(len(timeline.times)) for timeline in timelines]
        scaled = [normalise_series(timeline, self.task.normaliser) for timeline in timelines]
        windows = Windows(scaled, whole, self.options.context, self.options.horizon)
        if not len(windows):
            raise DataError(
                f"{timelines[0].name}: expected at least {self.options.context + self.options.horizon:,} steps, a "
                f"context and a horizon, got {max(map(len, whole)):,}; give more data"
            )
        scorer = self.task.scorer(timelines, whole)
        metrics = {"model": {"given": self.task.evaluate(windows, scorer, progress, "evaluating")}}
        try:
            load_data(self.task, self.run, progress)
        except DataError as error:
            progress.note(f"no baselines, they need the training series: {error}")
            return metrics
        return {**metrics, **self.task.baselines({"given": windows}, scorer, progress)}

    def read(self, data: str | Path | Table | None) -> list[Timeline]:
        """The series of a table, as the model reads them.

        Raises:
            DataError: they cannot be used, or their steps are not those that were trained on.
        """
        if isinstance(data, Table):
            timelines = read_timelines(self.options, data)
        else:
            path = self.options.path if data is None else str(data)
            timelines = read_timelines(self.options.model_copy(update={"path": path}))
        known = self.task.shape.step
        for timeline in timelines:
            if timeline.step._replace(day=1) != known._replace(day=1):
                raise DataError(f"{timeline.name}: steps of {timeline.step}, expected {known}, as in training")
        return timelines

    def forecast_from(
        self, timeline: Timeline, start: int, horizon: int | None = None, quantiles: Sequence[float] | None = None
    ) -> Forecast:
        """Forecast a series from a step on.

        Args:
            timeline: in units of the table.
            start: the first step of the forecast, that after the last at the latest; the context stands before it.
            horizon: steps, by default as many as were trained on.
            quantiles: levels to tell; by default those of the recipe, where the model tells any.

        Raises:
            DataError: too few steps before the start, or covariates known beforehand are not known for so long.
            UsageError: a horizon or quantiles that the model does not give.
        """
        context, block = self.options.context, self.options.horizon
        horizon = block if horizon is None else horizon
        levels = self.task.levels if quantiles is None else sorted(set(quantiles))
        if horizon < 1:
            raise UsageError(f"horizon: expected at least 1 step, got {horizon}")
        if start < context:
            raise DataError(f"{timeline.name}: {start:,} steps before the forecast, expected a context of {context:,}")
        steps = horizon if self.task.recipe.model.decoding == "autoregressive" else -(-horizon // block) * block
        scaled = normalise_series(timeline, self.task.normaliser)
        known = scaled.known[start : start + steps]
        if len(known) < steps:
            after = timeline.future_known(steps - len(known))
            known = np.concatenate([known, normalise(after, self.task.normaliser, timeline.first_known)])
        with inference(self.task.model):
            parameters = self.go_on(scaled.data[start - context : start, None], known[:, None])
        return self.task.tell(timeline, start, parameters[:horizon, 0], levels)

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
        if self.options.covariates_past:
            raise UsageError(
                f"horizon: expected at most {block} steps, since {', '.join(self.options.covariates_past)} would have "
                "to be known beyond them; train with a longer horizon, or with decoding = autoregressive"
            )
        found = []
        for first in range(0, len(future), block):
            ahead = future[first : first + block]
            found.append(task.parameters(context, ahead))
            after = np.concatenate([numbers_of(task.head.middle(found[-1])), ahead], 2)  # (block, batch, channels)
            context = np.concatenate([context, after])[-len(context) :]
        return torch.cat(found)
