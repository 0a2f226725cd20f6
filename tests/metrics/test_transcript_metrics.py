"""Error rates of transcripts, counted by hand over all recordings."""

import pytest

from recurra.metrics.texts import highest_cer_transcripts, transcript_scores

REFERENCES = ["one two three", "four", "five six"]
OUTPUTS = ["one too three", "four for", ""]  # one substitution, one insertion, two deletions


def test_error_rates_are_relative_to_the_references() -> None:
    found = transcript_scores(OUTPUTS, REFERENCES)
    assert found["wer"] == pytest.approx(4 / 6)
    assert found["cer"] == pytest.approx((1 + 4 + 8) / (13 + 4 + 8))
    assert found["exact"] == 0
    assert transcript_scores(["a b", "c"], ["a b", "d"]) == {"wer": pytest.approx(1 / 3), "cer": 0.25, "exact": 0.5}
    assert transcript_scores(REFERENCES, REFERENCES) == {"wer": 0, "cer": 0, "exact": 1}


def test_more_errors_than_words() -> None:
    assert transcript_scores(["a b c"], ["d"])["wer"] == 3


def test_the_highest_error_rates_come_first_with_their_places() -> None:
    rows = highest_cer_transcripts([*OUTPUTS, "seven"], [*REFERENCES, "seven"], ["w", "x", "y", "z"])
    assert [(row["place"], row["output"], row["target"]) for row in rows] == [
        ("x", "four for", "four"),
        ("y", "", "five six"),
        ("w", "one too three", "one two three"),
        ("z", "seven", "seven"),
    ]
    assert [row["cer"] for row in rows] == pytest.approx([1, 1, 1 / 13, 0])
    assert len(highest_cer_transcripts(["a"] * 30, ["b"] * 30, ["c"] * 30)) == 20
