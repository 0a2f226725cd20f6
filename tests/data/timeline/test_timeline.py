"""Tables as time series: stamps in any usual form, steps, gaps, and what is empty or no number."""

import json
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from recurra.data.timeline.timeline import Timeline, TimelineOptions, read_timelines
from recurra.errors import DataError, UsageError


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(path: Path, **options: Any) -> list[Timeline]:
    return read_timelines(TimelineOptions.parse({"path": str(path), "target": ["y"], **options}, "test"))


def series_of(folder: Path, stamps: Sequence[object], values: Sequence[object], **options: Any) -> Timeline:
    """The one series of a table with these cells."""
    rows = "".join(f'"{stamp}",{value}\n' for stamp, value in zip(stamps, values, strict=True))
    (timeline,) = read(write(folder, "when,y\n" + rows), **options)
    return timeline


def stamps_of(times: np.ndarray) -> list[str]:
    return times.astype("M8[s]").astype(str).tolist()


# --- stamps and steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "step", "last", "then"),
    [
        (["2016-07-01 22:00:00", "2016-07-01 23:00:00"], "1 hour", "2016-07-01T23", ["2016-07-02T00", "2016-07-02T01"]),
        (["2016-02-27T12:00", "2016-02-28T12:00"], "1 day", "2016-02-28T12", ["2016-02-29T12", "2016-03-01T12"]),
        (["1949-11", "1949-12"], "1 month", "1949-12-01", ["1950-01-01", "1950-02-01"]),
        (["Jan 1 2000", "Feb 1 2000"], "1 month", "2000-02-01", ["2000-03-01", "2000-04-01"]),
        (["May 3, 2001", "June 3, 2001"], "1 month", "2001-06-03", ["2001-07-03", "2001-08-03"]),
        (["2001/03/03", "2001/03/10"], "1 week", "2001-03-10", ["2001-03-17", "2001-03-24"]),
        (["30.12.2001 08:30", "30.12.2001 08:45"], "15 minutes", "2001-12-30T08:45", None),
        (["20160131", "20160229"], "1 month", "2016-02-29", ["2016-03-31", "2016-04-30"]),
        (["2019-03-31", "2019-06-30"], "3 months", "2019-06-30", ["2019-09-30", "2019-12-31"]),
        (["2019-12-30", "2020-12-30"], "1 year", "2020-12-30", ["2021-12-30", "2022-12-30"]),
        (["2020-01-01T00:00:00.5Z", "2020-01-01T00:00:01Z"], "500000 microseconds", "2020-01-01T00:00:01", None),
        (["2020-01-01T01:00+02:00", "2020-01-01T00:00Z"], "1 hour", "2020-01-01", ["2020-01-01T01", "2020-01-01T02"]),
    ],
)
def test_usual_stamps(tmp_path: Path, cells: list[str], step: str, last: str, then: list[str] | None) -> None:
    timeline = series_of(tmp_path, cells, [1.5, 2.5], time_column="when")
    assert str(timeline.step) == step
    assert timeline.times[-1] == np.datetime64(last)
    if then:
        assert timeline.future_times(2).tolist() == np.array(then, "M8[us]").tolist()


def test_integers_are_stamps_where_the_column_is_named(tmp_path: Path) -> None:
    timeline = series_of(tmp_path, [1749, 1754, 1759], [1, 2, 3], time_column="when")
    assert timeline.times.tolist() == [1749, 1754, 1759]
    assert timeline.future_times(3).tolist() == [1764, 1769, 1774]
    assert str(timeline) == "t: 3 steps of 5 integers, 1749 to 1759; no flaws found"
    with pytest.raises(
        DataError, match=r"no column begins with a date; name one with --time-column \(it may be when, of integers\)"
    ):
        series_of(tmp_path, [1749, 1754], [1, 2])
    with pytest.raises(
        DataError, match="no column begins with a date; name one with --time-column, and its format with --time-format"
    ):
        series_of(tmp_path, ["first", "second"], [1, 2])


def test_an_unusual_form_can_be_said(tmp_path: Path) -> None:
    timeline = series_of(tmp_path, ["31/01/00 5h", "28/02/00 5h"], [1, 2], time_format="%d/%m/%y %Hh")
    assert stamps_of(timeline.times) == ["2000-01-31T05:00:00", "2000-02-28T05:00:00"]
    with pytest.raises(DataError, match=r"t\.csv line 3: when is '2/2/2000', expected %d\.%m; correct it"):
        series_of(tmp_path, ["1.2", "2/2/2000"], [1, 2], time_column="when", time_format="%d.%m")


def test_the_time_column_is_the_first_with_dates_that_has_no_other_role(tmp_path: Path) -> None:
    path = write(tmp_path, "id,cohort,note,y,day,also\n20010101,1999-05,a,5,2002-01-01,x\n7,1999-05,b,6,2002-01-02,x\n")
    (timeline,) = read(path, series_column="cohort")
    assert (timeline.name, str(timeline.step)) == ("1999-05", "1 day")
    assert timeline.times[0] == np.datetime64("2002-01-01")
    with pytest.raises(DataError, match="line 3: 1999-05-01 is the same as 1999-05-01 of line 2"):
        read(path)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["2000-01-01", "2000-01-02", "2000-01-02"], "line 4: 2000-01-02 is the same as 2000-01-02 of line 3; keep"),
        (["2000-01-01", "2000-01-03", "2000-01-02"], "line 4: 2000-01-02 is before 2000-01-03 of line 3; sort"),
        (
            ["2000-01-01", "2000-13-01", "x"],
            r"line 3: when is '2000-13-01', expected one like '2000-01-01'; correct it",
        ),
        (["2000-01-01", "2000-01-02", " "], r"line 4: when is '', expected one like '2000-01-01'"),
        (["first", "second", "third"], r"line 2: when is 'first', expected a date such as 2016-07-01, or an integer"),
        ([1, 2, 10**30], rf"line 4: when is '{10**30}', expected one like '1'"),
    ],
)
def test_stamps_that_cannot_be(tmp_path: Path, cells: list[object], message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv {message}"):
        series_of(tmp_path, cells, [1, 2, 3], time_column="when")


def test_one_row_is_no_series(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv: one row a series"):
        series_of(tmp_path, ["2000-01-01"], [1])


# --- zones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "step", "then"),
    [
        (["2024-05-01T00:00+02:00", "2024-05-02T00:00+02:00"], "1 day", ["2024-05-03", "2024-05-04"]),
        # across the change of the clock in Berlin, 31 March and 27 October 2024
        ([f"2024-03-{day}T00:00+0{1 + (day > 31)}:00" for day in (29, 30, 31)] + ["2024-04-01T00:00+02:00"], "1 day",
         ["2024-04-02"]),
        ([f"2024-{month:02}-01T00:00+0{1 + (4 <= month <= 10)}:00" for month in range(1, 13)], "1 month",
         ["2025-01-01"]),
        (["2024-10-26T08:00+02:00", "2024-10-27T08:00+01:00", "2024-10-28T08:00+01:00"], "1 day",
         ["2024-10-29T08:00:00"]),
        (["2024-10-27T01:30+02:00", "2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00", "2024-10-27T03:30+01:00"],
         "1 hour", ["2024-10-27T04:30:00+01:00", "2024-10-27T05:30:00+01:00"]),
        (["2024-05-01T22:00Z", "2024-05-01T23:00Z"], "1 hour", ["2024-05-02T00:00:00Z"]),
        (["2024-05-01T22:00-03:30", "2024-05-01T23:00-03:30"], "1 hour", ["2024-05-02T00:00:00-03:30"]),
    ],
)  # fmt: skip
def test_days_are_those_on_the_wall_and_hours_are_of_one_length(
    tmp_path: Path, cells: list[str], step: str, then: list[str]
) -> None:
    timeline = series_of(tmp_path, cells, range(len(cells)))
    assert (str(timeline.step), timeline.repairs) == (step, (0, 0, 0, 0, 0))
    assert timeline.format_times(timeline.future_times(len(then))) == then
    assert str(timeline).startswith(f"t: {len(cells)} steps of {step}, {cells[0][:10]}")


def test_the_calendar_of_hours_is_that_on_the_wall(tmp_path: Path) -> None:
    """Half past eight in the evening of New Year's Eve in New York; with an hour that is absent."""
    start = datetime(2023, 12, 31, 20, 30)
    walls = [start + timedelta(hours=hour) for hour in (0, 1, 3, 4)]
    timeline = series_of(tmp_path, [f"{wall}-05:00" for wall in walls], range(4), calendar=True, missing="forward")
    wanted = [start + timedelta(hours=hour) for hour in range(8)]
    angles = 2 * np.pi * np.array([(wall.hour + 0.5) / 24 for wall in wanted])
    np.testing.assert_allclose(timeline.known[:, 0], np.sin(angles[:5]), atol=1e-12)
    np.testing.assert_allclose(timeline.future_known(3)[:, 0], np.sin(angles[5:]), atol=1e-12)
    assert timeline.channels[1:4:2] == ("hour sine", "weekday sine")
    weekdays = 2 * np.pi * np.array([wall.weekday() for wall in wanted[:5]]) / 7
    np.testing.assert_allclose(timeline.known[:, 2], np.sin(weekdays), atol=1e-12)


# --- gaps, bad and empty cells -------------------------------------------------------------------------------------


def test_gaps_are_counted_and_filled_where_that_is_said(tmp_path: Path) -> None:
    kept = [0, 1, 2, 3, 5, 6, 10, 11]
    stamps, values = [f"2024-01-{1 + day:02}" for day in kept], [10.0 + day for day in kept]
    as_read = series_of(tmp_path, stamps, values)
    assert as_read.values[:, 0].tolist() == values
    assert as_read.repairs == (0, 2, 4, 0, 0)
    assert as_read.observed(np.arange(8))[:, 0].tolist() == values
    assert str(as_read) == "t: 8 steps of 1 day, 2024-01-01 to 2024-01-12; gaps 2, absent 4"
    straight = series_of(tmp_path, stamps, values, missing="interpolate")
    np.testing.assert_allclose(straight.values[:, 0], 10.0 + np.arange(12), rtol=1e-14)
    assert straight.times.tolist() == np.arange("2024-01-01", "2024-01-13", dtype="M8[D]").astype("M8[us]").tolist()
    assert straight.repairs == (0, 2, 4, 0, 4)
    told = straight.observed(np.arange(12))[:, 0]
    assert [step for step in range(12) if not np.isnan(told[step])] == kept
    forward = series_of(tmp_path, stamps, values, missing="forward")
    assert forward.values[:, 0].tolist() == [10, 11, 12, 13, 13, 15, 16, 16, 16, 16, 20, 21]


def test_business_days_have_no_weekends(tmp_path: Path) -> None:
    """A holiday is absent, a weekend is not; and a table too short to tell is read as what is expected."""
    kept = [day for day in range(21) if day % 7 < 5 and day != 9]
    stamps, values = [f"2024-01-{1 + day:02}" for day in kept], [float(day) for day in kept]
    timeline = series_of(tmp_path, stamps, values, calendar=True)
    assert str(timeline) == "t: 14 steps of 1 business day, 2024-01-01 to 2024-01-19; gaps 1, absent 1"
    assert timeline.format_times(timeline.future_times(6))[::5] == ["2024-01-22", "2024-01-29"]
    assert timeline.channels[1] == "weekday sine"
    np.testing.assert_allclose(timeline.future_known(1)[0, :2], [0, 1], atol=1e-12)  # a Monday
    filled = series_of(tmp_path, stamps, values, missing="interpolate")
    assert filled.values[:, 0].tolist() == [float(day) for day in range(21) if day % 7 < 5]
    path = write(tmp_path, "when,y\n" + "".join(f"{stamp},1\n" for stamp in stamps[:6]))
    given = TimelineOptions.parse({"path": str(path), "target": ["y"]}, "test")
    (short,) = read_timelines(given, expected=timeline.step)
    assert short.format_times(short.future_times(3)) == ["2024-01-09", "2024-01-10", "2024-01-11"]
    assert str(read_timelines(given)[0].step) == "1 day"


def test_absent_months_are_filled_by_months(tmp_path: Path) -> None:
    """Halfway between two months in months, not in days; and the stamps in between are right."""
    stamps = ["2001-01-31", "2001-02-28", "2001-03-31", "2001-05-31"]
    timeline = series_of(tmp_path, stamps, [1, 2, 5, 8], missing="interpolate")
    assert stamps_of(timeline.times)[3] == "2001-04-30T00:00:00"
    assert timeline.values[:, 0].tolist() == [1, 2, 5, 6.5, 8]


def test_between_irregular_stamps_lines_are_drawn_in_time(tmp_path: Path) -> None:
    stamps = ["2000-01-01 00:00", "2000-01-01 01:00", "2000-01-01 02:00", "2000-01-01 02:30", "2000-01-01 03:40"]
    timeline = series_of(tmp_path, stamps, [0, 10, "", "", 30], missing="interpolate")
    np.testing.assert_allclose(timeline.values[:, 0], [0, 10, 10 + 20 * 60 / 160, 10 + 20 * 90 / 160, 30], rtol=1e-14)
    assert timeline.repairs == (0, 0, 0, 2, 2)


def test_a_cell_that_is_no_number(tmp_path: Path) -> None:
    stamps = [f"1984-07-{day}" for day in range(10, 16)]
    cells = [0.5, "?0.2", 1.5, 2.5, "?0.8", 4.5]
    with pytest.raises(
        DataError, match=r"t\.csv line 3: y is '\?0\.2', expected a number; .* \(2 here\) with --on-bad drop$"
    ):
        series_of(tmp_path, stamps, cells)
    dropped = series_of(tmp_path, stamps, cells, on_bad="drop")
    assert dropped.values[:, 0].tolist() == [0.5, 1.5, 2.5, 4.5]
    assert dropped.repairs == (2, 2, 2, 0, 0)
    filled = series_of(tmp_path, stamps, cells, on_bad="drop", missing="interpolate")
    np.testing.assert_allclose(filled.values[:, 0], [0.5, 1, 1.5, 2.5, 3.5, 4.5], rtol=1e-14)
    assert filled.repairs == (2, 2, 2, 0, 2)
    with pytest.raises(DataError, match=r"t\.csv: no row in which all cells are numbers"):
        series_of(tmp_path, stamps, ["a"] * 6, on_bad="drop")
    with pytest.raises(DataError, match=r"t\.csv line 2: y is '7{60}\.\.\.', expected a number; correct it"):
        series_of(tmp_path, stamps, ["7" * 1_000_000, *cells[1:]])


def test_an_empty_cell(tmp_path: Path) -> None:
    stamps = [f"2000-01-{day:02}" for day in range(1, 8)]
    cells = ["", 2, "", "NaN", 8, 3, ""]
    with pytest.raises(
        DataError, match=r"t\.csv line 2: y is empty \(4 such cells\); fill it, or set --missing interpolate or"
    ):
        series_of(tmp_path, stamps, cells)
    with pytest.raises(DataError, match=r"t\.csv line 3: y is 'NaN', no number \(1 such cell\); fill it, or set"):
        series_of(tmp_path, stamps[2:5], [2, "NaN", 8])
    straight = series_of(tmp_path, stamps, cells, missing="interpolate")
    np.testing.assert_allclose(straight.values[:, 0], [2, 2, 4, 6, 8, 3, 3], rtol=1e-14)
    assert straight.repairs.filled == 4
    forward = series_of(tmp_path, stamps[1:], cells[1:], missing="forward")
    assert forward.values[:, 0].tolist() == [2, 2, 2, 8, 3, 3]
    with pytest.raises(DataError, match=r"t\.csv: y begins empty, with nothing to carry forward"):
        series_of(tmp_path, stamps, cells, missing="forward")
    with pytest.raises(DataError, match=r"t\.csv: y is empty throughout"):
        series_of(tmp_path, stamps, [""] * 7, missing="interpolate")


def test_a_gap_too_wide_is_not_filled(tmp_path: Path) -> None:
    """A wrong year must not become a million made-up steps."""
    stamps = ["2000-01-01 00:00", "2000-01-01 00:01", "2000-01-01 00:02", "2100-01-01 00:00"]
    assert series_of(tmp_path, stamps, [1, 2, 3, 4]).repairs.gaps == 1
    with pytest.raises(DataError, match=r"t\.csv: [0-9,]+ steps of 1 minute absent between 4 rows"):
        series_of(tmp_path, stamps, [1, 2, 3, 4], missing="forward")


# --- several series and covariates ---------------------------------------------------------------------------------

LONG = """shop,when,y,bad
b,2000-01,1,
a,2000-02,10,
b,2000-02,2,
a,2000-03,20,?
a,2000-04,30,
b,2000-03,3,
b,2000-05,5,
"""


def test_several_series_one_below_the_other(tmp_path: Path) -> None:
    path = write(tmp_path, LONG)
    b, a = read(path, series_column="shop")
    assert (a.name, a.values[:, 0].tolist(), stamps_of(a.times)[0]) == ("a", [10, 20, 30], "2000-02-01T00:00:00")
    assert (b.name, b.values[:, 0].tolist(), b.repairs.gaps) == ("b", [1, 2, 3, 5], 1)
    assert stamps_of(b.future_times(1)) == ["2000-06-01T00:00:00"]
    with pytest.raises(DataError, match="or name the column of the series with --series-column if there are several"):
        read(path)
    with pytest.raises(DataError, match=r"line 9: shop is empty; expected the name of a series"):
        read(write(tmp_path, LONG + ",2000-06,9,\n"), series_column="shop")


def test_each_series_counts_its_own_dropped_rows(tmp_path: Path) -> None:
    path = write(tmp_path, LONG.replace(",\n", ",1\n"))
    b, a = read(path, series_column="shop", covariates_past=["bad"], on_bad="drop")
    assert (a.repairs.dropped, b.repairs.dropped) == (1, 0)
    assert a.data.tolist() == [[10, 1], [30, 1]]


WIDE = """day,holiday,y,rain,z
2023-12-29,0,1,.1,-1
2023-12-30,0,2,.2,-2
2023-12-31,1,3,.3,-3
2024-01-01,1,,,
2024-01-02,0,,,
"""


def test_channels_have_an_order_and_rows_without_targets_carry_the_known_on(tmp_path: Path) -> None:
    roles = {"target": ["z", "y"], "covariates_past": ["rain"], "covariates_future": ["holiday"]}
    (timeline,) = read(write(tmp_path, WIDE), **roles)
    assert timeline.channels == ("z", "y", "rain", "holiday")
    assert timeline.data.tolist() == [[-1, 1, 0.1, 0], [-2, 2, 0.2, 0], [-3, 3, 0.3, 1]]
    assert timeline.values.tolist() == [[-1, 1], [-2, 2], [-3, 3]]
    assert timeline.known.tolist() == [[0], [0], [1]]
    assert all(np.shares_memory(part, timeline.data) for part in (timeline.values, timeline.known))
    assert timeline.future_known(2).tolist() == [[1], [0]]
    assert timeline.future_known(1).tolist() == [[1]]
    with pytest.raises(
        DataError, match=r"t\.csv: expected holiday for 3 steps after the last target, got 2; append rows"
    ):
        timeline.future_known(3)


def test_without_known_columns_rows_without_targets_are_empty_cells(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 5: from here to the end the target is empty; cut these rows"):
        read(write(tmp_path, WIDE))
    with pytest.raises(DataError, match=r"line 5: holiday is empty"):
        read(write(tmp_path, WIDE.replace("01-01,1", "01-01,")), covariates_future=["holiday"])


def test_the_future_is_filled_only_in_what_is_known(tmp_path: Path) -> None:
    """An absent day after the last target lies in the future too; targets there are not made up."""
    text = WIDE.replace("2024-01-01,1,,,\n", "").replace("2023-12-31,1,3", "2023-12-31,1,")
    (timeline,) = read(write(tmp_path, text), target=["z", "y"], covariates_future=["holiday"], missing="interpolate")
    assert timeline.data.tolist() == [[-1, 1, 0], [-2, 2, 0], [-3, 2, 1]]
    assert timeline.future_known(2).tolist() == [[0.5], [0]]
    assert timeline.repairs.filled == 2


@pytest.mark.parametrize(
    ("length", "names"),
    [
        (timedelta(hours=7), ["hour", "weekday", "month", "day of year"]),
        (timedelta(days=1), ["weekday", "month", "day of year"]),
        (timedelta(days=7), ["month", "day of year"]),
    ],
)
def test_calendar_features_are_those_of_datetime(tmp_path: Path, length: timedelta, names: list[str]) -> None:
    start = datetime(2023, 11, 5, 3, 30)
    stamps = [start + number * length for number in range(70)]
    timeline = series_of(tmp_path, stamps[:60], range(60), calendar=True)
    phases = {
        "hour": lambda stamp: (stamp.hour + stamp.minute / 60) / 24,
        "weekday": lambda stamp: stamp.weekday() / 7,
        "month": lambda stamp: (stamp.month - 1) / 12,
        "day of year": lambda stamp: (stamp.timetuple().tm_yday - 1) / 365.25,
    }
    angles = [[2 * math.pi * phases[name](stamp) for name in names] for stamp in stamps]
    expected = [[wave(angle) for angle in row for wave in (math.sin, math.cos)] for row in angles]
    np.testing.assert_allclose(timeline.known, expected[:60], rtol=0, atol=1e-12)
    np.testing.assert_allclose(timeline.future_known(10), expected[60:], rtol=0, atol=1e-12)
    assert timeline.channels[1:] == tuple(f"{name} {wave}" for name in names for wave in ("sine", "cosine"))


def test_the_calendar_stands_after_known_columns_and_knows_its_future(tmp_path: Path) -> None:
    (timeline,) = read(write(tmp_path, WIDE), covariates_future=["holiday"], calendar=True)
    assert timeline.channels[:3] == ("y", "holiday", "weekday sine")
    future = timeline.future_known(2)
    assert future[:, 0].tolist() == [1, 0]
    weekday = 2 * math.pi * np.array([0, 1]) / 7  # 1 January 2024 was a Monday
    np.testing.assert_allclose(future[:, 1:3], np.stack([np.sin(weekday), np.cos(weekday)], 1), atol=1e-12)


def test_years_have_no_calendar_and_integers_none_either(tmp_path: Path) -> None:
    yearly = series_of(tmp_path, ["2000-01-01", "2001-01-01", "2002-01-01"], [1, 2, 3], calendar=True)
    assert yearly.data.shape == (3, 1)
    assert yearly.future_known(4).shape == (4, 0)
    with pytest.raises(DataError, match="calendar needs dates, but 'when' holds integers"):
        series_of(tmp_path, [1, 2, 3], [1, 2, 3], calendar=True, time_column="when")


# --- kinds of tables, options, real data ---------------------------------------------------------------------------


def test_every_kind_of_table_gives_the_same_series(tmp_path: Path) -> None:
    stamps = [datetime(2020, 5, 1, hour, tzinfo=UTC) for hour in range(4)]
    values = [1.5, None, 2.5, 7.0]
    written = [stamp.isoformat() for stamp in stamps]
    rows = list(zip(written, ["" if value is None else value for value in values], strict=True))
    lines = [json.dumps({"when": stamp, "y": value}) for stamp, value in zip(written, values, strict=True)]
    paths = [
        write(tmp_path, "when,y\n" + "".join(f"{stamp},{value}\n" for stamp, value in rows), "a.csv"),
        write(tmp_path, "when\ty\n" + "".join(f"{stamp}\t{value}\n" for stamp, value in rows), "a.tsv"),
        write(tmp_path, "\n".join(lines), "a.jsonl"),
        tmp_path / "a.parquet",
        tmp_path / "b.parquet",
    ]
    naive = [stamp.replace(tzinfo=None) for stamp in stamps]
    pa.parquet.write_table(pa.table({"when": naive, "y": values}), paths[3])
    zoned = pa.array(stamps, pa.timestamp("ns", tz="Asia/Kolkata"))
    pa.parquet.write_table(pa.table({"when": zoned, "y": values}), paths[4])
    for path in paths:
        (timeline,) = read(path, missing="interpolate")
        assert timeline.times.tolist() == naive, path
        assert timeline.format_times(timeline.times[:1])[0] in ("2020-05-01T00:00:00", "2020-05-01T00:00:00Z",
                                                         "2020-05-01T05:30:00+05:30"), path  # fmt: skip
        assert timeline.values[:, 0].tolist() == [1.5, 2, 2.5, 7], path


def test_options_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path, WIDE)
    for options, message in (
        ({"target": []}, "target"),
        ({"covariates_past": ["y"]}, "each column once among target and covariates, not 'y' twice"),
        ({"target": ["y", "y"]}, "not 'y' twice"),
        ({"missing": "guess"}, "'fail', 'interpolate' or 'forward', got 'guess'"),
    ):
        with pytest.raises(UsageError, match=message):
            read(path, **options)
    with pytest.raises(DataError, match="no column 'x' for a forecast; it has day, holiday, y, rain, z"):
        read(path, covariates_past=["x"])
    pa.parquet.write_table(pa.table({"when": ["2000-01-01"], "y": [[1]]}), tmp_path / "lists.parquet")
    with pytest.raises(DataError, match=r"lists\.parquet: y holds list<.*>, expected numbers"):
        read(tmp_path / "lists.parquet")


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("ett/ETTh1", "OT", "17,420 steps of 1 hour, 2016-07-01 to 2018-06-26T19:00:00; no flaws found"),
        ("forecasting/airline-passengers", "Passengers", "144 steps of 1 month, 1949-01-01 to 1960-12-01"),
        ("forecasting/monthly-sunspots", "Sunspots", "2,820 steps of 1 month, 1749-01-01 to 1983-12-01"),
        ("forecasting/co2-concentration", "CO2", "741 steps of 1 month, 1958-03-01 to 2020-04-01; gaps 3, absent 5"),
        ("forecasting/seattle-weather", "wind", "1,461 steps of 1 day, 2012-01-01 to 2015-12-31; no flaws found"),
        ("forecasting/daily-max-temperatures", "Temperature", "3,650 steps of 1 day, 1981-01-01 to 1990-12-31; gaps 2"),
    ],
)
def test_real_tables(name: str, target: str, expected: str) -> None:
    path = Path(os.environ.get("RECURRA_DATA", "absent")) / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{name}.csv is not in RECURRA_DATA")
    (timeline,) = read(path, target=[target])
    assert str(timeline).startswith(f"{path.stem}: {expected}")


@pytest.mark.parametrize(
    ("stamps", "written"),
    [
        (["2020-01-30", "2020-01-31"], "2020-02-01"),
        (["2020-01-31 22:00", "2020-01-31 23:00"], "2020-02-01T00:00:00"),
        (["2020-01-30 12:00", "2020-01-31 12:00"], "2020-02-01T12:00:00"),
        (["2020-12-01", "2021-01-01"], "2021-02-01"),
        (["7", "9"], "11"),
    ],
)
def test_stamps_of_a_series_are_written_in_one_way(tmp_path: Path, stamps: list[str], written: str) -> None:
    path = write(tmp_path, "\n".join(["time,y", *(f"{stamp},1" for stamp in stamps)]) + "\n")
    (timeline,) = read(path, target=["y"], time_column="time")
    assert timeline.format_times(timeline.future_times(1)) == [written]
