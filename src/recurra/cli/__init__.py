"""The command line. Nothing here may import torch before a command runs: `recurra --help` answers at once."""

import os
import sys
from typing import Annotated

import typer

import recurra
from recurra.cli.data import app as data
from recurra.cli.demo import demo
from recurra.cli.doctor import doctor
from recurra.cli.evaluate import evaluate
from recurra.cli.generate import generate
from recurra.cli.info import info
from recurra.cli.predict import predict
from recurra.cli.train import train

app = typer.Typer(
    name="recurra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="First try: recurra demo. Then: recurra train language-modelling YOUR-TEXT.txt",
)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        print(recurra.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Recurrent networks for sequences: train one, see how good it is, use it."""


app.command()(demo)
app.command(add_help_option=False, context_settings={"ignore_unknown_options": True})(train)
app.command()(evaluate)
app.command()(generate)
app.command()(predict)
app.command()(info)
app.add_typer(data, name="data")
app.command()(doctor)

INTERRUPTED = 128 + 2  # what a shell expects of a program stopped by Ctrl-C


def main() -> None:
    """Run a command; what goes wrong becomes one line and an exit code."""
    from recurra.errors import RecurraError

    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a closed pipe can be told from a failure
    except RecurraError as error:
        print(f"recurra: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        print(f"recurra: {error}", file=sys.stderr)
        sys.exit(RecurraError.exit_code)
