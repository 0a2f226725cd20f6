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
from recurra.errors import counted
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

    channels: tuple[str, ...]  # targets, past covariates, future covariates
    num_targets: int
    num_known: int  # future covariates
    step: Step
    season: int  # steps

    @property
    def first_known(self) -> int:
        """Index of the first channel that is a future covariate."""
        return len(self.channels) - self.num_known

    @classmethod
    def of(cls, timeline: Timeline, options: ForecastOptions) -> "SeriesShape":
        """The shape of one of the series; the season is that of the options or, by default, of its step."""
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
        """Fit to the training steps of series, `spans["train"]`."""
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
    """The series, normalized, with the steps of one split."""

    scaled: list[Timeline]
    spans: list[range]  # steps of each series

    @property
    def digest(self) -> str:
        """SHA-256 of the values up to the end of the split, since contexts begin before it, and of the spans."""
        values = [timeline.data[: span.stop] for timeline, span in zip(self.scaled, self.spans, strict=True)]
        return digest_of(values, np.array([[span.start, span.stop] for span in self.spans]))


def find_series(options: ForecastOptions, progress: Progress) -> tuple[list[Timeline], Spans]:
    """The series of a table that are long enough, and the steps of each split; notes which are too short.

    Raises:
        DataError: they cannot be used, or are too short.
    """
    everything = read_timelines(options)
    timelines = drop_short(everything, options.context, options.horizon)
    for words in describe_dropped(everything, timelines):
        progress.note(words)
    return timelines, split_spans(timelines, options, options.context, options.horizon)


def check_series(options: ForecastOptions) -> Json:
    """Statistics of a table.

    Returns:
        series (steps and repairs of each), splits (steps and windows of each), problems (sentences).

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
    """Irregular, missing and filled-in values of a series, and constant channels, as sentences."""
    problems = []
    _, _, absent, irregular, filled = timeline.repairs
    if irregular:
        problems.append(
            f"{counted(irregular, 'timestamp')} not a whole number of steps ({timeline.step} each) after the one before"
        )
    if absent and options.missing == "fail":
        problems.append(f"{counted(absent, 'step')} missing ({timeline.step} each); windows span such gaps")
    if filled:
        problems.append(f"{counted(filled, 'cell')} filled in; filled targets do not count in losses and scores")
    is_constant = (timeline.data[train.start : train.stop].std(0) == 0).tolist() if len(train) else []
    names = [name for name, constant in zip(timeline.channels, is_constant, strict=False) if constant]
    if names:
        problems.append(f"constant in the training part: {', '.join(names)}")
    return problems
