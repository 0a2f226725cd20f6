"""Speech as a task: that it learns, hears the same while sound comes, comes back from its folder, refuses bad data."""

import random
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import torch

import recurra
from recurra.config import dump, resolve
from recurra.errors import DataError, UsageError
from recurra.inference.speech import TrainedRecogniser
from recurra.progress import Progress
from recurra.runs import RECIPE, Run
from recurra.tasks import check_samples
from recurra.tasks.speech import Speech, SpeechRecipe
from recurra.training.loop import Training
from recurra.training.session import finish

soundfile = pytest.importorskip("soundfile", reason="reading sounds takes soundfile")

RATE = 4000  # Hz
TONES = {"low": 300, "mid": 700, "high": 1500}  # Hz
TINY = {"hidden_size": [9], "dropout": 0.0, "dropout_output": 0.0, "time_reduction": 2}


class Notes(Progress):
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def tune(words: list[str], draw: random.Random) -> np.ndarray:
    """A tone for each word, of any length and loudness, with some noise and a pause behind each."""
    rng, pieces = np.random.default_rng(draw.randrange(2**32)), []
    for word in words:
        time = np.arange(draw.randint(500, 800)) / RATE
        pieces += [draw.uniform(0.2, 0.6) * np.sin(2 * np.pi * TONES[word] * time), np.zeros(draw.randint(200, 500))]
    samples = np.concatenate(pieces)
    return (samples + 0.01 * rng.standard_normal(len(samples))).astype(np.float32)


def write_tunes(folder: Path, counts: tuple[int, int, int] = (30, 10, 12)) -> Path:
    folder.mkdir(exist_ok=True)
    draw, rows = random.Random(6), ["audio,transcript,speaker,split"]
    for split, count in zip(("train", "valid", "test"), counts, strict=True):
        for number in range(count):
            words = [draw.choice(list(TONES)) for _ in range(draw.randint(1, 4))]
            soundfile.write(folder / f"{split}{number}.wav", tune(words, draw), RATE)
            rows.append(f"{split}{number}.wav,{' '.join(words)},s{number % 3},{split}")
    (folder / "tunes.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tunes(tmp_path / "tunes")


def recipe_of(path: Path, **options: Any) -> SpeechRecipe:
    values: dict[str, Any] = {
        "data": {"path": str(path), "sample_rate": RATE, "num_mels": 16, "unit": "word", **options.get("data", {})},
        "model": {**TINY, **options.get("model", {})},
        "training": {"batch_size": 6, **options.get("training", {})},
        "decoding": options.get("decoding", {}),
    }
    return resolve(SpeechRecipe, values, {}, "test")


def start(path: Path, progress: Progress | None = None, **options: Any) -> Speech:
    torch.manual_seed(2)
    return Speech.start(recipe_of(path, **options), progress or Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained recogniser that reads in one direction."""
    path = write_tunes(tmp_path_factory.mktemp("trained") / "tunes", (120, 20, 25))
    model = {"hidden_size": [24], "bidirectional": False, "time_masks": 0, "frequency_masks": 0}
    training = {"batch_size": 8, "epochs": 12, "learning_rate": 0.02, "schedule": "constant"}
    torch.manual_seed(1)
    task = Speech.start(recipe_of(path, model=model, training=training), Progress())
    begun = Run(path.parent / "run")
    begun.write(RECIPE, dump(task.recipe))
    description, files = task.describe()
    begun.write_model(task.name, {**description, "data": task.fingerprint()}, files)
    under_way = Training(task, begun, Progress())
    under_way.save()
    finish(under_way)
    return begun.folder


def test_learns_what_is_said_and_in_which_order(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "frequent", "nearest", "training"}
    assert metrics["model"]["test"]["wer"] < 0.1
    assert metrics["frequent"]["test"]["wer"] > 0.5
    assert metrics["nearest"]["test"]["wer"] > 0.15


def test_a_loaded_run_hears_the_same(run: Path) -> None:
    model = TrainedRecogniser(Run(run))
    assert check_samples(model.task, model.run) < 1e-5
    assert model.evaluate()["model"] == Run(run).read_json("metrics.json")["model"]


def test_scores_are_those_of_jiwer(run: Path) -> None:
    model = TrainedRecogniser(Run(run))
    model.task.load_data(Progress())
    recordings = model.task.splits["test"]
    found = [best[0].text for best in model.transcribe([one.samples for one in recordings])]
    said = [one.transcript for one in recordings]
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    assert metrics["wer"] == pytest.approx(jiwer.wer(said, found))
    assert metrics["cer"] == pytest.approx(jiwer.cer(said, found))
    assert metrics["recordings"] == 25
    details = Run(run).read_json("evaluation.json")["test"]
    assert [row["cer"] for row in details["worst"]] == sorted((row["cer"] for row in details["worst"]), reverse=True)
    assert np.array(details["hearings"][0]["probabilities"]).sum(1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("piece", [1, 37, 400, 100_000])
def test_while_sound_comes_it_hears_what_it_hears_of_the_whole(run: Path, piece: int) -> None:
    model = TrainedRecogniser(Run(run))
    stream = model.stream()
    for number in (0, 7) if piece > 1 else (0,):
        samples, _ = soundfile.read(run.parent / "tunes" / f"test{number}.wav", dtype="float32")
        told = "".join(stream.feed(samples[first : first + piece]) for first in range(0, len(samples), piece))
        ((whole,),) = model.transcribe([samples], beam=1)
        assert told == stream.text == whole.text != ""
        stream.reset()
        assert stream.text == ""


def test_files_at_another_rate_and_with_two_channels_are_said_so(run: Path, tmp_path: Path) -> None:
    model, notes = TrainedRecogniser(Run(run)), Notes()
    samples = tune(["low", "high", "mid"], random.Random(3))
    double = np.repeat(samples, 2)[:, np.newaxis].repeat(2, 1)
    soundfile.write(tmp_path / "stereo.wav", double, 2 * RATE)
    ((found, *_),) = model.transcribe([tmp_path / "stereo.wav"], progress=notes)
    assert found.text == "low high mid"
    (line,) = notes.lines
    assert "resampled from 8,000 Hz" in line
    assert "2 channels averaged" in line


def test_recordings_do_not_depend_on_their_neighbours(run: Path) -> None:
    model = TrainedRecogniser(Run(run))
    model.task.load_data(Progress())
    recordings = [one.samples for one in model.task.splits["test"]]
    together = model.transcribe(recordings, num_best=3)
    for index in (0, 11, 24):
        (alone,) = model.transcribe([recordings[index]], num_best=3)
        assert [one.text for one in alone] == [one.text for one in together[index]]
        assert alone[0].log_probability == pytest.approx(together[index][0].log_probability, abs=1e-3)


def test_a_resumed_run_ends_in_the_same_weights(folder: Path, tmp_path: Path) -> None:
    data = {"path": str(folder), "sample_rate": RATE, "num_mels": 16, "unit": "word"}
    options = {
        "data": data,
        "model": {**TINY, "dropout_output": 0.3, "frequency_width": 3},
        "epochs": 2,
        "batch_size": 6,
    }
    whole = recurra.train("speech", run=tmp_path / "whole", progress=Progress(), **options)
    parts = recurra.train("speech", run=tmp_path / "parts", progress=Progress(), steps=7, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_loss_is_a_mean_over_symbols(folder: Path) -> None:
    task = start(folder, model={"time_masks": 0, "frequency_masks": 0})
    batch = task.batches(0)[1]
    found = task.loss(batch, None)
    indices = task.batches(0).groups[1]
    assert found.num_items == sum(len(task.splits["train"][index].transcript.split()) for index in indices)
    encoded = task.encoded["valid"]
    assert task.validate(Progress())["loss"] == pytest.approx(
        task.judge(encoded, Progress(), "").nats / sum(map(len, encoded.targets)), rel=1e-5
    )
    assert torch.equal(batch.features, task.batches(0)[1].features)


def test_counted_symbols_help_where_asked_for(folder: Path) -> None:
    task = start(folder)
    heard = task.judge(task.encoded["test"], Progress(), "").log_probabilities
    plain, helped = (
        task.searched(heard, type(task.recipe.decoding)(beam=6, language_weight=weight)) for weight in (0.0, 0.8)
    )
    assert any(one[0].symbols != other[0].symbols for one, other in zip(plain, helped, strict=True))
    assert all(one.score == pytest.approx(one.log_probability) for found in plain for one in found)


def test_strings_are_joined_within_a_split(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    draw = random.Random(1)
    for digit in range(3):
        for speaker in ("ann", "bob"):
            for index in range(12):
                tone = tune([list(TONES)[digit]], draw)
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", tone, RATE)
    task = start(folder, data={"connected": [20, 6, 9], "words": [2, 3]})
    assert {split: len(found) for split, found in task.splits.items()} == {"train": 20, "valid": 6, "test": 9}
    for split, kept in (("test", range(5)), ("valid", range(5, 10)), ("train", range(10, 12))):
        for one in task.splits[split]:
            clips = [Path(place).stem.split("_") for place in one.place.split(" + ")]
            assert 2 <= len(clips) <= 3
            assert len({speaker for _, speaker, _ in clips}) == 1
            assert all(int(index) in kept for *_, index in clips)
            words = [["zero", "one", "two"][int(digit)] for digit, *_ in clips]
            assert one.transcript.split() == words


def test_a_transcript_longer_than_its_recording(folder: Path) -> None:
    rows = (folder / "tunes.csv").read_text().splitlines()
    (folder / "tunes.csv").write_text("\n".join([*rows, f"test0.wav,{'low low ' * 90}low,s0,test"]) + "\n")
    with pytest.raises(DataError, match=r"tunes\.csv line 54: \d+ steps, but 'low low.*' needs 361 \(1 such"):
        start(folder)
    notes = Notes()
    task = start(folder, notes, data={"on_short": "drop"})
    assert len(task.splits["test"]) == 12
    assert any("1 recordings are left out" in line for line in notes.lines)


def test_a_symbol_outside_the_alphabet(folder: Path) -> None:
    text = (folder / "tunes.csv").read_text()
    (folder / "tunes.csv").write_text(text.replace("test3.wav,", "test3.wav,shrill "))
    with pytest.raises(DataError, match=r"tunes\.csv line 45: 'shrill' in 'shrill .*' is no word of the training"):
        start(folder)
    found = Speech.check(recipe_of(folder), Progress())
    assert any("training transcripts have no 'shrill'" in text for text in found["problems"])
    assert found["splits"]["train"]["recordings"] == 30


def test_what_cannot_be_heard(run: Path, folder: Path) -> None:
    model = TrainedRecogniser(Run(run))
    with pytest.raises(DataError, match="shorter than one step of the model"):
        model.transcribe([np.zeros(50, np.float32)])
    with pytest.raises(UsageError, match="expected a list, got one text"):
        model.transcribe("a.wav")
    for option in ({"beam": -1}, {"num_best": 0}):
        with pytest.raises(UsageError, match=next(iter(option))):
            model.transcribe([np.zeros(5000, np.float32)], **option)
    both = start(folder)
    with pytest.raises(UsageError, match="reads in both directions"):
        TrainedRecogniser.stream(type("Opened", (), {"task": both, "run": "here"})())
