"""Sentence pairs: every layout gives the same pairs in their order, each with its place; no line loses its other."""

import json
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noting import Notes
from recurra.data.catalogue import find
from recurra.data.text.pairs import Pair, PairColumns, filter_pairs, read_pairs, read_sources, split_pairs
from recurra.errors import DataError, UsageError
from recurra.progress import Progress

PAIRS = [("ein Hund", "a dog"), ("Öl, viel", "oil\u2028\x0b\x85much"), ("ein Hund", "one dog"), ("ja_wohl", "yes 🙂")]
LANGUAGES = PairColumns("de", "en")
SHARES = (0.6, 0.25, 0.15)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def texts(pairs: list[Pair]) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in pairs]


def places(pairs: list[Pair], root: Path) -> list[str]:
    """Places below a folder."""
    return [pair.place.removeprefix(f"{root}/") for pair in pairs]


def only(path: Path, sides: PairColumns) -> list[Pair]:
    found = read_pairs(str(path), sides, Progress())
    assert found.keys() == {"all"}
    return found["all"]


def three_languages(folder: Path, *stems: str) -> Path:
    """Files side by side; each line says where it stands."""
    for count, stem in enumerate(stems, 2):
        for ending in ("de", "en", "fr"):
            write(folder, {f"{stem}.{ending}": "".join(f"{stem} {ending} {n}\n" for n in range(count))})
    return folder


# --- files side by side ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_file", ["toy.tok.de", "toy.tok.en"])
def test_either_of_two_files_gives_both(given_file: str, tmp_path: Path) -> None:
    lines = [*PAIRS[:2], ("", "  "), *PAIRS[2:]]
    sources, targets = ("\n".join(f" {pair[at]} " for pair in lines) for at in (0, 1))
    write(tmp_path, {"toy.tok.de": "\ufeff" + sources, "toy.tok.en": targets.replace("\n", "\r\n") + "\r\n"})
    pairs = only(tmp_path / given_file, LANGUAGES)
    assert texts(pairs) == PAIRS
    assert places(pairs, tmp_path) == [f"toy.tok.de line {number}" for number in (1, 2, 4, 5)]
    back = only(tmp_path / given_file, PairColumns("en", "de"))
    assert texts(back) == [(target, source) for source, target in PAIRS]
    assert places(back, tmp_path)[3] == "toy.tok.en line 5"


def test_a_folder_of_splits_in_several_languages(tmp_path: Path) -> None:
    three_languages(tmp_path, "train", "val", "test_2016_flickr", "test-2017", "notes")
    write(tmp_path, {"README.md": "about it", "LICENSE.md": "free", "train.csv": "word,count\nja,1\n"})
    found = read_pairs(str(tmp_path), PairColumns("fr", "de"), Progress())
    assert {split: texts(pairs) for split, pairs in found.items()} == {
        "train": [(f"train fr {n}", f"train de {n}") for n in range(2)],
        "valid": [(f"val fr {n}", f"val de {n}") for n in range(3)],
        "test": [  # every test, in the order of the names
            *((f"test-2017 fr {n}", f"test-2017 de {n}") for n in range(5)),
            *((f"test_2016_flickr fr {n}", f"test_2016_flickr de {n}") for n in range(4)),
        ],
    }
    assert places(found["test"], tmp_path)[4:6] == ["test-2017.fr line 5", "test_2016_flickr.fr line 1"]


def test_one_of_several_tests(tmp_path: Path) -> None:
    three_languages(tmp_path, "train", "test_2016", "test_2017")
    found = read_pairs(str(tmp_path), LANGUAGES, Progress(), test="test_2017")
    assert texts(found["test"]) == [(f"test_2017 de {n}", f"test_2017 en {n}") for n in range(4)]
    assert len(found["train"]) == 2
    with pytest.raises(DataError, match=f"{tmp_path}: no test files called 'train'; it has test_2016, test_2017$"):
        read_pairs(str(tmp_path), LANGUAGES, Progress(), test="train")
    with pytest.raises(DataError, match="no test files called 'test_2016'; it has none beside files called train"):
        read_pairs(str(tmp_path / "test_2016.de"), LANGUAGES, Progress(), test="test_2016")


def test_a_folder_without_training_files_is_not_split(tmp_path: Path) -> None:
    three_languages(tmp_path, "a", "b/test")
    pairs = only(tmp_path, LANGUAGES)
    assert Counter(texts(pairs)) == Counter(
        (f"{stem} de {n}", f"{stem} en {n}") for stem, count in (("a", 2), ("b/test", 3)) for n in range(count)
    )


@pytest.mark.parametrize("sides", [PairColumns(), PairColumns(0, 1)])
def test_the_direction_is_not_guessed(sides: PairColumns, tmp_path: Path) -> None:
    write(tmp_path, {"train.de": "ja\n", "train.en": "yes\n", "README": "x"})
    message = (
        rf"{tmp_path}: parallel files ending in \.de, \.en; name the endings of source and target, for the direction"
    )
    with pytest.raises(DataError, match=message):
        read_pairs(str(tmp_path), sides, Progress())


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (PairColumns("de", "pl"), r"/train\.pl: no such file"),
        (PairColumns("pl", "en"), r"/train\.pl: no such file"),
        (
            PairColumns("pl", "cs"),
            r": expected files ending in \.pl and \.cs \(--source, --target\), got \.de, \.en, \.fr;",
        ),
        (PairColumns("de"), ": source 'de', target None; name the endings of both files"),
        (PairColumns(0, "de"), ": source 0, target 'de'; name the endings of both files"),
        (PairColumns("en", "en"), ": 'en' would be both source and target"),
    ],
)
def test_endings_that_are_not_there(sides: PairColumns, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{tmp_path}{message}"):
        read_pairs(str(three_languages(tmp_path, "train")), sides, Progress())


def test_a_test_without_its_sources_is_not_left_out(tmp_path: Path) -> None:
    write(three_languages(tmp_path, "train"), {"test.en": "alone\n"})
    with pytest.raises(DataError, match=r"test\.de: no such file"):
        read_pairs(str(tmp_path), LANGUAGES, Progress())


def test_lines_without_their_other(tmp_path: Path) -> None:
    write(tmp_path, {"a.de": "eins\n\nzwei\n", "a.en": "one\n\ntwo\n\n"})
    message = rf"{tmp_path}/a\.de: 3 lines, but {tmp_path}/a\.en has 4; they belong together"
    with pytest.raises(DataError, match=message):
        only(tmp_path / "a.de", LANGUAGES)
    write(tmp_path, {"a.en": "one\n\n \n"})
    message = rf"^{tmp_path}/a\.en line 3: empty, but {tmp_path}/a\.de has text there"
    with pytest.raises(DataError, match=message):
        only(tmp_path / "a.de", LANGUAGES)
    with pytest.raises(DataError, match=message):
        only(tmp_path / "a.de", PairColumns("en", "de"))


# --- tables ------------------------------------------------------------------------------------------------------


def test_a_table_of_two_columns_needs_no_names(tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": "german,english\n\n" + "".join(f'" {source}","{target}"\n' for source, target in PAIRS)})
    pairs = only(tmp_path / "t.csv", PairColumns())
    assert texts(pairs) == PAIRS
    assert places(pairs, tmp_path) == [f"t.csv line {number}" for number in range(3, 7)]
    turned = [(target, source) for source, target in PAIRS]
    assert texts(only(tmp_path / "t.csv", PairColumns("english", "german"))) == turned
    assert texts(only(tmp_path / "t.csv", PairColumns(1, 0))) == turned


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("sides", [PairColumns("to", "from"), PairColumns(2, "from"), PairColumns(2, 0)])
def test_tables_of_more_columns(kind: str, sides: PairColumns, tmp_path: Path) -> None:
    rows = [{"from": target, "id": n, "to": source} for n, (source, target) in enumerate(PAIRS)]
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        write(tmp_path, {path.name: "".join(json.dumps(row) + "\n" for row in rows)})
    else:
        lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
        write(tmp_path, {path.name: "\n".join(lines)})
    pairs = only(path, sides)
    assert texts(pairs) == PAIRS
    assert pairs[2].place == f"{path} {'row' if kind == 'parquet' else 'line'} {4 if kind == 'tsv' else 3}"


def test_a_folder_of_tables(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "dev", "test_a", "test_b")):
        write(tmp_path, {f"{name}.csv": f"id,from,to\n{number},{name} x,{name} y\n"})
    found = read_pairs(
        str(write(tmp_path, {"notes.txt": "no pairs"})), PairColumns("from", "to"), Progress(), test="test_b"
    )
    assert {split: texts(pairs) for split, pairs in found.items()} == {
        "train": [("train x", "train y")],
        "valid": [("dev x", "dev y")],
        "test": [("test_b x", "test_b y")],
    }


@pytest.mark.parametrize(
    ("text", "sides", "message"),
    [
        ("a,b,c\n1,2,3\n", PairColumns(), ": which column is the source? It has a, b, c; name one with --source"),
        ("a,b,c\n1,2,3\n", PairColumns("b"), ": which column is the target? It has a, b, c; name one with --target"),
        ("a,b\n1,2\n", PairColumns("a", "d"), ": no column 'd' for the target (--target); it has a, b"),
        ("a,b\n1,2\n", PairColumns(2, 1), ": no column 2 for the source; it has a, b, counted from 0"),
        ("a,b\n1,2\n", PairColumns(0, -1), ": no column -1 for the target; it has a, b, counted from 0"),
        ("a\n1\n", PairColumns(), ": no column 1 for the target; it has a, counted from 0"),
        ("a,b\n1,2\n", PairColumns("b"), ": 'b' would be both source and target; name both"),
        ("a,b\n1,2\n\n , 4\n", PairColumns(), " line 4: no source; fill it, or leave it out"),
        ("a,b\n1,2\n3,\n", PairColumns(), " line 3: no target; fill it, or leave it out"),
    ],
)
def test_tables_without_a_side(text: str, sides: PairColumns, message: str, tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": text})
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/t.csv{message}')}"):
        only(tmp_path / "t.csv", sides)


# --- lines of columns --------------------------------------------------------------------------------------------


def test_lines_of_tabs(tmp_path: Path) -> None:
    lines = [f"{source} \t{target}" + "\tsource 7" * (n % 2) for n, (source, target) in enumerate(PAIRS)]
    text = "\ufeff" + "\n".join([*lines[:1], "", " \t ", *lines[1:]]) + "\n"
    write(tmp_path, {"a.txt": text.replace("\n", "\r\n")})
    pairs = only(tmp_path / "a.txt", PairColumns())
    assert texts(pairs) == PAIRS
    assert places(pairs, tmp_path) == [f"a.txt line {number}" for number in (1, 4, 5, 6)]
    assert texts(only(tmp_path / "a.txt", PairColumns(1, 0))) == [(target, source) for source, target in PAIRS]


def test_other_separators_and_columns(tmp_path: Path) -> None:
    write(tmp_path, {"sums.txt": "1+2  _3  \n10+1 _11 \n", "ids.txt": "7 ||| ja ||| yes\n8 ||| nein ||| no ||| x\n"})
    assert texts(only(tmp_path / "sums.txt", PairColumns(delimiter="_"))) == [("1+2", "3"), ("10+1", "11")]
    assert texts(only(tmp_path / "ids.txt", PairColumns(2, 1, "|||"))) == [("yes", "ja"), ("no", "nein")]
    with pytest.raises(
        UsageError, match="delimiter: expected at least one character between source and target, got none"
    ):
        only(tmp_path / "ids.txt", PairColumns(delimiter=""))


def test_a_separator_makes_lines_of_a_table_without_a_header(tmp_path: Path) -> None:
    write(tmp_path, {"toy/train.tsv": 'ja\tyes\n"nein\tno\n', "toy/test.tsv": "gut\tgood\n"})
    assert texts(only(tmp_path / "toy" / "train.tsv", PairColumns(delimiter="\t"))) == [("ja", "yes"), ('"nein', "no")]
    found = read_pairs(str(tmp_path / "toy"), PairColumns(delimiter="\t"), Progress())
    assert {split: texts(pairs)[0] for split, pairs in found.items()} == {
        "train": ("ja", "yes"),
        "test": ("gut", "good"),
    }


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (PairColumns(), r" line 3: expected at least 2 columns with '\t' between them, got 'two_zwei'; name another"),
        (PairColumns(0, 2), r" line 1: expected at least 3 columns with '\t' between them, got 'one\tein_s'"),
        (PairColumns(delimiter="_"), " line 4: no target"),
        (PairColumns(1, 0, "_"), " line 4: no source"),
        (PairColumns("a", "b", "_"), ": source 'a', target 'b'; expected numbers of columns, counted from 0"),
        (PairColumns(-1), ": source -1, target 1; expected numbers of columns, counted from 0"),
        (PairColumns(1), ": 1 would be both source and target"),
    ],
)
def test_lines_without_a_side(sides: PairColumns, message: str, tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "one\tein_s\n\ntwo_zwei\nthree_\n"})
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/a.txt{message}')}"):
        only(tmp_path / "a.txt", sides)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file, folder or data set"):
        only(tmp_path / "nowhere.de", LANGUAGES)


SIDE = st.text(st.characters(exclude_characters="\n\r\0\t\ufeff", codec="utf-8"), min_size=1).filter(str.strip)


@given(pairs=st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=8))
def test_layouts_agree(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    """Other line ends of Unicode (form feed, NEL, U+2028) stand in texts; there they would shift what follows."""
    rows = "".join(json.dumps({"de": source, "en": target}) + "\n" for source, target in pairs)
    folder = write(
        tmp_path_factory.mktemp("layouts"),
        {
            "a.de": "".join(f"{source}\n" for source, _ in pairs),
            "a.en": "".join(f"{target}\n" for _, target in pairs),
            "lines.txt": "".join(f"{source}\t{target}\n" for source, target in pairs),
            "table.jsonl": rows,
        },
    )
    expected = [(source.strip(), target.strip()) for source, target in pairs]
    for name, sides in {"a.de": LANGUAGES, "lines.txt": PairColumns(), "table.jsonl": LANGUAGES}.items():
        found = only(folder / name, sides)
        assert texts(found) == expected
        assert places(found, folder) == [f"{name} line {number}" for number in range(1, len(pairs) + 1)]


# --- sources alone -----------------------------------------------------------------------------------------------


def test_sources_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a.de": "\ufeff eins \r\nzw\u2028ei\tx\r\n", "t.csv": "n,said\n1, one \n3,two\n", "f/a": "x"})
    write(tmp_path, {"one.csv": "said\nalone\n", "wide.csv": "a,b,c\n1,2,3\n"})
    assert read_sources(str(tmp_path / "a.de"), PairColumns("de", "en"), Progress()) == ["eins", "zw\u2028ei\tx"]
    assert read_sources(str(tmp_path / "a.de"), PairColumns(), Progress()) == ["eins", "zw\u2028ei"]
    assert read_sources(str(tmp_path / "a.de"), PairColumns(1, 0), Progress()) == ["eins", "x"]
    assert read_sources(str(tmp_path / "a.de"), PairColumns(delimiter="w"), Progress()) == ["eins", "z"]
    assert (
        read_sources(str(tmp_path / "t.csv"), PairColumns("said"), Progress())
        == read_sources(str(tmp_path / "t.csv"), PairColumns(1), Progress())
        == ["one", "two"]
    )
    assert read_sources(str(tmp_path / "t.csv"), PairColumns(), Progress()) == ["1", "3"]
    assert read_sources(str(tmp_path / "one.csv"), PairColumns(), Progress()) == ["alone"]
    with pytest.raises(DataError, match=r"wide\.csv: which column is the source\? It has a, b, c"):
        read_sources(str(tmp_path / "wide.csv"), PairColumns(), Progress())
    with pytest.raises(DataError, match="a folder; expected a table or a file of lines"):
        read_sources(str(tmp_path / "f"), PairColumns(), Progress())


def test_an_empty_cell_is_named_and_an_empty_line_an_empty_text(tmp_path: Path) -> None:
    """Answers stay beside the lines they belong to."""
    write(tmp_path, {"a.txt": "eins\n \nzwei\n", "a.csv": "said,n\n,1\nzwei,2\n"})
    assert read_sources(str(tmp_path / "a.txt"), PairColumns(), Progress()) == ["eins", "", "zwei"]
    with pytest.raises(DataError, match=rf"^{tmp_path}/a\.csv line 2: no source; fill it, or leave it out"):
        read_sources(str(tmp_path / "a.csv"), PairColumns(), Progress())


def test_columns_that_nobody_named_are_told(tmp_path: Path) -> None:
    """A first pair that was taken for a header shows so."""
    notes = Notes()
    write(tmp_path, {"two.csv": "Va !,Go.\nun,one\n", "one.csv": "Va !\nun\n"})
    assert len(read_pairs(str(tmp_path / "two.csv"), PairColumns(), notes)["all"]) == 1
    assert read_sources(str(tmp_path / "one.csv"), PairColumns(), notes) == ["un"]
    assert notes.lines == [
        f"{tmp_path}/two.csv: source is column 'Va !', target 'Go.', by the order in its header",
        f"{tmp_path}/one.csv: sources are column 'Va !', a name in its header",
    ]
    read_pairs(str(tmp_path / "two.csv"), PairColumns("Va !", "Go."), notes)
    read_sources(str(tmp_path / "two.csv"), PairColumns("Go."), notes)
    assert len(notes.lines) == 2


# --- what is left out --------------------------------------------------------------------------------------------


def pair(source: int, target: int) -> Pair:
    """Two sides of so many words."""
    return Pair("a " * source, "bcd " * target, f"{source} to {target}")


def words(text: str) -> int:
    return len(text.split())


def test_limits_are_within() -> None:
    pairs = [pair(*sizes) for sizes in [(5, 2), (6, 5), (2, 5), (3, 6), (2, 6), (1, 3), (5, 5), (0, 2), (0, 0), (4, 7)]]
    assert filter_pairs(pairs, words, None, None) == (pairs, {})
    left, counts = filter_pairs(pairs, words, 5, None)
    assert [one.place for one in left] == ["5 to 2", "2 to 5", "1 to 3", "5 to 5", "0 to 2", "0 to 0"]
    assert counts == {"longer than 5": 4}
    left, counts = filter_pairs(pairs, words, 6, 2.5)
    assert [one.place for one in left] == ["5 to 2", "6 to 5", "2 to 5", "3 to 6", "5 to 5", "0 to 0"]
    assert counts == {"ratio above 2.5": 3, "longer than 6": 1}
    assert filter_pairs(pairs[:2], len, 10, None) == (pairs[:1], {"longer than 10": 1})  # characters


@given(
    sizes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200))),
    longest=st.integers(1, 200),
    ratio=st.sampled_from(["1", "1.1", "1.15", "2.3", "3"]),
)
def test_ratios_are_exact(sizes: list[tuple[int, int]], longest: int, ratio: str) -> None:
    """115 words beside 100 are at a ratio of 1.15, though 1.15 * 100 is below 115 in floating point."""
    pairs = [Pair("a" * source, "b" * target, "") for source, target in [(115, 100), *sizes]]
    left, counts = filter_pairs(pairs, len, longest, float(ratio))
    expected = [
        one
        for one in pairs
        if max(map(len, one[:2])) <= longest and max(map(len, one[:2])) <= Fraction(ratio) * min(map(len, one[:2]))
    ]
    assert left == expected
    assert sum(counts.values()) == len(pairs) - len(left)


@pytest.mark.parametrize(("longest", "ratio"), [(0, None), (None, 0.5), (None, 0), (None, float("nan"))])
def test_limits_that_nothing_could_meet(longest: int | None, ratio: float | None) -> None:
    with pytest.raises(UsageError, match=f"{'ratio' if longest is None else 'max_length'}: expected at least 1, got"):
        filter_pairs([], len, longest, ratio)


# --- splits ------------------------------------------------------------------------------------------------------


@given(sources=st.lists(st.integers(0, 99), min_size=80))
def test_a_source_is_on_one_side_whatever_its_targets(sources: list[int]) -> None:
    pairs = [Pair(f"source {source}", f"target {n}", f"{n:04}") for n, source in enumerate(range(300))]
    pairs += [Pair(f"source {source}", f"other {n}", f"{n:04}") for n, source in enumerate(sources, 300)]
    for found, names in (({"all": pairs}, ["train", "valid", "test"]), ({"train": pairs}, ["train", "valid"])):
        splits = split_pairs(found, "data", SHARES)
        assert list(splits) == names
        assert sum(len({one.source for one in part}) for part in splits.values()) == 300
        assert sorted((one for part in splits.values() for one in part), key=lambda one: one.place) == pairs
        for part in splits.values():
            assert part == sorted(part, key=lambda one: one.place)  # in the order they came


def test_splits_that_files_say_stay() -> None:
    given_splits = {name: [Pair("same", name, "")] for name in ("test", "train", "valid")}
    assert list(split_pairs(given_splits, "data", SHARES).items()) == [
        (name, given_splits[name]) for name in ("train", "valid", "test")
    ]
    with pytest.raises(DataError, match="data: no pairs for test; give more data or other shares"):
        split_pairs({**given_splits, "test": []}, "data", SHARES)


# --- public data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sides", "test", "counts", "last"),
    [
        ("multi30k", LANGUAGES, "test_2016_flickr", {"train": 29000, "valid": 1014, "test": 1000}, None),
        ("multi30k", PairColumns("en", "fr"), None, {"train": 29000, "valid": 1014, "test": 3532}, None),
        ("char_seq2seq/date.txt", PairColumns(delimiter="_"), None, {"all": 50000}, "1980-11-20"),
        ("char_seq2seq/addition.txt", PairColumns(delimiter="_"), None, {"all": 50000}, "529"),
        ("fra_eng/fra.txt", PairColumns(1, 0), None, {"all": 167130}, None),
    ],
)
def test_public_data(name: str, sides: PairColumns, test: str | None, counts: dict[str, int], last: str | None) -> None:
    if find(name) is None:
        pytest.skip(f"no {name} under RECURRA_DATA")
    found = read_pairs(name, sides, Progress(), test)
    assert {split: len(pairs) for split, pairs in found.items()} == counts
    assert last is None or found["all"][-1].target == last
