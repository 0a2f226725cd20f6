"""Tables: the same cells from every kind of file, each with its line, and every damaged file named."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import tables as module
from recurra.data.tables import Table, columns_of, is_table, read_table
from recurra.errors import DataError

ROWS: list[dict[str, str | None]] = [
    {"text": "naïve 🙂", "label": "NA", "day": "2020-01-31"},
    {"text": 'she said "no, never"', "label": "7", "day": "2021-02-01"},
    {"text": "two\nlines", "label": None, "day": "2021-02-02"},
    {"text": "a\ttab", "label": "null", "day": "2021-02-03"},
]
NUMBERS = ["1.5", "?0.2", "inf", "NaN", "", " -2e3 ", "  ", "-Infinity", "1e400", "nought", "7"]
REFUSED = [1, 2, 7, 8, 9]


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def delimited(rows: list[dict[str, str | None]], delimiter: str) -> str:
    def quoted(cell: str | None) -> str:
        return '"' + cell.replace('"', '""') + '"' if cell is not None else ""

    return "\n".join(delimiter.join(map(quoted, cells)) for cells in [list(rows[0]), *(row.values() for row in rows)])


def parquet(folder: Path, **columns: Any) -> Table:
    path = folder / "table.parquet"
    pa.parquet.write_table(pa.table(columns), path)
    return read_table(path)


def lines(table: Table) -> list[str]:
    """Places without the file."""
    assert all(place.startswith(f"{table.path} ") for place in table.places())
    return [place.removeprefix(f"{table.path} ") for place in table.places()]


# --- cells -------------------------------------------------------------------------------------------------------


def tables_of(folder: Path, rows: list[dict[str, str | None]]) -> dict[str, Table]:
    pa.parquet.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    written(folder, delimited(rows, ","), "table.csv")
    written(folder, delimited(rows, "\t"), "table.TSV")
    for name in ("table.jsonl", "table.ndjson"):
        written(folder, "".join(json.dumps(row, ensure_ascii=name.endswith("l")) + "\n" for row in rows), name)
    names = ("table.parquet", "table.csv", "table.TSV", "table.jsonl", "table.ndjson")
    return {name: read_table(folder / name) for name in names}


def test_every_kind_of_file_gives_the_same_cells(tmp_path: Path) -> None:
    for name, table in tables_of(tmp_path, ROWS).items():
        assert table.names == ["text", "label", "day"], name
        assert len(table) == 4
        for column in table.names:
            assert table.text(column) == [row[column] for row in ROWS], (name, column)


@settings(max_examples=40)
@given(cells=st.lists(st.tuples(st.text(max_size=5), st.text('",\t\r\n x', max_size=5)), min_size=1, max_size=6))
def test_any_text_comes_back_from_every_kind_of_file(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    found = tables_of(tmp_path_factory.mktemp("any"), [{"a": a, "b": b} for a, b in cells])
    for name, table in found.items():
        for column, expected in zip("ab", zip(*cells, strict=True), strict=True):
            assert table.text(column) == [cell if cell.strip() else None for cell in expected], (name, column)
        assert len(table.places()) == len(cells)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "large", "view", "binary", "categories"])
def test_numbers_of_text(kind: str, tmp_path: Path) -> None:
    """Empty and NaN are missing; what is no number, or none that is finite, is told."""
    types = {"large": pa.large_string(), "view": pa.string_view(), "binary": pa.binary()}
    if kind == "jsonl":
        rows = "".join(json.dumps({"x": cell}) + "\n" for cell in NUMBERS)
        table = read_table(written(tmp_path, rows, "table.jsonl"))
    elif kind in ("csv", "tsv"):
        rows = "".join(f'"{cell}"\n' for cell in NUMBERS)
        table = read_table(written(tmp_path, f"x\n{rows}", f"table.{kind}"))
    else:
        column = pa.array(NUMBERS, types.get(kind, pa.string()))
        table = parquet(tmp_path, x=column.dictionary_encode() if kind == "categories" else column)
    values, refused = table.numbers("x")
    assert refused == REFUSED
    expected = [1.5, np.nan, np.nan, np.nan, np.nan, -2000, np.nan, np.nan, np.nan, np.nan, 7]
    np.testing.assert_array_equal(values, expected)
    assert table.cell("x", 1) in ("?0.2", b"?0.2")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_whose_header_has_no_comma_is_of_semicolons_or_tabs(delimiter: str, tmp_path: Path) -> None:
    content = "\n" + delimited([{**row, "day": "a, b; c"} for row in ROWS], delimiter)
    table = read_table(written(tmp_path, content))
    assert columns_of(table.path) == table.names == ["text", "label", "day"]
    assert table.text("text") == [row["text"] for row in ROWS]
    assert table.text("day") == ["a, b; c"] * 4
    assert lines(table) == ["line 3", "line 4", "line 5", "line 7"]
    with pytest.raises(
        DataError, match=rf"line 2: expected 2 cells.*got 1; .* hold '{re.escape(repr(delimiter))[1:-1]}'"
    ):
        read_table(written(tmp_path, f"a{delimiter}b\n1\n"))


def test_a_comma_in_the_header_decides(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a;b,c\n1;2,3\n"))
    assert table.names == ["a;b", "c"]
    assert read_table(written(tmp_path, "a\n1.5\n")).names == ["a"]


def test_a_quoted_comma_in_the_header_decides_nothing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '"Temp, C\nor F";Rain\n1,5;2\n'))
    assert table.names == ["Temp, C\nor F", "Rain"]
    table.path.unlink()  # it was read
    assert table.numbers("Temp, C\nor F")[0].tolist() == [1.5]


def test_numbers_of_files_of_semicolons_may_have_decimal_commas(tmp_path: Path) -> None:
    values, refused = read_table(written(tmp_path, "x;y\n1,5;a\n-2.25;b\n;c\n1,2,3;d\n")).numbers("x")
    np.testing.assert_array_equal(values, [1.5, -2.25, np.nan, np.nan])
    assert refused == [3]
    assert read_table(written(tmp_path, 'x,y\n"1,5",2\n')).numbers("x")[1] == [0]


def test_infinite_text_among_good_numbers_is_refused(tmp_path: Path) -> None:
    """Such columns pass pyarrow's own parser, the one above does not."""
    values, refused = read_table(written(tmp_path, "x,y\n1,\n-inf,\nnan,\n 4 ,\n1e999,\n")).numbers("x")
    np.testing.assert_array_equal(values, [1, np.nan, np.nan, 4, np.nan])
    assert refused == [1, 4]


def test_numbers_of_numbers(tmp_path: Path) -> None:
    table = parquet(
        tmp_path,
        double=[1.5, np.inf, np.nan, None],
        float=pa.array([0.5, -np.inf, 2.0, None], pa.float32()),
        integer=[2**60, None, -3, 0],
        truth=[True, False, None, True],
        nothing=pa.nulls(4),
    )
    expected = {
        "double": ([1.5, np.nan, np.nan, np.nan], [1]),
        "float": ([0.5, np.nan, 2, np.nan], [1]),
        "integer": ([2.0**60, np.nan, -3, 0], []),
        "truth": ([1, 0, np.nan, 1], []),
        "nothing": ([np.nan] * 4, []),
    }
    for name, (values, refused) in expected.items():
        np.testing.assert_array_equal(table.numbers(name)[0], values, err_msg=name)
        assert table.numbers(name)[1] == refused, name
    assert table.text("integer") == [str(2**60), None, "-3", "0"]
    assert table.text("truth") == ["true", "false", None, "true"]
    assert table.text("nothing") == [None] * 4


def test_json_numbers_and_missing_keys(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '{"a": 1, "b": 0.1}\n{"b": null, "c": true}\n', "t.jsonl"))
    assert {name: table.text(name) for name in table.names} == {
        "a": ["1", None],
        "b": ["0.1", None],
        "c": [None, "true"],
    }
    np.testing.assert_array_equal(table.numbers("b")[0], [0.1, np.nan])


def test_columns_of_dates_and_lists(tmp_path: Path) -> None:
    table = parquet(tmp_path, when=pa.array([0, 1], pa.date32()), many=[[1], [2, 3]], bytes=[b"\xff", b""])
    assert table.text("when") == ["1970-01-01", "1970-01-02"]
    for name in table.names:
        with pytest.raises(pa.ArrowException):
            table.numbers(name)
    for name, kind in {"many": "list<.*>", "bytes": "binary"}.items():
        with pytest.raises(DataError, match=rf"table\.parquet: column '{name}' holds {kind}; expected text or numbers"):
            table.text(name)


# --- places ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_count_those_in_quotes_and_blank_ones(end: str, mark: str, tmp_path: Path) -> None:
    text = mark + '\na,"b\nb"\n1,2\n\n"x\n\ny",3\n\n\n"p""q",4'.replace("\n", end)
    table = read_table(written(tmp_path, text))
    assert table.names == ["a", f"b{end}b"]
    assert table.text("a") == ["1", f"x{end}{end}y", 'p"q']
    assert lines(table) == ["line 4", "line 6", "line 11"]
    assert table.place(2) == f"{table.path} line 11"


def test_blank_lines_before_the_header_change_no_cell(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "\n\na,b\n007,2020-01-01\n"))
    assert table.text("a") + table.text("b") == ["007", "2020-01-01"]
    assert lines(table) == ["line 4"]


def test_lines_of_json(tmp_path: Path) -> None:
    rows = '\ufeff{"a": "one\\ntwo"}\n\n  \n{"a": "three"}\r\n{"a": "four"}'
    assert lines(read_table(written(tmp_path, rows, "t.jsonl"))) == ["line 1", "line 4", "line 5"]
    apart = '{"a": 1}{"a": 2}\n{"a": 3}\n'
    assert lines(read_table(written(tmp_path, apart, "t.jsonl"))) == ["row 1", "row 2", "row 3"]


def test_rows_of_parquet(tmp_path: Path) -> None:
    assert lines(parquet(tmp_path, a=[5, 6])) == ["row 1", "row 2"]


def test_a_line_of_twenty_megabytes(tmp_path: Path) -> None:
    long = "word " * 2_000_000
    table = read_table(written(tmp_path, f'text,label\nshort,a\n"{long}","{long}"\nlast,c\n'))
    assert table.text("text") == ["short", long, "last"]
    assert table.text("label") == ["a", long, "c"]
    assert lines(table) == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize("name", ["table.csv", "table.jsonl"])
def test_a_file_read_in_many_blocks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCK_BYTES", 256)
    texts = ["line\n" * (number % 7) + "end" for number in range(600)]
    table = tables_of(tmp_path, [{"text": text, "label": str(number)} for number, text in enumerate(texts)])[name]
    assert table.columns["text"].num_chunks > 20
    assert table.text("text") == texts
    assert table.numbers("label")[0].tolist() == list(range(600))
    if name == "table.csv":
        lengths = [text.count("\n") + 1 for text in texts]
        assert lines(table) == [f"line {2 + sum(lengths[:row])}" for row in range(600)]


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "t.csv: empty; expected a table with a header"),
        ("t.csv", "\n\n", "t.csv: empty; expected a table with a header"),
        ("t.csv", "a,b\n", "t.csv: no rows below the header"),
        ("t.jsonl", "\n", "t.jsonl: no rows below the header"),
        ("t.csv", 'a,b\n"1\n1",2\n\n3\n', "t.csv line 5: expected 2 cells, as the header has, got 1"),
        ("t.tsv", "a\tb\n1\t2\t3\n", "t.tsv line 2: expected 2 cells, as the header has, got 3"),
        ("t.csv", 'a,b\n"1,2\n3,4\n', "t.csv line 2: expected 2 cells, as the header has, got 1"),
        ("t.csv", "a,b\n1,2\n   \n", "t.csv line 3: expected 2 cells"),
        ("t.csv", "\na,b,a\n1,2,3\n", "t.csv: column 'a' is named twice"),
        ("t.jsonl", '{"a":1}\n\n{"a":1,"a":2}\n', "t.jsonl line 3: cannot be read as jsonl: .* specified twice"),
        ("t.jsonl", '{"a":1}\n\n{"a":\n', "t.jsonl line 3: cannot be read as jsonl"),
        ("t.jsonl", '{"a":1}\n{"a":"x"}\n', "t.jsonl line 2: column 'a' changes from number to string; write it in"),
        ("t.jsonl", '{"a":{"b":1}}\n\n{"a":{"b":[1]}}\n', "t.jsonl line 3: column 'a/b' changes from number to array;"),
        ("t.jsonl", '{"a":1}{"a":', "t.jsonl: cannot be read as jsonl"),
        ("t.jsonl", "[1, 2]\n", "t.jsonl line 1: expected a JSON object, got array$"),
        ("t.csv", b"caf\xe9,b\n1,2\n", "t.csv line 1: not UTF-8 text: byte 3 .0xe9."),
        ("t.csv", b"a,b\n" + b"1,2\n" * 9_000 + b"\xe9,3\n", "t.csv line 9002: not UTF-8 text: byte 36004 .0xe9."),
        ("t.jsonl", b'{"a":"caf\xe9"}\n', "t.jsonl line 1: not UTF-8 text: byte 9 .0xe9."),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "t.csv: UTF-16 text; convert it first"),
        ("t.parquet", "a,b\n1,2\n", "t.parquet: cannot be read as parquet"),
        ("t.xlsx", "a,b\n1,2\n", r"t.xlsx: not a table; expected a file ending in .csv, .tsv, .jsonl, .ndjson, .parq"),
    ],
)
def test_what_is_no_table(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_table(written(tmp_path, content, name))
    assert str(error.value).startswith(str(tmp_path / name))


def test_missing_columns_are_told_beside_those_there_are(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a,b\n1,2\n"))
    table.require(["b", "a"], "channels")
    message = f"{table.path}: no column 'x', 'y' for channels; it has a, b. Name the right one"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        table.require(["x", "a", "y"], "channels")


def test_which_files_are_tables() -> None:
    assert all(is_table(Path("data") / f"x{kind}") for kind in (".csv", ".TSV", ".jsonl", ".ndjson", ".Parquet"))
    assert not any(is_table(Path("data.csv") / f"x{kind}") for kind in ("", ".txt", ".csv.gz", ".json"))


@pytest.mark.parametrize("spelling", ["NA", "N/A", " NaN", "null", "None", "#N/A"])
def test_usual_words_for_no_number_are_empty_cells(spelling: str, tmp_path: Path) -> None:
    values, refused = read_table(written(tmp_path, f"x\n1\n{spelling}\n3\n", "table.csv")).numbers("x")
    assert refused == []
    np.testing.assert_array_equal(values, [1, np.nan, 3])


def test_columns_are_known_without_the_rows(tmp_path: Path) -> None:
    ragged = written(tmp_path, "a,b\n1\n", "ragged.csv")
    assert columns_of(ragged) == ["a", "b"]
    assert columns_of(written(tmp_path, '{"a": 1}\n{"c": 2}\n', "rows.jsonl")) == ["a", "c"]
    assert columns_of(parquet(tmp_path, x=pa.array([1])).path) == ["x"]
    with pytest.raises(DataError, match=r"none\.csv: empty; expected a table with a header$"):
        columns_of(written(tmp_path, "", "none.csv"))
