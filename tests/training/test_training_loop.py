"""The training loop: resuming is exact, and no failure loses good weights."""

import errno
import json
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import recurra
from recurra.errors import DataError, DivergedError, RunError, SaveError, UsageError
from recurra.progress import Advance, Progress
from recurra.runs import BEST, CHECKPOINT, WEIGHTS, Run
from recurra.tasks.language_modelling.task import LanguageModelling
from recurra.tasks.task import Metric
from recurra.training import resume, train
from recurra.training.loop import Training

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "the",
    "dog",
    "lay",
    "by",
    "the",
    "door",
    "while",
    "rain",
    "fell",
]
SHAPE = {"embedding_size": 5, "hidden_size": [7, 4], "batch_size": 3, "window": 6, "shares": [0.8, 0.1, 0.1]}
SGD = {"optimizer": "sgd", "learning_rate": 2.0, "momentum": 0.5, "schedule": "step", "decay": 0.5, "clip_norm": 0.5}
ADAM = {"optimizer": "adamw", "learning_rate": 0.01, "schedule": "plateau", "clip_value": 0.1, "weight_decay": 0.01}


class InterruptAt(Progress):
    """Sends this process Ctrl-C after a number of training steps."""

    def __init__(self, step: int) -> None:
        self.steps_left = step
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def stage(self, title: str, total: float, done: float = 0) -> Iterator[Advance]:  # noqa: ARG002
        def advance(amount: float, detail: str = "") -> None:  # noqa: ARG001
            if title == "training":
                self.steps_left -= 1
                if self.steps_left == 0:
                    signal.raise_signal(signal.SIGINT)

        yield advance


@pytest.fixture
def text(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(11)
    lines = [" ".join(WORDS[int(i)] for i in torch.randint(len(WORDS), (9,), generator=generator)) for _ in range(60)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def fit(text: Path, folder: Path, progress: Progress | None = None, **options: Any) -> Run:
    return Run(train("language-modelling", text, run=folder, progress=progress or Progress(), **SHAPE, **options))


def without_times(run: Run) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in run.read("history.jsonl").splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "items_per_second")} for row in rows]


def assert_same_position(one: Run, other: Run) -> None:
    """All plain values of the checkpoints, except for times."""
    mine, others = (run.read_tensors(CHECKPOINT).values for run in (one, other))
    assert mine["schedule"] == others["schedule"]
    first, second = mine["position"], others["position"]
    for position in (first, second):
        for part in (position, position["totals"]):
            part.pop("seconds")
        position.pop("history")  # compared by its file
    assert first == second


def assert_same_tensors(one: Run, other: Run, name: str) -> None:
    first, second = one.read_tensors(name).tensors, other.read_tensors(name).tensors
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key


@pytest.mark.parametrize(
    "rule",
    [
        SGD,
        ADAM,
        {**SGD, "momentum": 0, "ema_decay": 0.9},
        {**ADAM, "ema_decay": 0.9},
        {**ADAM, "schedule": "plateau", "warmup_steps": 28},  # into the second epoch
        {**SGD, "schedule": "cosine", "warmup_steps": 3},
        {**ADAM, "schedule": "one-cycle"},
    ],
    ids=["sgd", "adamw", "sgd-ema", "adamw-ema", "warm-up", "cosine", "one-cycle"],
)
@pytest.mark.parametrize("steps", [2, 27, 29, 40])  # within the first epoch, at its last step, at and after its end
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    rule: dict[str, Any], steps: int, text: Path, tmp_path: Path
) -> None:
    options = {**rule, "epochs": 2, "dropout": 0.3, "word_dropout": 0.2, "locked_dropout": True}
    whole = fit(text, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt, match=f"step {steps}; go on with: recurra train --resume"):
        fit(text, tmp_path / "parts", InterruptAt(steps), **options)
    torch.manual_seed(999)  # whatever happened in between
    progress = InterruptAt(10**6)
    resumed = Run(resume(tmp_path / "parts", progress=progress))
    assert f"after step {steps}, in epoch {1 + steps // 27}" in progress.notes[0]
    assert_same_tensors(whole, resumed, WEIGHTS)
    assert_same_tensors(whole, resumed, CHECKPOINT)
    assert_same_position(whole, resumed)
    assert without_times(whole) == without_times(resumed)
    assert whole.read_json("metrics.json")["model"] == resumed.read_json("metrics.json")["model"]


def test_the_moving_average_of_the_weights_is_validated_and_saved(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    step = Training.take_step

    def noted(training: Training, batch: Any) -> tuple[float, int, float]:
        result = step(training, batch)
        seen.append({name: tensor.clone() for name, tensor in training.task.model.state_dict().items()})
        return result

    monkeypatch.setattr(Training, "take_step", noted)
    plain = fit(text, tmp_path / "plain", **ADAM, epochs=1)
    steps, seen[:] = seen.copy(), []
    run = fit(text, tmp_path / "ema", **ADAM, epochs=1, ema_decay=0.8)
    assert all(torch.equal(one[key], other[key]) for one, other in zip(steps, seen, strict=True) for key in one)
    kept = run.read_tensors(WEIGHTS).tensors
    for name, tensor in kept.items():
        expected = seen[0][name]
        for number, weights in enumerate(seen[1:], 2):
            decay = min(0.8, number / (number + 9))
            expected = decay * expected + (1 - decay) * weights[name]
        assert torch.allclose(tensor, expected, atol=1e-6), name
        assert torch.equal(run.read_tensors(CHECKPOINT).tensors[f"model.{name}"], seen[-1][name]), "training goes on"
    assert without_times(run)[0]["train_loss"] == without_times(plain)[0]["train_loss"]
    assert without_times(run)[0]["valid_loss"] != without_times(plain)[0]["valid_loss"]
    assert recurra.load(run.folder).evaluate()["model"] == run.read_json("metrics.json")["model"]


def test_before_the_first_epoch_ends_the_moving_average_is_the_usable_model(text: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "run", InterruptAt(3), **ADAM, ema_decay=0.9)
    run = Run(tmp_path / "run")
    kept, checkpoint = run.read_tensors(WEIGHTS).tensors, run.read_tensors(CHECKPOINT).tensors
    means = {tensor.data_ptr(): tensor for key, tensor in checkpoint.items() if key.endswith(".ema")}
    assert len(means) == len(list(kept))
    for name, tensor in kept.items():
        assert not torch.equal(tensor, checkpoint[f"model.{name}"]), name
        assert any(torch.equal(tensor, mean) for mean in means.values()), name


def test_interrupted_again_and_again(text: Path, tmp_path: Path) -> None:
    whole = fit(text, tmp_path / "whole", **ADAM, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "parts", InterruptAt(3), **ADAM, epochs=1)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            resume(tmp_path / "parts", progress=InterruptAt(4))
    assert_same_tensors(whole, Run(resume(tmp_path / "parts", progress=Progress())), WEIGHTS)


def test_interrupted_run_can_be_used(text: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "run", InterruptAt(2), **ADAM)
    assert recurra.load(tmp_path / "run").predict(["the cat"])


def test_longer_run_is_a_shorter_one_resumed(text: Path, tmp_path: Path) -> None:
    longer = fit(text, tmp_path / "longer", **SGD, epochs=3)
    fit(text, tmp_path / "shorter", **SGD, epochs=1)
    resumed = Run(resume(tmp_path / "shorter", progress=Progress(), epochs=3))
    assert_same_tensors(longer, resumed, CHECKPOINT)
    assert resumed.read_recipe()["training"]["epochs"] == 3


def test_same_seed_same_weights_other_seed_others(text: Path, tmp_path: Path) -> None:
    one, two, three = (fit(text, tmp_path / str(n), **ADAM, epochs=1, seed=seed) for n, seed in enumerate((4, 4, 5)))
    assert_same_tensors(one, two, WEIGHTS)
    with pytest.raises(AssertionError):
        assert_same_tensors(one, three, WEIGHTS)


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_resume_refuses_another_length_of_a_schedule_by_step(name: str, text: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "run", InterruptAt(5), **{**ADAM, "schedule": name}, epochs=2)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=f"training.epochs cannot change on resuming with schedule = '{name}'"):
        resume(tmp_path / "run", progress=Progress(), epochs=3)
    with pytest.raises(UsageError, match=r"training\.steps cannot change on resuming"):
        resume(tmp_path / "run", progress=Progress(), steps=30)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_schedule_by_step_ends_with_the_steps_and_the_history_has_the_last_rate_of_each_epoch(
    text: Path, tmp_path: Path
) -> None:
    options = {**ADAM, "schedule": "cosine", "warmup_steps": 10}
    by_epochs = fit(text, tmp_path / "epochs", **options, epochs=2)  # 27 steps each
    by_steps = fit(text, tmp_path / "steps", **options, epochs=9, steps=40)
    for run, total, steps in ((by_epochs, 54, (27, 54)), (by_steps, 40, (27, 40))):
        expected = [0.01 * (1 + math.cos(math.pi * (step - 1 - 10) / (total - 10))) / 2 for step in steps]
        assert [row["learning_rate"] for row in without_times(run)] == pytest.approx(expected)


def test_warmup_as_long_as_the_training_leaves_no_folder(text: Path, tmp_path: Path) -> None:
    options = {**ADAM, "schedule": "cosine", "warmup_steps": 27}
    with pytest.raises(UsageError, match="warmup_steps: expected fewer than the 27 steps of the whole training"):
        fit(text, tmp_path / "run", **options, epochs=1)
    assert not (tmp_path / "run").exists()


def test_checkpoint_between_the_last_step_and_validation_can_be_resumed(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(text, tmp_path / "whole", **SGD, epochs=2)

    def fail(*_: Any) -> None:
        raise RuntimeError("the power is off")

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelling, "validate", fail)
        with pytest.raises(RuntimeError):
            fit(text, tmp_path / "run", **SGD, epochs=2, checkpoint_every=1e-9)
    assert Run(tmp_path / "run").read_tensors(CHECKPOINT).values["position"]["batch"] == 27
    resume(tmp_path / "run", progress=Progress(), checkpoint_every=300)
    assert_same_tensors(whole, Run(tmp_path / "run"), CHECKPOINT)
    assert without_times(whole) == without_times(Run(tmp_path / "run"))


def test_resume_refuses_another_recipe(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **SGD, epochs=1)
    before = run.path("recipe.toml").read_bytes()
    with pytest.raises(UsageError, match=r"training\.batch_size: 3 in the run, 4 now"):
        resume(run.folder, progress=Progress(), batch_size=4)
    assert run.path("recipe.toml").read_bytes() == before


def test_resume_without_checkpoint(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **SGD, epochs=1)
    run.path(CHECKPOINT).unlink()
    with pytest.raises(RunError, match=r"checkpoint\.safetensors is missing"):
        resume(run.folder, progress=Progress())


def test_resume_refuses_an_edited_recipe(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **SGD, epochs=1)
    edited = run.read("recipe.toml").replace("window = 6", "window = 5")
    run.write("recipe.toml", edited)
    with pytest.raises(UsageError, match=r"training\.window: 6 in the run, 5 now"):
        resume(run.folder, progress=Progress())


def test_resume_refuses_changed_data(text: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "run", InterruptAt(3), **SGD)
    text.write_text(text.read_text().replace("cat", "dog"))
    with pytest.raises(DataError, match=r"data has changed since training began \(.*train.*\)"):
        resume(tmp_path / "run", progress=Progress())


@pytest.mark.parametrize("steps", [5, 27, 28, 31])  # within an epoch, around its end, within the next
def test_larger_budget_goes_on_exactly(steps: int, text: Path, tmp_path: Path) -> None:
    whole = fit(text, tmp_path / "whole", **ADAM, epochs=2)
    part = fit(text, tmp_path / "part", **ADAM, epochs=2, steps=steps)
    assert without_times(part)[-1]["step"] == steps
    assert part.read_json("metrics.json")["training"]["steps"] == steps
    longer = Run(resume(part.folder, progress=Progress(), steps=10**6))
    assert_same_tensors(whole, longer, WEIGHTS)
    assert_same_tensors(whole, longer, CHECKPOINT)
    assert_same_position(whole, longer)
    assert without_times(whole) == without_times(longer)


def test_resuming_with_a_larger_budget_ignores_the_validation_at_its_end(text: Path, tmp_path: Path) -> None:
    """Otherwise the best weights of a run would depend on where it was interrupted."""
    epoch = fit(text, tmp_path / "epoch", **ADAM, epochs=1)
    part = fit(text, tmp_path / "part", **ADAM, epochs=2, steps=31)
    assert part.read_tensors(WEIGHTS).values["step"] == 31, "the better weights of the budget's end are the run's"
    with pytest.raises(KeyboardInterrupt):
        resume(part.folder, progress=InterruptAt(1), steps=40)
    assert_same_tensors(epoch, part, WEIGHTS)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"epochs": 1}, "reached its limit of epochs at step 27; raise --epochs"),
        ({"epochs": 3, "steps": 5}, "reached its limit of steps at step 5; raise --steps"),
        ({"epochs": 3, "time": 1e-9}, "reached its limit of time at step 1; raise --time"),
        (
            {"epochs": 9, "patience": 1, "learning_rate": 1e-12},
            "reached its limit of patience at step 54; raise --patience",
        ),
    ],
)
def test_a_finished_run_says_so_and_stays_as_it_is(
    limits: dict[str, Any], said: str, text: Path, tmp_path: Path
) -> None:
    run = fit(text, tmp_path / "run", **{**SGD, **limits})
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    progress = InterruptAt(10**6)
    resume(run.folder, progress=progress)
    assert said in progress.notes[0]
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_data_of_a_finished_run_may_move(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **SGD, epochs=1)
    with pytest.raises(DataError, match="no such file"):
        resume(run.folder, progress=Progress(), path=str(tmp_path / "nowhere.txt"))
    moved = text.rename(tmp_path / "moved.txt")
    resume(run.folder, progress=Progress(), path=str(moved))
    assert run.read_recipe()["data"]["path"] == str(moved)
    assert recurra.load(run.folder).evaluate()["trigram"]


def test_damaged_best_weights_never_replace_intact_ones(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **ADAM, epochs=2, steps=31)
    whole, damaged = run.path(WEIGHTS).read_bytes(), bytearray(run.path(BEST).read_bytes())
    damaged[-1] ^= 1
    run.path(BEST).write_bytes(damaged)
    with pytest.raises(RunError, match=r"best\.safetensors: damaged"):
        resume(run.folder, progress=Progress(), steps=40)
    assert run.path(WEIGHTS).read_bytes() == whole


def test_data_may_move(text: Path, tmp_path: Path) -> None:
    whole = fit(text, tmp_path / "whole", **ADAM, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "run", InterruptAt(3), **ADAM, epochs=1)
    moved = text.rename(tmp_path / "moved.txt")
    with pytest.raises(DataError, match="no such file"):
        resume(tmp_path / "run", progress=Progress())
    assert_same_tensors(whole, Run(resume(tmp_path / "run", progress=Progress(), path=str(moved))), WEIGHTS)


def test_weights_of_a_first_epoch_are_those_of_its_last_checkpoint(text: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(text, tmp_path / "run", InterruptAt(9), **SGD)
    run = Run(tmp_path / "run")
    assert run.read_tensors(WEIGHTS).values["step"] == 9


def test_resuming_removes_the_results_of_the_earlier_weights(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **SGD, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        resume(run.folder, progress=InterruptAt(2), epochs=2)
    assert not [name for name in ("metrics.json", "samples.jsonl", "README.md") if run.path(name).exists()]


def test_run_can_be_resumed_from_its_first_moment(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the power is off")

    with monkeypatch.context() as patch:
        patch.setattr(Training, "take_step", fail)
        with pytest.raises(RuntimeError):
            fit(text, tmp_path / "run", **SGD, epochs=1)
    whole = fit(text, tmp_path / "whole", **SGD, epochs=1)
    assert_same_tensors(whole, Run(resume(tmp_path / "run", progress=Progress())), WEIGHTS)


def test_failed_start_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("too short\n" * 9)
    with pytest.raises(DataError):
        fit(tmp_path / "short.txt", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folder_of_other_things_is_never_written_to(text: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        fit(text, tmp_path / "project")
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["README.md"]


def test_runs_without_a_name_get_folders_of_their_own(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [
        train("language-modelling", text, progress=Progress(), steps=1, **SHAPE, **SGD).as_posix() for _ in range(2)
    ]
    assert folders == ["runs/language-modelling", "runs/language-modelling-2"]


def test_data_as_a_mapping(text: Path, tmp_path: Path) -> None:
    shape = {key: value for key, value in SHAPE.items() if key != "shares"}
    data = {"path": str(text), "unit": "character"}
    run = train("language-modelling", data, run=tmp_path / "run", progress=Progress(), steps=1, **shape, **SGD)
    assert Run(run).read_recipe()["data"]["unit"] == "character"


def test_new_run_never_overwrites_another(text: Path, tmp_path: Path) -> None:
    fit(text, tmp_path / "run", **SGD, epochs=1)
    with pytest.raises(UsageError, match="already holds a run"):
        fit(text, tmp_path / "run", **SGD, epochs=1)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_divergence_names_the_step_and_keeps_the_best_weights(
    what: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = fit(text, tmp_path / "good", **SGD, epochs=1)
    take_step = Training.take_step

    def spoil(self: Training, batch: Any) -> Any:
        if self.position.epoch == 1 and self.position.batch == 4:
            embedding = self.task.model.get_parameter("embedding.weight")
            if what == "loss":
                embedding.data.fill_(math.nan)
            else:
                embedding.register_hook(lambda gradient: gradient * math.inf)
        return take_step(self, batch)

    monkeypatch.setattr(Training, "take_step", spoil)
    steps = len(without_times(good)) and without_times(good)[0]["step"]
    with pytest.raises(DivergedError, match=rf"step {steps + 5} \(epoch 2, batch 5\): .*weights of epoch 1 are kept"):
        fit(text, tmp_path / "bad", **SGD, epochs=3)
    assert_same_tensors(good, Run(tmp_path / "bad"), WEIGHTS)


def test_a_finite_loss_far_above_the_first_is_divergence(text: Path, tmp_path: Path) -> None:
    """Training does not recover from such losses, although each of them is finite."""
    with pytest.raises(DivergedError, match=r"step \d+ .*: the loss is [\d.e+]+, where the first was 2\.\d+"):
        fit(text, tmp_path / "run", **{**SGD, "learning_rate": 1e5, "momentum": 0.0})


def test_full_disk_keeps_the_checkpoint_before(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(text, tmp_path / "whole", **ADAM, epochs=3)
    fsync, validate = os.fsync, LanguageModelling.validate
    epochs = 0

    def count_epochs(*arguments: Any) -> Any:
        nonlocal epochs
        epochs += 1
        return validate(*arguments)

    def full(descriptor: int) -> None:
        if epochs == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelling, "validate", count_epochs)
        patch.setattr(os, "fsync", full)
        with pytest.raises(SaveError, match="No space left on device"):
            fit(text, tmp_path / "run", **ADAM, epochs=3)
    assert not [path for path in (tmp_path / "run").rglob(".*") if path.is_file()]
    assert_same_tensors(whole, Run(resume(tmp_path / "run", progress=Progress())), CHECKPOINT)


def test_patience_stops_after_epochs_without_improvement(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1, 1.0])
    monkeypatch.setattr(LanguageModelling, "validate", lambda *_: {"loss": next(losses)})
    run = fit(text, tmp_path / "run", **SGD, epochs=9, patience=2)
    rows = without_times(run)
    assert [row["valid_loss"] for row in rows] == [3.0, 2.0, 2.5, 2.1]
    assert run.read_tensors(WEIGHTS).values["epoch"] == 2


def test_the_lower_loss_breaks_ties_and_the_plateau_schedule_follows_the_loss(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accuracy can stand still for epochs while the loss improves; the learning rate must not drop then."""
    judged = iter([(0.5, 3.0), (0.5, 2.0), (0.4, 1.0), (0.5, 2.5), (0.4, 0.9)])
    task = LanguageModelling
    monkeypatch.setattr(task, "validate", lambda *_: dict(zip(("accuracy", "loss"), next(judged), strict=True)))
    monkeypatch.setattr(task, "selection_metric", Metric("accuracy", higher_is_better=True))
    run = fit(text, tmp_path / "run", **{**SGD, "schedule": "plateau"}, epochs=5)
    assert [row["learning_rate"] for row in without_times(run)] == [2.0, 2.0, 2.0, 2.0, 1.0]
    assert run.read_tensors(WEIGHTS).values["epoch"] == 2


def test_time_budget_stops_within_an_epoch_and_validates(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **SGD, epochs=10**6, time="0.05s")
    rows = without_times(run)
    assert rows
    assert rows[-1]["epoch"] < 10**6
    assert run.read_json("metrics.json")["model"]["valid"]["loss"] > 0


def test_checkpoints_within_an_epoch(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = Training.save

    def note(self: Training) -> None:
        saved.append(self.position.step)
        save(self)

    monkeypatch.setattr(Training, "save", note)
    fit(text, tmp_path / "run", **SGD, epochs=1, checkpoint_every=1e-9)
    assert saved[:4] == [0, 1, 2, 3]


def test_carried_state_reaches_the_next_window_and_not_the_next_epoch(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[Any] = []
    loss = LanguageModelling.loss

    def watch(self: Any, batch: Any, state: Any) -> Any:
        if self.model.training:
            states.append(state)
        return loss(self, batch, state)

    monkeypatch.setattr(LanguageModelling, "loss", watch)
    run = fit(text, tmp_path / "run", **SGD, epochs=2)
    an_epoch = without_times(run)[0]["step"]
    assert [index for index, state in enumerate(states) if state is None] == [0, an_epoch]
    assert states[1][0][0].abs().sum() > 0


def test_model_card_can_be_followed(text: Path, tmp_path: Path) -> None:
    run = fit(text, tmp_path / "run", **ADAM, epochs=1)
    card = run.read("README.md")
    command = next(line.strip() for line in card.splitlines() if "recurra train" in line)
    again = train(command.split()[-1], run=tmp_path / "again", progress=Progress())
    assert_same_tensors(run, Run(again), WEIGHTS)
    assert f"{run.read_json('metrics.json')['model']['test']['perplexity']:,.4g}" in card
