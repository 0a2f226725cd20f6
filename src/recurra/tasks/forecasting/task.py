"""Forecasting: the next values of one or several series, with covariates of the past and of the future."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from recurra.baselines.naive_forecasts import seasonal_naive
from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import CollatedBatches
from recurra.data.splits import SPLITS
from recurra.data.tables import Table
from recurra.data.timeline.scaling import Values, WindowScale, normalize, normalize_series, restore
from recurra.data.timeline.timeline import Timeline, read_timelines
from recurra.data.timeline.windows import ForecastWindow, Windows
from recurra.errors import DataError, UsageError
from recurra.metrics.forecasts import absolute_errors, squared_errors
from recurra.models.forecast_heads import PointLoss, build_head
from recurra.models.forecaster import Forecaster, ForecasterOptions, ForecasterShape
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.forecasting.data import (
    Encoded,
    ForecastOptions,
    ForecastPreprocessor,
    Spans,
    check_series,
    find_series,
)
from recurra.tasks.forecasting.forecast import Forecast
from recurra.tasks.forecasting.scoring import (
    ErrorMeasures,
    HeldOut,
    RunningMeans,
    baseline_scores,
    batch_indices,
    fitting_windows,
    forward_filled,
    quantile_errors,
)
from recurra.tasks.task import Metric, Preprocessor, Scores, StepLoss, inference

NUM_SAMPLES = 4
NUM_CHARTS = 3  # forecasts of a split that are stored for the evaluation page


class ForecastTraining(TrainingOptions):
    """The `[training]` section."""

    batch_size: int = Field(64, ge=1, description="windows side by side in a step")
    loss: PointLoss = Field("mse", description="loss of head = point; the other heads have one of their own")
    select_by: Literal["loss", "mse", "mae"] = Field(
        "loss", description="metric on validation that selects the best epoch and that `patience` counts"
    )


class ForecastingRecipe(Recipe):
    """A recipe for a forecaster."""

    task: Literal["forecasting"] = Field("forecasting", description="name of the task")
    data: ForecastOptions
    model: ForecasterOptions = ForecasterOptions()
    training: ForecastTraining = ForecastTraining()

    @model_validator(mode="after")
    def highway_lies_in_the_context(self) -> "ForecastingRecipe":
        """The highway reads steps of the context."""
        if self.model.highway > self.data.context:
            raise ValueError(f"model.highway of at most the context, {self.data.context} steps")
        return self


class Prediction(NamedTuple):
    """The output of the model for a batch of windows, normalized."""

    indices: NDArray[np.int64]  # of the windows, (batch,)
    window: ForecastWindow
    parameters: Tensor  # of the head, (horizon, batch, targets, width)


class Forecasting:
    """A forecaster and the series it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training part of the series.

    Raises:
        UsageError: a season longer than the context, where the difference to it is forecast.
    """

    name: ClassVar[str] = "forecasting"
    recipe_type: ClassVar[type[Recipe]] = ForecastingRecipe
    primary_metric: ClassVar[Metric] = Metric("mse")
    preprocessor_type: ClassVar[type[Preprocessor]] = ForecastPreprocessor
    item: ClassVar[str] = "window"
    usage: ClassVar[str] = "forecast {run} TABLE"

    def __init__(self, recipe: ForecastingRecipe, preprocessor: ForecastPreprocessor) -> None:
        options = recipe.data
        shape, self.normalizer = preprocessor
        if options.residual == "season" and shape.season > options.context:
            raise UsageError(
                f"data.residual: season needs a context of at least a season, {shape.season} steps, got "
                f"{options.context}; choose a longer context or another season"
            )
        self.recipe, self.preprocessor, self.shape = recipe, preprocessor, shape
        self.head = build_head(recipe.model.head, recipe.model.quantiles, recipe.training.loss)
        sizes = (len(shape.channels), shape.num_targets, shape.num_known, options.context, options.horizon)
        self.model = Forecaster(ForecasterShape(*sizes), self.head, recipe.model)
        self.timelines: list[Timeline] = []  # in units of the table
        self.encoded: dict[str, Encoded] = {}

    @property
    def selection_metric(self) -> Metric:
        """`training.select_by` of the recipe."""
        return Metric(self.recipe.training.select_by)

    @property
    def levels(self) -> list[float]:
        """Levels of the quantiles that are evaluated; none where the head has no quantiles."""
        return self.recipe.model.quantiles if self.head.has_quantiles else []

    @classmethod
    def start(cls, recipe: ForecastingRecipe, progress: Progress) -> Self:
        """Read the series of a recipe and build a new model.

        Raises:
            DataError: the series cannot be used, or are too short.
            UsageError: a season longer than the context, where the difference to it is forecast.
        """
        timelines, spans = find_series(recipe.data, progress)
        for timeline in timelines:
            progress.note(str(timeline))
        task = cls(recipe, ForecastPreprocessor.fit(timelines, spans, recipe.data))
        task.set_data((timelines, spans))
        return task

    @classmethod
    def check(cls, recipe: ForecastingRecipe, progress: Progress) -> Json:  # noqa: ARG003
        """Length, gaps and repairs of the series of a recipe, and the windows of each split."""
        return check_series(recipe.data)

    def read_data(self, progress: Progress) -> tuple[list[Timeline], Spans]:
        """Read the series of the recipe, with the steps of each split.

        Raises:
            DataError: they cannot be used.
        """
        return find_series(self.recipe.data, progress)

    def set_data(self, data: tuple[list[Timeline], Spans]) -> None:
        """Normalize series and keep them."""
        self.timelines, spans = data
        scaled = [normalize_series(timeline, self.normalizer) for timeline in self.timelines]
        self.encoded = {split: Encoded(scaled, spans[split]) for split in SPLITS}

    def windows(self, split: str) -> Windows:
        """Windows of a split, normalized."""
        options = self.recipe.data
        stride = options.stride if split == "train" else 1
        return Windows(*self.encoded[split], options.context, options.horizon, stride)

    def held_out(self) -> dict[str, HeldOut]:
        """The validation and test windows."""
        measures = self.error_measures(self.timelines, self.encoded["train"].spans)
        return {split: HeldOut(self.windows(split), measures) for split in SPLITS[1:]}

    def read_held_out(self, data: Any, options: Mapping[str, Any], progress: Progress) -> dict[str, HeldOut]:  # noqa: ARG002
        """All windows of another table, under "all".

        Args:
            data: its path, or a Table.
            options: none; the table is read as in training.
            progress: unused.

        Raises:
            DataError: the table cannot be used, or is too short.
            UsageError: options.
        """
        if options:
            raise UsageError(
                f"{next(iter(options))}: is fixed by the training; other tables are read in the same way, leave it out"
            )
        timelines, horizon = self.read_series(data), self.recipe.data.horizon
        whole = [range(len(timeline.times)) for timeline in timelines]
        scaled = [normalize_series(timeline, self.normalizer) for timeline in timelines]
        windows = Windows(scaled, whole, self.recipe.data.context, horizon)
        if not len(windows):
            raise DataError(
                f"{timelines[0].place}: expected at least {self.recipe.data.context + horizon:,} steps, a context and "
                f"a horizon, got {max(map(len, whole)):,}; give more data"
            )
        return {"all": HeldOut(windows, self.error_measures(timelines, whole))}

    def read_series(self, data: str | Path | Table | None) -> list[Timeline]:
        """The series of a table, by default that of the recipe, read as in training.

        Raises:
            DataError: they cannot be used, or their steps are not those of training.
        """
        known, options = self.shape.step, self.recipe.data
        if isinstance(data, Table):
            timelines = read_timelines(options, data, known)
        else:
            path = options.path if data is None else str(data)
            timelines = read_timelines(options.model_copy(update={"path": path}), expected=known)
        for timeline in timelines:
            if timeline.step._replace(day=1) != known._replace(day=1):
                raise DataError(f"{timeline.place}: steps of {timeline.step}, expected {known}, as in training")
        return timelines

    def batches(self, epoch: int) -> CollatedBatches[ForecastWindow]:
        """Training windows in batches, shuffled differently in each epoch."""
        windows, size = self.windows("train"), self.recipe.training.batch_size
        order = windows.order(self.recipe.seed, epoch)
        return CollatedBatches(np.split(order, range(size, len(order), size)), windows.batch)

    def loss(self, batch: ForecastWindow, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean loss of the forecasts, normalized."""
        parameters = self.parameters(batch.context, batch.future, forward_filled(batch))
        return StepLoss(self.masked_loss(parameters, batch.targets), batch.targets.shape[1], None)

    def masked_loss(self, parameters: Tensor, targets: Values) -> Tensor:
        """Mean loss over the known targets; 0 where none is known.

        Args:
            parameters: of the head, (horizon, batch, targets, width).
            targets: normalized, NaN where unknown, (horizon, batch, targets).
        """
        is_known, known = ~np.isnan(targets), to_tensor(targets, parameters)
        if not is_known.all():
            mask = torch.from_numpy(is_known).to(parameters.device)
            parameters, known = parameters[mask], known[mask]  # (known, width), (known,)
        return self.head.loss(parameters, known) if len(known) else parameters.sum()  # a sum over nothing

    def parameters(self, context: Values, future: Values, targets: Values | None = None) -> Tensor:
        """Output of the model for a batch of windows; inputs and output are normalized.

        Args:
            context: (context, batch, channels).
            future: future covariates, (horizon, batch, known).
            targets: actual values for teacher forcing, all finite, (horizon, batch, targets).

        Returns:
            Parameters of the head, (horizon, batch, targets, width).
        """
        scale, num_targets = self.scale_of(context), self.shape.num_targets
        scaled = scale.apply(context)
        lag = {None: None, "persistence": 1, "season": self.shape.season}[self.recipe.data.residual]
        past = scaled[..., :num_targets]
        base = seasonal_naive(past, len(future), lag) if lag else np.zeros((len(future), *past.shape[1:]))
        like = next(self.model.parameters())
        forced = None if targets is None else to_tensor(scale.apply(targets), like)
        parameters = self.model(to_tensor(scaled, like), to_tensor(base, like), to_tensor(future, like), forced)
        center, spread = (to_tensor(part[..., :num_targets], like) for part in scale)
        return self.head.rescale(parameters, center, spread)

    def scale_of(self, context: Values) -> WindowScale:
        """Center and scale of each window, by `data.scaling` of the recipe."""
        scaling = self.recipe.data.scaling
        if scaling == "global":
            one = np.ones_like(context[:1])
            return WindowScale(np.zeros_like(one), one)
        return WindowScale.of(context, self.shape.first_known, "last" if scaling == "window-last" else "mean")

    def predict(self, windows: Windows, progress: Progress, title: str) -> Iterator[Prediction]:
        """Predictions for all windows, batch by batch."""
        batches = batch_indices(windows)
        with inference(self.model), progress.stage(title, len(batches)) as advance:
            for indices in batches:
                window = windows.batch(indices)
                yield Prediction(indices, window, self.parameters(window.context, window.future))
                advance(1)

    def validate(self, progress: Progress) -> Scores:
        """Loss, and errors of the normalized forecasts, on the validation windows."""
        means = RunningMeans()
        for _, window, parameters in self.predict(self.windows("valid"), progress, "validating"):
            point, targets = to_array(self.head.point(parameters)), window.targets
            loss = np.where(np.isnan(targets), np.nan, float(self.masked_loss(parameters, targets)))
            means.add({"loss": loss, "mse": squared_errors(point, targets), "mae": absolute_errors(point, targets)})
        return means.scores()

    def error_measures(self, timelines: Sequence[Timeline], spans: Sequence[range]) -> ErrorMeasures:
        """Errors of windows over some series; the seasonal error within `spans` is the unit of MASE."""
        return ErrorMeasures(self.normalizer, timelines, spans, self.shape.season)

    def evaluate(self, splits: Mapping[str, HeldOut], progress: Progress) -> tuple[dict[str, Scores], Json]:
        """Scores by split; details are the error by step ahead and some forecasts."""
        metrics, details = {}, {}
        for split, held_out in splits.items():
            metrics[split], details[split] = self.evaluate_split(split, held_out, progress)
        return metrics, details

    def evaluate_split(self, split: str, held_out: HeldOut, progress: Progress) -> tuple[Scores, Json]:
        """Scores of the model on the windows of a split, and details for the evaluation page."""
        (windows, measures), means, charts = held_out, RunningMeans(), []
        shown = np.linspace(0, len(windows) - 1, NUM_CHARTS).astype(np.int64)
        for indices, window, parameters in self.predict(windows, progress, f"evaluating {split}"):
            series, starts = windows.locate(indices)
            errors = measures.errors(to_array(self.head.point(parameters)), window.targets, series)
            if self.levels:
                quantiles = to_array(self.head.quantiles(parameters, self.levels))
                errors |= quantile_errors(quantiles, window.targets, self.levels)
            means.add(errors)
            for column in np.flatnonzero(np.isin(indices, shown)):
                timeline = measures.timelines[series[column]]
                forecast = self.forecast(timeline, int(starts[column]), parameters[:, column], self.levels)
                charts.append(forecast.chart(0))
        return means.scores(), {"step": str(self.shape.step), "mse_by_step": means.by_step("mse"), "forecasts": charts}

    def baselines(self, splits: Mapping[str, HeldOut], progress: Progress) -> dict[str, dict[str, Scores]]:
        """Scores of baseline forecasts by name and split; two of the baselines are fitted to the training windows."""
        from recurra.baselines.forecasts import forecast_baselines  # imports scikit-learn, which only this needs

        shape, found = self.shape, {}
        season = shape.season if 1 < shape.season <= self.recipe.data.context else None
        baselines = forecast_baselines(shape.num_targets, shape.first_known, season, self.recipe.seed)
        window = fitting_windows(self.windows("train"))
        targets = forward_filled(window)
        with progress.stage("training the baselines", len(baselines)) as advance:
            for baseline in baselines:
                advance(0, baseline.name)
                baseline.fit(window.context, targets, window.future)
                found[baseline.name] = {split: baseline_scores(baseline, part) for split, part in splits.items()}
                advance(1)
        return found

    def forecast(self, timeline: Timeline, start: int, parameters: Tensor, levels: Sequence[float]) -> Forecast:
        """A forecast in units of the table.

        Args:
            timeline: in units of the table.
            start: number of the first step of the forecast.
            parameters: of the head, (horizon, targets, width).
            levels: of the quantiles.

        Raises:
            UsageError: the head has no quantiles, or none at these levels.
        """
        values = restore(to_array(self.head.point(parameters)), self.normalizer)
        quantiles = {
            level: restore(to_array(self.head.quantiles(parameters, [level])[..., 0]), self.normalizer)
            for level in levels
        }
        times = timeline.times[start : start + len(parameters)]
        times = np.concatenate([times, timeline.future_times(len(parameters) - len(times))])
        return Forecast(timeline, start, times, values, quantiles)

    def samples(self) -> list[Json]:
        """Some validation windows, in units of the table."""
        windows = self.windows("valid")
        found = []
        for index in np.linspace(0, len(windows) - 1, min(NUM_SAMPLES, len(windows))).astype(int):
            context, _, future = windows.window(int(index))
            context = restore(context, self.normalizer)
            future = restore(future, self.normalizer, self.shape.first_known)
            found.append({"context": context.tolist(), "future": future.tolist()})
        return found

    def outputs_of(self, sample: Json) -> list[float]:
        """The normalized forecast, step by step."""
        context = normalize(np.array(sample["context"]), self.normalizer)
        future = np.array(sample["future"]).reshape(self.recipe.data.horizon, self.shape.num_known)
        future = normalize(future, self.normalizer, self.shape.first_known)
        with inference(self.model):
            parameters = self.parameters(context[:, None], future[:, None])
        outputs: list[float] = self.head.point(parameters).flatten().tolist()
        return outputs


def to_tensor(values: Values, like: Tensor) -> Tensor:
    """Values as a tensor with the dtype and device of another."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(like)


def to_array(values: Tensor) -> NDArray[np.float64]:
    """A tensor as an array of doubles."""
    return np.asarray(values.detach().double().cpu().numpy())


TASK = Forecasting
