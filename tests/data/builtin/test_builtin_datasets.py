"""Data sets that are made on this machine: what they hold, that it is always the same, and when they are made."""

import hashlib
import random
import re
import sysconfig
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from recurra.baselines.labels import label_baselines, text_features
from recurra.data.builtin import dates, mackey_glass
from recurra.data.builtin.brackets import balanced
from recurra.data.builtin.datasets import BUILTIN, make_builtin
from recurra.data.builtin.mackey_glass import mackey_glass_series
from recurra.data.catalogue import fetch, find, locate
from recurra.data.text.labelled import TextColumns, read_labelled_texts
from recurra.data.text.pairs import PairColumns, read_pairs
from recurra.data.text.tagged import TokenColumns, read_tagged
from recurra.data.timeline.timeline import TimelineOptions, read_timelines
from recurra.errors import DataError
from recurra.progress import Progress


@pytest.mark.parametrize("name", BUILTIN)
def test_it_is_made_once_and_what_is_missing_is_made_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = BUILTIN[name].files
    contents = [f"{name} {file}\n" for file in files]
    calls: list[str] = []

    def make() -> list[str]:
        calls.append(name)
        return contents

    monkeypatch.setitem(BUILTIN, name, BUILTIN[name]._replace(make=make))
    for num_calls, gone in enumerate(("", files[-1]), 1):
        (tmp_path / gone).unlink() if gone else None
        place = make_builtin(name, tmp_path)
        assert make_builtin(name, tmp_path) == place
        assert len(calls) == num_calls
        assert [(tmp_path / file).read_text() for file in files] == contents
    assert place.is_file() == (len(files) == 1)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == set(files), "something else was left behind"


# --- brackets ------------------------------------------------------------------------------------------------------


def is_balanced(text: str) -> bool:
    """By taking out pairs with nothing between them."""
    text = "".join(symbol for symbol in text if symbol in "()")
    while "()" in text:
        text = text.replace("()", "")
    return not text


def test_brackets_are_balanced_or_broken_as_their_label_says() -> None:
    splits = read_labelled_texts("brackets", TextColumns("text", "label"))
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 8000, "valid": 1000, "test": 2000}
    texts = [example.content for examples in splits.values() for example in examples]
    assert len(set(texts)) == len(texts)
    assert {len(text) for text in texts} == set(range(6, 61))
    for examples in splits.values():
        assert sum(example.label == "balanced" for example in examples) == len(examples) / 2
        for example in examples:
            assert example.label == ("balanced" if is_balanced(example.content) else "broken"), example
            assert example.content.count("(") == example.content.count(")"), example
            assert set(example.content) <= set("()abcd"), example


def test_brackets_tell_little_to_whoever_counts() -> None:
    """A data set that n-grams solve would show nothing of memory."""
    splits = read_labelled_texts("brackets", TextColumns("text", "label"))
    targets = {split: [int(one.label == "balanced") for one in examples] for split, examples in splits.items()}
    contents = {split: [one.content for one in examples] for split, examples in splits.items()}
    linear = next(one for one in label_baselines(lambda: text_features("character"), 1) if one.name == "linear")
    found = linear.fit(contents["train"], targets["train"], 2).predict(contents["test"])
    assert 0.5 < (found.argmax(1) == targets["test"]).mean() < 0.7


def test_balanced_strings_of_a_length_are_equally_likely() -> None:
    """Four pairs stand in 14 orders."""
    draw = random.Random(3)
    found = [balanced(8, draw.randrange) for _ in range(5000)]
    counts = Counter(text for text in found if set(text) == set("()"))
    assert len(counts) == 14
    mean = counts.total() / 14
    assert sum((count - mean) ** 2 / mean for count in counts.values()) < 34.5  # of 13 freedoms one in a thousand
    assert {text.count("(") for text in found} == {2, 3, 4}


# --- mackey-glass --------------------------------------------------------------------------------------------------


def by_euler(num_points: int, steps: int) -> NDArray[np.float64]:
    """The series in the crudest way, `steps` a unit of time."""
    values = [1.2] * (17 * steps + 1)
    for _ in range((num_points - 1) * steps):
        late, now = values[-17 * steps - 1], values[-1]
        values.append(now + (0.2 * late / (1 + late**10) - 0.1 * now) / steps)
    return np.array(values[17 * steps :: steps])


def test_mackey_glass_obeys_its_equation() -> None:
    """Euler's error halves with the step, so that twice the finer less the coarser has next to none.

    What is left, 4e-5, is of the corner at time 0, where the series begins to fall and no cubic follows it.
    """
    found = 2 * by_euler(120, 400) - by_euler(120, 200)
    np.testing.assert_allclose(mackey_glass_series(120), found, rtol=0, atol=6e-5)


def test_mackey_glass_is_a_table_that_a_forecaster_reads() -> None:
    (timeline,) = read_timelines(TimelineOptions(path="mackey-glass", target=["x"]))
    assert str(timeline) == "mackey-glass: 4,000 steps of 1 hour, 2000-01-01 to 2000-06-15T15:00:00; no flaws found"
    values = timeline.values[:, 0]
    assert 0.2 < values.min() < 0.5
    assert 1.2 < values.max() < 1.4
    np.testing.assert_allclose(values, mackey_glass_series(4000), rtol=0, atol=5.1e-7)  # six decimals are written


def test_mackey_glass_is_chaotic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that differs by a millionth ends elsewhere."""
    series = np.array(mackey_glass_series(3000))
    monkeypatch.setattr(mackey_glass, "START", 1.2 + 1e-6)
    difference = abs(np.array(mackey_glass_series(3000)) - series)
    assert difference[:50].max() < 1e-5
    assert difference[-500:].max() > 0.1


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("brackets", "f632e6b64f0a74e1e590058241175462dce6dcb63d8dae85c69743d02397166a"),
        ("dates", "2049bfe3621ff5ae31c3d28ef263ea8707778503b88e0dd6147bafd69a82607c"),
        ("mackey-glass", "c0da543643575a146bc227a676f727ee1ac5221c733b7e3fa57a0c385f52fdb8"),
    ],
)
def test_it_is_the_same_on_every_machine(name: str, digest: str) -> None:
    """What a model reaches on it is compared with a figure from elsewhere."""
    content = "".join(BUILTIN[name].make())
    assert hashlib.sha256(content.encode()).hexdigest() == digest


# --- python-code ---------------------------------------------------------------------------------------------------


def test_python_code_is_tagged_lines_of_which_none_is_in_two_splits() -> None:
    splits = read_tagged("python-code", TokenColumns())
    assert list(splits) == ["train", "valid", "test"]
    assert 8000 < len(splits["train"]) < 15_000
    assert min(len(splits["valid"]), len(splits["test"])) > 800
    lines = [sentence.tokens for sentences in splits.values() for sentence in sentences]
    assert len(set(lines)) == len(lines)
    assert {len(line) for line in lines} >= {3, 60}
    assert all(3 <= len(line) <= 60 for line in lines)
    tags = {split: {tag for sentence in found for tag in sentence.tags} for split, found in splits.items()}
    assert tags["train"] == tags["test"]
    assert len(tags["train"]) == 17


def test_python_code_is_made_of_the_modules_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(DataError, match=r"none of the modules argparse, calendar, .* is there as source; install"):
        make_builtin("python-code", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    (tmp_path / "pickle.py").write_text("x = f(1)\ny = 2\nif x: pass\nnot x\n")
    (tmp_path / "uuid.py").write_text("y = 2\nz = g(\n    2)\n")
    (tmp_path / "plistlib.py").write_text("z = 3\n")
    place = make_builtin("python-code", tmp_path / "cache")
    contents = [(place / f"{split}.txt").read_text() for split in ("train", "valid", "test")]
    assert contents[0] == (
        "x\tvariable\n=\toperator\nf\tfunction\n(\tcall\n1\tnumber\n)\tcall\n\n"
        "y\tvariable\n=\toperator\n2\tnumber\n\n"
        "if\tkeyword\nx\tvariable\n:\tpunctuation\npass\tkeyword\n"
    )
    assert contents[1] == "z\tvariable\n=\toperator\ng\tfunction\n(\tcall\n2\tnumber\n)\tcall\n"
    assert contents[2] == "z\tvariable\n=\toperator\n3\tnumber\n"


def test_a_catalogue_with_nothing_to_make_it_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`find` says that it is not there, `locate` and `fetch` say why."""
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert find("python-code") is None
    for look in (locate, fetch):
        with pytest.raises(DataError, match="install Python's standard library"):
            look("python-code")


# --- dates ---------------------------------------------------------------------------------------------------------


def test_dates_are_days_in_every_form_and_none_is_in_two_splits() -> None:
    splits = read_pairs("dates", PairColumns(), Progress())
    days = {split: {pair.target for pair in pairs} for split, pairs in splits.items()}
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 8000, "valid": 1000, "test": 2000}
    assert len(days["train"] | days["valid"] | days["test"]) == 11_000
    forms = ("%B %d, %Y", "%b %d %Y", "%d %B %Y", "%A, %B %d, %Y", "%a %d %b %Y", "%m/%d/%Y", "%d.%m.%Y", "%Y %B %d")
    used = set()
    for pair in splits["test"]:
        text = re.sub(r"^the (\d+)(?:st|nd|rd|th) of ", r"\1 ", pair.source)
        short = re.fullmatch(r"(\d\d\.\d\d)\.(\d\d)", text)
        if short:
            text = f"{short[1]}.{2000 + int(short[2]) - 100 * (short[2] >= '60')}"
        read = {form: parsed for form in forms if (parsed := parsed_as(text, form))}
        assert list(read.values()) == [pair.target], pair
        used |= read.keys()
    assert used == set(forms)


def parsed_as(text: str, form: str) -> str | None:
    try:
        return datetime.strptime(text, form).date().isoformat()
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (30, "30th"),
    ],
)
def test_ordinals(number: int, name: str) -> None:
    assert dates.ordinal(number) == name
