"""How close transcripts come to what was said: errors of words and of characters, by jiwer."""

from collections.abc import Sequence
from typing import Any

MOST_SHOWN = 20  # transcripts


def transcript_scores(outputs: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Figures of the transcripts of one split.

    Args:
        outputs: one for each recording.
        references: what was said, none empty.

    Returns:
        wer and cer (words, characters that were left out, put in or changed, over those that were said: 0 up), exact
        (share that is the reference, 0..1).
    """
    import jiwer  # a tenth of a second that only speech needs

    given, said = list(outputs), list(references)
    same = sum(map(str.__eq__, given, said))
    return {"wer": float(jiwer.wer(said, given)), "cer": float(jiwer.cer(said, given)), "exact": same / len(said)}


def worst_transcripts(outputs: Sequence[str], references: Sequence[str], places: Sequence[str]) -> list[dict[str, Any]]:
    """The transcripts with most errors of characters a character said.

    Returns:
        output, target, cer and place of each.
    """
    import jiwer

    rows: list[dict[str, Any]] = [
        {"output": output, "target": target, "cer": float(jiwer.cer(target, output)), "place": place}
        for output, target, place in zip(outputs, references, places, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["cer"])[:MOST_SHOWN]
