"""Errors of transcripts: counted by hand, over what was said, of all recordings together."""

import pytest

from recurra.metrics.transcripts import transcript_scores, worst_transcripts

SAID = ["one two three", "four", "five six"]
HEARD = ["one too three", "four for", ""]  # a word changed, one put in, two left out


def test_errors_are_over_what_was_said() -> None:
    found = transcript_scores(HEARD, SAID)
    assert found["wer"] == pytest.approx(4 / 6)
    assert found["cer"] == pytest.approx((1 + 4 + 8) / (13 + 4 + 8))
    assert found["exact"] == 0
    assert transcript_scores(["a b", "c"], ["a b", "d"]) == {"wer": pytest.approx(1 / 3), "cer": 0.25, "exact": 0.5}
    assert transcript_scores(SAID, SAID) == {"wer": 0, "cer": 0, "exact": 1}


def test_more_errors_than_words() -> None:
    assert transcript_scores(["a b c"], ["d"])["wer"] == 3


def test_the_worst_come_first_with_their_places() -> None:
    rows = worst_transcripts([*HEARD, "seven"], [*SAID, "seven"], ["w", "x", "y", "z"])
    assert [(row["place"], row["output"], row["target"]) for row in rows] == [
        ("x", "four for", "four"),
        ("y", "", "five six"),
        ("w", "one too three", "one two three"),
        ("z", "seven", "seven"),
    ]
    assert [row["cer"] for row in rows] == pytest.approx([1, 1, 1 / 13, 0])
    assert len(worst_transcripts(["a"] * 30, ["b"] * 30, ["c"] * 30)) == 20
