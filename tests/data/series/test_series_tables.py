"""Tables of long form: the rows of each series found, every bad one named by its line."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from noting import Notes
from recurra.data.series.segments import Recording, Segment
from recurra.data.series.tables import ColumnOptions, read_series_table
from recurra.errors import DataError, UsageError
from recurra.progress import Progress

HEADER = "series,t,person,x,y,label,remark\n"
ROWS = [
    "a,1,anna,1.5,-1,up,fine",
    "a,2,anna,2.5,-2,up,",
    "a,4,anna,3.5,-3,up,7",
    "b,1,bert,4.5,-4,down,late",
    "b,2,bert,5.5,-5,down,fine",
]
OPTIONS = {"time_column": "t", "group_column": "person"}


def read(folder: Path, rows: list[str], header: str = HEADER, **options: object) -> list[Recording]:
    switches = {name: bool(options.pop(name)) for name in ("labelled", "one_label") if name in options}
    path = folder / "toy.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    return read_series_table(path, ColumnOptions.parse({**OPTIONS, **options}, "test"), Progress(), **switches)


def contents(recordings: list[Recording]) -> list[tuple[object, ...]]:
    return [(one.values.tolist(), one.segments, one.group, one.channels) for one in recordings]


def test_each_series_with_its_rows(tmp_path: Path) -> None:
    found = read(tmp_path, ROWS)
    assert contents(found) == [
        ([[1.5, -1], [2.5, -2], [3.5, -3]], [Segment("up", 0, 3)], "anna", ("x", "y")),
        ([[4.5, -4], [5.5, -5]], [Segment("down", 0, 2)], "bert", ("x", "y")),
    ]
    assert found[1].name == f"{tmp_path / 'toy.csv'} series 'b'"
    assert found[0].values.dtype == np.float32


def test_rows_of_a_series_need_not_be_together(tmp_path: Path) -> None:
    mixed = [ROWS[3], ROWS[0], ROWS[1], ROWS[4], ROWS[2]]
    assert contents(read(tmp_path, mixed)) == contents(read(tmp_path, ROWS))[::-1]


def test_many_series_shuffled_against_a_loop(tmp_path: Path) -> None:
    draw = random.Random(2)
    rows = [(f"s{draw.randrange(23)}", draw.random()) for _ in range(700)]
    expected: dict[str, list[list[float]]] = {}
    for name, value in rows:
        expected.setdefault(name, []).append([float(np.float32(value))])
    lines = [f"{name},{value!r},l{name[1:]}" for name, value in rows]
    found = read(tmp_path, lines, "series,v,label\n", time_column=None, group_column=None)
    assert [one.values.tolist() for one in found] == list(expected.values())
    assert [one.segments[0].label for one in found] == [f"l{name[1:]}" for name in expected]


def test_channels_named_are_read_in_that_order(tmp_path: Path) -> None:
    first, _ = read(tmp_path, ROWS, channels=["y", "t"])
    assert first.values.tolist() == [[-1, 1], [-2, 2], [-3, 4]]
    assert first.channels == ("y", "t")


def test_one_dirty_cell_does_not_hide_a_channel(tmp_path: Path) -> None:
    """Else a typing mistake would silently train on fewer channels."""
    with pytest.raises(DataError, match=r"toy\.csv line 4: column 'y': '-3\?' cannot be used"):
        read(tmp_path, [row.replace("-3", "-3?") for row in ROWS])


def test_a_file_that_is_one_series(tmp_path: Path) -> None:
    rows = [row.replace(",2,bert", ",20,bert").replace(",1,bert", ",10,bert") for row in ROWS]
    (one,) = read(tmp_path, rows, HEADER.replace("series", "title"), group_column=None, one_label=False)
    assert one.segments == [Segment("up", 0, 3), Segment("down", 3, 5)]
    assert one.name == str(tmp_path / "toy.csv")


def test_labels_by_step_leave_unlabelled_stretches_out(tmp_path: Path) -> None:
    labels = ["up", "", "down", "", "up"]
    rows = [f"a,{n},{n},{label}" for n, label in enumerate(labels)]
    (one,) = read(tmp_path, rows, "series,t,x,label\n", group_column=None, one_label=False)
    assert one.segments == [Segment("up", 0, 1), Segment("down", 2, 3), Segment("up", 4, 5)]
    assert one.values.tolist() == [[0], [1], [2], [3], [4]]


def test_labels_are_not_looked_at_where_they_are_not_wanted(tmp_path: Path) -> None:
    bare = [row.replace(",up,", ",,").replace(",down,", ",9,") for row in ROWS]
    for rows, header in ((bare, HEADER), (ROWS, HEADER.replace("label", "note"))):
        found = read(tmp_path, rows, header, labelled=False)
        assert [one.segments for one in found] == [[Segment(None, 0, 3)], [Segment(None, 0, 2)]]
        assert found[0].channels == ("x", "y")
    nobodys = [row.replace(",anna,", ",").replace(",bert,", ",") for row in ROWS]
    assert len(read(tmp_path, nobodys, HEADER.replace("person,", ""), labelled=False)) == 2


def test_parquet_with_dates_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "toy.parquet"
    columns = {
        "series": [3, 3, 4],
        "t": pa.array([1_700_000_000_000_001, 1_700_000_000_000_002, 5], pa.timestamp("us")),
        "x": pa.array([1, 2, None], pa.int32()),
        "y": [0.5, np.inf, 1.5],
        "tags": [["q"], [], []],
        "label": [1, 1, 0],
    }
    options = {"time_column": "t", "on_bad": "drop"}
    pyarrow.parquet.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=r"toy\.parquet row 2: column 'y': 'inf' cannot be used"):
        read_series_table(path, ColumnOptions.parse({"time_column": "t"}, "test"), Progress())
    (one,) = read_series_table(path, ColumnOptions.parse(options, "test"), Progress())
    assert contents([one]) == [([[1, 0.5]], [Segment("1", 0, 1)], None, ("x", "y"))]
    columns["t"] = columns["t"].take(pa.array([1, 0, 2]))
    columns["y"] = [0.5, 1, 1]
    pyarrow.parquet.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=r"row 2, series '3': t 2023-.*000001 comes after 2023-.*000002"):
        read_series_table(path, ColumnOptions.parse(options, "test"), Progress())
    with pytest.raises(DataError, match=r"column 'tags' holds list.*; expected text or numbers"):
        read_series_table(path, ColumnOptions.parse({"id_column": "tags"}, "test"), Progress())
    with pytest.raises(DataError, match="column 'tags' holds no numbers"):
        read_series_table(path, ColumnOptions.parse({"channels": ["x", "tags"]}, "test"), Progress())


@pytest.mark.parametrize(
    ("before", "after"), [("9", "10"), ("2024-03-01 23:59:59.5", "2024-03-02"), ("-1e3", "-1"), ("00:30+01", "23:45Z")]
)
def test_time_is_compared_as_what_it_means(tmp_path: Path, before: str, after: str) -> None:
    """As text, 10 stands before 9; half past midnight in Berlin is before a quarter to midnight in London."""
    if "Z" in after:
        before, after = f"2024-03-02T{before}", f"2024-03-01T{after}"
    rows = [f"a,{before},1,u", f"a,{after},2,u", f"b,{before},3,u"]
    header = "series,t,x,label\n"
    assert len(read(tmp_path, rows, header, group_column=None)) == 2
    with pytest.raises(DataError, match=r"toy\.csv line 3, series 'a': t .* comes after .*, but must increase"):
        read(tmp_path, [rows[1], rows[0], rows[2]], header, group_column=None)


@pytest.fixture
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_berlin")
def test_dates_without_a_zone_know_no_summer_time(tmp_path: Path) -> None:
    """In Berlin there is no half past two on this day; whoever recorded elsewhere had one."""
    rows = [f"a,2024-03-31 {clock},1,u" for clock in ("01:30", "02:30", "03:00", "03:30")]
    (one,) = read(tmp_path, rows, "series,t,x,label\n", group_column=None)
    assert len(one.values) == 4


@pytest.mark.parametrize(
    ("row", "old", "new", "message"),
    [
        (1, "a,2,", "a,1,", r"line 3, series 'a': t 1 comes after 1, but must increase; sort the rows"),
        (4, "b,2,", "b,0.5,", r"line 6, series 'b': t 0\.5 comes after 1"),
        (1, "a,2,", "a,soon,", r"line 3: column 't': 'soon' cannot be used"),
        (1, "a,2,", "a,,", r"line 3: column 't': an empty cell"),
        (
            2,
            "a,",
            ",",
            r"line 4: column 'series': an empty cell; correct it, or leave out such rows with --on-bad drop",
        ),
        (2, "anna", " ", r"line 4: column 'person': ' ' cannot be used"),
        (2, "anna", "bert", r"line 4, series 'a': person 'bert' comes after 'anna', but a series has one; correct it"),
        (2, "up", "", r"line 4: column 'label': an empty cell"),
        (4, "down", "up", r"line 6, series 'b': label 'up' comes after 'down', .*with --window N"),
        (3, "4.5", "", r"line 5: column 'x': an empty cell"),
        (3, "4.5", "NaN", r"line 5: column 'x': 'NaN' cannot be used"),
        (3, "4.5", "1e39", r"line 5: column 'x': '1e39' cannot be used"),
        (3, "4.5", "5" * 1_000_000, r"line 5: column 'x': '5{60}\.\.\.' cannot be used"),
        (4, "down", "u" * 1_000_000, r"line 6, series 'b': label 'u{60}\.\.\.' comes after 'down', but"),
    ],
)
def test_bad_rows_are_named_by_their_line(tmp_path: Path, row: int, old: str, new: str, message: str) -> None:
    rows = [line.replace(old, new) if n == row else line for n, line in enumerate(ROWS)]
    assert rows != ROWS
    with pytest.raises(DataError, match=r"toy\.csv " + message):
        read(tmp_path, rows)


def test_a_bad_time_spoils_no_other_of_a_file_of_semicolons(tmp_path: Path) -> None:
    """Where numbers are written with a comma."""
    rows = ["a;0,25;1,5;up", "a;0,5;2,5;up", "a;oops;3,5;up", "a;2020-01-02;4,5;up"]
    path = tmp_path / "toy.csv"
    path.write_text("series;t;x;label\n" + "\n".join(rows) + "\n")
    found = read_series_table(path, ColumnOptions.parse({"time_column": "t", "on_bad": "drop"}, "test"), Progress())
    assert found[0].values.tolist() == [[1.5], [2.5], [4.5]]


def test_bad_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    bad = ["a,5,anna,?,1,up,", ",6,anna,1,1,up,", "a,then,anna,1,1,up,", "b,7,,1,1,down,", "b,8,bert,1,1,,"]
    rows = [line for pair in zip(bad, ROWS, strict=True) for line in pair]
    path = tmp_path / "toy.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    notes = Notes()
    found = read_series_table(path, ColumnOptions.parse({**OPTIONS, "on_bad": "drop"}, "test"), notes)
    assert contents(found) == contents(read(tmp_path, ROWS))
    assert notes.lines == [f"{path}: left out 5 of 10 rows that have a bad cell"]
    with pytest.raises(DataError, match=r"line 2: column 'x': .*and no other row is without a bad cell"):
        read(tmp_path, [bad[0], bad[1], bad[3]], on_bad="drop", channels=["x"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id_column": "id"}, "no column 'id' for --id-column; it has series, t, person"),
        ({"label_column": "class"}, "no column 'class' for --label-column"),
        ({"channels": ["x", "z"]}, "no column 'z' for --channels"),
        ({"channels": ["x", "remark"]}, "column 'remark' holds no numbers"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, ROWS, **options)


def test_a_table_without_channels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column of numbers for --channels; it has series, label"):
        read(tmp_path, ["a,b"], "series,label\n", time_column=None, group_column=None)


@pytest.mark.parametrize(("value", "names"), [(["x", 2], ["x", "2"]), ("x", ["x"]), (7, ["7"]), (("a",), ["a"])])
def test_names_are_text_whatever_the_command_line_made_of_them(value: object, names: list[str]) -> None:
    assert ColumnOptions.parse({"channels": value}, "test").channels == names


@pytest.mark.parametrize("value", [[], [True], [["x"]], [1.5], {}])
def test_what_is_no_list_of_names(value: object) -> None:
    with pytest.raises(UsageError, match="test: channels"):
        ColumnOptions.parse({"channels": value}, "test")
