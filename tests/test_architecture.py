"""The import ladder: a package may import what stands below it, never what stands beside or above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import recurra

LADDER = [
    {"reference", "metrics", "baselines", "config", "devices", "errors", "lengths", "progress", "runs"},
    {"ops", "decoding", "data", "figures"},
    {"nn"},
    {"models"},
    {"tasks"},
    {"training", "inference"},
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


def test_bottom_rung_has_no_circle() -> None:
    """On the lowest rung modules may use each other, but never in a circle."""
    graph = {}
    for name in LADDER[0]:
        module = PACKAGE / f"{name}.py"
        files = [module] if module.exists() else sorted((PACKAGE / name).rglob("*.py"))
        graph[name] = {t.split(".")[1] for f in files for t in imported(f)} & (LADDER[0] - {name})
    while graph:
        leaves = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert leaves, f"import circle among {sorted(graph)}"
        for name in leaves:
            del graph[name]


def test_command_line_starts_without_torch() -> None:
    """`recurra --help` must answer at once, so nothing it loads may import torch, numpy or pydantic."""
    import subprocess
    import sys

    code = "import sys, recurra.cli; print([m for m in ('torch', 'numpy', 'pydantic', 'plotly') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
