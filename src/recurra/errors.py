"""What can go wrong, by who can correct it; the command line turns each kind into an exit code.

Every message says what was expected, what came, where, and what to do. Broken invariants of our own are `assert`s.
"""

from collections.abc import Iterable


class RecurraError(Exception):
    """Anything Recurra reports to its user. The command line exits with `exit_code`."""

    exit_code = 1


class UsageError(RecurraError, ValueError):
    """A wrong option, recipe key or argument value."""

    exit_code = 2


class ShapeError(UsageError):
    """A tensor or array whose shape does not fit the layer it was given to."""


class DataError(RecurraError, ValueError):
    """A file of the user's that cannot be used: missing, empty, not text, too short, of a wrong layout."""

    exit_code = 3


class RunError(DataError):
    """A run folder that is missing, incomplete, damaged, of a newer format, or of another task."""


class SaveError(RecurraError, OSError):
    """Something could not be written; what was there before is untouched."""


class DivergedError(RecurraError, ArithmeticError):
    """The loss or the gradient is no longer finite; the last good checkpoint is kept."""


def counted(number: int, what: str) -> str:
    """So many of something, in words: "1 example", "2,000 examples"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shortened(content: object, longest: int = 60) -> str:
    """A cell, label or line as text of which a message has room for so many characters."""
    text = str(content)
    return text if len(text) <= longest else f"{text[:longest]}..."


def listed(names: Iterable[object]) -> str:
    """Names as a message lists them."""
    return shortened(", ".join(map(str, names)), 1_000)
