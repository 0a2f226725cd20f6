"""Using a trained model."""

from pathlib import Path
from typing import TypeAlias

from recurra.inference.captioning import TrainedCaptioner
from recurra.inference.classification import TrainedClassifier
from recurra.inference.forecasting import TrainedForecaster
from recurra.inference.language import TrainedLanguageModel
from recurra.inference.memory import TrainedMemory
from recurra.inference.opening import TrainedOnExamples
from recurra.inference.speech import SpeechStream, TrainedRecogniser
from recurra.inference.streaming import LanguageModelStream
from recurra.inference.tagging import TrainedTagger
from recurra.inference.translation import TrainedTranslator
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

Trained: TypeAlias = (
    TrainedLanguageModel
    | TrainedClassifier
    | TrainedTagger
    | TrainedForecaster
    | TrainedMemory
    | TrainedTranslator
    | TrainedCaptioner
    | TrainedRecogniser
)

TRAINED: dict[str, type[Trained]] = {
    LanguageModelling.name: TrainedLanguageModel,
    Classification.name: TrainedClassifier,
    Tagging.name: TrainedTagger,
    Forecasting.name: TrainedForecaster,
    Memory.name: TrainedMemory,
    Translation.name: TrainedTranslator,
    Captioning.name: TrainedCaptioner,
    Speech.name: TrainedRecogniser,
}


def load(run: str | Path, device: str = "cpu") -> Trained:
    """The trained model of a run folder.

    Args:
        run: the folder that `train` wrote.
        device: torch device to run on.

    Returns:
        What can be done with it depends on its task: a language model writes text, a classifier gives labels, a
        tagger a tag for every token, a forecaster what comes next, a translator other text, a captioner text about
        pictures, a recogniser what is said; all `evaluate`.

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
    "TrainedRecogniser",
    "TrainedTagger",
    "TrainedTranslator",
    "load",
]
