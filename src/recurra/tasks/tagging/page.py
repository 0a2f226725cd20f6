"""The evaluation page of a tagger."""

from typing import Any

from recurra.figures.labels import label_figures
from recurra.runs import Json


def figures(evaluation: Json) -> list[Any]:
    """Confusion matrix, scores by tag or type of span, reliability and mistagged tokens of the last split."""
    return label_figures(list(evaluation.values())[-1])
