"""Scores of texts: those of sacrebleu for one or several references, and the worst outputs first."""

import pytest
import sacrebleu

from recurra.metrics.texts import TextMetricOptions, lowest_chrf_texts, text_scores

OUTPUTS = ["the dog runs over the green grass", "two men sit", "A bird flies high above the sea"]
REFERENCES = [
    ["a dog runs over the grass", "the dog is running over green grass"],
    ["two men are sitting on a bench"],
    ["a bird flies over the sea", "A bird is high above the sea", "a bird flies high above the sea"],
]


def test_every_reference_of_a_text_counts_and_none_of_another() -> None:
    found = text_scores(OUTPUTS, REFERENCES, TextMetricOptions()).figures
    streams = [[texts[at] if at < len(texts) else None for texts in REFERENCES] for at in range(3)]
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(OUTPUTS, streams).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(OUTPUTS, streams).score)
    first = text_scores(OUTPUTS, [texts[:1] for texts in REFERENCES], TextMetricOptions()).figures
    assert first["bleu"] < found["bleu"]
    assert first["chrf"] < found["chrf"]


def test_exact_is_the_share_that_equals_any_reference() -> None:
    assert text_scores(OUTPUTS, REFERENCES, TextMetricOptions()).figures["exact"] == 0
    assert text_scores(OUTPUTS, REFERENCES, TextMetricOptions(lowercase=True)).figures["exact"] == 1 / 3
    without_spaces = TextMetricOptions(canonical=lambda text: text.replace(" ", ""))
    assert text_scores(["twomen are sitting on a bench"], REFERENCES[1:2], without_spaces).figures["exact"] == 1


def test_the_lowest_scores_come_first_with_the_fields_of_their_sources() -> None:
    sources = [{"place": f"line {number}"} for number in (1, 2, 3)]
    worst = lowest_chrf_texts(OUTPUTS, REFERENCES, sources, TextMetricOptions())
    scores = [sacrebleu.sentence_chrf(output, texts).score for output, texts in zip(OUTPUTS, REFERENCES, strict=True)]
    assert [one["chrf"] for one in worst] == pytest.approx(sorted(scores))
    assert worst[0] == {
        "place": "line 2",
        "output": "two men sit",
        "target": "two men are sitting on a bench",
        "chrf": pytest.approx(scores[1]),
    }
    assert worst[-1]["target"] == " / ".join(REFERENCES[2])
