"""Using a trained model."""

from pathlib import Path

from recurra.inference.language import TrainedLanguageModel
from recurra.inference.streaming import LanguageModelStream
from recurra.runs import Run
from recurra.tasks import LanguageModelling, task_of

TRAINED = {LanguageModelling.name: TrainedLanguageModel}


def load(run: str | Path, device: str = "cpu") -> TrainedLanguageModel:
    """The trained model of a run folder.

    Args:
        run: the folder that `train` wrote.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, of a newer format, or of a task this version does not know.
        UsageError: no such device.
    """
    opened = Run(run)
    return TRAINED[task_of(opened).name](opened, device)


__all__ = ["LanguageModelStream", "TrainedLanguageModel", "load"]
