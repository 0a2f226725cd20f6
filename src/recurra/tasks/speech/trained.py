"""A trained recognizer in use: of whole recordings, and of sound as it comes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.data.media.sound import Samples, as_samples, read_sound
from recurra.decoding.ctc import BLANK, CTCHypothesis
from recurra.errors import DataError, UsageError
from recurra.nn.state import LayerState
from recurra.progress import Progress
from recurra.tasks import Speech
from recurra.tasks.speech.data import UNHEARD, Encoded, hear
from recurra.tasks.trained import TrainedOnExamples, refuse_one


class Transcript(NamedTuple):
    """One reading of a recording."""

    text: str
    log_probability: float  # nats, of all its alignments that the search has kept
    score: float  # with what language and bonus add; by which readings of a recording are ranked


class SpeechStream:
    """Sound as it comes: samples in, text out as soon as it is heard.

    Args:
        task: whose layers read in one direction.
    """

    def __init__(self, task: Speech) -> None:
        self.task = task
        self.reset()

    def reset(self) -> None:
        """Begin a new recording."""
        self.samples = torch.zeros(0)  # those that do not make a whole step yet
        self.slots: list[LayerState] | None = None
        self.last = BLANK
        self.symbols: list[int] = []

    @property
    def text(self) -> str:
        """All that was heard so far."""
        return self.task.alphabet.decode(self.symbols)

    def feed(self, samples: NDArray[Any]) -> str:
        """Listen on.

        Args:
            samples: mono, -1 to 1 or integers over their full scale, at the sample rate of the model, any number of
                them, (samples,).

        Returns:
            What is new in `text`.

        Raises:
            ShapeError, UsageError, DataError: as of `as_samples`.
        """
        front, model, before = self.task.front, self.task.model, len(self.text)
        self.samples = torch.cat([self.samples, torch.from_numpy(as_samples(samples, "feed"))])
        frames = int(front.frames_in(torch.tensor(len(self.samples)))) // model.reduction * model.reduction
        if not frames:
            return ""
        used = (frames - 1) * front.hop_size + front.window_size
        with torch.inference_mode():
            features, _ = front(self.samples[:used].unsqueeze(1), torch.tensor([used]))
            log_probabilities, self.slots = model.forward_chunk(features.to(model.output.weight.device), self.slots)
        self.samples = self.samples[frames * front.hop_size :]
        for symbol in log_probabilities[:, 0].argmax(1).tolist():
            if symbol not in (BLANK, self.last):
                self.symbols.append(symbol)
            self.last = symbol
        return self.text[before:]


class TrainedRecognizer(TrainedOnExamples[Speech]):
    """A recognizer, ready to use; arguments and errors as of `TrainedModel`."""

    task_type = Speech

    def transcribe(
        self,
        recordings: Sequence[str | Path | NDArray[Any]],
        *,
        beam: int | None = None,
        num_best: int = 1,
        lm_weight: float | None = None,
        insertion_bonus: float | None = None,
        progress: Progress | None = None,
    ) -> list[list[Transcript]]:
        """What is said in each recording.

        Args:
            recordings: sound files; or mono samples, -1 to 1 or integers over their full scale, at the sample rate of
                the model, (samples,).
            beam: prefixes under way, at least `num_best`; 1 reads the likeliest alignment. By default that of the
                recipe.
            num_best: readings of each.
            lm_weight: of symbols counted on the training transcripts, 0 up. By default that of the recipe.
            insertion_bonus: nats that each symbol is worth. By default that of the recipe.
            progress: told how many files were resampled or had their channels averaged.

        Returns:
            Of each recording up to `num_best` readings, the best first.

        Raises:
            DataError: a file that cannot be read, a sample that is not finite, or a recording shorter than one step.
            UsageError: a value outside its range, one recording instead of a list, or an array of anything else.
        """
        refuse_one(recordings, "transcribe")
        if isinstance(recordings, np.ndarray):
            raise UsageError("transcribe: expected a list, got one array; write transcribe([samples])")
        if num_best < 1:
            raise UsageError(f"num_best: expected at least 1, got {num_best}")
        chosen = {"beam": beam, "lm_weight": lm_weight, "insertion_bonus": insertion_bonus}
        options, progress = self.task.recipe.decoding.given(num_best, **chosen), progress or Progress()
        samples = [self.samples_of(one, progress) for one in recordings]
        features = hear(samples, self.task.front)
        encoded = Encoded(features, [UNHEARD] * len(features))
        log_probabilities = self.task.judge(encoded, progress, "hearing").log_probabilities
        found = self.task.readings(log_probabilities, options)
        return [[self.transcript_of(one) for one in best[:num_best]] for best in found]

    def transcript_of(self, reading: CTCHypothesis) -> Transcript:
        """A reading as text."""
        return Transcript(self.task.alphabet.decode(reading.symbols), reading.log_probability, reading.score)

    def samples_of(self, recording: str | Path | NDArray[Any], progress: Progress) -> Samples:
        """A recording as those that were trained on, at least one step long; errors as of `transcribe`."""
        if isinstance(recording, np.ndarray):
            name, samples, change = "recording", as_samples(recording, "transcribe"), None
        elif isinstance(recording, str | Path):
            name, (samples, change) = str(recording), read_sound(Path(recording), self.task.recipe.data.sample_rate)
        else:
            raise UsageError(f"transcribe: expected sound files or arrays of samples, got {type(recording).__name__}")
        if int(self.task.front.frames_in(torch.tensor(len(samples)))) < self.task.model.reduction:
            raise DataError(f"{name}: shorter than one step of the model, so nothing is to be heard")
        if change:
            progress.note(f"{name}: {change}")
        return samples

    def stream(self) -> SpeechStream:
        """Sound as it comes.

        Raises:
            UsageError: the layers read in both directions, so nothing can be said before the end.
        """
        if self.task.recipe.model.bidirectional:
            raise UsageError(
                f"{self.run}: reads in both directions, so nothing is known before the end; train with "
                "--no-bidirectional to recognize while sound comes"
            )
        return SpeechStream(self.task)
