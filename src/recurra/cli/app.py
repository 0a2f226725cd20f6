"""All commands."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import recurra
from recurra.cli.check import check
from recurra.cli.compare import compare
from recurra.cli.data import app as data
from recurra.cli.demo import demo
from recurra.cli.doctor import doctor
from recurra.cli.evaluate import evaluate
from recurra.cli.info import info
from recurra.cli.predict import PREDICT_HELP, AnswerCommand, command_for
from recurra.cli.train import train
from recurra.errors import RecurraError
from recurra.tasks import TASKS


class Stopped(RecurraError):
    """Ctrl-C."""

    exit_code = 128 + 2  # what a shell expects


class Commands(TyperGroup):
    """Runs a command; reports Ctrl-C, which typer would end silently."""

    def invoke(self, context: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            result = super().invoke(context)
            sys.stdout.flush()  # here, where a closed pipe can be told from a failure
            return result
        except KeyboardInterrupt as stop:
            raise Stopped(str(stop) or "stopped") from None
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    name="recurra",
    cls=Commands,
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


# Keys of recipes and options of tasks are read by the commands themselves.
TAKES_KEYS = {"ignore_unknown_options": True}

app.command()(demo)
app.command(add_help_option=False, context_settings=TAKES_KEYS)(train)
app.command(context_settings=TAKES_KEYS)(check)
app.command(context_settings=TAKES_KEYS)(evaluate)
answers = {"predict": PREDICT_HELP, **{e.verb: e.verb_help for e in TASKS.values() if e.verb != "predict"}}
for verb, about in answers.items():
    app.command(verb, cls=AnswerCommand, add_help_option=False, context_settings=TAKES_KEYS)(command_for(verb, about))
app.command()(info)
app.command()(compare)
app.add_typer(data, name="data")
app.command()(doctor)
