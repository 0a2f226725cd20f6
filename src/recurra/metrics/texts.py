"""How close written texts come to their references: BLEU and chrF by sacrebleu, and how many are the very same."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

MOST_SHOWN = 20  # translations


class Scores(NamedTuple):
    """How close texts come."""

    figures: dict[str, float]  # bleu and chrf, 0..100; exact, the share that equals a reference, 0..1
    signatures: dict[str, str]  # how bleu and chrf are computed, in the form that papers quote


class Rules(NamedTuple):
    """How texts are compared."""

    lowercase: bool = False  # case counts for nothing
    tokenizer: str = "13a"  # of sacrebleu, for BLEU
    canonical: Callable[[str], str] = str  # the one form of texts that are written differently and yet the same

    def form(self, text: str) -> str:
        """What two texts have in common that are the same."""
        return self.canonical(text.lower() if self.lowercase else text)


def text_scores(outputs: Sequence[str], references: Sequence[Sequence[str]], rules: Rules) -> Scores:
    """Figures of the texts of one split.

    Args:
        outputs: one for each source.
        references: the right texts of each, one or more: running text, not tokenized.
        rules: how they are compared.
    """
    most = max(map(len, references))
    streams = [[texts[at] if at < len(texts) else None for texts in references] for at in range(most)]
    figures, signatures = {}, {}
    for name, measure in measures(rules):
        figures[name] = float(measure.corpus_score(outputs, streams).score)
        signatures[name] = str(measure.get_signature())
    same = sum(rules.form(output) in map(rules.form, texts) for output, texts in zip(outputs, references, strict=True))
    return Scores({**figures, "exact": same / len(references)}, signatures)


def worst_texts(
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    told: Sequence[Mapping[str, Any]],
    rules: Rules,
) -> list[dict[str, Any]]:
    """The texts of the lowest chrF.

    Args:
        outputs: one for each source.
        references: the right texts of each.
        told: what to tell of each source.
        rules: how they are compared.

    Returns:
        What is told of each, with output, target and chrf.
    """
    chrf = dict(measures(rules))["chrf"]
    scores = [float(chrf.sentence_score(*pair).score) for pair in zip(outputs, references, strict=True)]
    order = sorted(range(len(scores)), key=scores.__getitem__)[:MOST_SHOWN]
    return [
        {**told[at], "output": outputs[at], "target": " / ".join(references[at]), "chrf": scores[at]} for at in order
    ]


def measures(rules: Rules) -> list[tuple[str, Any]]:
    """BLEU and chrF of sacrebleu, by the name of their figure."""
    from sacrebleu.metrics.bleu import BLEU  # half a second that only translation needs
    from sacrebleu.metrics.chrf import CHRF

    return [
        ("bleu", BLEU(lowercase=rules.lowercase, tokenize=rules.tokenizer)),
        ("chrf", CHRF(lowercase=rules.lowercase)),
    ]
