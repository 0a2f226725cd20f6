"""The command line as a user meets it: arguments in; exit code, standard output and standard error out."""

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What a program reads from standard output; `NaN` and the like are no JSON."""

        def refuse(constant: str) -> None:
            pytest.fail(f"{constant} is no JSON")

        return json.loads(self.out, parse_constant=refuse)

    @property
    def json_lines(self) -> list[Any]:
        """The same where each line of standard output is a value."""
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Outcome]


@pytest.fixture
def recurra_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`recurra` with some arguments, in this process."""

    def run(*arguments: object) -> Outcome:
        from recurra.cli import main

        monkeypatch.setattr(sys, "argv", ["recurra", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        assert isinstance(stop.value.code, int)
        return Outcome(stop.value.code, *capsys.readouterr())

    return run
