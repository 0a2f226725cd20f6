"""`recurra predict`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import (
    Device,
    RunFolder,
    groups,
    open_model,
    print_line,
    print_table,
    read_lines,
    warn_of_unknown,
)
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.inference import TrainedClassifier, TrainedLanguageModel, TrainedTagger

AT_ONCE = 256  # examples
MOST_OTHERS = 2  # labels shown beside the likeliest
WIDEST = 60  # characters of an input shown


def predict(
    run: RunFolder,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Texts; files, where the model reads series. None: standard input."),
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="Read inputs from a table with texts, or lines.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many next words a language model shows.")] = 10,
    score: Annotated[bool, typer.Option("--score", help="Of a language model: how likely each text is.")] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """The most likely next words; the label of each text or series; the tag of each word. With probabilities.

    Examples: recurra predict runs/ptb-256-128 "this is an"; recurra predict runs/ptb-256-128 --score "he is" "is he";
    recurra predict runs/snips --file new.csv --json > labels.jsonl
    """
    model = open_model(run, device)
    from recurra.data.labelled import read_texts
    from recurra.data.tagged import read_tokens
    from recurra.inference import (
        TrainedCaptioner,
        TrainedClassifier,
        TrainedForecaster,
        TrainedLanguageModel,
        TrainedMemory,
        TrainedRecogniser,
        TrainedTagger,
        TrainedTranslator,
    )

    if isinstance(model, TrainedForecaster):
        raise UsageError(f"{run}: goes on from tables; see recurra forecast {run}")
    if isinstance(model, TrainedMemory):
        raise UsageError(f"{run}: reads sequences of numbers; in Python recurra.load({run!r}).predict(sequences)")
    if isinstance(model, TrainedTranslator):
        raise UsageError(f"{run}: translates; see recurra translate {run}")
    if isinstance(model, TrainedCaptioner):
        raise UsageError(f"{run}: writes about images; see recurra caption {run}")
    if isinstance(model, TrainedRecogniser):
        raise UsageError(f"{run}: hears recordings; see recurra transcribe {run}")
    if score and not isinstance(model, TrainedLanguageModel):
        raise UsageError(f"--score: {run} is no language model; its predictions have their probabilities anyway")
    if isinstance(model, TrainedClassifier):
        at_once = AT_ONCE if inputs or file else 1  # whoever writes a line may wait for its answer
        print_labels(model, contents(model, inputs or [], file), at_once, as_json)
        return
    if isinstance(model, TrainedTagger):
        print_tags(model, [*(inputs or []), *(read_tokens(file) if file else ())] or read_lines(), as_json)
        return
    texts = [*(inputs or []), *(read_texts(file, "text") if file else ())] if inputs or file else read_lines()
    if score:
        print_scores(model, texts, as_json)
    else:
        print_next_words(model, texts, top, as_json)


def contents(model: "TrainedClassifier", inputs: list[str], file: str | None) -> Iterator[tuple[str, Any]]:
    """What is to be classified, with names: from arguments and a file, else from standard input as it comes."""
    reader, reads_texts = model.task.inputs, model.task.inputs.shape.num_types is not None
    if not (inputs or file or reads_texts):
        raise UsageError(f"{model.run}: reads series; name their files: recurra predict {model.run} FILE")
    for given in inputs:
        if reads_texts and Path(given).is_file():
            print(f"{given} is read as a text; for the texts in it: --file {given}", file=sys.stderr)
        yield from reader.given(given)
    if file:
        yield from reader.read(file)
    if not (inputs or file):
        for line in read_lines():
            yield from reader.given(line)


def print_labels(model: "TrainedClassifier", contents: Iterator[tuple[str, Any]], at_once: int, as_json: bool) -> None:
    """The label of each input with its probability."""
    rows = []
    for given in groups(contents, at_once):
        for (shown, _), found in zip(given, model.predict([content for _, content in given]), strict=True):
            if as_json:
                print_line({"input": shown, **found._asdict()})
                continue
            others = list(found.probabilities.items())[1 : 1 + MOST_OTHERS]
            rest = ", ".join(f"{label} {probability:.3f}" for label, probability in others)
            short = shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 3]}..."
            rows.append((short, found.label, f"{found.probability:.4f}", rest))
    if not as_json:
        print_table(("input", "label", "probability", "next"), rows)


def print_tags(model: "TrainedTagger", sentences: Iterable[str | Sequence[str]], as_json: bool) -> None:
    """The tag of each token, with its probability."""
    for sentence in sentences:
        found = model.predict([sentence])[0]
        if as_json:
            print_line({**found._asdict(), "spans": [span._asdict() for span in found.spans]})
        else:
            rows = zip(found.tokens, found.tags, (f"{p:.4f}" for p in found.probabilities), strict=True)
            print_table(("token", "tag", "probability"), list(rows))


def print_scores(model: "TrainedLanguageModel", texts: Iterable[str], as_json: bool) -> None:
    """How likely each text is."""
    if as_json:
        for text in texts:
            print_line(model.score(text)._asdict())
        return
    rows = [
        (s.text, f"{s.log_probability:.2f}", f"{s.perplexity:,.1f}", f"{s.tokens}", " ".join(s.unknown))
        for s in map(model.score, texts)
    ]
    print_table(("text", "log-probability", "perplexity", "tokens", "unknown"), rows)


def print_next_words(model: "TrainedLanguageModel", texts: Iterable[str], top: int, as_json: bool) -> None:
    """The most likely next words after each text."""
    for text in texts:
        warn_of_unknown(model, text)
        found = model.predict(text, top)
        if as_json:
            print_line({"text": text, "next": [next_._asdict() for next_ in found]})
        else:
            print_table((f"{text} ...", "probability"), [(visible(token), f"{p:.4f}") for token, p in found])


def visible(token: str) -> str:
    """A token as it is or, where one would not see it whole, in quotes."""
    return token if token.isprintable() and token == token.strip() else repr(token)
