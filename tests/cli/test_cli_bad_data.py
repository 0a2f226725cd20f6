"""Bad examples, sentences and tables: one line that says which file and line and what to do, exit code 3, no run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

BAD_DATA = 3
ROWS = [f"{day} is {mood}, {number}" for number in range(20) for day, mood in (("monday", "sad"), ("sunday", "glad"))]
HOURS = [f"2020-01-{1 + hour // 24:02} {hour % 24:02}:00" for hour in range(200)]


def csv(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def reviews(**changed: str) -> str:
    """A table of texts and labels, with some rows changed by number."""
    rows = {f"row{number}": f'"{text}",{text.split()[2][:-1]}' for number, text in enumerate(ROWS)}
    return csv("text,label", *(rows | changed).values())


def series(**changed: str) -> str:
    """A table of long form, 12 series of 4 steps, with some rows changed by number."""
    rows = {f"row{n}": f"s{n // 4},{n % 4},{n}.5,{n * n},{'up' if n // 4 % 2 else 'down'}" for n in range(48)}
    return csv("series,time,x,y,label", *(rows | changed).values())


def sales(**changed: str) -> str:
    """A table of hours, with some rows changed by number."""
    rows = {f"row{number}": f"{hour},{number % 24}" for number, hour in enumerate(HOURS)}
    return csv("time,units", *(rows | changed).values())


TAGGED = "".join(f"the DET\n{word} NOUN\n\n" for word in ("cat", "dog", "cow", "hen", "fly", "ape", "elk", "emu") * 3)

FILES: dict[str, str] = {
    "good.csv": reviews(),
    "headless.csv": reviews().replace("text,label", "words,label"),
    "empty-text.csv": reviews(row3=',"sad"'),
    "empty-label.csv": reviews(row3='"oh","  "'),
    "one-class.csv": reviews().replace(",sad", ",glad"),
    "ragged.csv": reviews(row4='"a","b","c"'),
    "split/train.csv": reviews(),
    "split/test.csv": csv("text,label", "a new day,glad", "who knows,odd"),
    "series.csv": series(),
    "not-a-number.csv": series(row9="s2,1,?0.2,81,down"),
    "nan.csv": series(row9="s2,1,nan,81,down"),
    "series-of-one-class.csv": series().replace("up", "down"),
    "back.csv": series(row9="s2,0,9.5,81,down"),
    "archive.ts": csv(
        "@problemName toy", "@timeStamps false", "@univariate false", "@classLabel true a b", "@data",
        "1,2,3:4,5,6:a", "1,2,3:4,5:b",
    ),
    "good.txt": TAGGED,
    "columns.txt": TAGGED.replace("cow NOUN", "cow"),
    "tags/seq.in": "a b c\nd e f\n" * 9,
    "tags/seq.out": "O O O\nO O\n" * 9,
    "one-tag.txt": "".join(f"a{n} X\n\n" for n in range(60)),
    "tagsplit/train.txt": TAGGED,
    "tagsplit/test.txt": "the DET\ngoes VERB\n",
    "list.jsonl": '{"tokens": ["a"], "tags": ["x", "y"]}\n',
    "sales.csv": sales(),
    "twice.csv": sales(row5=f"{HOURS[4]},5"),
    "unsorted.csv": sales(row5=f"{HOURS[2][:13]}:30,5"),
    "no-number.csv": sales(row7=f"{HOURS[7]},?0.2"),
    "hole.csv": sales(row7=f"{HOURS[7]},"),
    "no-date.csv": sales(row7="soon,7"),
    "short.csv": csv("time,units", *(f"{hour},1" for hour in HOURS[:20])),
    "shops.csv": csv("time,shop,units", *(f"{hour},{shop},1" for hour in HOURS[:20] for shop in "ab")),
    "nothing.csv": "",
    "nothing.conll": "",
    "junk.npz": "this is text",
    "digits.csv": series(row9=f"s2,1,{'7' * 1_000_000},81,down"),
    "units.csv": sales(row7=f"{HOURS[7]},{'7' * 1_000_000}"),
    "kinds.jsonl": "".join(f'{{"text": "{text}", "label": "a"}}\n' for text in ROWS) + '{"text": 3, "label": "b"}\n',
    "hollow.jsonl": '{"tokens": ["a"], "tags": ["x"]}\n{"tokens": [], "tags": []}\n',
}  # fmt: skip


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in with what can be wrong."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    x, y = np.ones((6, 5, 2), np.float32), np.array(["a", "b"] * 3)
    x[2, 3, 1] = np.inf
    np.savez(tmp_path / "infinite.npz", x=x, y=y)


CASES = [
    (
        "classification headless.csv",
        "headless.csv: no column 'text' with texts, none 'series' that names series; it has words, label. ",
    ),
    ("classification good.csv --label-column stars", "good.csv: no column 'stars'"),
    ("classification empty-text.csv", "empty-text.csv line 5: "),
    ("classification empty-label.csv", "empty-label.csv line 5: "),
    ("classification one-class.csv", "all training examples have the label 'glad'; expected at least two labels"),
    ("classification ragged.csv", "ragged.csv line 6: "),
    ("classification split", "split/test.csv line 3: label 'odd' is none of the 2 that were trained on (glad, sad)"),
    (
        "classification not-a-number.csv --time-column time",
        "not-a-number.csv line 11: column 'x': '?0.2' cannot be used; correct it",
    ),
    ("classification nan.csv --time-column time", "nan.csv line 11: "),
    ("classification series-of-one-class.csv --time-column time", "all training examples have the label 'down'"),
    ("classification back.csv --time-column time", "back.csv line 11, series 's2': time 0 comes after 0"),
    ("classification series.csv --channels x,z --time-column time", "series.csv: no column 'z'"),
    ("classification series.csv --window 9 --time-column time", "segment of 9 steps of one label"),
    ("classification archive.ts", "archive.ts line 7: "),
    ("classification infinite.npz", "infinite.npz series 3: channel 2 has no finite value at step 4"),
    ("tagging columns.txt", "columns.txt line 8: 1 column, where the first has 2"),
    ("tagging tags", "tags/seq.in line 2: 3 tokens, but 2 tags; expected a tag for every token"),
    ("tagging list.jsonl", "list.jsonl line 1: 1 token, but 2 tags; expected a tag for every token"),
    ("tagging one-tag.txt", "all training tokens have the tag 'X'; expected at least two tags"),
    ("tagging tagsplit", "tagsplit/test.txt line 1: tag 'VERB' is none of the 2 that were trained on (DET, NOUN)"),
    ("tagging good.txt --tag-column 2", "good.txt: no column 2 (--tag-column); it has numbers 0 to 1, and -1 for the"),
    ("forecasting sales.csv --target price", "sales.csv: no column 'price' for a forecast; it has time, units"),
    ("forecasting sales.csv --target units --time-column when", "sales.csv: no column 'when'"),
    ("forecasting twice.csv --target units", "twice.csv line 7: 2020-01-01T04:00:00 is the same as"),
    ("forecasting unsorted.csv --target units", "unsorted.csv line 7: 2020-01-01T02:30:00 is before"),
    (
        "forecasting no-number.csv --target units",
        "no-number.csv line 9: units is '?0.2', expected a number; correct it",
    ),
    ("forecasting hole.csv --target units", "hole.csv line 9: units is empty (1 such cell); fill it, or"),
    ("forecasting no-date.csv --target units", "no-date.csv line 9: "),
    (
        "forecasting short.csv --target units",
        "short.csv: 20 steps, expected at least 24, a context of 20 and a horizon",
    ),
    ("forecasting shops.csv --target units --series-column shop", "shops.csv series 'a': 20 steps, expected at least"),
    ("classification nothing.csv", "nothing.csv: empty; expected a table with a header"),
    ("tagging nothing.conll", "nothing.conll: no sentences there; expected some"),
    ("classification junk.npz", "junk.npz: not an .npz archive, or cut off; write it with numpy.savez"),
    (
        "classification digits.csv --time-column time",
        f"digits.csv line 11: column 'x': '{'7' * 60}...' cannot be used;",
    ),
    (
        "forecasting units.csv --target units",
        f"units.csv line 9: units is '{'7' * 60}...', expected a number; correct it",
    ),
    ("classification kinds.jsonl", "kinds.jsonl line 41: column 'text' changes from string to number; write it in"),
    ("tagging hollow.jsonl", "hollow.jsonl line 2: no tokens; fill it, or leave the line out"),
    (
        "forecasting sales.csv --target units --horizon 170",
        "the train part holds 140 steps, no window of horizon 170 after a context of 20",
    ),
]


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(("arguments", "message"), CASES, ids=[arguments for arguments, _ in CASES])
@pytest.mark.parametrize("command", ["train", "check"])
def test_bad_data(recurra_command: Any, tmp_path: Path, command: str, arguments: str, message: str) -> None:
    task, path, *rest = arguments.split()
    if task == "forecasting":
        rest = ["--context", "20", "--horizon", "4", *rest]
    outcome = recurra_command(command, task, path, *rest)
    told_by_training_alone = ("trained on", "all training")
    if command == "check" and any(phrase in message for phrase in told_by_training_alone):
        assert outcome.code in (0, BAD_DATA)  # check tells what is there; a problem is no failure of its
        return
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (BAD_DATA, "")
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("classification not-a-number.csv --time-column time --on-bad drop", "left out 1 of 48 rows"),
        ("forecasting no-number.csv --target units --context 20 --horizon 4 --on-bad drop", "199         1 "),
        (
            "classification empty-label.csv --on-bad drop",
            "left out 1 example without text or label, the first: empty-label.csv line 5",
        ),
    ],
)
def test_what_is_dropped_is_counted(recurra_command: Any, arguments: str, said: str) -> None:
    outcome = recurra_command("check", *arguments.split())
    assert outcome.code == 0, outcome.err
    assert said in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("task", "name", "line", "before", "after"),
    [
        ("classification", "long.txt", "good\tsome words\n", "bad\t", ""),
        ("classification", "long.csv", "text,label\n", '"', '",bad'),
        (
            "classification",
            "long.jsonl",
            '{"text": "some words", "label": "good"}\n',
            '{"label": "bad", "text": "',
            '"}',
        ),
        ("tagging", "long.conll", "some words\n", "", ""),
        ("tagging", "long.jsonl", '{"tokens": ["some"], "tags": ["A"]}\n', '{"tags": ["A"], "tokens": ["', '"]}'),
    ],
)
def test_a_line_of_many_megabytes(
    recurra_command: Any, tmp_path: Path, task: str, name: str, line: str, before: str, after: str
) -> None:
    """It is refused before it becomes tokens, which would take a hundred times the memory."""
    (tmp_path / name).write_text(f"{line}{before}{'word ' * 2_000_001}{after}\n")
    outcome = recurra_command("check", task, tmp_path / name)
    assert f"{name} line 2: 10,000,0" in outcome.err
    assert "characters, expected at most 10,000,000 for an example; cut it into shorter ones" in outcome.err
    assert (outcome.code, outcome.out) == (BAD_DATA, "")
