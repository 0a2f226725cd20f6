"""What `recurra demo` needs to know about a task."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from recurra.tasks.trained import Table


class Demo(NamedTuple):
    """A small training run on data that needs no download, and what to show of its result."""

    about: str  # two lines: what is learned, by which model, and how long that takes
    data: str  # name of a built-in data set
    recipe: Mapping[str, Any]
    expected: Mapping[str, float]  # primary metric on the test split, of the model and of each baseline
    show: Callable[[Any], Iterable[str | Table]]  # lines and tables that show what a trained model does
    next: str  # commands to try next; {run} stands for the run folder
