"""Recordings by split: speakers on one side and none of it empty, equal recordings together, what files say kept."""

import numpy as np
import pytest

from noting import Notes
from recurra.data.media.sound import Utterance, split_utterances
from recurra.errors import DataError
from recurra.progress import Progress

SHARES = (0.5, 0.25, 0.25)
SILENT = Progress()


def utterances(num: int, speakers: str | None, transcript: str = "x") -> list[Utterance]:
    return [
        Utterance(
            np.zeros(9, np.float32),
            f"{transcript}{at}",
            speakers and speakers[at % len(speakers)],
            f"place {at}",
            f"digest of {at}",
        )
        for at in range(num)
    ]


def test_speakers_stay_on_one_side() -> None:
    given, notes = utterances(400, "abcdefghijklmnopqrstuvwxyz"), Notes()
    parts = split_utterances({"all": given}, "there", SHARES, notes)
    sides = [{one.speaker for one in part} for part in parts.values()]
    assert list(parts) == ["train", "valid", "test"]
    assert sum(map(len, parts.values())) == 400
    assert sum(map(len, sides)) == len(set.union(*sides)) == 26
    assert [len(side) for side in sides] == [13, 7, 6]
    shares = [f"{len(part) / 400:.0%}" for part in parts.values()]
    assert notes.lines == [
        f"there: speakers are split: train 13 with {shares[0]} of the recordings, valid 7 with {shares[1]} of the "
        f"recordings, test 6 with {shares[2]} of the recordings"
    ]
    again = split_utterances({"all": given[::-1]}, "there", SHARES, SILENT)
    assert [{one.speaker for one in part} for part in again.values()] == sides


@pytest.mark.parametrize(("speakers", "by_speaker"), [("a", False), (None, True)])
def test_recordings_are_split_one_by_one_and_equal_ones_stay_together(speakers: str | None, by_speaker: bool) -> None:
    given = utterances(400, speakers) + utterances(400, speakers, "again")
    parts = split_utterances({"all": given}, "there", SHARES, SILENT, by_speaker=by_speaker)
    sides = [{one.digest for one in part} for part in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 400
    np.testing.assert_allclose([len(side) / 400 for side in sides], SHARES, atol=0.08)


def test_some_recordings_without_a_speaker_are_no_speaker_of_their_own() -> None:
    given = utterances(40, "abcdefgh")
    given[3], given[7] = given[3]._replace(speaker=None), given[7]._replace(speaker=None)
    with pytest.raises(
        DataError, match=r"^place 3: no speaker \(2 such .*fill it, leave the row out, .*--no-by-speaker"
    ):
        split_utterances({"all": given}, "there", SHARES, SILENT)
    parts = split_utterances({"all": given}, "there", SHARES, SILENT, by_speaker=False)
    assert sum(map(len, parts.values())) == 40
    said = {"train": given, "valid": utterances(2, "a")}
    assert split_utterances(said, "there", SHARES, SILENT) == said


def test_what_files_say_is_kept_and_validation_comes_from_training() -> None:
    given = {"train": utterances(90, None), "test": utterances(7, None, "t")}
    parts = split_utterances(given, "there", SHARES, SILENT)
    assert parts["test"] == given["test"]
    assert len(parts["train"]) + len(parts["valid"]) == 90
    assert 10 < len(parts["valid"]) < 50


def test_validation_speakers_come_from_the_training_ones() -> None:
    given = {"test": utterances(7, "ab"), "train": utterances(12, "cdef")}
    parts = split_utterances(given, "there", SHARES, SILENT)
    assert list(parts) == ["train", "valid", "test"]
    assert parts["test"] == given["test"]
    assert [len({one.speaker for one in parts[split]}) for split in ("train", "valid")] == [3, 1]
    assert [len(parts[split]) for split in ("train", "valid")] == [9, 3]
    said = {**given, "valid": utterances(2, "a")}
    assert split_utterances(said, "there", SHARES, SILENT) == said


def test_too_little_to_split() -> None:
    for given, number, splits in (
        ({"all": utterances(30, "ab")}, 2, "train, valid, test"),
        ({"train": utterances(30, "a"), "test": utterances(3, "b")}, 1, "train, valid"),
    ):
        message = rf"there: fewer speakers \({number}\) than splits \({splits}\); .* with --no-by-speaker"
        with pytest.raises(DataError, match=message):
            split_utterances(given, "there", SHARES, SILENT)
    with pytest.raises(DataError, match=r"there: no recordings for (train|valid|test); give more data or other shares"):
        split_utterances({"all": utterances(2, None)}, "there", SHARES, SILENT)
    with pytest.raises(DataError, match="there: its recordings are for test, valid; expected some for train"):
        split_utterances({"valid": utterances(3, "a"), "test": utterances(3, "a")}, "there", SHARES, SILENT)
