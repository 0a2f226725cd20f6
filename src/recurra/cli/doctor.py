"""`recurra doctor`."""

from pathlib import Path

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import Json, print_json, print_table

SOURCE = Path(__file__).parents[3] / "pyproject.toml"  # where recurra is run from its sources


def doctor(as_json: Json = False) -> None:
    """Versions, threads, folders, and what is missing.

    Example: recurra doctor
    """
    import importlib.metadata
    import os
    import platform
    import sys

    import typer

    import recurra

    facts = {"recurra": recurra.__version__, "python": platform.python_version(), "machine": platform.platform()}
    missing = []
    for library, extra in declared_dependencies().items():
        try:
            facts[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            facts[library] = f"not installed; pip install recurra[{extra}] adds it" if extra else "MISSING"
            if not extra:
                missing.append(library)
    if "torch" not in missing:
        with dying_at_once():
            import torch

            from recurra.devices import devices
            from recurra.ops.instructions import all_instructions, kernels_in_use

        facts["threads"] = f"{torch.get_num_threads()} of {os.cpu_count()} processors"
        facts["instructions"] = torch.backends.cpu.get_cpu_capability()
        facts["kernels"] = f"{kernels_in_use().name} of {', '.join(all_instructions())}"
        facts["devices"] = ", ".join(devices())
    from recurra.data.catalogue import cache_folder

    cache = cache_folder()
    facts["cache"] = f"{cache}{'' if writable(cache) else ' (NOT WRITABLE: set RECURRA_CACHE)'}"
    facts["data"] = os.environ.get("RECURRA_DATA", "RECURRA_DATA is not set")
    if as_json:
        print_json({**facts, "missing": missing})
    else:
        print_table(("what", "found"), list(facts.items()))
        print(f"Missing: {', '.join(missing)}; run pip install recurra again" if missing else "Nothing is missing.")
    if missing:
        print(f"install with: {sys.executable} -m pip install {' '.join(missing)}", file=sys.stderr)
        raise typer.Exit(1)


def declared_dependencies() -> dict[str, str]:
    """Each library that recurra declares, with the extra that adds it; "" where every installation has it.

    From `pyproject.toml` where recurra is run from its sources, else from the metadata of the installation. What only
    development needs is left out.
    """
    import importlib.metadata
    import re
    import tomllib

    if SOURCE.is_file():
        project = tomllib.loads(SOURCE.read_text(encoding="utf-8"))["project"]
        groups = {"": project["dependencies"], **project.get("optional-dependencies", {})}
        listed = [(requirement, extra) for extra, requirements in groups.items() for requirement in requirements]
    else:
        declared = importlib.metadata.requires("recurra") or []
        markers = [(text, re.search(r"extra == [\"'](.+?)[\"']", text)) for text in declared]
        listed = [(text, marker[1] if marker else "") for text, marker in markers]
    names = [(re.match(r"[\w.-]+", requirement), extra) for requirement, extra in listed if extra != "dev"]
    return {name[0]: extra for name, extra in names if name}


def writable(folder) -> bool:  # type: ignore[no-untyped-def]
    """Whether a folder, or the nearest that exists above it, can be written to."""
    import os

    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
