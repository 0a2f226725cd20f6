"""Speech as a task: its loss, its baselines, what counts, what it is resumed on, and data that it refuses."""

import random
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

import recurra
from noting import Notes
from recurra.data.media import sound
from recurra.data.media.sound import Utterance
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.speech import data as recordings
from recurra.tasks.speech import task as speech
from recurra.tasks.speech.data import TOUCH_TONES, mean_features
from recurra.tasks.speech.task import SearchOptions, Speech
from recurra.tasks.task import fingerprint, report
from tunes import RATE, TINY, TONES, add_rows, recipe_of, start, tune, write_tunes

soundfile = pytest.importorskip("soundfile", reason="reading sounds takes soundfile")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tunes(tmp_path / "tunes")


# --- training ----------------------------------------------------------------------------------------------------


def test_a_resumed_run_ends_in_the_same_weights(folder: Path, tmp_path: Path) -> None:
    data = {"path": str(folder), "sample_rate": RATE, "num_mels": 16, "unit": "word"}
    options = {
        "data": data,
        "model": {**TINY, "output_dropout": 0.3, "frequency_mask_width": 3},
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
        task.predict(encoded, Progress(), "").nats / sum(map(len, encoded.targets)), rel=1e-5
    )
    assert torch.equal(batch.features, task.batches(0)[1].features)


def test_strings_are_joined_within_a_split(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    draw = random.Random(1)
    for digit in range(3):
        for speaker in ("ann", "bob"):
            for index in range(12):
                tone = tune([list(TONES)[digit]], draw)
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", tone, RATE)
    task = start(folder, data={"connected": [20, 6, 9], "connected_words": [2, 3]})
    assert {split: len(found) for split, found in task.splits.items()} == {"train": 20, "valid": 6, "test": 9}
    for split, kept in (("test", range(5)), ("valid", range(5, 10)), ("train", range(10, 12))):
        for one in task.splits[split]:
            clips = [Path(place).stem.split("_") for place in one.place.split(" + ")]
            assert 2 <= len(clips) <= 3
            assert len({speaker for _, speaker, _ in clips}) == 1
            assert all(int(index) in kept for *_, index in clips)
            words = [["zero", "one", "two"][int(digit)] for digit, *_ in clips]
            assert one.transcript.split() == words
    held_out = task.read_held_out(folder, {"connected": None}, Progress())  # recordings that nobody needs to join
    assert {split: len(found) for split, found in held_out.items()} == {"valid": 30, "test": 30}
    assert {len(one.transcript.split()) for found in held_out.values() for one in found} == {1}


def test_samples_of_training_are_let_go(folder: Path) -> None:
    task = start(folder)
    assert {len(one.samples) for one in task.splits["train"]} == {0}
    assert all(len(one.samples) > 500 for one in task.splits["test"])


# --- what a run is resumed on ------------------------------------------------------------------------------------


def test_a_run_moves_to_a_machine_that_computes_otherwise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = fingerprint(start(folder))
    heard, read = recordings.log_mel_features, sound.read_sound
    monkeypatch.setattr(recordings, "log_mel_features", lambda *given: [features + 1e-6 for features in heard(*given)])
    monkeypatch.setattr(sound, "read_sound", lambda *given: (read(*given)[0] + np.float32(1e-6), None))
    assert fingerprint(start(folder)) == here
    assert here.keys() == {"train", "valid", "test"}
    assert len(set(here.values())) == 3


@pytest.mark.parametrize("part", ["samples", "transcript"])
def test_a_run_notices_other_recordings(part: str, folder: Path) -> None:
    before = fingerprint(start(folder))
    if part == "samples":
        samples, _ = soundfile.read(folder / "valid4.wav", dtype="int16")
        samples[700] += 1
        soundfile.write(folder / "valid4.wav", samples, RATE)
    else:
        table = folder / "tunes.csv"
        table.write_text(table.read_text().replace("valid4.wav,", "valid4.wav,low "))
    after = fingerprint(start(folder))
    assert {split for split in before if before[split] != after[split]} == {"valid"}


def test_strings_have_a_digest_of_their_clips_and_pauses() -> None:
    """Not of their samples: the noise between them is scaled by a mean that machines may round otherwise."""
    clips = [Utterance(np.full(9, 0.5, np.float32), word, "ann", word, f"digest of {word}") for word in "abc"]
    nudged = [clip._replace(samples=clip.samples + np.float32(1e-6)) for clip in clips]
    options = recordings.RecordingOptions.parse({"path": "x", "connected": [8, 1, 1]}, "test")
    found, other = (recordings.connect_recordings({"train": given}, options, 1)["train"] for given in (clips, nudged))
    assert [one.digest for one in found] == [one.digest for one in other]
    assert len({one.digest for one in found}) == 8


# --- searching ---------------------------------------------------------------------------------------------------


def test_counted_symbols_help_where_asked_for(folder: Path) -> None:
    task = start(folder)
    heard = task.predict(task.encoded["test"], Progress(), "").log_probabilities
    plain, helped = (task.hypotheses(heard, SearchOptions(beam_size=6, lm_weight=weight)) for weight in (0.0, 0.8))
    assert any(one[0].symbols != other[0].symbols for one, other in zip(plain, helped, strict=True))
    assert all(one.score == pytest.approx(one.log_probability) for found in plain for one in found)
    assert task.language is task.language


def test_the_likeliest_alignment_knows_no_language(folder: Path) -> None:
    for option in ("lm_weight", "insertion_bonus"):
        with pytest.raises(UsageError, match=rf"decoding\.{option}: expected 0 beside a beam_size of 1, .*, got 0\.3"):
            recipe_of(folder, decoding={"beam_size": 1, option: 0.3})
    options = SearchOptions(beam_size=4, lm_weight=0.5)
    with pytest.raises(UsageError, match="decoding: lm_weight: expected 0 beside a beam_size of 1"):
        options.given(1, beam_size=1)
    assert options.given(1, beam_size=1, lm_weight=0.0).beam_size == 1
    assert options.given(9, insertion_bonus=0.2) == SearchOptions(beam_size=9, lm_weight=0.5, insertion_bonus=0.2)


# --- what counts -------------------------------------------------------------------------------------------------


def test_short_recordings_are_left_out_of_training_alone(folder: Path) -> None:
    """And what is known of training is known of the others: no symbol, no transcript and no length of theirs."""
    plain = start(folder)
    long = np.zeros(RATE, np.float32)
    long[:9] = 0.1
    soundfile.write(folder / "long.wav", np.tile(long, 9), RATE)
    add_rows(folder, f"long.wav,{'shrill ' * 900},s0,train", f"test0.wav,{'low low ' * 90}low,s0,test")
    with pytest.raises(DataError, match=r"tunes\.csv line 54: \d+ steps, but 'shrill.*' needs 1799 \(1 such"):
        start(folder)
    notes = Notes()
    task = start(folder, notes, data={"on_short": "drop"})
    left_out, uncounted = notes.lines
    assert "1 training recordings are left out: " in left_out
    assert "1 recordings are scored but count in no loss, such as " in uncounted
    assert "tunes.csv line 55: " in uncounted
    assert task.alphabet.symbols == plain.alphabet.symbols
    assert task.preprocessor[1:] == plain.preprocessor[1:]  # longest recording, counted transcripts
    assert [len(task.splits[split]) for split in ("train", "valid", "test")] == [30, 10, 13]


def test_held_out_transcripts_that_the_model_cannot_say_are_scored_alone(folder: Path) -> None:
    plain = start(folder)
    table = folder / "tunes.csv"
    text = table.read_text().replace("test3.wav,", "test3.wav,shrill ")
    table.write_text(text.replace("test0.wav,", "click.wav,mid,s0,test\ntest0.wav,"))
    soundfile.write(folder / "click.wav", np.full(60, 0.1, np.float32), RATE)  # not even a window
    notes = Notes()
    task = start(folder, notes)
    assert "2 recordings are scored but count in no loss, such as " in notes.lines[0]
    assert "tunes.csv line 42: 0 steps, but 'mid' needs 1" in notes.lines[0]
    metrics = task.evaluate({"test": task.splits["test"]}, Progress())[0]["test"]
    judged = plain.predict(plain.encoded["test"], Progress(), "").log_probabilities
    counting = [index for index in range(12) if index != 3]
    loss = sum(
        plain.model.loss(
            speech.RecognizerOutput(judged[index].unsqueeze(1), torch.tensor([len(judged[index])])),
            torch.from_numpy(plain.encoded["test"].targets[index]).unsqueeze(0),
            torch.tensor([len(plain.encoded["test"].targets[index])]),
        ).item()
        for index in counting
    )
    num_symbols = sum(len(plain.encoded["test"].targets[index]) for index in counting)
    assert metrics["loss"] == pytest.approx(loss / num_symbols, rel=1e-5)
    outputs = plain.greedy_texts(judged)
    said = [one.transcript for one in task.splits["test"]]
    assert said[4].startswith("shrill ")
    assert metrics["greedy_wer"] == pytest.approx(jiwer.wer(said, ["", *outputs]))
    assert metrics["recordings"] == 13
    assert set(task.baselines({"test": task.splits["test"]}, Progress())) == {"frequent", "nearest"}


def test_recordings_of_which_none_counts(folder: Path, tmp_path: Path) -> None:
    task = start(folder)
    table = tmp_path / "others.csv"
    table.write_text("audio,transcript\ntunes/test0.wav,shrill\ntunes/test1.wav,hoarse\n")
    found = task.read_held_out(table, {}, Progress())
    notes = Notes()
    metrics = task.evaluate(found, notes)[0]["all"]
    assert notes.lines[0].endswith("others.csv line 2: training transcripts have no 'shrill'")
    assert "loss" not in metrics
    assert metrics["wer"] >= 1
    rows = [row for row in (folder / "tunes.csv").read_text().splitlines() if not row.endswith(",valid")]
    (folder / "tunes.csv").write_text("\n".join([*rows, "test0.wav,shrill,s0,valid"]) + "\n")
    with pytest.raises(DataError, match=r"counts in the loss; give others for it: .* transcripts have no 'shrill'$"):
        start(folder)


def test_what_counts_in_no_loss_is_told_once_a_reading(folder: Path) -> None:
    add_rows(folder, "test0.wav,shrill,s0,test")
    notes = Notes()
    task = start(folder, notes)
    assert sum("count in no loss" in line for line in notes.lines) == 1
    report(task, notes)
    assert sum("count in no loss" in line for line in notes.lines) == 1
    task.set_data(task.read_data(notes))
    assert sum("count in no loss" in line for line in notes.lines) == 2


def test_made_numbers_judge_their_own_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.data.builtin.touch_tones.COUNTS", {"train": 8, "valid": 3, "test": 4})
    task = start(Path(TOUCH_TONES), data={"unit": "character"})
    found = task.read_held_out(TOUCH_TONES, {}, Progress())
    assert [[one.transcript for one in found[split]] for split in ("valid", "test")] == [
        [one.transcript for one in task.splits[split]] for split in ("valid", "test")
    ]
    assert found.keys() == {"valid", "test"}
    for option, value in {"connected": [5, 5, 5], "shares": [0.5, 0.3, 0.2], "by_speaker": False}.items():
        with pytest.raises(UsageError, match=f"touch-tones: generated without these options; leave out {option}"):
            start(Path(TOUCH_TONES), data={option: value})


# --- judging -----------------------------------------------------------------------------------------------------


def test_judged_in_groups_by_length_each_recording_stands_where_it_stood(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = start(folder)
    encoded = task.encoded["test"]
    whole = task.predict(encoded, Progress(), "")
    readings = task.hypotheses(whole.log_probabilities, SearchOptions(beam_size=3))
    monkeypatch.setattr(speech, "EVALUATION_BATCH", 5)
    monkeypatch.setattr(recordings, "EVALUATION_BATCH", 5)
    parts = task.predict(encoded, Progress(), "")
    assert len(set(encoded.lengths)) > 6
    for one, other, features in zip(whole.log_probabilities, parts.log_probabilities, encoded.features, strict=True):
        alone = task.model(torch.from_numpy(features).unsqueeze(1), torch.tensor([len(features)]))
        assert one.shape == other.shape == alone.log_probabilities[:, 0].shape
        torch.testing.assert_close(one, other)
    assert parts.nats == pytest.approx(whole.nats, rel=1e-5)
    again = task.hypotheses(whole.log_probabilities, SearchOptions(beam_size=3))
    assert [[one.symbols for one in best] for best in again] == [[one.symbols for one in best] for best in readings]


def test_the_nearest_baseline_says_what_the_most_alike_training_recording_says(folder: Path) -> None:
    task = start(folder)
    train, test = (np.array([in_thirds(one) for one in task.encoded[split].features]) for split in ("train", "test"))
    np.testing.assert_allclose(mean_features(task.encoded["test"].features), test, rtol=1e-5)
    nearest = [int(np.square(train - one).sum(1).argmin()) for one in test]
    said = [one.transcript for one in task.splits["test"]]
    found = task.baselines({"test": task.splits["test"]}, Progress())["nearest"]["test"]
    assert found["wer"] == pytest.approx(jiwer.wer(said, [task.splits["train"][at].transcript for at in nearest]))


def in_thirds(features: np.ndarray) -> np.ndarray:
    """Mean features of the first third, the second and the last; what is left over goes to the first ones."""
    size, over = divmod(len(features), 3)
    ends = np.cumsum([size + (part < over) for part in range(3)])
    return np.concatenate([features[first:end].mean(0) for first, end in zip([0, *ends], ends, strict=False)])


def test_recordings_of_one_frame_or_none_have_a_summary() -> None:
    frame = np.arange(4, dtype=np.float32)
    found = mean_features([frame[np.newaxis], np.zeros((0, 4), np.float32)])
    np.testing.assert_array_equal(found, [np.tile(frame, 3), np.zeros(12)])


# --- what a look at the data says --------------------------------------------------------------------------------


def test_a_check_counts_what_makes_a_test_easy_or_impossible(folder: Path) -> None:
    table = folder / "tunes.csv"
    text = table.read_text().replace("test3.wav,", "test3.wav,shrill ")
    table.write_text(text.replace("test5.wav,", "test5.wav,shrill hoarse "))
    add_rows(folder, f"test0.wav,{'low ' * 90}low,s3,test", "train7.wav,mid,s4,test")
    found = Speech.check(recipe_of(folder), Progress())
    trained = {row.split(",")[1] for row in table.read_text().splitlines() if row.endswith(",train")}
    tested = [row.split(",")[1] for row in table.read_text().splitlines() if row.endswith(",test")]
    assert found["transcripts"]["test"] == {
        "recordings": 14,
        "transcript in train": sum(one in trained for one in tested),
    }
    assert [found["splits"][split]["speakers"] for split in ("train", "valid", "test")] == [3, 3, 5]
    problems = found["problems"]
    for text in (
        "scored but in no loss: 2 recordings of test, such as ",
        "tunes.csv line 45: training transcripts have no 'hoarse', 'shrill'",
        "too short for the transcript: 1 recording of test, such as ",
        "in train too: 1 recording of test, such as ",
        "by speakers that train has: 12 of 14 recordings of test, such as s0; ",
        "by speakers that train has: 10 of 10 recordings of valid",
    ):
        assert sum(text in problem for problem in problems) == 1, text
    assert len(problems) == 5
    rows = table.read_text().replace(",speaker,", ",nobody,")
    table.write_text(rows)
    assert "speakers" not in Speech.check(recipe_of(folder), Progress())["splits"]["train"]


def test_a_check_leaves_out_what_training_leaves_out(folder: Path) -> None:
    add_rows(folder, f"test1.wav,{'shrill ' * 900},s9,train")
    found = Speech.check(recipe_of(folder), Progress())
    assert (found["splits"]["train"]["recordings"], found["alphabet"]["symbols"]["kept"]) == (31, 4)
    assert "too short for the transcript: 1 recording of train" in found["problems"][1]
    notes = Notes()
    found = Speech.check(recipe_of(folder, data={"on_short": "drop"}), notes)
    assert (found["splits"]["train"]["recordings"], found["alphabet"]["symbols"]["kept"]) == (30, 3)
    assert not [problem for problem in found["problems"] if "too short" in problem or "in train too" in problem]
    assert "1 training recordings are left out: " in notes.lines[-1]


def test_a_message_names_a_bounded_number_of_symbols() -> None:
    assert recordings.list_symbols({"b", "a"}) == "'a', 'b'"
    assert recordings.list_symbols(f"{number:04}" for number in range(1043)).endswith("'0038', '0039' and 1,003 more")


def test_more_mels_than_the_rate_allows_are_refused_before_anything_is_read() -> None:
    for begin in (Speech.check, Speech.start):
        with pytest.raises(UsageError, match="200 bands are too narrow"):
            begin(recipe_of(Path("nowhere"), data={"num_mels": 200}), Progress())
