"""`recurra transcribe`."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import Device, RunFolder, groups, open_model, print_line, print_table, progress
from recurra.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recurra.inference import TrainedRecogniser
    from recurra.inference.speech import Transcript

AT_ONCE = 64  # recordings
PIECES = 10  # a second, of a recording that is listened to
STANDARD_INPUT = "-"


def transcribe(
    run: RunFolder,
    sounds: Annotated[
        list[str],
        typer.Argument(
            metavar="SOUND...",
            help="Sound files; with --stream also - for standard input: raw mono samples, 16-bit little-endian, at the "
            "sample rate of the model.",
            show_default=False,
        ),
    ],
    beam: Annotated[
        int | None,
        typer.Option(help="Prefixes under way; 1 reads the likeliest alignment. By default that of the recipe."),
    ] = None,
    num_best: Annotated[
        int, typer.Option("--num-best", "-n", help="Readings of each recording, from a beam at least as wide.")
    ] = 1,
    language_weight: Annotated[
        float | None,
        typer.Option(help="Weight of symbols counted on the training transcripts. By default that of the recipe."),
    ] = None,
    symbol_bonus: Annotated[
        float | None, typer.Option(help="Nats that each symbol is worth. By default that of the recipe.")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Write while listening; needs a model that reads in one direction.")
    ] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """What is said in recordings.

    Examples: recurra transcribe runs/digits new.wav other.flac; recurra transcribe runs/digits new.wav --num-best 3;
    arecord -f S16_LE -r 16000 -t raw | recurra transcribe runs/digits - --stream
    """
    is_searching = num_best > 1 or any(value is not None for value in (beam, language_weight, symbol_bonus))
    if stream and (as_json or is_searching):
        raise UsageError(
            "--stream writes what it hears as it hears it; leave --json, --beam, --num-best, --language-weight and "
            "--symbol-bonus out"
        )
    if STANDARD_INPUT in sounds and not stream:
        raise UsageError(f"{STANDARD_INPUT}: standard input is listened to with --stream only")
    model = open_model(run, device)
    from recurra.inference import TrainedRecogniser

    if not isinstance(model, TrainedRecogniser):
        raise UsageError(f"{run}: hears nothing, its task is {model.task.name}; see recurra predict")
    if stream:
        listen(model, sounds)
        return
    for several in groups(sounds, AT_ONCE):
        found = model.transcribe(
            several,
            beam=beam,
            num_best=num_best,
            language_weight=language_weight,
            symbol_bonus=symbol_bonus,
            progress=progress(quiet=False),
        )
        for sound, transcripts in zip(several, found, strict=True):
            show(sound, transcripts, num_best, as_json)


def show(sound: str, transcripts: "list[Transcript]", num_best: int, as_json: bool) -> None:
    """Readings of a recording: the best as it is, or a table of several."""
    if as_json:
        print_line({"sound": sound, "texts": [one._asdict() for one in transcripts]})
    elif num_best == 1:
        print(transcripts[0].text if transcripts else "", flush=True)
    else:
        rows = [(one.text, f"{one.score:.3f}", f"{one.log_probability:.2f}") for one in transcripts]
        print_table((sound, "score", "log-probability"), rows)


def listen(model: "TrainedRecogniser", sounds: list[str]) -> None:
    """Write what is said while each recording is played to the model."""
    heard = model.stream()
    for sound in sounds:
        for piece in pieces(sound, model.task.recipe.data.sample_rate):
            print(heard.feed(piece), end="", flush=True)
        print(flush=True)
        heard.reset()


def pieces(sound: str, sample_rate: int) -> "Iterator[NDArray[Any]]":
    """A recording a tenth of a second at a time, (samples,): a file, or standard input as it comes."""
    from pathlib import Path

    import numpy as np

    from recurra.data.sound import read_sound

    size = max(sample_rate // PIECES, 1)
    if sound == STANDARD_INPUT:
        while block := sys.stdin.buffer.read(2 * size):
            yield np.frombuffer(block, "<i2", len(block) // 2)
        return
    samples, change = read_sound(Path(sound), sample_rate)
    if change:
        progress(quiet=False).note(f"{sound}: {change}")
    for first in range(0, len(samples), size):
        yield samples[first : first + size]
