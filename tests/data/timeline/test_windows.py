"""Windows and splits against loops over every step; scales against their definitions."""

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.timeline.scaling import WindowScale, normalize, normalize_series, restore, training_normalizer
from recurra.data.timeline.timeline import Repairs, Timeline, read_timelines
from recurra.data.timeline.timestamps import Step
from recurra.data.timeline.windows import (
    SPLITS,
    SplitOptions,
    Windows,
    cut_spans,
    describe_dropped,
    drop_short,
    split_spans,
)
from recurra.errors import DataError, UsageError

HOUR = Step(3_600_000_000, "microsecond")
SHAPE = (2, 1, 3)  # targets, past, known


def series(name: str, num_steps: int, first: int = 0, seed: int = 3) -> Timeline:
    """Random values at hours from `first` on."""
    targets, _, known = SHAPE
    data = np.random.default_rng(seed).normal(size=(num_steps, sum(SHAPE)))
    times = np.datetime64("2020-01-01", "us") + np.arange(first, first + num_steps) * np.timedelta64(1, "h")
    channels = tuple(f"c{number}" for number in range(sum(SHAPE)))
    path, ahead, repairs = Path("t.csv"), np.empty((0, known)), Repairs(0, 0, 0, 0, 0)
    return Timeline(name, path, times, data, channels, targets, known, HOUR, ahead, repairs)


def options(**values: Any) -> SplitOptions:
    return SplitOptions.parse({"path": "t.csv", "target": ["y"], **values}, "test")


def all_windows(spans: list[range], context: int, horizon: int) -> list[tuple[int, int]]:
    """Series and first step of the horizon of every window, by the rule itself."""
    return [
        (number, step)
        for number, span in enumerate(spans)
        for step in span
        if step - context >= 0 and step + horizon <= span.stop
    ]


# --- windows -------------------------------------------------------------------------------------------------------


@given(
    starts=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    lengths=st.lists(st.integers(0, 12), min_size=4, max_size=4),
    context=st.integers(1, 7),
    horizon=st.integers(1, 5),
)
def test_windows_are_those_whose_horizon_lies_in_the_span(
    starts: list[int], lengths: list[int], context: int, horizon: int
) -> None:
    spans = [range(start, start + length) for start, length in zip(starts, lengths, strict=False)]
    timelines = [series(str(number), 24, seed=number) for number in range(len(spans))]
    windows = Windows(timelines, spans, context, horizon)
    places = windows.locate(np.arange(len(windows)))
    assert list(zip(*(place.tolist() for place in places), strict=True)) == all_windows(spans, context, horizon)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_window_is_a_part_of_its_series_and_a_batch_holds_the_same(stride: int) -> None:
    timelines = [series("a", 20, seed=1), series("b", 3, seed=2), series("c", 17, seed=4)]
    spans = [range(2, 19), range(0, 3), range(9, 17)]
    windows = Windows(timelines, spans, 4, 3, stride)
    expected = [
        place
        for number in range(3)
        for place in [place for place in all_windows(spans, 4, 3) if place[0] == number][::stride]
    ]
    assert len(windows) == len(expected)
    for index, (number, step) in enumerate(expected):
        data, window = timelines[number].data, windows.window(index)
        np.testing.assert_array_equal(window.context, data[step - 4 : step])
        np.testing.assert_array_equal(window.targets, data[step : step + 3, :2])
        np.testing.assert_array_equal(window.future, data[step : step + 3, 3:])
    indices = np.random.default_rng(5).permutation(len(windows))[:4]
    batch = windows.batch(indices)
    assert [part.shape for part in batch] == [(4, len(indices), 6), (3, len(indices), 2), (3, len(indices), 3)]
    for lane, index in enumerate(indices):
        for part, of_window in zip(batch, windows.window(index), strict=True):
            np.testing.assert_array_equal(part[:, lane], of_window)


def test_a_batch_may_be_changed_and_the_series_stay() -> None:
    timeline = series("a", 12)
    before = timeline.data.copy()
    batch = Windows([timeline], [range(12)], 3, 2).batch(np.array([4, 0]))
    batch.context[:] = batch.targets[:] = 7
    np.testing.assert_array_equal(timeline.data, before)


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    windows = Windows([series("a", 200)], [range(200)], 3, 2)
    order = windows.order(7, 1)
    assert sorted(order) == list(range(len(windows)))
    np.testing.assert_array_equal(order, Windows([series("a", 200)], [range(200)], 3, 2).order(7, 1))
    others = [windows.order(7, 2), windows.order(8, 1), windows.order(1, 7), np.arange(len(windows))]
    assert all((order != other).any() for other in others)


# --- what was filled in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["interpolate", "forward"])
def test_a_window_knows_what_a_table_that_ends_with_its_context_tells(missing: str, tmp_path: Path) -> None:
    """Every window over a table with random gaps, against the same table cut off before the horizon."""
    generator = np.random.default_rng(11)
    values = generator.normal(size=(60, 3))
    cells = np.where(generator.random((60, 3)) < 0.4, np.nan, values)
    cells[0] = np.nan if missing == "interpolate" else values[0]
    cells[:5, 2] = values[0, 2] if missing == "forward" else np.nan  # begins at step 5 only
    cells[-1] = values[-1]
    days = np.datetime64("2020-01-01") + np.arange(60)

    def read(num_steps: int) -> Timeline:
        rows = [f"{day},{','.join('' if np.isnan(cell) else repr(float(cell)) for cell in row)}"
                for day, row in zip(days[:num_steps], cells, strict=False)]  # fmt: skip
        path = tmp_path / "t.csv"
        path.write_text("\n".join(["day,y,z,past", *rows]) + "\n")
        roles = {"path": str(path), "target": ["y", "z"], "covariates_past": ["past"], "calendar": True}
        (timeline,) = read_timelines(SplitOptions.parse({**roles, "missing": missing}, "test"))
        return timeline

    whole = read(60)
    assert np.isfinite(whole.data).all()
    windows = Windows([whole], [range(60)], 4, 3)
    _, starts = windows.locate(np.arange(len(windows)))
    begun = max(int(np.flatnonzero(~np.isnan(column))[0]) for column in cells.T) + 1
    assert starts.tolist() == list(range(max(begun, 4), 60 - 3 + 1))
    batch = windows.batch(np.arange(len(windows)))
    for lane, start in enumerate(starts):
        np.testing.assert_allclose(batch.context[:, lane], read(start).data[-4:], rtol=1e-12)
        np.testing.assert_array_equal(batch.targets[:, lane], cells[start : start + 3, :2])
    assert np.isnan(batch.targets).mean() > 0.2
    normalizer = training_normalizer([whole], [range(40)])
    np.testing.assert_allclose(normalizer.mean, read(40).data.mean(0), rtol=1e-12)


def test_a_split_in_which_all_targets_are_filled_in_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    cells = [str(step) if step < 31 else "" for step in range(40)]
    rows = [f"{np.datetime64('2020-01-01') + step},{cell},1" for step, cell in enumerate(cells)]
    path.write_text("\n".join(["day,y,past", *rows]) + "\n")
    given = options(path=str(path), covariates_past=["past"], missing="forward")
    with pytest.raises(DataError, match=r"t\.csv: the targets of the test part are all filled in; cut it off"):
        split_spans(read_timelines(given), given, 4, 3)


# --- splits --------------------------------------------------------------------------------------------------------


def test_the_split_of_the_transformer_data() -> None:
    """12, 4 and 4 months of 30 days; what is left of the 17,420 hours is not used."""
    timeline, split = series("h", 17_420), options(split_steps=[8640, 2880, 2880])
    spans = split_spans([timeline], split, 48, 24)
    assert spans == {"train": [range(8640)], "valid": [range(8640, 11_520)], "test": [range(11_520, 14_400)]}
    sizes = {name: len(Windows([timeline], spans[name], 48, 24)) for name in SPLITS}
    assert sizes == {"train": 8640 - 48 - 24 + 1, "valid": 2880 - 24 + 1, "test": 2880 - 24 + 1}
    first = Windows([timeline], spans["test"], 48, 24).window(0)
    np.testing.assert_array_equal(first.context, timeline.data[11_520 - 48 : 11_520])  # reaches into validation


def test_shares_of_one_series_are_shares_of_its_steps() -> None:
    """0.7 + 0.1 is a little less than 0.8 to a computer."""
    spans = split_spans([series("a", 100)], options(shares=[0.7, 0.1, 0.2]), 5, 4)
    assert spans == {"train": [range(70)], "valid": [range(70, 80)], "test": [range(80, 100)]}


def test_all_series_are_cut_at_the_same_times() -> None:
    """No series is trained on hours that another is judged on."""
    timelines = [
        series("a", 60),
        series("late", 25, first=40),
        series("over", 30, first=5),
        series("after", 8, first=70),
    ]
    spans = split_spans(timelines, options(shares=[0.6, 0.15, 0.25]), 4, 3)
    times = {
        split: np.concatenate([t.times[s.start : s.stop] for t, s in zip(timelines, spans[split], strict=True)])
        for split in SPLITS
    }
    assert times["train"].max() < times["valid"].min() <= times["valid"].max() < times["test"].min()
    assert sum(map(len, times.values())) == sum(len(timeline.times) for timeline in timelines)
    hours = len(np.unique(np.concatenate([timeline.times for timeline in timelines])))
    counts = [len(np.unique(times[split])) for split in SPLITS]
    assert counts == [round(hours * 0.6), round(hours * 0.75) - round(hours * 0.6), hours - round(hours * 0.75)]
    assert spans["train"][3] == range(0)


def test_splits_that_cannot_be() -> None:
    timeline = series("a", 40)
    with pytest.raises(
        DataError, match=r"t\.csv: 40 steps, fewer than --split-steps [0-9]+,[0-9]+,[0-9]+; choose smaller ones$"
    ):
        split_spans([timeline], options(split_steps=[20, 10, 11]), 4, 3)
    assert split_spans([timeline], options(split_steps=[20, 10, 10]), 17, 3)["train"] == [range(20)]
    with pytest.raises(
        DataError, match=r"t\.csv: the train part holds 20 steps, no window of horizon 3 after a context of 18"
    ):
        split_spans([timeline], options(split_steps=[20, 10, 10]), 18, 3)
    with pytest.raises(DataError, match=r"t\.csv: the valid part holds 4 steps, no window of horizon 5"):
        split_spans([timeline], options(), 4, 5)
    for values in ({"shares": [0.5, 0.5, 0.5]}, {"shares": [1.1, -0.2, 0.1]}, {"split_steps": [5, 0, 5]}):
        with pytest.raises(UsageError, match=r"above 0"):
            options(**values)


def test_series_that_are_too_short_are_left_out() -> None:
    a, b, c = series("a", 9), series("b", 10), series("c", 3)
    assert [timeline.name for timeline in drop_short([a, b, c], 6, 4)] == ["b"]
    with pytest.raises(
        DataError, match=r"t\.csv series 'b': 10 steps, expected at least 11, a context of 7 and a horizon of 4;"
    ):
        drop_short([a, b, c], 7, 4)
    with pytest.raises(DataError, match=r"t\.csv series 'b': 10 steps, expected at least 11, a context of 11;"):
        drop_short([a, b, c], 11, 0)
    assert describe_dropped([a, b, c], [b]) == ["2 of 3 series are too short and left out: a, c"]
    assert describe_dropped([a, b, c], [b, a]) == ["1 of 3 series is too short and left out: c"]
    assert describe_dropped([a, b, c], [c, b, a]) == []


def test_cuts_do_not_ask_for_windows() -> None:
    """As a backtest of a few steps does not."""
    assert cut_spans([series("a", 10)], options()) == {
        "train": [range(7)],
        "valid": [range(7, 8)],
        "test": [range(8, 10)],
    }


# --- scales --------------------------------------------------------------------------------------------------------


def test_the_normalizer_knows_the_training_part_only() -> None:
    timelines = [series("a", 30, seed=1), series("b", 11, seed=2), series("c", 4)]
    spans = [range(20), range(2, 9), range(4, 4)]
    rows = [row for timeline, span in zip(timelines, spans, strict=True) for row in timeline.data[list(span)]]
    mean = sum(rows) / len(rows)
    normalizer = training_normalizer(timelines, spans)
    np.testing.assert_allclose(normalizer.mean, mean, rtol=1e-12)
    deviation = np.sqrt(sum((row - mean) ** 2 for row in rows) / len(rows))
    np.testing.assert_allclose(normalizer.scale, deviation, rtol=1e-12)
    for timeline, span in zip(timelines, spans, strict=True):
        timeline.data[span.stop :] = np.inf
        timeline.data[: span.start] = np.nan
    assert training_normalizer(timelines, spans).dump() == normalizer.dump()


def test_normalized_values_come_back_whichever_channel_they_begin_at() -> None:
    timeline = series("a", 40)
    timeline.data[:] = timeline.data * [3, 100, 0.01, 1, 7, 5] + [5, -1e4, 0, 2, 0, 0.1]
    normalizer = training_normalizer([timeline], [range(25)])
    scaled = normalize_series(timeline, normalizer)
    np.testing.assert_allclose(scaled.data[:25].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.data[:25].std(0), 1, rtol=1e-12)
    for first, part, original in ((0, scaled.values, timeline.values), (3, scaled.known, timeline.known)):
        np.testing.assert_array_equal(normalize(original, normalizer, first), part)
        np.testing.assert_allclose(restore(part, normalizer, first), original, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("center", ["last", "mean"])
def test_every_window_has_its_own_scale(center: Any) -> None:
    windows = Windows([series("a", 40)], [range(40)], 5, 3)
    batch = windows.batch(np.array([9, 2, 21, 30]))
    context = batch.context * [4, 0.5, 9, 1, 1, 1] + [100, 0, -3, 0, 0, 0]
    context[:, 1, 0] = 8  # a window that stands still
    targets = batch.targets * 3
    scale = WindowScale.of(context, 3, center, floor=0.05)
    scaled_context, scaled_targets = scale.apply(context), scale.apply(targets)
    for lane, channel in itertools.product(range(4), range(3)):
        column = context[:, lane, channel]
        middle = column[-1] if center == "last" else column.sum() / 5
        spread = max(np.sqrt(((column - column.mean()) ** 2).sum() / 5), 0.05)
        np.testing.assert_allclose(scaled_context[:, lane, channel], (column - middle) / spread, rtol=1e-10, atol=1e-12)
        if channel < 2:
            expected = (targets[:, lane, channel] - middle) / spread
            np.testing.assert_allclose(scaled_targets[:, lane, channel], expected, rtol=1e-10)
    np.testing.assert_array_equal(scaled_context[..., 3:], context[..., 3:])


# --- real data -----------------------------------------------------------------------------------------------------


def test_windows_of_a_real_table_hold_its_very_cells() -> None:
    path = Path(os.environ.get("RECURRA_DATA", "absent")) / "ett" / "ETTh1.csv"
    if not path.exists():
        pytest.skip("ett/ETTh1.csv is not in RECURRA_DATA")
    split = options(path=str(path), target=["OT"], covariates_past=["HULL"], split_steps=[8640, 2880, 2880])
    timelines = read_timelines(split)
    windows = Windows(timelines, split_spans(timelines, split, 48, 24)["test"], 48, 24)
    cells = [line.split(",") for line in path.read_text().splitlines()[1:]]  # date, HUFL, HULL, ..., OT
    for index in (0, 1, 2856):
        rows = cells[11_520 - 48 + index : 11_520 + 24 + index]
        window = windows.window(index)
        assert window.context.tolist() == [[float(row[7]), float(row[2])] for row in rows[:48]]
        assert window.targets.tolist() == [[float(row[7])] for row in rows[48:]]
    assert len(windows) == 2857
