"""A trained recognizer in use: on whole recordings, and on sound as it comes."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recurra.config import Section
from recurra.data.media.sound import SOUNDS, Samples, as_samples, read_sound
from recurra.decoding.ctc import BLANK
from recurra.errors import DataError, UsageError
from recurra.nn.state import LayerState
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.speech.data import NO_TARGETS, Encoded, log_mel_features
from recurra.tasks.speech.task import Speech
from recurra.tasks.trained import Input, StreamedText, Table, TrainedModel, Verb

STANDARD_INPUT = "-"
CHUNKS = 10  # per second, of a recording that is streamed
HEADERS = (b"RIFF", b"fLaC", b"OggS")  # of sound files; raw samples hardly ever start like this


class Transcript(NamedTuple):
    """One hypothesis for a recording."""

    text: str
    log_probability: float  # nats, of all its alignments that the search has kept
    score: float  # with language model and insertion bonus; hypotheses of a recording are ranked by it


class Transcripts(NamedTuple):
    """The transcript of one recording."""

    sound: str  # name of the file
    texts: list[Transcript]  # the best first; none where nothing was found
    num_best: int

    @property
    def text(self) -> str:
        """The best transcript."""
        return self.texts[0].text if self.texts else ""

    def as_json(self) -> Json:
        """The name, and all hypotheses."""
        return {"sound": self.sound, "texts": [one._asdict() for one in self.texts]}

    def as_table(self) -> Table | None:
        """A row for each hypothesis, where several were asked for."""
        if self.num_best == 1:
            return None
        rows = [(one.text, f"{one.score:.3f}", f"{one.log_probability:.2f}") for one in self.texts]
        return Table((self.sound, "score", "log-probability"), rows)


class PredictOptions(Section):
    """Options of `predict`."""

    num_best: int = Field(1, ge=1, description="transcripts of each recording")
    beam_size: int | None = Field(
        None,
        ge=1,
        description="prefixes that the search keeps; 1: the best alignment; by default that of the recipe",
    )
    lm_weight: float | None = Field(
        None, ge=0, description="weight of the trigram model of training transcripts; by default that of the recipe"
    )
    insertion_bonus: float | None = Field(None, description="nats added for each symbol; by default that of the recipe")
    stream: bool = Field(False, description="write text while sound comes; needs a model of one direction")

    @model_validator(mode="after")
    def refuse_search_of_stream(self) -> "PredictOptions":
        """Refuse options of the search, since a stream writes the best alignment."""
        if self.stream and (self.num_best > 1 or any(value is not None for value in self.searched.values())):
            raise ValueError(
                "no beam_size, num_best, lm_weight or insertion_bonus beside stream, which does not search"
            )
        return self

    @property
    def searched(self) -> dict[str, float | None]:
        """Options of the search."""
        return {"beam_size": self.beam_size, "lm_weight": self.lm_weight, "insertion_bonus": self.insertion_bonus}


def predict(
    model: "TrainedRecognizer", inputs: list[Input], options: PredictOptions, progress: Progress
) -> list[Transcripts] | list[StreamedText]:
    """The transcripts of recordings: mono samples (samples,) at the sample rate of the model.

    Raises:
        DataError: a sample that is not finite, or a recording shorter than one step.
        ShapeError, UsageError: anything but mono samples, floats in -1..1 or integers.
    """
    if options.stream:
        return [StreamedText(("sound", one.name), model.stream_pieces(one.value)) for one in inputs]
    search = model.task.recipe.decoding.given(options.num_best, **options.searched)
    features = log_mel_features([model.samples_of(one) for one in inputs], model.task.log_mel)
    encoded = Encoded(features, [NO_TARGETS] * len(features))
    log_probabilities = model.task.predict(encoded, progress, "transcribing").log_probabilities
    decode, num_best = model.task.alphabet.decode, options.num_best
    return [
        Transcripts(
            one.name,
            [Transcript(decode(h.symbols), h.log_probability, h.score) for h in hypotheses[:num_best]],
            num_best,
        )
        for one, hypotheses in zip(inputs, model.task.hypotheses(log_probabilities, search), strict=True)
    ]


class SpeechStream:
    """Streaming recognition: samples in, text out.

    Args:
        task: its layers must run in one direction.
    """

    def __init__(self, task: Speech) -> None:
        self.task = task
        self.reset()

    def reset(self) -> None:
        """Start a new recording."""
        self.samples = torch.zeros(0)  # samples that do not fill a step yet
        self.states: list[LayerState] | None = None
        self.last = BLANK
        self.symbols: list[int] = []

    @property
    def text(self) -> str:
        """The transcript so far."""
        return self.task.alphabet.decode(self.symbols)

    def feed(self, samples: NDArray[Any]) -> str:
        """Recognize further samples.

        Args:
            samples: mono, -1 to 1 or integers over their full scale, at the sample rate of the model, any number of
                them, (samples,).

        Returns:
            What was added to `text`.

        Raises:
            ShapeError, UsageError, DataError: as of `as_samples`.
        """
        log_mel, model, before = self.task.log_mel, self.task.model, len(self.text)
        self.samples = torch.cat([self.samples, torch.from_numpy(as_samples(samples, "feed"))])
        frames = int(log_mel.frames_in(torch.tensor(len(self.samples)))) // model.reduction * model.reduction
        if not frames:
            return ""
        used = (frames - 1) * log_mel.hop_size + log_mel.window_size
        with torch.inference_mode():
            features, _ = log_mel(self.samples[:used].unsqueeze(1), torch.tensor([used]))
            log_probabilities, self.states = model.forward_chunk(features.to(model.output.weight.device), self.states)
        self.samples = self.samples[frames * log_mel.hop_size :]
        for symbol in log_probabilities[:, 0].argmax(1).tolist():
            if symbol not in (BLANK, self.last):
                self.symbols.append(symbol)
            self.last = symbol
        return self.text[before:]


class TrainedRecognizer(TrainedModel[Speech]):
    """A recognizer, ready to use; arguments and errors as of `TrainedModel`.

    Inputs are sound files, or arrays of mono samples at the model's sample rate: floats in -1..1, or integers.
    """

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(PredictOptions, predict)}
    batch_size: ClassVar[int] = 64
    transcribe = TrainedModel.predict

    @property
    def reads_files(self) -> bool:
        """Recordings are given as files."""
        return True

    @property
    def endings(self) -> tuple[str, ...]:
        """Of sound files."""
        return SOUNDS

    def expand(self, inputs: Sequence[Any], progress: Progress) -> list[Input]:
        """Refuse one array of samples instead of a list of such."""
        if isinstance(inputs, np.ndarray):
            raise UsageError("predict: expected a list, got one array; write predict([samples])")
        return super().expand(inputs, progress)

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The samples of a sound file at the sample rate of the model; those of standard input as they come."""
        if path == STANDARD_INPUT:
            yield Input(path, stream_standard_input(self.task.recipe.data.sample_rate))
            return
        samples, change = read_sound(Path(path), self.task.recipe.data.sample_rate)
        if change:
            progress.note(f"{path}: {change}")
        yield Input(path, self.samples_of(Input(path, samples)))

    def samples_of(self, one: Input) -> Samples:
        """The samples of an input, at least one step long.

        Raises:
            DataError, ShapeError, UsageError: as of `predict`.
        """
        if isinstance(one.value, Iterator):
            raise UsageError(f"{one.name}: standard input is transcribed with --stream only")
        name, samples = one.name or "recording", as_samples(array_of(one.value), "predict")
        if int(self.task.log_mel.frames_in(torch.tensor(len(samples)))) < self.task.model.reduction:
            raise DataError(f"{name}: shorter than one step of the model, so there is nothing to recognize")
        return samples

    def stream(self) -> SpeechStream:
        """Streaming recognition.

        Raises:
            UsageError: the layers run in both directions, so that nothing can be recognized before the end.
        """
        if self.task.recipe.model.bidirectional:
            raise UsageError(
                f"{self.run}: bidirectional, so nothing can be recognized before the end; train with "
                "--no-bidirectional for streaming"
            )
        return SpeechStream(self.task)

    def stream_pieces(self, value: NDArray[Any] | Iterator[NDArray[Any]]) -> Iterator[str]:
        """Text while samples are fed to a stream, a tenth of a second at a time.

        Args:
            value: samples (samples,), or an iterator of pieces of them.

        Raises:
            UsageError: anything else, or a bidirectional model.
        """
        stream, size = self.stream(), max(self.task.recipe.data.sample_rate // CHUNKS, 1)
        if isinstance(value, Iterator):
            return map(stream.feed, value)
        samples = as_samples(array_of(value), "predict")
        return (stream.feed(samples[first : first + size]) for first in range(0, len(samples), size))


def array_of(value: Any) -> NDArray[Any]:
    """The value of an input, if it is an array.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, np.ndarray):
        raise UsageError(f"predict: expected sound files or arrays of samples, got {type(value).__name__}")
    return value


def stream_standard_input(sample_rate: int) -> Iterator[NDArray[Any]]:
    """Raw mono samples on standard input, 16-bit little-endian, a tenth of a second at a time, (samples,).

    Raises:
        DataError: a sound file instead of raw samples.
    """
    size, is_first = max(sample_rate // CHUNKS, 1), True
    while block := sys.stdin.buffer.read(2 * size):
        if is_first and block.startswith(HEADERS):
            raise DataError(
                f"{STANDARD_INPUT}: a sound file, where raw samples are expected; give its name instead, or remove its "
                f"header, as with: ffmpeg -i FILE -f s16le -ac 1 -ar {sample_rate} -"
            )
        is_first = False
        yield np.frombuffer(block, "<i2", len(block) // 2)


TRAINED = TrainedRecognizer
