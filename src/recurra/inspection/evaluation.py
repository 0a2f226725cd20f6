"""What a model gets wrong, as one HTML page: drawn from `evaluation.json` of its run."""

from pathlib import Path

from recurra.figures.labels import class_figure, confusion_figure, misclassified_table, reliability_figure
from recurra.figures.pages import write_page
from recurra.figures.texts import text_sections, worst_texts_table
from recurra.runs import EVALUATION, Run
from recurra.tasks.captioning.page import view_figures
from recurra.tasks.forecasting.page import by_series, error_figure, fan_figure
from recurra.tasks.speech.page import hearing_figures
from recurra.tasks.translation.page import alignment_figures

FILE = "evaluation.html"
# What details of labels, translations, captions and transcripts hold, and others do not.
LABELS, ALIGNMENTS, VIEWS, HEARINGS = "confusion", "alignments", "views", "hearings"


def evaluation_page(run: Run | str | Path) -> Path | None:
    """Draw what there is to see of the predictions for the last split.

    Of labels: confusion, precision and recall of each, reliability and the worst examples. Of forecasts: the error by
    step ahead, and some of them. Of texts: the worst, and for some what was read, looked at or heard.

    Returns:
        `evaluation.html` of the run, or None where its task leaves nothing to draw.

    Raises:
        RunError: no such run, or damaged.
        SaveError: the page cannot be written.
    """
    run = run if isinstance(run, Run) else Run(run)
    run.read_model()
    evaluation = run.read_json(EVALUATION) if run.path(EVALUATION).exists() else {}
    if not evaluation:
        return None
    split, details = list(evaluation.items())[-1]
    if LABELS in details:
        parts = [
            confusion_figure(details),
            class_figure(details),
            reliability_figure(details),
            misclassified_table(details),
        ]
    elif ALIGNMENTS in details:
        parts = [*text_sections(details), *alignment_figures(details[ALIGNMENTS])]
    elif VIEWS in details:
        parts = [*text_sections(details), *view_figures(details[VIEWS])]
    elif HEARINGS in details:
        parts = [worst_texts_table(details), *hearing_figures(details[HEARINGS])]
    else:
        parts = [error_figure(evaluation), *map(fan_figure, by_series(details["fans"]))]
    return write_page(run.path(FILE), f"{run.folder.name}: what it makes of {split}", parts)
