"""Every command at its proper work: what it prints for people, for programs, and when told to be quiet."""

import io
import json
import math
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra.data.catalogue import CATALOGUE
from recurra.tasks import TASKS

TINY = ["--embedding-size", "8", "--hidden-size", "8,6", "--epochs", "1", "--batch-size", "8", "--window", "12"]
USES = ["predict", "generate", "forecast", "translate", "caption", "transcribe"]
COMMANDS = ["demo", "train", "check", "evaluate", *USES, "info", "compare", "doctor", "data list", "data fetch"]


# --- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(recurra_command: Any, command: str) -> None:
    outcome = recurra_command(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Example" in outcome.out
    assert f"recurra {command}" in outcome.out


def test_help_lists_every_command(recurra_command: Any) -> None:
    outcome = recurra_command("--help")
    assert outcome.code == 0
    listed = {line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ") and line.strip()}
    assert listed >= {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("arguments", [["--help"], ["language-modelling", "-h"], []])
def test_help_of_train_lists_every_recipe_key(recurra_command: Any, arguments: list[str]) -> None:
    from recurra.config import leaf_options

    outcome = recurra_command("train", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    for option in leaf_options(TASKS["language-modelling"].task.recipe_type):
        if option.key != "task":
            assert f"--{option.key.rpartition('.')[2].replace('_', '-')} " in outcome.out


# --- train -------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(story: Path, tmp_path: Path) -> Path:
    """The beginning of `story`."""
    path = tmp_path / "short.txt"
    path.write_text("".join(story.read_text().splitlines(keepends=True)[:250]))
    return path


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_elsewhere")
def test_train_by_options_says_where_it_is_and_what_it_reached(
    recurra_command: Any, short: Path, tmp_path: Path
) -> None:
    outcome = recurra_command(
        "train", "language-modelling", short, *TINY, "--seed=7", "--tie-embeddings=off", "--no-lowercase"
    )
    assert outcome.code == 0
    assert "epoch  1/1" in outcome.err
    assert "perplexity" in outcome.err
    for said in ("model", "unigram", "trigram", "run runs/language-modelling; learning curve", "perplexity"):
        assert said in outcome.out
    assert (tmp_path / "runs/language-modelling/learning_curve.html").stat().st_size > 1000
    recipe = tomllib.loads((tmp_path / "runs/language-modelling/recipe.toml").read_text())
    assert recipe["seed"] == 7
    assert recipe["model"]["hidden_size"] == [8, 6]
    assert recipe["data"] | {"path": str(short), "lowercase": False} == recipe["data"]


@pytest.mark.usefixtures("_elsewhere")
def test_train_by_recipe_with_settings_as_json_quietly(recurra_command: Any, short: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'task = "language-modelling"\n[model]\nembedding_size = 8\nhidden_size = [8, 6]\n'
        "[training]\nepochs = 9\nbatch_size = 8\nwindow = 12\n"
    )
    arguments = ["mine.toml", short, "--set", "training.epochs=1", "--set", "hidden_size=5", "--clip-value", "0.5"]
    outcome = recurra_command("train", *arguments, "--json", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["run"] == "runs/mine"
    assert outcome.json["training"]["epochs"] == 1
    assert outcome.json["model"]["test"]["perplexity"] > 1
    recipe = tomllib.loads((tmp_path / "runs/mine/recipe.toml").read_text())
    assert (recipe["model"]["hidden_size"], recipe["training"]["clip_value"]) == ([5], 0.5)
    again = recurra_command("train", "mine.toml", short, "--set", "training.epochs=1", "--quiet")
    assert (again.code, again.out, again.err) == (0, "runs/mine-2\n", "")
    assert (tmp_path / "runs/mine-2/metrics.json").exists()


@pytest.mark.usefixtures("_elsewhere")
def test_a_finished_run_goes_on_for_more_epochs(recurra_command: Any, short: Path) -> None:
    assert recurra_command("train", "language-modelling", short, *TINY, "--run", "r", "--quiet").code == 0
    outcome = recurra_command("train", "--resume", "r", "--epochs", "2", "--json", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["training"]["epochs"] == 2
    recipe = recurra_command("train", "r/recipe.toml", "--run", "again", "--json", "--quiet").json
    assert recipe["model"] == outcome.json["model"], "the recipe in a run does not reproduce it"


# --- use ---------------------------------------------------------------------------------------------------------


def test_evaluate(recurra_command: Any, tiny_run: Path) -> None:
    stored = json.loads((tiny_run / "metrics.json").read_text())
    outcome = recurra_command("evaluate", tiny_run, "--json", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert set(outcome.json) == {"model", "unigram", "trigram"}
    for who, splits in outcome.json.items():
        for split, values in splits.items():
            assert values == pytest.approx(stored[who][split], rel=1e-6)
    said = recurra_command("evaluate", tiny_run, "--quiet")
    assert (said.code, said.err) == (0, "")
    assert "On test the model beats the best baseline (trigram): perplexity" in said.out


def test_evaluate_another_text(recurra_command: Any, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("the cat sees a stone often .\nmy zebra sees the cat .\n")
    outcome = recurra_command("evaluate", tiny_run, tmp_path / "other.txt", "--json", "--quiet")
    assert {who: list(splits) for who, splits in outcome.json.items()} == {
        who: ["all"] for who in ("model", "unigram", "trigram")
    }
    assert outcome.json["model"]["all"]["tokens"] == 15
    assert outcome.json["model"]["all"]["unknown"] == 1
    (tmp_path / "folder").mkdir()
    for name in ("train", "valid", "test"):
        (tmp_path / "folder" / f"{name}.txt").write_text(f"the cat sees a {name} often .\n")
    split = recurra_command("evaluate", tiny_run, tmp_path / "folder", "--json", "--quiet").json
    assert {who: list(splits) for who, splits in split.items()} == {
        who: ["valid", "test"] for who in ("model", "unigram", "trigram")
    }
    assert "does NOT beat" in recurra_command("evaluate", tiny_run, tmp_path / "other.txt", "--quiet").out or (
        outcome.json["model"]["all"]["perplexity"] < outcome.json["trigram"]["all"]["perplexity"]
    )


def test_evaluate_refuses_data_that_has_changed(recurra_command: Any, short: Path, story: Path, tmp_path: Path) -> None:
    assert recurra_command("train", "language-modelling", short, *TINY, "--run", tmp_path / "r", "--quiet").code == 0
    assert recurra_command("evaluate", tmp_path / "r", "--quiet").code == 0
    short.write_text(short.read_text().replace("bird", "dog"))
    outcome = recurra_command("evaluate", tmp_path / "r", "--quiet")
    assert f"run {tmp_path / 'r'}: its data has changed since training began (test, train, valid)" in outcome.err
    assert (outcome.code, outcome.out) == (3, "")
    other = recurra_command("evaluate", tmp_path / "r", story, "--json")
    assert set(other.json) == {"model"}
    assert "no baselines, since they need the training data: run" in other.err


def test_generate(recurra_command: Any, tiny_run: Path) -> None:
    arguments = ("generate", tiny_run, "the cat", "--length", "12", "--seed", "3")
    outcome = recurra_command(*arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["prompt"] == "the cat"
    model = recurra.load(tiny_run)
    assert outcome.json["text"] == model.generate("the cat", length=12, temperature=0.8, seed=3)
    said = recurra_command(*arguments)
    assert said.out == f"{model.join('the cat', outcome.json['text'])}\n"
    assert said.out.startswith("the cat ")
    coldest = [recurra_command("generate", tiny_run, "--temperature", t, "--json").json for t in ("0", "1e-40")]
    assert coldest[0] == coldest[1]
    assert coldest[0]["prompt"] == ""
    two = recurra_command("generate", tiny_run, "the cat", "a bird", "--length", "12", "--seed", "3", "--json")
    assert [row["text"] for row in two.json_lines] == [
        model.generate(prompt, length=12, seed=3) for prompt in ("the cat", "a bird")
    ]
    told = recurra_command("generate", tiny_run, "the zebra", "--length", "1")
    assert told.err == "not in the vocabulary, read as <unk>: zebra\n"


def test_generate_interactively_until_an_empty_line(
    recurra_command: Any, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat\na bird\n\nnobody\n"))
    outcome = recurra_command("generate", tiny_run, "--interactive", "--length", "1", "--temperature", "0")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.rsplit(" ", 1)[0] for line in outcome.out.splitlines()] == ["the cat", "a bird"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("a bird\n"))
    outcome = recurra_command("generate", tiny_run, "nobody", "-i", "--length", "1", "--temperature", "0")
    assert [line.rsplit(" ", 1)[0] for line in outcome.out.splitlines()] == ["nobody", "a bird"]


def test_generate_keeps_what_it_wrote_when_stopped(
    recurra_command: Any, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recurra.tasks.language_modelling.trained import TrainedLanguageModel

    def pieces(*_: Any, **__: Any) -> Any:
        yield from ("sees", " a stone")
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainedLanguageModel, "pieces", pieces)
    outcome = recurra_command("generate", tiny_run, "the cat", "--length", "99")
    assert (outcome.code, outcome.out, outcome.err) == (130, "the cat sees a stone\n", "recurra: stopped\n")


def test_predict(recurra_command: Any, tiny_run: Path) -> None:
    outcome = recurra_command("predict", tiny_run, "nobody", "the old", "--top", "3", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    predictions = outcome.json_lines
    assert [found["text"] for found in predictions] == ["nobody", "the old"]
    for found in predictions:
        probabilities = [row["probability"] for row in found["next"]]
        assert len(probabilities) == 3
        assert 1 > probabilities[0] >= probabilities[1] >= probabilities[2] > 0
    assert predictions[1]["next"][0]["token"] == "man"
    assert "<unk>: zebra\n" in recurra_command("predict", tiny_run, "the zebra").err
    said = recurra_command("predict", tiny_run, "the old", "--top", "1")
    assert "the old ..." in said.out
    assert "man" in said.out


def test_predict_the_end_of_a_line_in_one_line(recurra_command: Any, tiny_run: Path) -> None:
    said = recurra_command("predict", tiny_run, "the cat sees a stone often .", "--top", "1")
    assert r"'\n'" in said.out


def test_predict_score(recurra_command: Any, tiny_run: Path) -> None:
    likely, unlikely = "the cat sees a stone often .", "often stone a zebra the cat ."
    outcome = recurra_command("predict", tiny_run, "--score", likely, unlikely, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.json_lines
    assert first["text"] == likely
    assert first["log_probability"] > second["log_probability"]
    assert first["perplexity"] == pytest.approx(math.exp(-first["log_probability"] / first["tokens"]))
    assert (first["tokens"], first["unknown"], second["unknown"]) == (7, [], ["zebra"])
    said = recurra_command("predict", tiny_run, "--score", unlikely)
    assert "log-probability" in said.out
    assert "zebra" in said.out


def test_info(recurra_command: Any, tiny_run: Path) -> None:
    outcome = recurra_command("info", tiny_run, "--check", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = outcome.json
    assert (found["task"], found["architecture"]["model"]["hidden_size"]) == ("language-modelling", [24, 16])
    assert found["total"] == sum(math.prod(shape) for shape in found["parameters"].values())
    assert found["metrics"] == json.loads((tiny_run / "metrics.json").read_text())
    assert 0 <= found["deviation"] < 1e-5
    said = recurra_command("info", tiny_run)
    assert (said.code, said.err) == (0, "")
    for part in (
        "language-modelling",
        f"{found['total']:,} numbers",
        "hidden_size",
        "perplexity",
        "24,16",
        "3 whole epochs",
        "training.window",
    ):
        assert part in said.out


# --- the rest ----------------------------------------------------------------------------------------------------


def test_doctor(recurra_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "new" / "cache"))
    outcome = recurra_command("doctor", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["recurra"] == recurra.__version__
    assert outcome.json["missing"] == []
    assert outcome.json["cache"] == str(tmp_path / "new" / "cache")
    assert outcome.json.keys() >= {"torch", "scipy", "scikit-learn", "pyarrow", "jiwer", "pillow"}
    assert "Nothing is missing." in recurra_command("doctor").out


def test_doctor_names_what_is_missing(recurra_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"numpy": "", "no-such-library": "", "no-such-option": "images"}
    monkeypatch.setattr("recurra.cli.doctor.declared_dependencies", lambda: declared)
    outcome = recurra_command("doctor", "--json")
    assert outcome.code == 1
    assert outcome.json["missing"] == ["no-such-library"]
    assert outcome.json["no-such-option"] == "not installed; pip install recurra[images] adds it"
    assert "pip install no-such-library" in outcome.err


def test_data_list(recurra_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECURRA_DATA", str(tmp_path))
    (tmp_path / "ptb").mkdir()
    outcome = recurra_command("data", "list", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert set(outcome.json) >= set(CATALOGUE)
    assert outcome.json["ptb"]["path"] == str(tmp_path / "ptb")
    assert len(outcome.json["ptb"]["files"]) == 3
    said = recurra_command("data", "list")
    assert "license" in said.out
    assert "  made each time, for speech\n" in said.out
    assert str(tmp_path / "ptb") in said.out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_tables_where_output_is_not_unicode(encoding: str) -> None:
    program = Path(sys.executable).with_name("recurra")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([program, "doctor"], capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert ("─" in done.stdout.decode(encoding)) == (encoding == "utf-8")


@pytest.mark.parametrize("command", ["--help > /dev/null", "data list | true", "info RUN | true"])
def test_the_program_itself_and_a_reader_that_has_seen_enough(command: str, tiny_run: Path) -> None:
    """As in `recurra data list | head`: a pipe that closes early is no reason for a traceback."""
    program = Path(sys.executable).with_name("recurra")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = f"set -o pipefail; '{program}' {command.replace('RUN', str(tiny_run))}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=buffered)
    assert (done.returncode, done.stderr) == (0, "")
