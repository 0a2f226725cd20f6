"""`recurra translate`, and what becomes of pairs that nobody could learn from."""

import io
from pathlib import Path
from typing import Any

import pytest

LETTERS = "abcdef"
SMALL = ["--unit", "character", "--embedding-size", "12", "--hidden-size", "16", "--epochs", "2", "--quiet"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Letters that become the others of their kind: small ones large."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.txt"
    words = [first + second + third for first in LETTERS for second in LETTERS for third in LETTERS]
    path.write_text("".join(f"{word}\t{word.upper()}\n" for word in words))
    return path


@pytest.fixture(scope="module")
def run(pairs: Path) -> Path:
    """A trained translator; treat it as read-only."""
    import recurra
    from recurra.progress import Progress

    options = {"unit": "character", "embedding_size": 16, "hidden_size": 24, "epochs": 12, "learning_rate": 0.02}
    return recurra.train("translation", pairs, run=pairs.parent / "run", progress=Progress(), batch_size=16, **options)


def test_arguments_a_file_and_standard_input_are_translated_alike(
    run: Path, tmp_path: Path, recurra_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.txt").write_text("abc\nfed\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("abc\n\nfed\n"))
    expected = "ABC\nFED\n"
    assert recurra_command("translate", run, "abc", "fed").out == expected
    assert recurra_command("translate", run, "--file", tmp_path / "new.txt").out == expected
    assert recurra_command("translate", run).out == "ABC\n\nFED\n"  # an answer a line
    assert (
        recurra_command("translate", run, "abc", "--file", tmp_path / "new.txt", "--beam", "1").out
        == f"ABC\n{expected}"
    )


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


def test_what_was_read_is_a_picture(run: Path, recurra_command: Any) -> None:
    outcome = recurra_command("translate", run, "abc", "fed", "--picture")
    page = run / "alignments.html"
    assert outcome.err.strip() == str(page)
    text = page.read_text()
    assert '"ticktext":["a","b","c","(end)"]' in text
    assert '"ticktext":["F","E","D","(end)"]' in text


def test_draws(run: Path, recurra_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hot = ["translate", run, "--draw", "--temperature", "9", "--seed"]
    first = recurra_command(*hot, 1, *["abc"] * 5).out
    assert first == recurra_command(*hot, 1, *["abc"] * 5).out != recurra_command(*hot, 2, *["abc"] * 5).out
    monkeypatch.setattr("recurra.cli.translate.AT_ONCE", 2)
    drawn = recurra_command(*hot, 1, *["abc"] * 5).out.splitlines()
    assert len(set(drawn)) == 5, "each group draws the same again"
    cold = recurra_command("translate", run, "abc", "fed", "--draw", "--top-k", "1").out
    assert cold == recurra_command("translate", run, "abc", "fed", "--beam", "1").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--draw", "--num-best", "2"], "--num-best is for a search, --draw writes one translation each"),
        (["--draw", "--beam", "2"], "--beam is for a search"),
        (["--temperature", "2"], "--temperature is for --draw"),
        (["--seed", "2"], "--seed is for --draw"),
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


def test_without_attention_there_is_no_picture_and_none_is_a_choice(
    pairs: Path, tmp_path: Path, recurra_command: Any
) -> None:
    plain = tmp_path / "plain"
    chosen = ["--attention", "none", "--tie-embeddings", "none", "--steps", "2", "--max-tokens", "3"]
    assert recurra_command("train", "translation", pairs, "--run", plain, *SMALL, *chosen).code == 0
    outcome = recurra_command("translate", plain, "abc", "--picture")
    assert (outcome.code, outcome.out) == (2, "")
    assert "has no attention" in outcome.err
    assert recurra_command("translate", plain, "abc", "--coverage-penalty", "1").code == 2
    (cut,) = recurra_command("translate", plain, "abc", "--json").json_lines
    if not cut["texts"][0]["complete"]:
        assert "(cut off)" in recurra_command("translate", plain, "abc").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["abc", ""], 3, "text 2 of 2: empty, so nothing to translate"),
        (["abc", "--beam", "0"], 2, "beam: expected"),
        (["abc", "--length-penalty", "-1"], 2, "length_penalty: expected"),
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


def test_commands_of_other_tasks_say_which_is_meant(run: Path, tiny_run: Path, recurra_command: Any) -> None:
    assert f"see recurra translate {run}" in recurra_command("predict", run, "abc").err
    said = recurra_command("translate", tiny_run, "abc").err
    assert "translates nothing, its task is language-modelling; see recurra generate" in " ".join(said.split())


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


def test_what_is_no_text_is_refused(run: Path, recurra_command: Any) -> None:
    outcome = recurra_command("translate", run, "abc", "caf\udce9")
    assert outcome.code == 3
    assert "text 2 of 2: not UTF-8 at character 4; convert it first" in outcome.err


def test_check_takes_one_data_as_train_does(pairs: Path, recurra_command: Any) -> None:
    outcome = recurra_command("check", "translation", pairs, "more.csv")
    assert outcome.code == 2
    assert "expected one DATA" in outcome.err
