"""What a user can get wrong: each with one line that says what, where and what to do, and its exit code."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recurra.data.catalogue import CATALOGUE
from recurra.runs import FORMAT, Run, canonical_json

FAILURE, USAGE, BAD_DATA = 1, 2, 3
TINY = ["--embedding-size", "8", "--hidden-size", "8,6", "--epochs", "1", "--batch-size", "4", "--window", "5"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Path) -> Path:
    """A folder to work in with texts and recipes, good and bad."""
    monkeypatch.chdir(tmp_path)
    contents: dict[str, str | bytes] = {
        "empty.txt": "",
        "binary.txt": b"text and then\0\1\2",
        "zip.txt": b"PK\x03\x04\xff\xfe\0\0" * 50,
        "utf16.txt": ("text\n" * 50).encode("utf-16"),
        "latin.txt": b"good line\n" * 3 + b"caf\xe9\n" + b"good line\n" * 90,
        "short.txt": "a few words only .\n" * 30,
        "tiny.txt": "word\n",
        "one.txt": "aaaa" * 500,
        "good.txt": story.read_text(),
        "unknown.toml": 'task = "language-modelling"\ndata.path = "good.txt"\ntraining.epoch = 3\n',
        "type.toml": 'task = "language-modelling"\ndata.path = "good.txt"\ntraining.epochs = "many"\n',
        "section.toml": 'task = "language-modelling"\ndata.path = "good.txt"\ntraining = 3\n',
        "taskless.toml": 'data.path = "good.txt"\n',
        "broken.toml": "task = \n",
        "listed.toml": 'task = ["language-modelling"]\n',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "hollow").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("absent.txt", BAD_DATA, "absent.txt: no such file, folder or data set; looked at absent.txt"),
        ("hollow", BAD_DATA, "hollow: an empty folder; expected text files"),
        ("empty.txt", BAD_DATA, "empty.txt: empty; expected plain UTF-8 text"),
        ("binary.txt", BAD_DATA, "binary.txt: a binary file: byte 13 is 0; expected plain text"),
        ("zip.txt", BAD_DATA, "zip.txt: a binary file: byte 6 is 0; expected plain text"),
        ("utf16.txt", BAD_DATA, "utf16.txt: UTF-16 text; convert it first: iconv -f UTF-16 -t UTF-8 utf16.txt"),
        ("latin.txt", BAD_DATA, "latin.txt line 4: not UTF-8 text: byte 33 (0xe9)"),
        ("short.txt --batch-size 40", BAD_DATA, "fewer than one window of 5 steps in each of 40 streams (200)"),
        ("tiny.txt", BAD_DATA, "tiny.txt: too short to split; its"),
        ("one.txt --unit character", BAD_DATA, "the text has 1 distinct character; expected at least 2"),
        ("good.txt --batch-sise 3", USAGE, "recurra: --batch-sise: unknown option; did you mean --batch-size?"),
        ("good.txt --qqqq 3", USAGE, "--qqqq: unknown option; recurra train --help lists them all"),
        ("good.txt -x", USAGE, "-x: unknown option; recurra train --help lists them all"),
        ("good.txt --hidden-size 0", USAGE, "model.hidden_size: expected widths of at least 1, got [0]\n"),
        ("good.txt --batch-size 0", USAGE, "training.batch_size: expected greater than or equal to 1, got 0"),
        ("good.txt --batch-size many", USAGE, "training.batch_size: expected a valid integer"),
        ("good.txt --clip-norm -1", USAGE, "training.clip_norm: expected greater than or equal to 0, got -1"),
        ("good.txt --clip-norm 1 --clip-value 1", USAGE, "clip_norm or clip_value, not both"),
        ("good.txt --time soon", USAGE, "training.time: expected a duration such as 90s, 10m or 1.5h, got 'soon'"),
        ("good.txt --epochs", USAGE, "--epochs: expected a value after it"),
        ("good.txt --set epochs", USAGE, "--set epochs: expected KEY=VALUE"),
        ("good.txt --set training.epoch=3", USAGE, "training.epoch: unknown key; did you mean 'epochs'?"),
        ("good.txt --device warp", USAGE, "device 'warp': not to be had; this machine has cpu"),
        ("good.txt --device cuda:99", USAGE, "device 'cuda:99': not to be had"),
        ("good.txt --unit bpe --vocabulary-size 9", USAGE, "a vocabulary_size of at least 256 where the unit is bpe"),
        ("good.txt tiny.txt", USAGE, "expected one DATA, got good.txt tiny.txt; put more files into a folder"),
        ("", USAGE, "data.path: is required (a text file, a folder, or the name of a data set"),
    ],
)
def test_training_on_what_cannot_be(recurra_command: Any, files: Path, arguments: str, code: int, message: str) -> None:
    outcome = recurra_command("train", "language-modelling", *TINY, *arguments.split(), "--quiet")
    assert message in outcome.err
    assert outcome.code == code
    assert outcome.err.startswith("recurra: ")
    assert outcome.err.count("\n") == 1, "more than one line"
    assert outcome.out == ""
    assert not (files / "runs").exists(), "a run was begun"


@pytest.mark.parametrize(
    ("recipe", "code", "message"),
    [
        ("absent.toml", BAD_DATA, "recipe absent.toml: no such file"),
        ("broken.toml", BAD_DATA, "recipe broken.toml: not a TOML file"),
        ("unknown.toml", USAGE, "recipe unknown.toml: training.epoch: unknown key; did you mean 'epochs'?"),
        ("type.toml", USAGE, "recipe type.toml: training.epochs: expected a valid integer"),
        ("section.toml", USAGE, "recipe section.toml: training: expected a section of keys, got 3"),
        ("taskless.toml", USAGE, "recipe taskless.toml: task: is required; known: language-modelling"),
        ("listed.toml", USAGE, "task ['language-modelling']: unknown; known: language-modelling"),
        ("good.txt", USAGE, "a task comes first: recurra train language-modelling good.txt"),
        ("cooking", USAGE, "task 'cooking': unknown; known: language-modelling"),
    ],
)
@pytest.mark.usefixtures("files")
def test_recipes_that_are_none(recurra_command: Any, recipe: str, code: int, message: str) -> None:
    outcome = recurra_command("train", recipe, "--quiet")
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (code, "")


def damaged(run: Path, how: str) -> Path:
    """Do something to a run."""
    model = run / "model.json"
    if how in ("newer", "older", "other task"):
        values = json.loads(model.read_text())
        del values["sha256"]
        values |= (
            {"format": FORMAT + (1 if how == "newer" else -1)} if how in ("newer", "older") else {"task": "cooking"}
        )
        values["sha256"] = hashlib.sha256(canonical_json(values)).hexdigest()
        model.write_bytes(canonical_json(values))
    elif how == "absent":
        return run / "absent"
    elif how == "file":
        return model
    elif how == "not a run":
        model.unlink()
    elif how == "other recipe":
        recipe = run / "recipe.toml"
        recipe.write_text(recipe.read_text().replace("embedding_size = 20", "embedding_size = 21"))
    elif how.startswith("no "):
        (run / how.removeprefix("no ")).unlink()
    else:
        path = run / how.removeprefix("flipped ")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    return run


DAMAGES = {
    "absent": "no such folder; `recurra train` makes one",
    "file": "is a file; expected the folder that `recurra train` made",
    "not a run": "not a run folder, it has no model.json",
    "no recipe.toml": "incomplete, recipe.toml is missing",
    "no tokenizer.json": "incomplete, tokenizer.json is missing",
    "no model.safetensors": "incomplete, model.safetensors is missing",
    "flipped model.json": "model.json: damaged",
    "flipped model.safetensors": "model.safetensors: damaged",
    "flipped tokenizer.json": "tokenizer.json: changed or damaged",
    "other recipe": "recipe.toml and model.json describe different models",
    "newer": f"format {FORMAT + 1} is newer than {FORMAT}, the newest this Recurra reads; upgrade with pip install "
    "--upgrade recurra",
    "older": f"format {FORMAT - 1} is older than {FORMAT}, the only one this Recurra reads; train it again from its "
    "recipe.toml, with today's keys (docs/recipes.md)",
    "other task": "of task 'cooking', which this version does not know; known: language-modelling",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_runs_that_cannot_be_used(recurra_command: Any, tiny_run: Path, tmp_path: Path, how: str) -> None:
    run = damaged(shutil.copytree(tiny_run, tmp_path / "run"), how)
    for command in (["info", run], ["predict", run, "the"], ["generate", run], ["evaluate", run, "--quiet"]):
        outcome = recurra_command(*command)
        assert DAMAGES[how] in outcome.err
        assert (outcome.code, outcome.out) == (BAD_DATA, ""), command


@pytest.mark.parametrize("how", [how for how in DAMAGES if how != "no model.safetensors"])  # the checkpoint has them
def test_runs_that_cannot_be_resumed(recurra_command: Any, tiny_run: Path, tmp_path: Path, how: str) -> None:
    run = damaged(shutil.copytree(tiny_run, tmp_path / "run"), how)
    outcome = recurra_command("train", "--resume", run, "--quiet")
    assert DAMAGES[how] in outcome.err
    assert (outcome.code, outcome.out) == (BAD_DATA, "")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("flipped last/checkpoint.safetensors", "checkpoint.safetensors: damaged"),
        ("no last/checkpoint.safetensors", "incomplete, last/checkpoint.safetensors is missing"),
    ],
)
def test_checkpoints_that_cannot_be_resumed(
    recurra_command: Any, tiny_run: Path, tmp_path: Path, how: str, message: str
) -> None:
    run = damaged(shutil.copytree(tiny_run, tmp_path / "run"), how)
    outcome = recurra_command("train", "--resume", run, "--epochs", "9", "--quiet")
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (BAD_DATA, "")


@pytest.mark.parametrize(
    ("how", "command", "message"),
    [
        ("flipped metrics.json", ["info"], "metrics.json"),
        ("flipped samples.jsonl", ["info", "--check"], "samples.jsonl"),
    ],
)
def test_damaged_records_are_named(
    recurra_command: Any, tiny_run: Path, tmp_path: Path, how: str, command: list[str], message: str
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / how.removeprefix("flipped ")).write_text('{"model": ')
    outcome = recurra_command(command[0], run, *command[1:])
    assert f"{message}: damaged, not JSON" in outcome.err
    assert (outcome.code, outcome.out) == (BAD_DATA, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--hidden-size 9,9", "(model.hidden_size: [24, 16] in the run, [9, 9] now); train a new run instead"),
        ("--seed 5", "(seed: 1 in the run, 5 now)"),
        ("--set training.learning_rate=1", "training.learning_rate: 0.01 in the run, 1.0 now"),
        ("language-modelling other.txt", "takes no further task or data, got language-modelling other.txt"),
        ("--epoch 5", "--epoch: unknown option; did you mean --epochs?"),
    ],
)
def test_resuming_with_another_recipe(
    recurra_command: Any, tiny_run: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    outcome = recurra_command("train", "--resume", run, *arguments.split(), "--quiet")
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (USAGE, "")
    assert (run / "recipe.toml").read_bytes() == (tiny_run / "recipe.toml").read_bytes()


def test_a_folder_that_holds_a_run_already(recurra_command: Any, tiny_run: Path, story: Path) -> None:
    outcome = recurra_command("train", "language-modelling", story, "--run", tiny_run, "--quiet")
    assert f"{tiny_run}: already holds a run; go on with it by --resume {tiny_run}" in outcome.err
    assert outcome.code == USAGE


def test_a_run_folder_that_cannot_be_written(recurra_command: Any, files: Path) -> None:
    outcome = recurra_command("train", "language-modelling", "good.txt", *TINY, "--run", "good.txt/run", "--quiet")
    assert "good.txt/run: cannot be written (" in outcome.err
    assert (outcome.code, outcome.out) == (FAILURE, "")
    assert (files / "good.txt").is_file()


def test_a_disk_that_fills_up_while_saving(recurra_command: Any, tiny_run: Path, tmp_path: Path) -> None:
    """The checkpoint before survives, and training goes on from it once there is room."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    kept = {path: path.read_bytes() for path in run.rglob("*.safetensors")}
    full = subprocess.run(
        [
            sys.executable,
            "-c",
            "from recurra.cli import main; main()",
            "train",
            "--resume",
            run,
            "--epochs",
            "4",
            "--quiet",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert "cannot be written (File too large); a version written before is untouched" in full.stderr
    assert full.returncode == FAILURE
    assert {path: path.read_bytes() for path in run.rglob("*.safetensors")} == kept
    assert not list(run.rglob(".*")), "a temporary file was left"
    assert recurra_command("train", "--resume", run, "--epochs", "4", "--quiet").code == 0
    assert Run(run).read_json("metrics.json")["training"]["epochs"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("generate RUN --length 0", "generate: length: expected greater than or equal to 1, got 0"),
        ("generate RUN --temperature -1", "generate: temperature: expected greater than or equal to 0, got -1"),
        ("generate RUN --temperature nan", "generate: temperature: expected a finite number, got nan"),
        ("generate RUN --temperature inf", "generate: temperature: expected a finite number, got inf"),
        ("generate RUN --interactive --json", "--interactive is for people, --json for programs"),
        ("generate RUN --top-k 0", "generate: top_k: expected greater than or equal to 1, got 0"),
        ("generate RUN --top-p 0", "generate: top_p: expected greater than 0, got 0"),
        ("generate RUN --top-p 1.1", "generate: top_p: expected less than or equal to 1, got 1.1"),
        ("generate RUN --seed -1", "generate: seed: expected greater than or equal to 0, got -1"),
        (
            "generate RUN --seed 9223372036854775808",
            "generate: seed: expected less than or equal to 9223372036854775807",
        ),
        ("generate RUN --length many", "generate: length: expected a valid integer"),
        ("generate RUN --length", "--length: expected a value after it (number of tokens to generate)"),
        ("generate RUN -n 5", "-n: unknown option; recurra generate "),
        ("generate RUN --device warp", "device 'warp': not to be had"),
        ("predict RUN the --top 0", "predict: top: expected greater than or equal to 1, got 0"),
        ("evaluate", "RUN"),
        ("evaluate RUN --loud", "--loud"),
        (
            "evaluate RUN corpus.txt --unit word",
            "unit: is fixed by the training; other text is read in the same way, leave it out",
        ),
        ("evaluate --unit word RUN", "--unit: stands before the run; write recurra evaluate RUN DATA --unit"),
        ("cook", "cook"),
    ],
)
def test_wrong_options(recurra_command: Any, tiny_run: Path, arguments: str, message: str) -> None:
    outcome = recurra_command(*(str(tiny_run) if word == "RUN" else word for word in arguments.split()))
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (USAGE, "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["evaluate", "absent.txt", "--quiet"], "absent.txt: no such file"),
        (["evaluate", "latin.txt", "--quiet"], "latin.txt line 4: not UTF-8 text: byte 33"),
    ],
)
@pytest.mark.usefixtures("files")
def test_text_a_run_cannot_read(recurra_command: Any, tiny_run: Path, command: list[str], message: str) -> None:
    outcome = recurra_command(command[0], tiny_run, *command[1:])
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (BAD_DATA, "")


def test_a_data_set_that_the_catalogue_lacks(recurra_command: Any) -> None:
    outcome = recurra_command("data", "fetch", "prb")
    assert f"prb: not in the catalogue; it has {', '.join(CATALOGUE)}" in outcome.err
    assert outcome.code == BAD_DATA


def test_training_that_diverges(recurra_command: Any, files: Path) -> None:
    outcome = recurra_command(
        *("train", "language-modelling", "good.txt", *TINY, "--run", "run", "--quiet"),
        *("--optimizer", "sgd", "--learning-rate", "1e38"),
    )
    assert "the loss is " in outcome.err
    assert "Start a new run with a lower learning_rate" in outcome.err
    assert (outcome.code, outcome.out) == (FAILURE, "")
    assert (files / "run" / "model.json").exists()


def test_control_c_ends_as_a_shell_expects(recurra_command: Any, story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recurra.training.train", stop)
    outcome = recurra_command("train", "language-modelling", story, "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "recurra: stopped\n")


def test_control_c_while_training_is_told_what_to_do(
    recurra_command: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recurra.training.loop import Training

    take_step = Training.take_step

    def stop(self: Training, batch: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return take_step(self, batch)

    monkeypatch.setattr(Training, "take_step", stop)
    outcome = recurra_command("train", "language-modelling", "good.txt", *TINY, "--run", "run", "--quiet")
    assert outcome.err == "recurra: stopped and saved after step 1; go on with: recurra train --resume run\n"
    assert (outcome.code, outcome.out) == (130, "")
    outcome = recurra_command("predict", files / "run", "the cat", "--json")
    assert "run is not finished: these are its best weights so far, of step 1\n" in outcome.err
    assert outcome.code == 0


def test_control_c_while_python_imports_ends_at_once() -> None:
    """Raised inside a half-imported library, the exception would come out as another, or not at all."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['recurra', 'predict', 'run', 'the']\n"
        "from recurra.cli import main; main()"
    )
    heard = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    done = subprocess.run([sys.executable, "-c", heard], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    ignored = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{code}"
    done = subprocess.run([sys.executable, "-c", ignored], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("no such folder")) == (BAD_DATA, 1), "what was ignored is no longer"


def test_samples_that_no_longer_come_out_are_a_failure(tiny_run: Path, tmp_path: Path, recurra_command: Any) -> None:
    moved = tmp_path / "run"
    shutil.copytree(tiny_run, moved)
    rows = [json.loads(line) for line in (moved / "samples.jsonl").read_text().splitlines()]
    rows[0]["outputs"][3] -= 0.01
    (moved / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = recurra_command("info", moved, "--check")
    assert outcome.code == 3
    assert "come out different by 0.01" in outcome.err
    (moved / "samples.jsonl").write_text("")
    assert "holds no sample" in recurra_command("info", moved, "--check").err
