"""What tests share: a cache of their own, the data sets where they are, and one small trained run."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from stories import write_story

hypothesis.settings.register_profile("recurra", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("recurra")

DATA_SETS = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECURRA_CACHE", str(tmp_path_factory.mktemp("cache")))
        if "RECURRA_DATA" not in os.environ and DATA_SETS.is_dir():
            patch.setenv("RECURRA_DATA", str(DATA_SETS))
        yield


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of some nine thousand words; treat it as read-only."""
    return write_story(tmp_path_factory.mktemp("story") / "story.txt")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, story: Path) -> Path:
    """A finished run on `story`: words, two layers of different widths; copy it before you change it."""
    import recurra
    from recurra.progress import Progress

    return recurra.train(
        "language-modelling",
        story,
        run=tmp_path_factory.mktemp("runs") / "tiny",
        progress=Progress(),
        embedding_size=20,
        hidden_size=[24, 16],
        epochs=3,
        batch_size=8,
        window=12,
        learning_rate=0.01,
    )


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
