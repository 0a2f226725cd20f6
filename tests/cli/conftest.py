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


Command = Callable[..., Outcome]


@pytest.fixture
def recurra_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`recurra` with some arguments, in this process."""

    def run(*arguments: object) -> Outcome:
        from recurra.cli import main

        monkeypatch.setattr(sys, "argv", ["recurra", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            assert isinstance(stop.code, int | None)
            code = stop.code or 0
        return Outcome(code, *capsys.readouterr())

    return run
