"""Every library that the package imports is declared, and `recurra doctor` finds the declarations either way."""

import ast
import importlib.metadata
import sys
from pathlib import Path

import pytest

import recurra
from recurra.cli import doctor

PACKAGE = Path(recurra.__file__).parent


def imported_libraries() -> dict[str, str]:
    """Top names of all third-party imports, each with a file that has it."""
    found: dict[str, str] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found |= {name.partition(".")[0]: path.name for name in names}
    known = sys.stdlib_module_names | {"recurra"}
    return {name: file for name, file in found.items() if name not in known}


def test_every_import_is_declared() -> None:
    declared = {name.lower().replace("_", "-") for name in doctor.declared_dependencies()}
    owners = importlib.metadata.packages_distributions()
    libraries = imported_libraries()
    assert {"torch", "scipy", "sklearn", "PIL"} <= libraries.keys()
    for name, file in libraries.items():
        owned = {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}
        assert owned & declared, f"{file} imports {name}, which pyproject.toml does not declare"


def test_declared_dependencies_from_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = [
        "numpy>=2.0",
        "tomli-w>=1.0",
        'pillow>=10; extra == "images"',
        "soundfile; extra == 'sound'",
        'ruff; extra == "dev"',
    ]
    monkeypatch.setattr(doctor, "SOURCE", tmp_path / "pyproject.toml")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: listed if name == "recurra" else None)
    expected = {"numpy": "", "tomli-w": "", "pillow": "images", "soundfile": "sound"}
    assert doctor.declared_dependencies() == expected
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2.0", "tomli-w"]\n[project.optional-dependencies]\n'
        'dev = ["ruff", "recurra[images]"]\nimages = ["pillow>=10"]\nsound = ["soundfile"]\n'
    )
    assert doctor.declared_dependencies() == expected
