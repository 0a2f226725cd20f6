"""`recurra transcribe`."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.files import files_of, groups_until_failure, stand_behind_names
from recurra.cli.output import STANDARD_INPUT, Device, RunFolder, not_for, open_model, print_line, progress
from recurra.cli.renderings import print_texts
from recurra.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recurra.inference import TrainedRecognizer

AT_ONCE = 64  # recordings
PIECES = 10  # a second, of a recording that is listened to
HEADERS = (b"RIFF", b"fLaC", b"OggS")  # with which sound files begin, and raw samples hardly ever


def transcribe(
    run: RunFolder,
    sounds: Annotated[
        list[str],
        typer.Argument(
            metavar="SOUND...",
            help="Sound files, or folders of them; with --stream also - for standard input: raw mono samples, 16-bit "
            "little-endian, at the sample rate of the model.",
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
    lm_weight: Annotated[
        float | None,
        typer.Option(help="Weight of symbols counted on the training transcripts. By default that of the recipe."),
    ] = None,
    insertion_bonus: Annotated[
        float | None, typer.Option(help="Nats that each symbol is worth. By default that of the recipe.")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Write while listening; needs a model that reads in one direction.")
    ] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """What is said in recordings: a line each, behind its name and a tab where there is more than one, or a folder.

    Examples: recurra transcribe runs/digits new.wav other.flac; recurra transcribe runs/digits calls/ > calls.tsv;
    recurra transcribe runs/digits new.wav --num-best 3;
    arecord -f S16_LE -r 16000 -t raw | recurra transcribe runs/digits - --stream
    """
    is_searching = num_best > 1 or any(value is not None for value in (beam, lm_weight, insertion_bonus))
    if stream and (as_json or is_searching):
        raise UsageError(
            "--stream writes what it hears as it hears it; leave --json, --beam, --num-best, --lm-weight and "
            "--insertion-bonus out"
        )
    if STANDARD_INPUT in sounds and not stream:
        raise UsageError(f"{STANDARD_INPUT}: standard input is listened to with --stream only")
    model = open_model(run, device)
    from recurra.data.media.sound import SOUNDS
    from recurra.inference import TrainedRecognizer

    if not isinstance(model, TrainedRecognizer):
        raise not_for(run, "hears nothing", model.task)
    files = files_of(sounds, SOUNDS)
    has_names = stand_behind_names(sounds, files)
    if stream:
        listen(model, files, has_names)
        return
    told = progress(quiet=False)
    for several in groups_until_failure(((file, model.samples_of(file, told)) for file in files), AT_ONCE):
        names, samples = zip(*several, strict=True)
        found = model.transcribe(
            samples,
            beam=beam,
            num_best=num_best,
            lm_weight=lm_weight,
            insertion_bonus=insertion_bonus,
            progress=told,
        )
        for sound, transcripts in zip(names, found, strict=True):
            if as_json:
                print_line({"sound": sound, "texts": [one._asdict() for one in transcripts]})
            else:
                rows = [(one.text, one.score, one.log_probability) for one in transcripts]
                print_texts(sound, rows, num_best, has_names=has_names)


def listen(model: "TrainedRecognizer", sounds: list[str], has_names: bool) -> None:
    """Write what is said while each recording is played to the model, each maybe behind its name."""
    heard = model.stream()
    for sound in sounds:
        start = f"{sound}\t" if has_names else ""
        try:
            for piece in pieces(sound, model.task.recipe.data.sample_rate):
                print(start, heard.feed(piece), sep="", end="", flush=True)
                start = ""
        except KeyboardInterrupt:
            print(flush=True)  # what is said of it stands on a line of its own
            raise
        print(start, flush=True)
        heard.reset()


def pieces(sound: str, sample_rate: int) -> "Iterator[NDArray[Any]]":
    """A recording a tenth of a second at a time, (samples,): a file, or standard input as it comes.

    Raises:
        DataError: a file that cannot be read, or a sound file on standard input.
    """
    from pathlib import Path

    import numpy as np

    from recurra.data.media.sound import read_sound

    size = max(sample_rate // PIECES, 1)
    if sound == STANDARD_INPUT:
        is_first = True
        while block := sys.stdin.buffer.read(2 * size):
            if is_first and block.startswith(HEADERS):
                raise DataError(
                    f"{STANDARD_INPUT}: a sound file, where raw samples are expected; give its name instead, or take "
                    f"its header away, as with: ffmpeg -i FILE -f s16le -ac 1 -ar {sample_rate} -"
                )
            is_first = False
            yield np.frombuffer(block, "<i2", len(block) // 2)
        return
    samples, change = read_sound(Path(sound), sample_rate)
    if change:
        progress(quiet=False).note(f"{sound}: {change}")
    for first in range(0, len(samples), size):
        yield samples[first : first + size]
