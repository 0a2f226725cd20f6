"""Labelled texts: every layout gives the same examples, each with its place, and no line is lost or doubled."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.text import files as text_module
from recurra.data.text.labelled import LabelledText, TextColumns, read_labelled_texts, read_texts, split_texts
from recurra.errors import DataError

COLUMNS = TextColumns("text", "label")
LINES = [
    ("pos", "good, so good"),
    ("neg", "bad"),
    ("pos", "naïve 🙂"),
    ("neg", "no\u2028good\x0b\x85at all"),
    ("pos", "a\tb"),
]
SHARES = (0.6, 0.25, 0.15)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def read(path: Path, columns: TextColumns = COLUMNS) -> dict[str, list[LabelledText]]:
    return read_labelled_texts(str(path), columns)


def pairs(examples: list[LabelledText]) -> list[tuple[str, str]]:
    return [(one.label, one.content) for one in examples]


def places(examples: list[LabelledText], root: Path) -> list[str]:
    """Places below a folder."""
    return [one.place.removeprefix(f"{root}/") for one in examples]


def tabs(rows: list[tuple[str, str]]) -> str:
    return "".join(f"{label}\t{text}\n" for label, text in rows)


def of(label: str) -> str:
    """The texts of a label, a line each."""
    return "".join(f"{text}\n" for name, text in LINES if name == label)


def by_label() -> list[tuple[str, str]]:
    return sorted(LINES, key=lambda pair: pair[0])


# --- layouts -----------------------------------------------------------------------------------------------------


def test_lines_of_label_tab_and_text(tmp_path: Path) -> None:
    text = "\ufeff" + tabs(LINES[:2]) + "\n  \n" + tabs(LINES[2:])
    found = read(write(tmp_path, {"a.txt": text.replace("\n", "\r\n")}) / "a.txt")
    assert pairs(found["all"]) == LINES
    assert places(found["all"], tmp_path) == [f"a.txt line {number}" for number in (1, 2, 5, 6, 7)]
    assert found.keys() == {"all"}


def test_tables(tmp_path: Path) -> None:
    rows = "".join(f'"{text}",x,{label}\n' for label, text in LINES)
    write(tmp_path, {"t.csv": f"said,by,mood\n\n{rows},x,\n"})
    found = read(tmp_path / "t.csv", TextColumns("said", "mood"))["all"]
    assert pairs(found) == [*LINES, ("", "")]
    assert places(found, tmp_path) == [f"t.csv line {number}" for number in range(3, 9)]
    assert [one.is_whole for one in found] == [True] * 5 + [False]
    pa.parquet.write_table(
        pa.table({"said": [text for _, text in LINES], "mood": [1, 0, 1, 0, 1]}), tmp_path / "t.parquet"
    )
    found = read(tmp_path / "t.parquet", TextColumns("said", "mood"))["all"]
    assert [one.label for one in found] == ["1", "0", "1", "0", "1"]
    assert found[2].place == f"{tmp_path / 't.parquet'} row 3"


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": "said,mood\na,b\n"})
    message = "t.csv: no column 'text', 'label' for text and label (--text-column, --label-column); it has said, mood."
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
def test_a_folder_of_files_called_after_their_splits(kind: str, tmp_path: Path) -> None:
    def text(split: str) -> str:
        head, row = {"txt": ("", "{1}\t{0}\n"), "csv": ("text,label\n", "{0},{1}\n")}.get(
            kind, ("", '{{"text": "{0}", "label": "{1}"}}\n')
        )
        return head + "".join(row.format(f"{split} {number}", number % 2) for number in range(3))

    files = {"toy.train": "train", "dev": "valid", "test": "test", "extra": "other"}
    write(tmp_path, {f"{name}.{kind}": text(split) for name, split in files.items()})
    write(tmp_path, {"README.md": "about it", "LICENSE": "free", "MANIFEST.sha256": "0", ".hidden/train.txt": "x"})
    found = read(tmp_path)
    assert found.keys() == {"train", "valid", "test"}
    for split, examples in found.items():
        assert pairs(examples) == [(str(number % 2), f"{split} {number}") for number in range(3)]


def test_a_folder_of_texts_beside_their_labels(tmp_path: Path) -> None:
    rows = {"train": LINES, "valid": LINES[1:3], "test": LINES[:1]}
    for split, examples in rows.items():
        files = {"label": 0, "seq.in": 1, "seq.out": 1}
        write(
            tmp_path / "toy" / split,
            {file: "".join(f"{pair[at]}\n" for pair in examples) for file, at in files.items()},
        )
    found = read(tmp_path / "toy")
    assert {split: pairs(examples) for split, examples in found.items()} == rows
    assert places(found["train"], tmp_path)[4] == "toy/train/seq.in line 5"
    assert pairs(read(tmp_path / "toy" / "train")["all"]) == LINES


def test_empty_lines_beside_labels_stay_in_step(tmp_path: Path) -> None:
    write(tmp_path, {"seq.in": "one\n\nthree\n", "label": "a\nb\nc"})
    found = read(tmp_path)["all"]
    assert pairs(found) == [("a", "one"), ("b", ""), ("c", "three")]
    assert [one.is_whole for one in found] == [True, False, True]


def test_texts_and_labels_of_unequal_number(tmp_path: Path) -> None:
    write(tmp_path, {"seq.in": "one\ntwo\nthree\n", "label": "a\nb\n"})
    message = rf"{tmp_path}/seq\.in: 3 lines, but {tmp_path}/label has 2; they belong together"
    with pytest.raises(DataError, match=message):
        read(tmp_path)
    (tmp_path / "label").unlink()
    with pytest.raises(DataError, match=f"{tmp_path}/label: no such file"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["{}.txt", "rt-polarity.{}"])
def test_one_file_a_class(name: str, tmp_path: Path) -> None:
    write(tmp_path, {name.format("pos"): of("pos") + "\n", name.format("neg"): "\n" + of("neg"), "README": "x"})
    found = read(tmp_path)
    assert pairs(found["all"]) == by_label()
    assert places(found["all"], tmp_path)[0] == f"{name.format('neg')} line 2"
    assert places(found["all"], tmp_path)[-1] == f"{name.format('pos')} line 3"


def test_one_file_a_class_in_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / split, {"pos.txt": of("pos"), "neg.txt": of("neg")})
    found = read(tmp_path)
    assert {split: pairs(examples) for split, examples in found.items()} == {"train": by_label(), "test": by_label()}


@pytest.mark.parametrize("splits", [("",), ("train/", "valid/", "test/")])
def test_one_folder_a_class(splits: tuple[str, ...], tmp_path: Path) -> None:
    for split in splits:
        for number, (label, text) in enumerate(LINES):
            write(tmp_path, {f"{split}{label}/{number}.txt": f"{text}\nand more\n"})
    found = read(tmp_path)
    assert found.keys() == {split.strip("/") or "all" for split in splits}
    for split, examples in found.items():
        assert pairs(examples) == [(label, f"{text} and more") for label, text in by_label()]
        assert places(examples, tmp_path)[0] == f"{'' if split == 'all' else split + '/'}neg/1.txt"


def test_names_that_say_no_classes(tmp_path: Path) -> None:
    write(tmp_path, {"a/x.txt": "one\n", "b/x.txt": "two\n"})
    with pytest.raises(
        DataError,
        match=f"{tmp_path}: the names of its files are no classes; expected one file or folder for each class",
    ):
        read(tmp_path)


def test_a_line_without_a_tab(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "yes\tone\n\nno two\n"})
    with pytest.raises(DataError, match=r"a\.txt line 3: expected a label, a tab and a text, got 'no two'"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere"])
def test_nothing_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file, folder or data set"):
        read(tmp_path / name)


# --- lines -------------------------------------------------------------------------------------------------------


@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\r\0", codec="utf-8"), max_size=8), min_size=1))
def test_line_ends_are_newlines_only(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """Others of Unicode (form feed, NEL, U+2028) stand in texts; there they would shift each label after them."""
    texts = [line.removeprefix("\ufeff").strip() for line in lines]
    folder = write(
        tmp_path_factory.mktemp("lines"),
        {"seq.in": "\n".join(texts) + "\n", "label": "".join(f"label {number}\n" for number in range(len(texts)))},
    )
    expected = [(f"label {number}", text) for number, text in enumerate(texts)]
    assert [(one.label, one.content) for one in read(folder)["all"]] == expected


def test_a_line_longer_than_a_piece_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "PIECE_BYTES", 64)
    monkeypatch.setattr(text_module, "MAX_LINE_BYTES", 128)
    long = "word " * 200 + "end"
    write(tmp_path, {"a.txt": f"a\tshort\nb\t{long}\nc\tlast\n"})
    assert pairs(read(tmp_path / "a.txt")["all"]) == [("a", "short"), ("b", long), ("c", "last")]


def test_a_text_too_long_for_an_example_is_refused_before_it_is_read_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "MAX_CHARACTERS", 30)
    allowed, long = "é" * 24, "word " * 6 + "é"
    files = {
        "lines.txt": (f"pos\t{allowed}\nneg\t{long}\n", "lines.txt line 2: 35 characters"),
        "t.csv": (f"label,text\npos,{allowed}\nneg,{long}\n", "t.csv line 3: 31 characters"),
        "t.tsv": (f"label\ttext\nneg\t{long}\n", "t.tsv line 2: 31 characters"),
        "t.jsonl": (f'{{"text": "{long}", "label": "neg"}}\n', "t.jsonl line 1: 31 characters"),
        "seq/seq.in": (f"{allowed}\n{long}\n", "seq.in line 2: 31 characters"),
        "classes/neg.txt": (f"{long}\n", "neg.txt line 1: 31 characters"),
        "folders/pos/2": (f"{allowed}\n{allowed}\n", "2: 49 characters"),
    }
    write(tmp_path, {name: content for name, (content, _) in files.items()})
    write(tmp_path, {"seq/label": "pos\nneg\n", "classes/pos.txt": "a\n", "folders/pos/1": "a\n", "folders/neg/1": "b"})
    write(tmp_path, {"folders/neg/2": "b"})
    table = pa.table({"text": [allowed, long], "label": ["pos", "neg"]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    for name, message in [*((name, message) for name, (_, message) in files.items()), ("t.parquet", "row 2: 31 char")]:
        place = tmp_path / name.split("/")[0]
        with pytest.raises(DataError, match=rf"{message}.*, expected at most 30 for an example; cut it"):
            read(place)
    with pytest.raises(DataError, match=r"lines\.txt line 2: 35 characters"):
        read_texts(str(tmp_path / "lines.txt"), "text")


# --- texts alone -------------------------------------------------------------------------------------------------


def test_texts_without_labels(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": " one \n\ntwo\u2028three\n", "t.csv": "n,said\n1, one \n3,two\n", "f/a": "x"})
    lines = ["one", "", "two\u2028three"]  # an empty one counts, so that answers stand beside lines
    assert read_texts(str(tmp_path / "a.txt"), "text") == lines
    write(tmp_path, {"b.txt": "x\t one\n\ny\ttwo\tor three\n", "c.txt": "x\tone\ntwo\n"})
    assert read_texts(str(tmp_path / "b.txt"), "text", ["x", "y"]) == ["one", "", "two\tor three"]
    assert read_texts(str(tmp_path / "b.txt"), "text", ["x", "z"]) == ["one", "", "two\tor three"]  # one of a new label
    assert read_texts(str(tmp_path / "b.txt"), "text", ["z"]) == ["x\t one", "", "y\ttwo\tor three"]
    assert read_texts(str(tmp_path / "b.txt"), "text") == ["x\t one", "", "y\ttwo\tor three"]
    assert read_texts(str(tmp_path / "c.txt"), "text", ["x", "y"]) == ["x\tone", "two"]
    assert read_texts(str(tmp_path / "t.csv"), "said") == ["one", "two"]
    with pytest.raises(DataError, match=r"no column 'text' for the text \(--text-column\); it has n, said"):
        read_texts(str(tmp_path / "t.csv"), "text")
    write(tmp_path, {"hole.csv": "n,said\n1,one\n2,\n3,two\n"})  # left out, answers would stand beside other rows
    with pytest.raises(DataError, match=r"hole\.csv line 3: no text \(1 such row\); fill it, or leave the row out"):
        read_texts(str(tmp_path / "hole.csv"), "said")
    with pytest.raises(DataError, match="a folder; expected a table or a file of lines"):
        read_texts(str(tmp_path / "f"), "text")


# --- splits ------------------------------------------------------------------------------------------------------


def examples(count: int, repeat: int = 1) -> list[LabelledText]:
    return [LabelledText(f"text {n % (count // repeat)}", "a", f"line {n}") for n in range(count)]


def test_what_the_files_do_not_say_goes_by_the_text(tmp_path: Path) -> None:
    found = split_texts({"all": examples(600, repeat=3)}, str(tmp_path), SHARES)
    assert list(found) == ["train", "valid", "test"]
    assert sorted((one for part in found.values() for one in part), key=lambda one: one.place) == sorted(
        examples(600, repeat=3), key=lambda one: one.place
    )
    texts = [{one.content for one in part} for part in found.values()]
    assert sum(map(len, texts)) == 200  # a text that is there three times is on one side


def test_validation_is_taken_from_training_where_there_is_none() -> None:
    given = {"train": examples(400, repeat=2), "test": examples(3)}
    found = split_texts(given, "data", SHARES)
    assert list(found) == ["train", "valid", "test"]
    assert found["test"] == given["test"]
    assert {one.place for one in found["train"] + found["valid"]} == {one.place for one in given["train"]}
    assert not {one.content for one in found["train"]} & {one.content for one in found["valid"]}
    with_valid = {"train": given["train"], "valid": examples(5)}
    assert split_texts(with_valid, "data", SHARES) == with_valid


def test_a_split_without_examples() -> None:
    with pytest.raises(DataError, match=r"data: no examples for (train|valid|test); give more data or other shares"):
        split_texts({"all": examples(1)}, "data", SHARES)
    with pytest.raises(DataError, match="data: no examples for test"):
        split_texts({"train": examples(30), "test": []}, "data", SHARES)
