"""Memory that tensors gave back stays with the process, unless the environment says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from recurra.devices import SETTINGS

PAGES_OF_A_TENSOR = (1 << 26) // os.sysconf("SC_PAGE_SIZE")
PROGRAM = """
import resource, torch
from recurra.devices import keep_freed_memory

keep_freed_memory()
for _ in range(40):  # glibc takes some rounds until what is free fits what is asked for
    torch.ones(1 << 24)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**settings: str) -> int:
    """Pages that eight tensors, one after the other, had to ask the system for."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    return int(subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the parameters are those of glibc")
def test_what_is_freed_is_kept_unless_the_environment_says_otherwise() -> None:
    assert faults() < PAGES_OF_A_TENSOR
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 7 * PAGES_OF_A_TENSOR
