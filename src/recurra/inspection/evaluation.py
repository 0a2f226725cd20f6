"""The evaluation page of a run, drawn from `evaluation.json`."""

from pathlib import Path

from recurra.figures.pages import write_page
from recurra.runs import EVALUATION, Run
from recurra.tasks import task_of

FILE = "evaluation.html"


def evaluation_page(run: Run | str | Path) -> Path | None:
    """Draw the predictions for the last held-out split, in the form that suits the task.

    Returns:
        `evaluation.html` of the run, or None where its task stores no details.

    Raises:
        RunError: no such run, or damaged.
        SaveError: the page cannot be written.
    """
    run = run if isinstance(run, Run) else Run(run)
    entry = task_of(run)
    evaluation = run.read_json(EVALUATION) if run.path(EVALUATION).exists() else {}
    if not evaluation:
        return None
    title = f"{run.folder.name}: predictions for {list(evaluation)[-1]}"
    return write_page(run.path(FILE), title, entry.figures(evaluation))
