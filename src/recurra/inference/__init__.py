"""Using a trained model."""

from pathlib import Path
from typing import TypeAlias

from recurra.runs import Run
from recurra.tasks import (
    Captioning,
    Classification,
    Forecasting,
    LanguageModelling,
    Memory,
    Speech,
    Tagging,
    Translation,
    task_of,
)
from recurra.tasks.captioning.trained import TrainedCaptioner
from recurra.tasks.classification.trained import TrainedClassifier
from recurra.tasks.forecasting.trained import TrainedForecaster
from recurra.tasks.language_modelling.streaming import LanguageModelStream
from recurra.tasks.language_modelling.trained import TrainedLanguageModel
from recurra.tasks.long_memory.trained import TrainedMemory
from recurra.tasks.speech.trained import SpeechStream, TrainedRecognizer
from recurra.tasks.tagging.trained import TrainedTagger
from recurra.tasks.trained import TrainedOnExamples
from recurra.tasks.translation.trained import TrainedTranslator

Trained: TypeAlias = (
    TrainedLanguageModel
    | TrainedClassifier
    | TrainedTagger
    | TrainedForecaster
    | TrainedMemory
    | TrainedTranslator
    | TrainedCaptioner
    | TrainedRecognizer
)

TRAINED: dict[str, type[Trained]] = {
    LanguageModelling.name: TrainedLanguageModel,
    Classification.name: TrainedClassifier,
    Tagging.name: TrainedTagger,
    Forecasting.name: TrainedForecaster,
    Memory.name: TrainedMemory,
    Translation.name: TrainedTranslator,
    Captioning.name: TrainedCaptioner,
    Speech.name: TrainedRecognizer,
}


def load(run: str | Path, device: str = "cpu") -> Trained:
    """The trained model of a run folder.

    Args:
        run: the folder that `train` wrote.
        device: torch device to run on.

    Returns:
        What can be done with it depends on its task: a language model writes text, a classifier gives labels, a
        tagger a tag for every token, a forecaster what comes next, a translator other text, a captioner text about
        pictures, a recognizer what is said; all `evaluate`.

    Raises:
        RunError: missing, incomplete, damaged, of a newer format, or of a task this version does not know.
        UsageError: no such device.
    """
    opened = Run(run)
    return TRAINED[task_of(opened).name](opened, device)


__all__ = [
    "LanguageModelStream",
    "SpeechStream",
    "Trained",
    "TrainedCaptioner",
    "TrainedClassifier",
    "TrainedForecaster",
    "TrainedLanguageModel",
    "TrainedMemory",
    "TrainedOnExamples",
    "TrainedRecognizer",
    "TrainedTagger",
    "TrainedTranslator",
    "load",
]
