"""Scores of texts against references: BLEU and chrF (sacrebleu), word and character error rate (jiwer), exact match."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

NUM_WORST = 20  # texts that are listed


class TextScores(NamedTuple):
    """Scores of texts on one split."""

    figures: dict[str, float]  # bleu and chrf, 0..100; exact, the share that equals a reference, 0..1
    signatures: dict[str, str]  # sacrebleu's descriptions of how bleu and chrf are computed, for publications


class TextMetricOptions(NamedTuple):
    """How texts are compared."""

    lowercase: bool = False  # ignore case
    tokenizer: str = "13a"  # of sacrebleu, for BLEU
    canonical: Callable[[str], str] = str  # maps equivalent spellings of a text to one, for exact match

    def normalize(self, text: str) -> str:
        """The form of a text that exact match compares."""
        return self.canonical(text.lower() if self.lowercase else text)


def text_scores(outputs: Sequence[str], references: Sequence[Sequence[str]], options: TextMetricOptions) -> TextScores:
    """BLEU, chrF and exact match of the outputs on one split.

    Args:
        outputs: one text for each source.
        references: correct texts of each source, one or more; running text, not tokenized.
        options: how texts are compared.
    """
    most = max(map(len, references))
    streams = [[texts[at] if at < len(texts) else None for texts in references] for at in range(most)]
    figures, signatures = {}, {}
    for name, metric in sacrebleu_metrics(options):
        figures[name] = float(metric.corpus_score(outputs, streams).score)
        signatures[name] = str(metric.get_signature())
    normalize = options.normalize
    same = sum(normalize(output) in map(normalize, texts) for output, texts in zip(outputs, references, strict=True))
    return TextScores({**figures, "exact": same / len(references)}, signatures)


def lowest_chrf_texts(
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    sources: Sequence[Mapping[str, Any]],
    options: TextMetricOptions,
) -> list[dict[str, Any]]:
    """The NUM_WORST outputs with the lowest chrF, the lowest first.

    Args:
        outputs: one text for each source.
        references: correct texts of each source, one or more.
        sources: fields that describe each source.
        options: how texts are compared.

    Returns:
        The fields of each source, with output, target (all references, separated by " / ") and chrf (0..100).
    """
    chrf = dict(sacrebleu_metrics(options))["chrf"]
    scores = [float(chrf.sentence_score(*pair).score) for pair in zip(outputs, references, strict=True)]
    order = sorted(range(len(scores)), key=scores.__getitem__)[:NUM_WORST]
    return [
        {**sources[at], "output": outputs[at], "target": " / ".join(references[at]), "chrf": scores[at]} for at in order
    ]


def sacrebleu_metrics(options: TextMetricOptions) -> list[tuple[str, Any]]:
    """BLEU and chrF of sacrebleu, each with its name."""
    from sacrebleu.metrics.bleu import BLEU  # takes half a second, which only these scores need
    from sacrebleu.metrics.chrf import CHRF

    return [
        ("bleu", BLEU(lowercase=options.lowercase, tokenize=options.tokenizer)),
        ("chrf", CHRF(lowercase=options.lowercase)),
    ]


def transcript_scores(outputs: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Error rates of the transcripts of one split.

    Args:
        outputs: one transcript for each recording.
        references: correct transcripts, none empty.

    Returns:
        wer and cer (deleted, inserted and substituted words or characters over those of the references, at least 0),
        exact (share that equals the reference, 0..1).
    """
    import jiwer  # takes a tenth of a second, which only speech needs

    outputs, references = list(outputs), list(references)
    same = sum(map(str.__eq__, outputs, references))
    wer, cer = float(jiwer.wer(references, outputs)), float(jiwer.cer(references, outputs))
    return {"wer": wer, "cer": cer, "exact": same / len(references)}


def highest_cer_transcripts(
    outputs: Sequence[str], references: Sequence[str], places: Sequence[str]
) -> list[dict[str, Any]]:
    """The NUM_WORST transcripts with the highest character error rate, the highest first.

    Args:
        outputs: one transcript for each recording.
        references: correct transcripts, none empty.
        places: file, or row of a table, of each recording.

    Returns:
        output, target, cer and place of each.
    """
    import jiwer

    rows: list[dict[str, Any]] = [
        {"output": output, "target": target, "cer": float(jiwer.cer(target, output)), "place": place}
        for output, target, place in zip(outputs, references, places, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["cer"])[:NUM_WORST]
