"""What the commands that use a model have in common: inputs, options, where answers go, what is refused."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.cli.answers import Printer
from recurra.tasks import TASKS, TaskEntry

VERBS = [(entry.name, entry.verb) for entry in TASKS.values()]
OTHER = {"classification": "translation"}  # a task without this one's verb; of the others it is classification
READ_TEXTS = {  # by task: inputs, and what stands in the answer to each
    "classification": (["the rome is number 3", "the bath is number 4"], ["city", "town"]),
    "tagging": (["go to rome", "go to bath"], ["B-city", "B-town"]),
    "translation": (["abc", "fed"], ["ABC", "FED"]),
}
READ_FILES = ["series", "captioning", "speech"]
CALLED = {"series": "classification"}
NEAREST = {  # by task: an option with a mistake, and the one that is meant
    "language-modelling": ("--temprature", "--temperature"),
    "classification": ("--text-colum", "--text-column"),
    "forecasting": ("--quantile", "--quantiles"),
    "translation": ("--beam-sise", "--beam-size"),
    "captioning": ("--beam-sise", "--beam-size"),
    "speech": ("--strem", "--stream"),
}
DRAWN = ("forecasting", "translation", "captioning")


class Terminal(io.StringIO):
    """Where somebody types."""

    def isatty(self) -> bool:
        return True


def files_for(name: str, data: Path, folder: Path) -> tuple[list[Path], Path]:
    """Two files that a model reads, and one that it cannot."""
    if name == "series":
        for file in ("one.npz", "two.npz"):
            np.savez(folder / file, x=np.zeros((1, 5, 2)))
        (folder / "bad.npz").write_text("this is text")
        return [folder / "one.npz", folder / "two.npz"], folder / "bad.npz"
    ending = "png" if name == "captioning" else "wav"
    (folder / f"bad.{ending}").write_bytes((data / f"3.{ending}").read_bytes()[:50])
    return [data / f"3.{ending}", data / f"4.{ending}"], folder / f"bad.{ending}"


# --- verbs and options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_every_option_has_a_name_of_its_own_a_description_and_a_default_one_would_type(task: str) -> None:
    """One that had the name of an option of the command itself, or of a key of files, could not be given."""
    from recurra.config import leaf_options

    taken = {"file", "out", "plot", "interactive", "device", "as_json", "json", "help"}
    taken |= set(getattr(TASKS[task].task, "other_data_keys", ()))
    for verb in TASKS[task].trained.verbs.values():
        for option in leaf_options(verb.options):
            assert option.key not in taken
            assert option.field.description
            assert option.parse(option.default) == option.field.default


@pytest.mark.parametrize(("task", "verb"), VERBS)
def test_help_shows_the_options_of_a_run_and_their_defaults(
    recurra_command: Any, small_run: Callable[[str], Any], task: str, verb: str
) -> None:
    from recurra.cli.recipe_options import option_rows

    run = small_run(task).run
    for command in {verb, "predict"}:
        outcome = recurra_command(command, run, "--help")
        assert (outcome.code, outcome.err) == (0, "")
        verbs = TASKS[task].trained.verbs
        for option, _, _ in option_rows(verbs.get(command, verbs["predict"]).options):
            assert f"{option} " in outcome.out
        for key in getattr(TASKS[task].task, "other_data_keys", ()):
            assert f"--{key.replace('_', '-')} " in outcome.out
    assert "Options of" not in recurra_command(verb, "--help").out


@pytest.mark.parametrize(("task", "verb"), [(task, verb) for task, verb in VERBS if verb != "predict"])
def test_a_run_of_another_task_names_the_command_that_is_meant(
    recurra_command: Any, small_run: Callable[[str], Any], task: str, verb: str
) -> None:
    run = small_run("tagging").run
    outcome = recurra_command(verb, run, "text")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"recurra: {run}: its task is tagging; see recurra predict {run}")
    other = small_run(task).run
    outcome = recurra_command("transcribe" if verb != "transcribe" else "translate", other, "text")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{other}: its task is {task}; see recurra {verb} {other}" in outcome.err


@pytest.mark.parametrize("task", NEAREST)
def test_an_unknown_option_names_the_nearest(recurra_command: Any, small_run: Callable[[str], Any], task: str) -> None:
    wrong, meant = NEAREST[task]
    outcome = recurra_command(TASKS[task].verb, small_run(task).run, "text", wrong, "1")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"recurra: {wrong}: unknown option; did you mean {meant}?\n"
    outcome = recurra_command("predict", small_run(task).run, "text", "-x")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"-x: unknown option; recurra predict {small_run(task).run} --help lists them all" in outcome.err


@pytest.mark.parametrize("task", [task for task in TASKS if task not in DRAWN])
def test_plot_is_refused_where_nothing_is_drawn(
    recurra_command: Any, small_run: Callable[[str], Any], task: str
) -> None:
    outcome = recurra_command(TASKS[task].verb, small_run(task).run, "text", "--plot")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"recurra: --plot: answers of {task} are not drawn; leave it out\n"


@pytest.mark.parametrize("verb", dict.fromkeys(verb for _, verb in VERBS))
@pytest.mark.parametrize("arguments", [[], ["--json", "--beam-size", "3", "runs/some"]], ids=["nothing", "options"])
def test_the_run_comes_first(recurra_command: Any, verb: str, arguments: list[str]) -> None:
    outcome = recurra_command(verb, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"expected the folder of a run first: recurra {verb} RUN" in outcome.err


def test_keys_that_training_has_fixed(recurra_command: Any, small_run: Callable[[str], Any]) -> None:
    outcome = recurra_command("predict", small_run("classification").run, "--file", "x.csv", "--unit", "character")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--unit: is fixed by the training; files may differ in text_column, label_column" in outcome.err


@pytest.mark.parametrize("name", ["classification", "series"])
def test_impossible_values_of_keys_of_files(
    recurra_command: Any, small_run: Callable[[str], Any], name: str, tmp_path: Path
) -> None:
    outcome = recurra_command("predict", small_run(name).run, "--file", tmp_path / "x.csv", "--on-bad", "ignore")
    assert (outcome.code, outcome.out) == (2, "")
    assert "predict: on_bad: expected 'fail' or 'drop', got 'ignore'" in outcome.err


def test_keys_of_files_where_none_is_read(recurra_command: Any, small_run: Callable[[str], Any]) -> None:
    outcome = recurra_command("predict", small_run("classification").run, "rome", "--text-column", "words")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--text-column: is about files, and none is named; name one with --file, or leave it out" in outcome.err


def test_a_file_with_another_column(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("words,id\nthe rome is number 3,1\nthe bath is number 4,2\n")
    found = recurra_command(
        *("predict", small_run("classification").run, "--file", tmp_path / "new.csv", "--text-column", "words"),
        "--json",
    )
    assert [row["label"] for row in found.json_lines] == ["city", "town"]


# --- texts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", READ_TEXTS)
def test_arguments_a_file_and_standard_input_are_answered_alike(
    recurra_command: Any, small_run: Callable[[str], Any], task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each has its answer in its place, an empty one null."""
    run, ([first, second], [one, two]) = small_run(task).run, READ_TEXTS[task]
    given = [first, "", "  ", f" {second} "]
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in given))
    ways = (given, ["--file", file], [], ["-"])
    for arguments in ways:
        monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
        answers = recurra_command(TASKS[task].verb, run, *arguments, "--json").json_lines
        assert [answer is None for answer in answers] == [False, True, True, False]
        assert [one in json.dumps(answers[0]), two in json.dumps(answers[3])] == [True, True]
    shown = set()
    for arguments in ways:
        monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
        outcome = recurra_command(TASKS[task].verb, run, *arguments)
        assert (outcome.code, outcome.err) == (0, "")
        shown.add(outcome.out)
    assert len(shown) == 1, "all ways print the same"
    (text,) = shown
    assert [word for word in (one, two) if word in text] == [one, two]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert recurra_command(TASKS[task].verb, run).out == "\n"


def test_piped_texts_make_one_table_and_typed_ones_are_answered_at_once(
    recurra_command: Any, small_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (texts, _) = small_run("classification").run, READ_TEXTS["classification"]
    lines = "".join(f"{text}\n" for text in texts)
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert recurra_command("predict", run).out.count("probability") == 1
    monkeypatch.setattr("sys.stdin", Terminal(lines))
    outcome = recurra_command("predict", run)
    assert outcome.out.count("probability") == 2
    assert outcome.err == "one input a line, Ctrl-D ends\n"


@pytest.mark.parametrize("task", READ_TEXTS)
def test_each_line_of_a_pipe_is_answered_before_the_next(
    recurra_command: Any, small_run: Callable[[str], Any], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that writes a line and waits for its answer gets it; translation answers some at a time."""
    run, ([first, second], _) = small_run(task).run, READ_TEXTS[task]
    events: list[str] = []

    class Lines(io.StringIO):
        def __next__(self) -> str:
            line = super().__next__()
            events.append("line")
            return line

    def refuse_bar(*_: object) -> None:
        raise AssertionError("a bar would flash at each line")

    if task != "translation":
        monkeypatch.setattr("recurra.progress.ConsoleProgress.stage", refuse_bar)
    monkeypatch.setattr(Printer, "write_json", lambda _, value: events.append("answer" if value else "null"))
    monkeypatch.setattr("sys.stdin", Lines(f"{first}\n\n{second}\n"))
    assert recurra_command(TASKS[task].verb, run, "--json").code == 0
    if task == "translation":
        assert events == [*["line"] * 3, "answer", "null", "answer"]
    else:
        assert events == ["line", "answer", "line", "null", "line", "answer"]


def test_a_file_named_as_text_is_taken_as_text_with_a_hint(
    recurra_command: Any, small_run: Callable[[str], Any]
) -> None:
    run, data = small_run("tagging")
    hinted = recurra_command("predict", run, data)
    assert (hinted.code, f"{data} is read as a text; for the texts in it: --file {data}" in hinted.err) == (0, True)


def test_texts_that_begin_with_a_dash_stand_behind_two(recurra_command: Any, small_run: Callable[[str], Any]) -> None:
    run = small_run("tagging").run
    found = recurra_command("predict", run, "--json", "go", "--", "--rome", "-x", "- bath").json_lines
    assert [" ".join(row["tokens"]) for row in found] == ["go", "--rome", "-x", "- bath"]


def test_what_is_no_text_is_refused_after_the_answers_before_it(
    recurra_command: Any, small_run: Callable[[str], Any]
) -> None:
    outcome = recurra_command("predict", small_run("tagging").run, "go to rome", "caf\udce9")
    assert outcome.code == 3
    assert outcome.err == "recurra: text 2 of 2: not UTF-8 at character 4; convert it first\n"
    assert "B-city" in outcome.out


def test_texts_are_asked_for_until_an_empty_line(
    recurra_command: Any, small_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run("tagging").run
    for terminal in (io.StringIO, Terminal):
        monkeypatch.setattr("sys.stdin", terminal("go to oslo\nto bath\n\nto ulm\n"))
        outcome = recurra_command("predict", run, "rome", "--interactive")
        assert [place for place in ("rome", "oslo", "bath", "ulm") if place in outcome.out] == ["rome", "oslo", "bath"]
        assert outcome.err == ("input (an empty line ends)> " * 3 if terminal is Terminal else "")


def test_interactive_is_for_texts(recurra_command: Any, small_run: Callable[[str], Any]) -> None:
    outcome = recurra_command("predict", small_run("series").run, "--interactive")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--interactive: asks for texts, but " in outcome.err
    assert "reads files; name them instead" in outcome.err


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READ_FILES)
def test_answers_to_files_before_one_that_cannot_be_read_come_first(
    recurra_command: Any, small_run: Callable[[str], Any], name: str, tmp_path: Path
) -> None:
    run, data = small_run(name)
    verb = TASKS[CALLED.get(name, name)].verb
    (first, second), bad = files_for(name, data, tmp_path)
    outcome = recurra_command(verb, run, first, bad, second, "--json")
    assert (outcome.code, len(outcome.json_lines)) == (3, 1)
    assert str(first) in outcome.out
    assert str(bad) in outcome.err
    outcome = recurra_command(verb, run, bad)
    assert (outcome.code, outcome.out) == (3, "")
    assert f"recurra: {bad}: " in outcome.err
    both = recurra_command(verb, run, first, second, "--json").json_lines
    assert both == recurra_command(verb, run, first, "--file", second, "--json").json_lines
    assert len(both) == 2


@pytest.mark.parametrize("name", READ_FILES)
def test_models_that_read_files_read_no_lines(recurra_command: Any, small_run: Callable[[str], Any], name: str) -> None:
    run = small_run(name).run
    outcome = recurra_command("predict", run)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"recurra: {run}: reads files; name some: recurra predict {run} FILE\n"


# --- where answers go -----------------------------------------------------------------------------------------------


def test_answers_go_to_a_file(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    run, (texts, labels), out = small_run("classification").run, READ_TEXTS["classification"], tmp_path / "answers.csv"
    outcome = recurra_command("predict", run, texts[0], "", texts[1], "--out", out)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", f"answers {out}\n")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["label"] for row in rows] == [labels[0], "", labels[1]]
    assert recurra_command("predict", run, *texts, "--out", out, "--json").out == ""
    assert [json.loads(line)["label"] for line in out.read_text().splitlines()] == labels


def test_a_failure_keeps_the_answers_before_it_and_else_the_file(
    recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path
) -> None:
    run, out = small_run("tagging").run, tmp_path / "answers.jsonl"
    out.write_text("kept")
    assert recurra_command("predict", run, "--file", tmp_path / "absent.txt", "--out", out, "--json").code == 3
    assert out.read_text() == "kept"
    assert recurra_command("predict", run, "rome", "caf\udce9", "--out", out, "--json").code == 3
    assert json.loads(out.read_text())["tokens"] == ["rome"]


def test_a_file_that_cannot_be_written(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = recurra_command("predict", small_run("tagging").run, "rome", "--out", tmp_path / "file" / "x.csv")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{tmp_path / 'file' / 'x.csv'}: cannot be written" in outcome.err


def test_a_reader_that_has_seen_enough(small_run: Callable[[str], Any]) -> None:
    """As in `recurra predict RUN --file new.csv | head -1`."""
    run, data = small_run("classification")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    program = f"'{sys.executable}' -c 'from recurra.cli import main; main()'"
    for last in ("true", "head -1"):
        line = f"set -o pipefail; {program} predict '{run}' --file '{data}' --json | {last}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=buffered)
        assert (done.returncode, done.stderr) == (0, "")


def test_answers_are_not_kept_where_nothing_is_said_about_them_together(
    recurra_command: Any, small_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe may go on for days."""
    import gc
    import weakref

    class Answer:
        def as_json(self) -> dict[str, str]:
            return {}

    alive: list[int] = []
    seen: list[Any] = []

    def answer(model: Any, inputs: Any, options: Any, progress: Any) -> list[Answer]:  # noqa: ARG001
        gc.collect()
        alive.append(sum(one() is not None for one in seen))
        answers = [Answer() for _ in inputs]
        seen.extend(map(weakref.ref, answers))
        return answers

    verb = TASKS["tagging"].trained.verbs["predict"]._replace(answer=answer)
    monkeypatch.setattr(TASKS["tagging"].trained, "verbs", {"predict": verb})
    monkeypatch.setattr("sys.stdin", io.StringIO("go\n" * 9))
    assert recurra_command("predict", small_run("tagging").run, "--json").out == "{}\n" * 9
    assert max(alive) <= 1


def test_every_verb_is_a_command(recurra_command: Any) -> None:
    listed = recurra_command("--help").out
    for entry in TASKS.values():
        assert isinstance(entry, TaskEntry)
        assert f"  {entry.verb} " in listed
