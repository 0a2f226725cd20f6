"""Forecasting: what comes next in one or several series, from what was and what is known beforehand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from recurra.baselines.forecasts import seasonal_naive
from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import CollatedBatches
from recurra.data.normalizer import Normalizer
from recurra.data.splits import SPLITS
from recurra.data.timeline.scaling import WindowScale, normalize, normalize_series, restore, training_normalizer
from recurra.data.timeline.timeline import Timeline
from recurra.data.timeline.timestamps import Step
from recurra.data.timeline.windows import ForecastWindow, Windows
from recurra.errors import UsageError
from recurra.metrics.forecasts import absolute_errors, squared_errors
from recurra.models.forecast_heads import PointLoss, build_head
from recurra.models.forecaster import Forecaster, ForecasterOptions, ForecasterShape
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.classification.data import digest_of
from recurra.tasks.evaluation import inference
from recurra.tasks.forecasting.data import ForecastOptions, SeriesShape, Spans, check_series, find_series
from recurra.tasks.forecasting.scoring import (
    Forecast,
    Means,
    Scorer,
    Values,
    in_batches,
    plain_forecasts,
    quantile_losses,
    scores_of,
    without_gaps,
)
from recurra.tasks.task import Metric, Metrics, Report, StepLoss, parse_recipe, refuse_other_architecture

NORMALIZER = "normalizer.json"
NUM_SAMPLES = 4
NUM_SHOWN = 3  # forecasts of a split that are kept for figures
READING = {  # options of the data that change what the model makes of a table
    *("target", "covariates_past", "covariates_future", "calendar", "on_bad", "missing"),
    *("context", "horizon", "season", "scaling", "residual"),
}


class ForecastTraining(TrainingOptions):
    """The `[training]` section: the common one, and what a wrong forecast costs."""

    batch_size: int = Field(64, ge=1, description="windows side by side in a step")
    loss: PointLoss = Field("mse", description="where head = point; else the likelihood or the pinball loss")
    select_by: Literal["loss", "mse", "mae"] = Field(
        "loss", description="metric on validation that chooses the best epoch and decides when patience ends"
    )


class ForecastingRecipe(Recipe):
    """A recipe for a forecaster."""

    task: Literal["forecasting"] = Field("forecasting", description="name of the task")
    data: ForecastOptions
    model: ForecasterOptions = ForecasterOptions()
    training: ForecastTraining = ForecastTraining()

    @model_validator(mode="after")
    def highway_lies_in_the_context(self) -> "ForecastingRecipe":
        """It cannot begin before the context does."""
        if self.model.highway > self.data.context:
            raise ValueError(f"model.highway of at most the context, {self.data.context} steps")
        return self


class Judged(NamedTuple):
    """Some windows and what the model says of them, in training deviations."""

    numbers: NDArray[np.int64]  # which these are, (batch,)
    example: ForecastWindow
    parameters: Tensor  # of the head, (horizon, batch, targets, width)


class Forecasting:
    """A forecaster, and the series it is trained and judged on.

    Args:
        recipe: what to train on what.
        shape: of the series.
        normalizer: of the training part of all channels.

    Raises:
        UsageError: a season longer than the context, where the difference to it is forecast.
    """

    name: ClassVar[str] = "forecasting"
    recipe_type: ClassVar[type[Recipe]] = ForecastingRecipe
    primary_metric: ClassVar[Metric] = Metric("mse")
    item: ClassVar[str] = "window"

    def __init__(self, recipe: ForecastingRecipe, shape: SeriesShape, normalizer: Normalizer) -> None:
        options = recipe.data
        if options.residual == "season" and shape.season > options.context:
            raise UsageError(
                f"data.residual: season needs a context of at least a season, {shape.season} steps, got "
                f"{options.context}; choose a longer context or another season"
            )
        self.recipe, self.shape, self.normalizer = recipe, shape, normalizer
        self.head = build_head(recipe.model.head, recipe.model.quantiles, recipe.training.loss)
        sizes = (len(shape.channels), shape.num_targets, shape.num_known, options.context, options.horizon)
        self.model = Forecaster(ForecasterShape(*sizes), self.head, recipe.model)
        self.timelines: list[Timeline] = []
        self.scaled: list[Timeline] = []
        self.spans: Spans = {}

    @property
    def selection_metric(self) -> Metric:
        """As the recipe names it."""
        return Metric(self.recipe.training.select_by)

    @property
    def levels(self) -> list[float]:
        """Quantiles it is judged by; none where its head tells none."""
        return self.recipe.model.quantiles if self.head.has_quantiles else []

    @classmethod
    def start(cls, recipe: ForecastingRecipe, progress: Progress) -> Self:
        """A new model for the series the recipe names.

        Raises:
            DataError: they cannot be used, or are too short.
        """
        timelines, spans = find_series(recipe.data, progress)
        for timeline in timelines:
            progress.note(str(timeline))
        shape = SeriesShape.of(timelines[0], recipe.data)
        task = cls(recipe, shape, training_normalizer(timelines, spans["train"]))
        task.take(timelines, spans)
        return task

    @classmethod
    def check(cls, recipe: ForecastingRecipe, progress: Progress) -> Json:  # noqa: ARG003
        """Length, gaps and repairs of the series the recipe names, and the windows of each split."""
        return check_series(recipe.data)

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and series.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, ForecastingRecipe)
        series = description["series"]
        shape = SeriesShape(**{**series, "channels": tuple(series["channels"]), "step": Step(*series["step"])})
        task = cls(recipe, shape, Normalizer.parse(run.read(NORMALIZER)))
        refuse_other_architecture(run, description["architecture"], task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        data = self.recipe.data.model_dump(mode="json", include=READING)
        return {"channels": len(self.shape.channels), **data, **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:
        """Read the series the recipe names.

        Raises:
            DataError: they cannot be used.
        """
        self.take(*find_series(self.recipe.data, progress))

    def take(self, timelines: list[Timeline], spans: Spans) -> None:
        """Series to train and to be judged on, with the steps of each split."""
        self.timelines, self.spans = timelines, spans
        self.scaled = [normalize_series(timeline, self.normalizer) for timeline in timelines]

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        series = {**self.shape._asdict(), "channels": list(self.shape.channels), "step": list(self.shape.step)}
        return {"architecture": self.architecture, "series": series}, {NORMALIZER: self.normalizer.dump()}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the values of each split, what stands before it included."""
        return {
            split: digest_of(
                [timeline.data[: span.stop] for timeline, span in zip(self.scaled, spans, strict=True)],
                np.array([[span.start, span.stop] for span in spans]),
            )
            for split, spans in self.spans.items()
        }

    def windows(self, split: str) -> Windows:
        """Windows of a split, in training deviations."""
        options = self.recipe.data
        stride = options.stride if split == "train" else 1
        return Windows(self.scaled, self.spans[split], options.context, options.horizon, stride)

    def batches(self, epoch: int) -> CollatedBatches[ForecastWindow]:
        """Training windows in batches, in an order of the epoch's own."""
        windows, size = self.windows("train"), self.recipe.training.batch_size
        order = windows.order(self.recipe.seed, epoch)
        return CollatedBatches(np.split(order, range(size, len(order), size)), windows.batch)

    def loss(self, batch: ForecastWindow, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean cost of the forecasts, in training deviations."""
        parameters = self.parameters(batch.context, batch.future, without_gaps(batch))
        return StepLoss(self.cost(parameters, batch.targets), batch.targets.shape[1], None)

    def cost(self, parameters: Tensor, targets: Values) -> Tensor:
        """Mean cost over the targets that are known; of none, 0."""
        is_known, wanted = ~np.isnan(targets), to_tensor(targets, parameters)
        if not is_known.all():
            which = torch.from_numpy(is_known).to(parameters.device)
            parameters, wanted = parameters[which], wanted[which]
        return self.head.loss(parameters, wanted) if len(wanted) else parameters.sum()

    def parameters(self, context: Values, future: Values, targets: Values | None = None) -> Tensor:
        """What the model says of some windows; all is in training deviations.

        Args:
            context: (context, batch, channels).
            future: covariates known beforehand, (horizon, batch, known).
            targets: what came, for teacher forcing, (horizon, batch, targets).

        Returns:
            Parameters of the head, (horizon, batch, targets, width).
        """
        scale, num_targets = self.scale_of(context), self.shape.num_targets
        read = scale.apply(context)
        lag = {None: None, "persistence": 1, "season": self.shape.season}[self.recipe.data.residual]
        past = read[..., :num_targets]
        base = seasonal_naive(past, len(future), lag) if lag else np.zeros((len(future), *past.shape[1:]))
        like = next(self.model.parameters())
        taught = None if targets is None else to_tensor(scale.apply(targets), like)
        found = self.model(to_tensor(read, like), to_tensor(base, like), to_tensor(future, like), taught)
        center, spread = (to_tensor(part[..., :num_targets], like) for part in scale)
        return self.head.rescale(found, center, spread)

    def scale_of(self, context: Values) -> WindowScale:
        """How windows are scaled before the network reads them."""
        scaling = self.recipe.data.scaling
        if scaling == "global":
            one = np.ones_like(context[:1])
            return WindowScale(np.zeros_like(one), one)
        first_known = len(self.shape.channels) - self.shape.num_known
        return WindowScale.of(context, first_known, "last" if scaling == "window-last" else "mean")

    @staticmethod
    def describe_loss(loss: float) -> str:
        """The cost."""
        return f"loss {loss:.4f}"

    def judge(self, windows: Windows, progress: Progress, title: str) -> Iterator[Judged]:
        """All windows, some at once."""
        batches = in_batches(windows)
        with inference(self.model), progress.stage(title, len(batches)) as advance:
            for numbers in batches:
                example = windows.batch(numbers)
                yield Judged(numbers, example, self.parameters(example.context, example.future))
                advance(1)

    def validate(self, progress: Progress) -> Metrics:
        """Loss, and errors in training deviations, on the validation windows."""
        means = Means()
        for _, example, parameters in self.judge(self.windows("valid"), progress, "validating"):
            told, targets = numbers_of(self.head.point(parameters)), example.targets
            loss = np.where(np.isnan(targets), np.nan, float(self.cost(parameters, targets)))
            means.add({"loss": loss, "mse": squared_errors(told, targets), "mae": absolute_errors(told, targets)})
        return means.scores()

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on the validation and test windows."""
        held_out = {split: self.windows(split) for split in SPLITS[1:]}
        scorer = self.scorer(self.timelines, self.spans["train"])
        metrics, details = {}, {}
        for split, windows in held_out.items():
            metrics[split], details[split] = self.evaluate(windows, scorer, progress, f"evaluating {split}")
        return Report({"model": metrics, **self.baselines(held_out, scorer, progress)}, details)

    def scorer(self, timelines: Sequence[Timeline], spans: Sequence[range]) -> Scorer:
        """Scores of windows over some series; `spans` are the steps whose seasons are the unit of MASE."""
        return Scorer(self.normalizer, timelines, spans, self.shape.season)

    def evaluate(self, windows: Windows, scorer: Scorer, progress: Progress, title: str) -> tuple[Metrics, Json]:
        """Scores of the model; and its error by step ahead, with some forecasts."""
        means, fans = Means(), []
        shown = np.linspace(0, len(windows) - 1, NUM_SHOWN).astype(np.int64)
        for numbers, example, parameters in self.judge(windows, progress, title):
            series, starts = windows.locate(numbers)
            losses = scorer.losses(numbers_of(self.head.point(parameters)), example.targets, series)
            if self.levels:
                quantiles = numbers_of(self.head.quantiles(parameters, self.levels))
                losses |= quantile_losses(quantiles, example.targets, self.levels)
            means.add(losses)
            for lane in np.flatnonzero(np.isin(numbers, shown)):
                timeline = scorer.timelines[series[lane]]
                fans.append(self.tell(timeline, int(starts[lane]), parameters[:, lane], self.levels).fan(0))
        return means.scores(), {"step": str(self.shape.step), "mse_by_step": means.by_step("mse"), "fans": fans}

    def baselines(self, held_out: Mapping[str, Windows], scorer: Scorer, progress: Progress) -> Json:
        """What plain forecasts reach, those that learn on the same training windows."""
        plain = plain_forecasts(self.windows("train"), self.shape.season, self.recipe.seed)
        found: Json = {}
        with progress.stage("training the baselines", len(plain)) as advance:
            for name, build in plain.items():
                advance(0, name)
                forecast = build()
                found[name] = {split: scores_of(forecast, windows, scorer) for split, windows in held_out.items()}
                advance(1)
        return found

    def tell(self, timeline: Timeline, start: int, parameters: Tensor, levels: Sequence[float]) -> Forecast:
        """A forecast in units of the table.

        Args:
            timeline: in units of the table.
            start: the step that the forecast begins at.
            parameters: of the head, (horizon, targets, width).
            levels: quantiles to tell.

        Raises:
            UsageError: the head does not tell such quantiles.
        """
        values = restore(numbers_of(self.head.point(parameters)), self.normalizer)
        quantiles = {
            level: restore(numbers_of(self.head.quantiles(parameters, [level])[..., 0]), self.normalizer)
            for level in levels
        }
        times = timeline.times[start : start + len(parameters)]
        times = np.concatenate([times, timeline.future_times(len(parameters) - len(times))])
        return Forecast(timeline, start, times, values, quantiles)

    def samples(self) -> list[Json]:
        """Some validation windows, in units of the table."""
        windows = self.windows("valid")
        found = []
        for number in np.linspace(0, len(windows) - 1, min(NUM_SAMPLES, len(windows))).astype(int):
            context, _, future = windows.window(int(number))
            first_known = len(self.shape.channels) - self.shape.num_known
            told = restore(context, self.normalizer), restore(future, self.normalizer, first_known)
            found.append(dict(zip(("context", "future"), (part.tolist() for part in told), strict=True)))
        return found

    def outputs_of(self, sample: Json) -> list[float]:
        """The forecast in training deviations, step by step."""
        first_known = len(self.shape.channels) - self.shape.num_known
        context = normalize(np.array(sample["context"]), self.normalizer)
        future = np.array(sample["future"]).reshape(self.recipe.data.horizon, self.shape.num_known)
        with inference(self.model):
            parameters = self.parameters(context[:, None], normalize(future, self.normalizer, first_known)[:, None])
        found: list[float] = self.head.point(parameters).flatten().tolist()
        return found


def to_tensor(values: Values, like: Tensor) -> Tensor:
    """Values as a tensor of the type and the place of another."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(like)


def numbers_of(values: Tensor) -> NDArray[np.float64]:
    """A tensor as an array."""
    return np.asarray(values.detach().double().cpu().numpy())
