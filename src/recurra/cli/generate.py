"""`recurra generate`."""

import sys
from typing import Annotated

import typer

from recurra.cli.output import Device, Json, RunFolder, not_for, open_model, print_json, warn_of_unknown
from recurra.errors import UsageError


def generate(
    run: RunFolder,
    prompt: Annotated[str, typer.Argument(help="What the text begins with.")] = "",
    length: Annotated[int, typer.Option("--length", "-n", help="Tokens to write.")] = 100,
    temperature: Annotated[float, typer.Option(help="Above 1 bolder, below 1 safer, 0 the likeliest only.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Draw from this many of the likeliest tokens.")] = None,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens that hold this probability.")] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Same seed, same text.")] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for further prompts until an empty line.")
    ] = False,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Write text, word by word as it is drawn; Ctrl-C ends it.

    Example: recurra generate runs/shakespeare-char "ROMEO:" --length 300 --temperature 0.7
    """
    if interactive and as_json:
        raise UsageError("--interactive is for people, --json for programs; leave one of them out")
    model = open_model(run, device)
    from recurra.inference import TrainedLanguageModel

    if not isinstance(model, TrainedLanguageModel):
        raise not_for(run, "writes no text", model.task)

    def write(prompt: str) -> None:
        warn_of_unknown(model, prompt)
        pieces = model.pieces(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        if as_json:
            print_json({"prompt": prompt, "text": "".join(pieces)})
            return
        first = next(pieces)
        try:
            print(model.join(prompt, first), end="", flush=True)
            for piece in pieces:
                print(piece, end="", flush=True)
        finally:
            print(flush=True)

    if prompt or not interactive:
        write(prompt)
    while interactive and (prompt := ask()):
        write(prompt)


def ask() -> str:
    """A prompt typed by the user, "" at the end of input."""
    if sys.stdin.isatty():
        print("prompt (an empty line ends)> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\n")
