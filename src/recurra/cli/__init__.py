"""The command line. Nothing here may import torch before a command runs: `recurra --help` answers at once."""

import sys

from recurra.cli.interrupts import dying_at_once
from recurra.errors import RecurraError


def main() -> None:
    """Run a command; what goes wrong becomes one line and an exit code."""
    with dying_at_once():
        from recurra.cli.app import app
    try:
        app()
    except RecurraError as error:
        print(f"recurra: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"recurra: {error}", file=sys.stderr)
        sys.exit(RecurraError.exit_code)
