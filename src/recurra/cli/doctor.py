"""`recurra doctor`."""

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import Json, print_json, print_table

LIBRARIES = ("torch", "numpy", "tokenizers", "safetensors", "pydantic", "plotly", "rich", "typer", "pooch", "tomli-w")


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
    for library in LIBRARIES:
        try:
            facts[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            facts[library] = "MISSING"
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


def writable(folder) -> bool:  # type: ignore[no-untyped-def]
    """Whether a folder, or the nearest that exists above it, can be written to."""
    import os

    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
