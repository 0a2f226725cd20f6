"""Series to forecast: the options of a recipe, what series have in common, and what to know of them beforehand."""

from typing import Literal, NamedTuple

from pydantic import Field

from recurra.data.stamps import Step
from recurra.data.tables import Table
from recurra.data.timeline import Timeline, read_timelines
from recurra.data.windows import SPLITS, SplitOptions, Windows, long_enough, split_spans
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


def find_series(options: ForecastOptions, table: Table | None = None) -> tuple[list[Timeline], Spans]:
    """The series of a table that are long enough, and how they are split.

    Raises:
        DataError: they cannot be used, or are too short.
    """
    timelines = long_enough(read_timelines(options, table), options.context, options.horizon)
    return timelines, split_spans(timelines, options, options.context, options.horizon)


def check_series(options: ForecastOptions) -> Json:
    """Length and repairs of each series, steps and windows of each split, and what looks wrong.

    Raises:
        DataError: the series cannot be used.
    """
    everything = read_timelines(options)
    timelines, spans = find_series(options)
    problems = [
        f"{len(everything) - len(timelines)} of {len(everything)} series are shorter than a window and left out"
    ][: len(everything) - len(timelines)]
    for timeline, span in zip(timelines, spans["train"], strict=True):
        irregular, absent = timeline.repairs.irregular, timeline.repairs.absent
        if irregular:
            problems.append(f"{timeline.name}: {irregular:,} stamps are no whole {timeline.step} after the one before")
        if absent and options.missing == "fail":
            problems.append(f"{timeline.name}: {absent:,} steps of {timeline.step} are absent; windows reach over them")
        constant = (timeline.data[span.start : span.stop].std(0) == 0).tolist() if len(span) else []
        names = [name for name, stands in zip(timeline.channels, constant, strict=False) if stands]
        if names:
            problems.append(f"{timeline.name}: {', '.join(names)} never changes in training")
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
