"""How close translations come to their references: BLEU and chrF by sacrebleu, and how many are the very same."""

from collections.abc import Sequence
from typing import Any

MOST_SHOWN = 20  # translations


def translation_scores(
    outputs: Sequence[str], references: Sequence[str], *, lowercase: bool = False
) -> dict[str, float]:
    """Figures of translations of one split.

    Args:
        outputs: one for each reference.
        references: running text, not tokenised.
        lowercase: whether case counts for nothing.

    Returns:
        bleu and chrf (0..100, see `signatures`), exact (share that equals the reference), 0..1.
    """
    found = {name: float(measure.corpus_score(outputs, [references]).score) for name, measure in measures(lowercase)}
    folded = [[text.lower() if lowercase else text for text in texts] for texts in (outputs, references)]
    return {**found, "exact": sum(map(str.__eq__, *folded)) / len(references)}


def signatures(lowercase: bool) -> dict[str, str]:
    """How BLEU and chrF are computed, in the form that papers quote."""
    found = {}
    for name, measure in measures(lowercase):
        measure.corpus_score(["a"], [["a"]])  # sacrebleu counts references before it signs
        found[name] = str(measure.get_signature())
    return found


def translation_details(pairs: Sequence[Any], outputs: Sequence[str], *, lowercase: bool) -> dict[str, Any]:
    """What a page of one split is drawn from, as plain values.

    Args:
        pairs: each with source, target and place.
        outputs: the translation of each.
        lowercase: whether case counts for nothing.

    Returns:
        signatures of the scores, and worst: the pairs whose output has the lowest chrF, with that figure.
    """
    chrf = dict(measures(lowercase))["chrf"]
    rows = [
        {"source": pair.source, "output": output, "target": pair.target, "place": pair.place}
        | {"chrf": float(chrf.sentence_score(output, [pair.target]).score)}
        for pair, output in zip(pairs, outputs, strict=True)
    ]
    return {"signatures": signatures(lowercase), "worst": sorted(rows, key=lambda row: row["chrf"])[:MOST_SHOWN]}


def measures(lowercase: bool) -> list[tuple[str, Any]]:
    """BLEU and chrF of sacrebleu, by the name of their figure."""
    from sacrebleu.metrics.bleu import BLEU  # half a second that only translation needs
    from sacrebleu.metrics.chrf import CHRF

    return [("bleu", BLEU(lowercase=lowercase)), ("chrf", CHRF(lowercase=lowercase))]
