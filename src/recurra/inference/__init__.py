"""Using a trained model."""

from pathlib import Path

from recurra.errors import RunError
from recurra.inference.language import TrainedLanguageModel
from recurra.runs import Run
from recurra.tasks import LanguageModelling

TRAINED = {LanguageModelling.name: TrainedLanguageModel}


def load(run: str | Path, device: str = "cpu") -> TrainedLanguageModel:
    """The trained model of a run folder.

    Args:
        run: the folder that `train` wrote.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, of a newer format, or of a task this version does not know.
    """
    opened = Run(run)
    task = opened.read_model()["task"]
    if task not in TRAINED:
        raise RunError(f"run {run}: of task {task!r}, which this version does not know; known: {', '.join(TRAINED)}")
    return TRAINED[task](opened, device)


__all__ = ["TrainedLanguageModel", "load"]
