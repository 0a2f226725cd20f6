"""Series to forecast: options, preprocessing, and checks before training."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from recurra.config import Section
from recurra.data.normalizer import Normalizer
from recurra.data.splits import SPLITS
from recurra.data.timeline.scaling import training_normalizer
from recurra.data.timeline.timeline import Timeline, read_timelines
from recurra.data.timeline.timestamps import Step
from recurra.data.timeline.windows import SplitOptions, Windows, describe_dropped, drop_short, split_spans
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import ReadFile, digest_of

NORMALIZER = "normalizer.json"

Spans = dict[str, list[range]]  # steps of each series, by split


class ForecastOptions(SplitOptions):
    """The `[data]` section: the table, its split by time, context and horizon."""

    context: int = Field(ge=1, description="steps before a forecast that the model reads")
    horizon: int = Field(ge=1, description="steps to forecast")
    stride: int = Field(1, ge=1, description="steps from one training window to the next; held-out windows all count")
    season: int | None = Field(
        None, ge=1, description="steps of a season; by default the day, or the week of days, or the year"
    )
    scaling: Literal["global", "window-last", "window-mean"] = Field(
        "global",
        description="scaling of the inputs: by mean and standard deviation of the training part (global), or of each "
        "window, centered on its last value or its mean",
    )
    residual: Literal["persistence", "season"] | None = Field(
        None, description="forecast the difference to the last value (persistence) or to the last season"
    )


class SeriesShape(NamedTuple):
    """Channels, step and season, the same for all series of a run."""

    channels: tuple[str, ...]  # targets, covariates of the past, covariates known beforehand
    num_targets: int
    num_known: int
    step: Step
    season: int  # steps

    @classmethod
    def of(cls, timeline: Timeline, options: ForecastOptions) -> "SeriesShape":
        """That of the series of a table, with the season of a recipe or else a usual one."""
        season = options.season or timeline.step.season
        return cls(timeline.channels, timeline.num_targets, timeline.num_known, timeline.step, season)


class ForecastPreprocessor(NamedTuple):
    """What a forecaster learns from its series before training.

    Args:
        shape: channels, step and season of the series.
        normalizer: mean and standard deviation of the training part of each channel.
    """

    shape: SeriesShape
    normalizer: Normalizer

    @classmethod
    def fit(cls, timelines: Sequence[Timeline], spans: Spans, options: ForecastOptions) -> "ForecastPreprocessor":
        """That of series, of which `spans["train"]` are the training steps."""
        return cls(SeriesShape.of(timelines[0], options), training_normalizer(timelines, spans["train"]))

    def values(self) -> Json:
        """The shape."""
        return {**self.shape._asdict(), "channels": list(self.shape.channels), "step": list(self.shape.step)}

    def files(self) -> Mapping[str, str]:
        """The normalizer."""
        return {NORMALIZER: self.normalizer.dump()}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Section) -> "ForecastPreprocessor":  # noqa: ARG003
        """Undo `values` and `files`."""
        shape = SeriesShape(**{**values, "channels": tuple(values["channels"]), "step": Step(*values["step"])})
        return cls(shape, Normalizer.parse(read(NORMALIZER)))


class Encoded(NamedTuple):
    """The steps of one split in training deviations."""

    scaled: list[Timeline]
    spans: list[range]  # of each series

    @property
    def digest(self) -> str:
        """SHA-256 of the values, those before the split included."""
        values = [timeline.data[: span.stop] for timeline, span in zip(self.scaled, self.spans, strict=True)]
        return digest_of(values, np.array([[span.start, span.stop] for span in self.spans]))


def find_series(options: ForecastOptions, progress: Progress) -> tuple[list[Timeline], Spans]:
    """The series of a table that are long enough, and how they are split; says which are not.

    Raises:
        DataError: they cannot be used, or are too short.
    """
    everything = read_timelines(options)
    timelines = drop_short(everything, options.context, options.horizon)
    for words in describe_dropped(everything, timelines):
        progress.note(words)
    return timelines, split_spans(timelines, options, options.context, options.horizon)


def check_series(options: ForecastOptions) -> Json:
    """Length and repairs of each series, steps and windows of each split, and what looks wrong.

    Raises:
        DataError: the series cannot be used.
    """
    everything = read_timelines(options)
    timelines = drop_short(everything, options.context, options.horizon)
    spans = split_spans(timelines, options, options.context, options.horizon)
    problems = describe_dropped(everything, timelines)
    for timeline, span in zip(timelines, spans["train"], strict=True):
        problems += [f"{timeline.name}: {words}" for words in problems_of(timeline, span, options)]
    return {
        "series": {one.name: {"steps": len(one.times), **one.repairs._asdict()} for one in timelines},
        "splits": {
            split: {
                "steps": sum(map(len, spans[split])),
                "windows": len(Windows(timelines, spans[split], options.context, options.horizon)),
            }
            for split in SPLITS
        },
        "problems": problems,
    }


def problems_of(timeline: Timeline, train: range, options: ForecastOptions) -> list[str]:
    """What looks wrong in a series."""
    problems = []
    _, _, absent, irregular, filled = timeline.repairs
    if irregular:
        stamps = "1 stamp is" if irregular == 1 else f"{irregular:,} stamps are"
        problems.append(f"{stamps} no whole {timeline.step} after the one before")
    if absent and options.missing == "fail":
        missing = "1 step is" if absent == 1 else f"{absent:,} steps are"
        problems.append(f"{missing} absent, of {timeline.step} each; windows reach over them")
    if filled:
        cells = "1 cell is" if filled == 1 else f"{filled:,} cells are"
        problems.append(f"{cells} filled in; no score counts what is, of the targets")
    constant = (timeline.data[train.start : train.stop].std(0) == 0).tolist() if len(train) else []
    names = [name for name, stands in zip(timeline.channels, constant, strict=False) if stands]
    if names:
        problems.append(f"{', '.join(names)} never changes in training")
    return problems
