"""A recognizer in use: of files and samples, of the whole and while sound comes, and of other recordings."""

import io
import random
import sys
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from noting import Notes
from recurra.data.media.sound import as_samples
from recurra.errors import DataError, ShapeError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.speech.trained import TrainedRecognizer
from recurra.tasks.task import check_samples
from trained import trained
from tunes import RATE, recipe_of, start, tune, write_tunes

soundfile = pytest.importorskip("soundfile", reason="reading sounds takes soundfile")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained recognizer that reads in one direction."""
    path = write_tunes(tmp_path_factory.mktemp("trained") / "tunes", (120, 20, 25))
    model = {"hidden_size": [24], "bidirectional": False, "time_masks": 0, "frequency_masks": 0}
    training = {"batch_size": 8, "epochs": 12, "learning_rate": 0.02, "schedule": "constant"}
    return trained(recipe_of(path, model=model, training=training), path.parent)


def test_learns_what_is_said_and_in_which_order(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "frequent", "nearest", "training"}
    assert metrics["model"]["test"]["wer"] < 0.1
    assert metrics["frequent"]["test"]["wer"] > 0.5
    assert metrics["nearest"]["test"]["wer"] > 0.15


def test_a_loaded_run_hears_the_same(run: Path) -> None:
    model = TrainedRecognizer(Run(run))
    assert check_samples(model.task, model.run) < 1e-5
    assert model.evaluate()["model"] == Run(run).read_json("metrics.json")["model"]


def test_scores_are_those_of_jiwer(run: Path) -> None:
    model = TrainedRecognizer(Run(run))
    model.task.set_data(model.task.read_data(Progress()))
    recordings = model.task.splits["test"]
    found = [one.text for one in model.transcribe([one.samples for one in recordings])]
    said = [one.transcript for one in recordings]
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    assert metrics["wer"] == pytest.approx(jiwer.wer(said, found))
    assert metrics["cer"] == pytest.approx(jiwer.cer(said, found))
    assert metrics["recordings"] == 25
    details = Run(run).read_json("evaluation.json")["test"]
    assert [row["cer"] for row in details["worst"]] == sorted((row["cer"] for row in details["worst"]), reverse=True)
    assert np.array(details["outputs"][0]["probabilities"]).sum(1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("piece", [1, 37, 400, 100_000])
def test_while_sound_comes_it_hears_what_it_hears_of_the_whole(run: Path, piece: int) -> None:
    model = TrainedRecognizer(Run(run))
    stream = model.stream()
    for number in (0, 7) if piece > 1 else (0,):
        samples, _ = soundfile.read(run.parent / "tunes" / f"test{number}.wav", dtype="float32")
        told = "".join(stream.feed(samples[first : first + piece]) for first in range(0, len(samples), piece))
        (whole,) = model.transcribe([samples], beam_size=1)
        assert told == stream.text == whole.text != ""
        stream.reset()
        assert stream.text == ""


def test_a_stream_of_files_samples_and_standard_input_writes_the_best_alignments(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = TrainedRecognizer(Run(run)), run.parent / "tunes" / "test7.wav"
    samples, _ = soundfile.read(file, dtype="int16")
    raw = samples.astype("<i2").tobytes() + b"!"  # cut off within a sample
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    (whole,) = model.transcribe([file], beam_size=1)
    from_file, from_samples, from_input = model.predict([file, samples, "-"], stream=True)
    pieces = list(from_input.pieces())
    assert len(pieces) == -(-len(samples) // (RATE // 10))
    assert sum(piece != "" for piece in pieces) > 1  # before the end, too
    assert from_file.text == from_samples.text == from_input.text == "".join(pieces) == whole.text != ""
    assert from_file.as_table() is None


def test_a_sound_file_on_standard_input_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TrainedRecognizer(Run(run))
    sound = (run.parent / "tunes" / "test0.wav").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sound)))
    (answer,) = model.predict(["-"], stream=True)
    with pytest.raises(DataError, match=rf"^-: a sound file, where raw samples are expected; .* -ar {RATE} -$"):
        next(answer.pieces())
    with pytest.raises(UsageError, match=r"^-: standard input is transcribed with --stream only"):
        model.predict(["-"])


def test_a_stream_does_not_search(run: Path) -> None:
    model, tone = TrainedRecognizer(Run(run)), np.full(5000, 0.1, np.float32)
    for option in ({"beam_size": 3}, {"num_best": 2}, {"lm_weight": 0.0}, {"insertion_bonus": 1.0}):
        with pytest.raises(UsageError, match="no beam_size, num_best, lm_weight or insertion_bonus beside stream"):
            model.predict([tone], stream=True, **option)
    file = run.parent / "tunes" / "test0.wav"
    (answer,) = model.predict([file], stream=True)
    assert answer.as_json() == {"sound": str(file), "text": model.predict([file], beam_size=1)[0].text}
    with pytest.raises(UsageError, match="predict: expected sound files or arrays of samples, got list"):
        model.predict([tone.tolist()], stream=True)


def test_an_answer_is_a_text_a_table_or_json(run: Path) -> None:
    model, file = TrainedRecognizer(Run(run)), run.parent / "tunes" / "test0.wav"
    (one,), (several,) = model.predict([file]), model.predict([str(file)], num_best=3)
    assert one.as_table() is None
    assert one.text == several.text == several.texts[0].text
    table = several.as_table()
    assert list(table.columns) == [str(file), "score", "log-probability"]
    assert [row[0] for row in table.rows] == [text.text for text in several.texts]
    assert [float(row[1]) for row in table.rows] == pytest.approx([text.score for text in several.texts], abs=6e-4)
    found = several.as_json()
    assert found["sound"] == str(file)
    assert found["texts"][2] == several.texts[2]._asdict()


def test_files_at_another_rate_and_with_two_channels_are_said_so(run: Path, tmp_path: Path) -> None:
    model, notes = TrainedRecognizer(Run(run)), Notes()
    samples = tune(["low", "high", "mid"], random.Random(3))
    double = np.repeat(samples, 2)[:, np.newaxis].repeat(2, 1)
    soundfile.write(tmp_path / "stereo.wav", double, 2 * RATE)
    (found,) = model.transcribe([tmp_path / "stereo.wav"], progress=notes)
    assert found.text == "low high mid"
    (line,) = notes.lines
    assert "resampled from 8,000 Hz" in line
    assert "2 channels averaged" in line


def test_recordings_do_not_depend_on_their_neighbors(run: Path) -> None:
    model = TrainedRecognizer(Run(run))
    model.task.set_data(model.task.read_data(Progress()))
    recordings = [one.samples for one in model.task.splits["test"]]
    together = model.transcribe(recordings, num_best=3)
    for index in (0, 11, 24):
        (alone,) = model.transcribe([recordings[index]], num_best=3)
        assert [one.text for one in alone.texts] == [one.text for one in together[index].texts]
        best = together[index].texts[0]
        assert alone.texts[0].log_probability == pytest.approx(best.log_probability, abs=1e-3)


def test_integers_are_over_their_full_scale(run: Path) -> None:
    model = TrainedRecognizer(Run(run))
    samples, _ = soundfile.read(run.parent / "tunes" / "test0.wav", dtype="int16")
    wide, coarse = samples.astype(np.int32) << 16, ((samples >> 8) + 128).astype(np.uint8)
    expected = samples / np.float32(32768)
    for name, found in {"int16": samples, "int32": wide, "float64": expected.astype(np.float64)}.items():
        assert as_samples(found, name).dtype == np.float32
        np.testing.assert_array_equal(as_samples(found, name), expected, name)
    np.testing.assert_allclose(as_samples(coarse, "uint8"), expected, atol=2**-7, rtol=0)
    assert model.transcribe([samples]) == model.transcribe([expected])
    backwards = expected[::-1].copy()[::-1]
    backwards.flags.writeable = False
    assert model.transcribe([backwards]) == model.transcribe([expected])
    streams = model.stream(), model.stream()
    assert streams[0].feed(samples) == streams[1].feed(expected) != ""


def test_what_is_no_recording(run: Path) -> None:
    model, tone = TrainedRecognizer(Run(run)), np.full(5000, 0.1, np.float32)
    broken = tone.copy()
    broken[41] = np.nan
    for samples, error, message in (
        (np.stack([tone, tone]), ShapeError, r"expected mono samples \(samples,\), got \(2, 5000\)"),
        (broken, DataError, "sample 42 of 5,000 is not finite"),
        (tone > 0, UsageError, "expected samples as floats or integers, got bool"),
    ):
        with pytest.raises(error, match=f"predict: {message}"):
            model.transcribe([tone, samples])
        stream = model.stream()
        with pytest.raises(error, match=f"feed: {message}"):
            stream.feed(samples)
    for one, kind in (("a.wav", "text"), (Path("a.wav"), "path"), (tone, "array")):
        with pytest.raises(UsageError, match=rf"predict: expected a list, got one {kind}; write predict\(\["):
            model.transcribe(one)
    with pytest.raises(UsageError, match="predict: expected sound files or arrays of samples, got Tensor"):
        model.transcribe([torch.zeros(5000)])
    with pytest.raises(DataError, match="shorter than one step of the model"):
        model.transcribe([tone[:50]])
    for option in ({"beam_size": -1}, {"num_best": 0}, {"lm_weight": -1.0}):
        with pytest.raises(UsageError, match=next(iter(option))):
            model.transcribe([tone], **option)


def test_the_likeliest_alignment_comes_with_the_probability_of_what_it_reads_as(run: Path) -> None:
    model = TrainedRecognizer(Run(run))
    samples = tune(["low", "high"], random.Random(5))
    (answer,) = model.transcribe([samples], beam_size=1)
    (greedy,) = answer.texts
    (several,) = model.transcribe([samples], beam_size=40, num_best=40)
    (same,) = (one for one in several.texts if one.text == greedy.text)
    assert greedy.log_probability == pytest.approx(same.log_probability, abs=1e-4)
    assert greedy.score == greedy.log_probability


def test_a_language_and_a_bonus_are_weighed_where_asked_for(run: Path) -> None:
    model = TrainedRecognizer(Run(run))
    samples = tune(["low", "high", "mid"], random.Random(5))
    (answer,) = model.transcribe([samples], beam_size=30, num_best=9, lm_weight=0.7, insertion_bonus=1.5)
    assert len(answer.texts) == 9
    for one in answer.texts:
        symbols = model.task.alphabet.encode(one.text, "").tolist()
        prior = sum(
            float(model.task.language([symbols[:at]])[0, following])
            for at, following in enumerate([*symbols, 0])  # 0 is the end
        )
        assert one.score == pytest.approx(one.log_probability + 0.7 * prior + 1.5 * len(symbols), abs=1e-4)
    with pytest.raises(UsageError, match="insertion_bonus: expected 0 beside a beam_size of 1"):
        model.transcribe([samples], beam_size=1, insertion_bonus=1.5)


def test_other_recordings_are_judged_beside_the_baselines(run: Path, tmp_path: Path) -> None:
    model = TrainedRecognizer(Run(run))
    tunes = run.parent / "tunes"
    own = [row.split(",") for row in (tunes / "tunes.csv").read_text().splitlines() if row.endswith(",test")]
    rows = [f"{tunes / audio},{said}" for audio, said, *_ in own[:9]]
    (tmp_path / "others.csv").write_text(
        "\n".join(["audio,transcript", *rows, rows[0].replace(",", ",shrill ")]) + "\n"
    )
    notes = Notes()
    found = model.evaluate(tmp_path / "others.csv", notes)
    assert found.keys() == {"model", "frequent", "nearest"}
    outputs = [one.text for one in model.transcribe([tunes / audio for audio, *_ in own[:9]])]
    said = [said for _, said, *_ in own[:9]]
    expected = jiwer.wer([*said, f"shrill {said[0]}"], [*outputs, outputs[0]])
    assert found["model"]["all"]["wer"] == pytest.approx(expected)
    assert sum("count in no loss" in line for line in notes.lines) == 1


def test_a_stream_moves_features_to_where_the_model_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, devices = TrainedRecognizer(Run(run)), []

    def forward_chunk(features: torch.Tensor, slots: object) -> tuple[torch.Tensor, object]:
        devices.append(features.device.type)
        return torch.zeros(3, 1, 4), slots

    monkeypatch.setattr(model.task.model, "forward_chunk", forward_chunk)
    model.task.model.to("meta")
    model.stream().feed(np.zeros(RATE, np.float32))
    assert devices == ["meta"]


def test_a_model_of_both_directions_hears_no_stream(tmp_path: Path) -> None:
    both = start(write_tunes(tmp_path / "tunes"))
    with pytest.raises(UsageError, match="here: bidirectional, so nothing can be recognized before the end"):
        TrainedRecognizer.stream(type("Opened", (), {"task": both, "run": "here"})())
