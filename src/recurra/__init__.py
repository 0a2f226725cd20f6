"""Recurrent neural networks for sequences, from the equation to the service.

    import recurra

    run = recurra.train("language-modelling", "corpus.txt", epochs=5)
    model = recurra.load(run)
    print(model.generate("Once upon a time", length=50))

`recurra.nn` has the layers, `recurra.reference` the equations in NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["load", "resume", "train", "train_seeds"]

if TYPE_CHECKING:
    from recurra.tasks.trained import load
    from recurra.training import resume, train, train_seeds

# Loaded on first use, so that `recurra --help` does not wait for torch.
HOMES = {
    "load": "recurra.tasks.trained",
    "resume": "recurra.training",
    "train": "recurra.training",
    "train_seeds": "recurra.training",
}
PACKAGES = ("data", "inspection", "models", "nn", "ops", "reference", "tasks", "training")


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    if name in PACKAGES:
        return import_module(f"recurra.{name}")
    raise AttributeError(f"module 'recurra' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *PACKAGES, "__version__", "__doc__"})
