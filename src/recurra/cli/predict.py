"""`recurra predict`."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import Device, RunFolder, open_model, print_table, warn_of_unknown
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.inference import TrainedClassifier, TrainedLanguageModel

MOST_OTHERS = 2  # labels shown beside the likeliest
WIDEST = 60  # characters of an input shown


def predict(
    run: RunFolder,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Texts; files, where the model reads series. None: standard input."),
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Read inputs from it: a table, or lines.")] = None,
    top: Annotated[int, typer.Option(help="How many next words a language model shows.")] = 10,
    score: Annotated[bool, typer.Option("--score", help="Of a language model: how likely each text is.")] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """The most likely next words with their probabilities; or the label of each text or series.

    Examples: recurra predict runs/ptb-256-128 "this is an"; recurra predict runs/ptb-256-128 --score "he is" "is he";
    recurra predict runs/snips --file new.csv --json > labels.jsonl
    """
    model = open_model(run, device)
    from recurra.inference import TrainedClassifier

    if isinstance(model, TrainedClassifier):
        if score:
            raise UsageError(f"--score: {run} is a classifier, whose predictions have their probabilities anyway")
        print_labels(model, contents(model, inputs or [], file), as_json)
        return
    if file:
        raise UsageError(f"--file: {run} is a language model, whose texts are arguments or lines of standard input")
    texts = inputs or list(lines())
    if score:
        print_scores(model, texts, as_json)
    else:
        print_next_words(model, texts, top, as_json)


def contents(model: "TrainedClassifier", inputs: list[str], file: str | None) -> Iterator[tuple[str, Any]]:
    """What is to be classified, with names: from arguments and a file, else from standard input as it comes."""
    reader = model.task.inputs
    for given in inputs:
        yield from reader.given(given)
    if file:
        yield from reader.read(file)
    if not (inputs or file):
        for line in lines():
            yield from reader.given(line)


def lines() -> Iterator[str]:
    """Lines of standard input."""
    if sys.stdin.isatty():
        print("one input a line, Ctrl-D ends", file=sys.stderr, flush=True)
    return (line.rstrip("\r\n") for line in sys.stdin)


def print_labels(model: "TrainedClassifier", contents: Iterator[tuple[str, Any]], as_json: bool) -> None:
    """The label of each input with its probability."""
    rows = []
    for shown, content in contents:
        found = model.predict([content])[0]
        if as_json:
            print_line({"input": shown, **found._asdict()})
            continue
        others = list(found.probabilities.items())[1 : 1 + MOST_OTHERS]
        rest = ", ".join(f"{label} {probability:.3f}" for label, probability in others)
        short = shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 3]}..."
        rows.append((short, found.label, f"{found.probability:.4f}", rest))
    if not as_json:
        print_table(("input", "label", "probability", "next"), rows)


def print_scores(model: "TrainedLanguageModel", texts: list[str], as_json: bool) -> None:
    """How likely each text is."""
    scores = [model.score(text) for text in texts]
    if as_json:
        for found in scores:
            print_line(found._asdict())
        return
    rows = [
        (s.text, f"{s.log_probability:.2f}", f"{s.perplexity:,.1f}", f"{s.tokens}", " ".join(s.unknown)) for s in scores
    ]
    print_table(("text", "log-probability", "perplexity", "tokens", "unknown"), rows)


def print_next_words(model: "TrainedLanguageModel", texts: list[str], top: int, as_json: bool) -> None:
    """The most likely next words after each text."""
    for text in texts:
        warn_of_unknown(model, text)
        found = model.predict(text, top)
        if as_json:
            print_line({"text": text, "next": [next_._asdict() for next_ in found]})
        else:
            print_table((f"{text} ...", "probability"), [(visible(token), f"{p:.4f}") for token, p in found])


def print_line(value: Any) -> None:
    """A value as one line of JSON, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def visible(token: str) -> str:
    """A token as it is or, where one would not see it whole, in quotes."""
    return token if token.isprintable() and token == token.strip() else repr(token)
