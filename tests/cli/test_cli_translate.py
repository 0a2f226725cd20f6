"""`recurra translate`, and what becomes of pairs that nobody could learn from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ["--unit", "character", "--embedding-size", "12", "--hidden-size", "16", "--epochs", "2", "--quiet"]


@pytest.fixture
def run(small_run: Callable[[str], Any]) -> Path:
    """A translator of small letters into large ones."""
    return small_run("translation").run


@pytest.fixture
def pairs(small_run: Callable[[str], Any]) -> Path:
    """What it was trained on."""
    return small_run("translation").data


def test_arguments_and_a_file_together(run: Path, tmp_path: Path, recurra_command: Any) -> None:
    (tmp_path / "new.txt").write_text("abc\nfed\n")
    outcome = recurra_command("translate", run, "abc", "--file", tmp_path / "new.txt", "--beam-size", "1")
    assert outcome.out == "ABC\nABC\nFED\n"
    assert recurra_command("predict", run, "abc", "", "fed").out == "ABC\n\nFED\n"  # an answer a line


def test_several_translations_as_a_table_and_as_json(run: Path, recurra_command: Any) -> None:
    table = recurra_command("translate", run, "abc", "--num-best", "3").out
    (row,) = recurra_command("translate", run, "abc", "--num-best", "3", "--json").json_lines
    found = row["texts"]
    assert found[0]["text"] == "ABC"
    assert len({one["text"] for one in found}) == 3
    for one in found:
        assert f"{one['score']:.3f}" in table
        assert one["complete"] is True
    assert row["source"] == "abc"
    assert row["alignment"]["source"] == ["a", "b", "c", "(end)"]
    assert recurra_command("translate", run, "aéb", "--json").json_lines[0]["unknown"] == ["é"]


def test_attention_is_a_page(run: Path, recurra_command: Any) -> None:
    outcome = recurra_command("translate", run, "abc", "fed", "--plot")
    page = run / "translate.html"
    assert (outcome.out, outcome.err) == ("ABC\nFED\n", f"chart {page}\n")
    text = page.read_text()
    assert f"<h1>{run.name}: translate</h1>" in text
    assert '"ticktext":["a","b","c","(end)"]' in text
    assert '"ticktext":["F","E","D","(end)"]' in text


def test_samples(run: Path, recurra_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hot = ["translate", run, "--sample", "--temperature", "9", "--seed"]
    first = recurra_command(*hot, 1, *["abc"] * 5).out
    assert first == recurra_command(*hot, 1, *["abc"] * 5).out != recurra_command(*hot, 2, *["abc"] * 5).out
    monkeypatch.setattr("recurra.tasks.translation.trained.TrainedTranslator.batch_size", 2)
    drawn = recurra_command(*hot, 1, *["abc"] * 5).out.splitlines()
    assert len(set(drawn)) == 5, "each batch samples the same again"
    cold = recurra_command("translate", run, "abc", "fed", "--sample", "--top-k", "1").out
    assert cold == recurra_command("translate", run, "abc", "fed", "--beam-size", "1").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "--num-best", "2"], "no --num-best beside --sample, which generates one text"),
        (["--sample", "--beam-size", "2"], "no --beam-size beside --sample, which generates one text"),
        (["--sample", "--length-penalty", "2"], "no --length-penalty beside --sample"),
        (["--sample", "--coverage-penalty", "2"], "no --coverage-penalty beside --sample"),
        (["--temperature", "2"], "--sample beside --temperature"),
        (["--top-k", "2"], "--sample beside --top-k"),
        (["--top-p", "0.5"], "--sample beside --top-p"),
        (["--seed", "2"], "--sample beside --seed"),
    ],
)
def test_options_that_would_do_nothing(run: Path, recurra_command: Any, arguments: list[str], message: str) -> None:
    outcome = recurra_command("translate", run, "abc", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_files_like_those_trained_on_are_read_alike(run: Path, tmp_path: Path, recurra_command: Any) -> None:
    (tmp_path / "both.txt").write_text("abc\tABC\nfed\tx\n")
    assert recurra_command("translate", run, "--file", tmp_path / "both.txt").out == "ABC\nFED\n"
    (tmp_path / "one.csv").write_text("text\nabc\nfed\n")
    assert recurra_command("translate", run, "--file", tmp_path / "one.csv").out == "ABC\nFED\n"
    (tmp_path / "two.csv").write_text("from,to\nabc,cab\nfed,def\n")
    found = recurra_command("translate", run, "--file", tmp_path / "two.csv")
    assert found.out == "ABC\nFED\n", found.err
    assert "sources are column 'from'" in found.err
    assert recurra_command("translate", run, "--file", tmp_path / "two.csv", "--source", "to").out == "CAB\nDEF\n"
    (tmp_path / "gaps.txt").write_text("abc\n\nfed\n")
    assert recurra_command("translate", run, "--file", tmp_path / "gaps.txt").out == "ABC\n\nFED\n"


def test_without_attention_there_is_nothing_to_plot_and_none_is_a_choice(
    pairs: Path, tmp_path: Path, recurra_command: Any
) -> None:
    plain = tmp_path / "plain"
    chosen = ["--attention", "none", "--tie-embeddings", "none", "--steps", "2", "--max-tokens", "3"]
    assert recurra_command("train", "translation", pairs, "--run", plain, *SMALL, *chosen).code == 0
    outcome = recurra_command("translate", plain, "abc", "--plot")
    assert (outcome.code, outcome.out) == (2, "")
    assert "has no attention" in outcome.err
    assert recurra_command("translate", plain, "abc", "--coverage-penalty", "1").code == 2
    (cut,) = recurra_command("translate", plain, "abc", "--json").json_lines
    if not cut["texts"][0]["complete"]:
        assert "(cut off)" in recurra_command("translate", plain, "abc").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["abc", "--beam-size", "0"], 2, "beam_size: expected greater than or equal to 1, got 0"),
        (["abc", "--length-penalty", "-1"], 2, "length_penalty: expected greater than or equal to 0, got -1"),
        (["--file", "nowhere.txt"], 3, "nowhere.txt"),
    ],
)
def test_what_cannot_be_translated(
    run: Path, recurra_command: Any, arguments: list[str], code: int, message: str
) -> None:
    outcome = recurra_command("translate", run, *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_other_pairs_may_stand_in_other_columns(run: Path, tmp_path: Path, recurra_command: Any) -> None:
    other = tmp_path / "other.csv"
    other.write_text("large,number,small\nABC,1,abc\nFED,2,fed\nx,3,cab\n")
    columns = ["--source", "small", "--target=large"]
    found = recurra_command("evaluate", run, other, *columns, "--json", "--quiet").json
    assert found["model"]["all"]["exact"] == pytest.approx(2 / 3)
    assert found["copy"]["all"]["exact"] == 0
    for arguments, message in [
        (
            [other, "--unit", "word"],
            "unit: is fixed by the training; other data may differ in source, target, delimiter",
        ),
        ([other, "--epochs", "3"], "training.epochs: is fixed by the training"),
        ([other, "--path", "x"], "path: is fixed by the training"),
        (
            ["--source=1", "--target=0"],
            "the model was trained on a part of it, and its files do not say which; name other data",
        ),
        ([other, other], "expected one DATA"),
    ]:
        outcome = recurra_command("evaluate", run, *arguments, "--quiet")
        assert (outcome.code, outcome.out) == (2, "")
        assert message in " ".join(outcome.err.split())


def test_evaluate_and_info(run: Path, pairs: Path, recurra_command: Any) -> None:
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert set(metrics) == {"model", "copy", "word_by_word"}
    assert metrics["model"]["test"]["exact"] > 0.9
    assert "beats the best baseline" in recurra_command("evaluate", run, "--quiet").out
    assert "largest deviation" in recurra_command("info", run, "--check").out
    assert "Lowest scores" not in recurra_command("info", run).out
    found = recurra_command("check", "translation", pairs, "--unit", "character", "--json").json
    assert sum(row["pairs"] for row in found["splits"].values()) == 216


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a.de": "eins\nzwei\n", "a.en": "one\n"}, ["--source", "de", "--target", "en"], "a.de: 2 lines, but "),
        ({"a.de": "eins\n\n", "a.en": "one\ntwo\n"}, ["--source", "de", "--target", "en"], "a.de line 2: empty, but "),
        ({"a.de": "eins\n", "a.en": "one\n"}, [], "name the endings of source and target, for the direction"),
        ({"a.txt": "eins\tone\nzwei\n"}, [], "a.txt line 2: expected at least 2 columns"),
        ({"a.txt": "eins\tone\n"}, [], "no pairs for"),
    ],
)
def test_pairs_that_cannot_be_learned(
    tmp_path: Path, recurra_command: Any, files: dict[str, str], options: list[str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    outcome = recurra_command("train", "translation", tmp_path, "--run", tmp_path / "run", *SMALL, *options)
    assert outcome.code == 3
    assert message in outcome.err
    assert not (tmp_path / "run").exists()


def test_check_takes_one_data_as_train_does(pairs: Path, recurra_command: Any) -> None:
    outcome = recurra_command("check", "translation", pairs, "more.csv")
    assert outcome.code == 2
    assert "expected one DATA" in outcome.err
