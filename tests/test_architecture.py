"""The import ladder: a package may import what stands below it, never what stands beside or above it."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import recurra
from recurra.tasks import TASKS

LADDER = [
    {"reference", "metrics", "baselines", "config", "devices", "errors", "lengths", "progress", "runs"},
    {"ops", "decoding", "data", "figures"},
    {"nn"},
    {"models"},
    {"tasks"},
    {"training"},
    {"serving", "export", "inspection"},
    {"cli"},
]
RUNG = {name: height for height, names in enumerate(LADDER) for name in names}
PACKAGE = Path(recurra.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> Iterator[str]:
    """Names of everything of recurra that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("recurra."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "recurra":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down_the_ladder(path: Path) -> None:
    package = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert package in RUNG, f"{package} has no rung: add it to DESIGN's ladder or move the module"
    for target in imported(path):
        other = target.split(".")[1]
        if other in RUNG and other != package:
            same_floor = RUNG[other] == RUNG[package] == 0
            assert RUNG[other] < RUNG[package] or same_floor, f"{path}: {package} may not import {target}"


def module_name(path: Path) -> str:
    """`recurra.nn.layers` of its file."""
    name = ".".join(["recurra", *path.relative_to(PACKAGE).with_suffix("").parts])
    return name.removesuffix(".__init__")


def test_no_imports_in_circles() -> None:
    """Among all modules, imports inside of functions included."""
    names = {module_name(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        targets = {t if t in names else t.rpartition(".")[0] for t in imported(path)}
        graph[module_name(path)] = (targets & names) - {module_name(path)}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_task_is_named_by_nothing_but_its_entry(path: Path) -> None:
    """No module imports one of another task's package: all go through `TASKS`."""
    packages = {entry.package for entry in TASKS.values()}
    own = ".".join(module_name(path).split(".")[:3])
    for target in imported(path):
        package = ".".join(target.split(".")[:3])
        assert package == own or package not in packages, f"{path}: may not import {target}"


def test_command_line_starts_without_torch() -> None:
    """`recurra --help` must answer at once, so nothing it loads may import torch, numpy or pydantic."""
    import subprocess
    import sys

    code = "import sys, recurra.cli; print([m for m in ('torch', 'numpy', 'pydantic', 'plotly') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
