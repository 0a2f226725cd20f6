"""`recurra transcribe`."""

from typing import TYPE_CHECKING, Annotated

import typer

from recurra.cli.output import Device, RunFolder, groups, open_model, print_line, print_table, progress
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.inference import TrainedRecogniser

AT_ONCE = 64  # recordings


def transcribe(
    run: RunFolder,
    sounds: Annotated[list[str], typer.Argument(metavar="SOUND...", help="Sound files.", show_default=False)],
    beam: Annotated[
        int | None,
        typer.Option(help="Prefixes under way; 1 reads the likeliest alignment. By default that of the recipe."),
    ] = None,
    num_best: Annotated[
        int, typer.Option("--num-best", "-n", help="Readings of each recording, from a beam at least as wide.")
    ] = 1,
    stream: Annotated[
        bool, typer.Option("--stream", help="Write while listening; needs a model that reads in one direction.")
    ] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """What is said in recordings.

    Examples: recurra transcribe runs/digits new.wav other.flac; recurra transcribe runs/digits new.wav --num-best 3
    """
    if stream and (as_json or beam is not None or num_best > 1):
        raise UsageError("--stream writes what it hears as it hears it; leave --json, --beam and --num-best out")
    model = open_model(run, device)
    from recurra.inference import TrainedRecogniser

    if not isinstance(model, TrainedRecogniser):
        raise UsageError(f"{run}: hears nothing, its task is {model.task.name}; see recurra predict")
    if stream:
        listen(model, sounds)
        return
    for several in groups(sounds, AT_ONCE):
        found = model.transcribe(several, beam=beam, num_best=num_best, progress=progress(quiet=False))
        for sound, transcripts in zip(several, found, strict=True):
            if as_json:
                print_line({"sound": sound, "texts": [one._asdict() for one in transcripts]})
            elif num_best == 1:
                print(transcripts[0].text if transcripts else "", flush=True)
            else:
                rows = [(one.text, f"{one.score:.3f}", f"{one.log_probability:.2f}") for one in transcripts]
                print_table((sound, "score", "log-probability"), rows)


def listen(model: "TrainedRecogniser", sounds: list[str]) -> None:
    """Write what is said while each recording is played to the model, a tenth of a second at a time."""
    from pathlib import Path

    from recurra.data.sound import read_sound

    heard, rate = model.stream(), model.task.recipe.data.sample_rate
    for sound in sounds:
        samples, _ = read_sound(Path(sound), rate)
        for first in range(0, len(samples), rate // 10):
            print(heard.feed(samples[first : first + rate // 10]), end="", flush=True)
        print(flush=True)
        heard.reset()
