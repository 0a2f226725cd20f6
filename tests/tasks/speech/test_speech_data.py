"""How recordings become what a recognizer reads: options, strings of each split, features batched by length."""

from typing import Any

import numpy as np
import pytest
import torch

from recurra.data.media.sound import Utterance
from recurra.errors import UsageError
from recurra.nn.spectrogram import LogMel
from recurra.tasks.speech import data as recordings
from recurra.tasks.speech.data import RecordingOptions, connect_recordings, log_mel_features

RATE = 1000  # Hz


def options_of(**values: Any) -> RecordingOptions:
    return RecordingOptions.parse({"path": "there", "sample_rate": RATE, **values}, "test")


def words(num_speakers: int = 3, num_words: int = 5) -> list[Utterance]:
    """Clips of 30 samples."""
    return [
        Utterance(np.full(30, 0.1 + word, np.float32), f"word{word}", f"speaker{speaker}", *[f"{speaker}/{word}"] * 2)
        for speaker in range(num_speakers)
        for word in range(num_words)
    ]


# --- strings -----------------------------------------------------------------------------------------------------


def test_strings_of_each_split_are_drawn_by_themselves() -> None:
    """Of the same clips, so that what is equal in two splits is equal by its draws."""
    options = options_of(connected=(600, 500, 400), connected_words=(2, 4))
    strings = connect_recordings({split: words() for split in ("train", "valid", "test")}, options, 1)
    assert [len(part) for part in strings.values()] == [600, 500, 400]
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        pairs = list(zip(strings[one], strings[other], strict=False))
        assert 0.25 < np.mean([a.speaker == b.speaker for a, b in pairs]) < 0.42  # of three
        sizes = np.array([[len(string.transcript.split()) for string in pair] for pair in pairs])
        assert 0.25 < np.mean(sizes[:, 0] == sizes[:, 1]) < 0.42  # of three
        lengths = np.array([[len(string.samples) for string in pair] for pair in pairs]) - 30 * sizes
        assert abs(np.corrcoef((lengths / (sizes - 1)).T)[0, 1]) < 0.15  # of mean pauses
    again = connect_recordings({"test": words(), "train": words()}, options, 1)
    other = connect_recordings({"train": words()}, options, 2)
    for split in ("train", "test"):
        assert [one.place for one in again[split]] == [one.place for one in strings[split]]
    assert [one.place for one in other["train"]] != [one.place for one in strings["train"]]


def test_strings_of_recordings_without_a_split_are_those_of_a_test() -> None:
    options = options_of(connected=(6, 5, 4))
    found, test = (
        connect_recordings({"all": words()}, options, 3)["all"],
        connect_recordings({"test": words()}, options, 3)["test"],
    )
    assert [one.place for one in found] == [one.place for one in test]
    assert len(found) == 4


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("connected", [20, 0, 5], r"connected\.1: expected greater than or equal to 1, got 0"),
        ("connected_words", [0, 3], r"connected_words\.0: expected greater than or equal to 1, got 0"),
        ("connected_words", [5, 2], r"connected_words: expected fewest and most, in this order, got \[5, 2\]"),
    ],
)
def test_impossible_strings_are_refused_before_anything_is_read(option: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options_of(**{option: value})


# --- features ----------------------------------------------------------------------------------------------------


def test_features_do_not_depend_on_what_fits_into_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log_mel, rng = LogMel(RATE, 5), np.random.default_rng(0)
    sizes = [310, 24, 0, 700, 25, 310, 95, 1300, 60, 26]  # a frame is of 25 samples, every 10
    given = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    whole, padded, called = log_mel_features(given, log_mel), [], LogMel.forward

    def forward(self: LogMel, samples: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        padded.append(samples.numel())
        return called(self, samples, lengths)

    monkeypatch.setattr(LogMel, "forward", forward)
    monkeypatch.setattr(recordings, "MAX_BATCH_SAMPLES", 640)
    parts = log_mel_features(given, log_mel)
    for samples, one, other in zip(given, whole, parts, strict=True):
        alone, _ = log_mel(torch.from_numpy(samples).unsqueeze(1), torch.tensor([len(samples)]))
        assert len(one) == max((len(samples) - 25) // 10 + 1, 0)
        np.testing.assert_allclose(one, alone[:, 0], rtol=0, atol=1e-4)
        np.testing.assert_allclose(other, alone[:, 0], rtol=0, atol=1e-4)
    batches = padded[: -len(given)]
    assert max(sorted(batches)[:-2]) <= 640  # of 1,300 and of 700 samples there can be only one
    assert len(batches) < len(given)
    assert log_mel_features([], log_mel) == []
