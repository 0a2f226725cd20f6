"""Which kernels run: those for the best instruction set of this processor, or for a lesser one."""

import os
from functools import cache

from recurra.errors import UsageError
from recurra.ops.kernels import Kernels, supported

INSTRUCTIONS = "RECURRA_INSTRUCTIONS"  # environment variable that names a lesser instruction set than the best


def kernels_in_use() -> Kernels:
    """The kernels that every call takes.

    Raises:
        UsageError: this processor lacks the instruction set that is asked for.
    """
    return kernels_for(os.environ.get(INSTRUCTIONS))


@cache
def kernels_for(name: str | None) -> Kernels:
    """The kernels for an instruction set, by default for the best of this processor."""
    found_by_name = {found.name: found for found in supported()}
    name = name or next(iter(found_by_name))
    if name not in found_by_name:
        raise UsageError(f"{INSTRUCTIONS}={name}: this processor has {', '.join(found_by_name)}")
    return found_by_name[name]


def all_instructions() -> list[str]:
    """Names of the instruction sets that this processor can run, the best first."""
    return [found.name for found in supported()]
