"""Series to forecast: the options of a recipe, what series have in common, and what to know of them beforehand."""

from typing import Literal, NamedTuple

from pydantic import Field

from recurra.data.splits import SPLITS
from recurra.data.timeline.timeline import Timeline, read_timelines
from recurra.data.timeline.timestamps import Step
from recurra.data.timeline.windows import SplitOptions, Windows, describe_dropped, drop_short, split_spans
from recurra.progress import Progress
from recurra.runs import Json

Spans = dict[str, list[range]]  # steps of each series, by split


class ForecastOptions(SplitOptions):
    """The `[data]` section: the table, how its time is split, and what is forecast from what."""

    context: int = Field(ge=1, description="steps that a forecast is made from")
    horizon: int = Field(ge=1, description="steps to forecast")
    stride: int = Field(1, ge=1, description="steps from one training window to the next; held-out windows all count")
    season: int | None = Field(
        None, ge=1, description="steps of a season; by default the day, or the week of days, or the year"
    )
    scaling: Literal["global", "window-last", "window-mean"] = Field(
        "global",
        description="what the network reads: training deviations from the training mean; or the window's own, from "
        "its last value or its mean",
    )
    residual: Literal["persistence", "season"] | None = Field(
        None, description="persistence or season: forecast the difference to the last value, or to the last season"
    )


class SeriesShape(NamedTuple):
    """What the series of a run have in common."""

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
