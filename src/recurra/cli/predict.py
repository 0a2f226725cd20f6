"""`recurra predict`."""

from typing import Annotated

import typer

from recurra.cli.output import Device, Json, RunFolder, open_model, print_json, print_table, warn_of_unknown


def predict(
    run: RunFolder,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Beginning of a sentence, or whole sentences.")],
    top: Annotated[int, typer.Option(help="How many next words to show.")] = 10,
    score: Annotated[bool, typer.Option("--score", help="Give the probability of each TEXT instead.")] = False,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """The most likely next words with their probabilities, or how likely given sentences are.

    Examples: recurra predict runs/ptb-256-128 "this is an"; recurra predict runs/ptb-256-128 --score "he is" "is he"
    """
    model = open_model(run, device)
    if score:
        scores = [model.score(text) for text in texts]
        if as_json:
            print_json([found._asdict() for found in scores])
            return
        rows = [
            (s.text, f"{s.log_probability:.2f}", f"{s.perplexity:,.1f}", f"{s.tokens}", " ".join(s.unknown))
            for s in scores
        ]
        print_table(("text", "log-probability", "perplexity", "tokens", "unknown"), rows)
        return
    for text in texts:
        warn_of_unknown(model, text)
    predictions = [(text, model.predict(text, top)) for text in texts]
    if as_json:
        print_json([{"text": text, "next": [next_._asdict() for next_ in found]} for text, found in predictions])
        return
    for text, found in predictions:
        print_table((f"{text} ...", "probability"), [(visible(token), f"{p:.4f}") for token, p in found])


def visible(token: str) -> str:
    """A token as it is or, where one would not see it whole, in quotes."""
    return token if token.isprintable() and token == token.strip() else repr(token)
