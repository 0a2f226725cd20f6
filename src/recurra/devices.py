"""Where tensors live."""

import ctypes
import os
import platform

import torch

from recurra.errors import UsageError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from glibc's malloc.h
MOST_KEPT = 2**31 - 1  # bytes
LARGEST_KEPT = 2**27, 2**25  # bytes of a block; an older glibc takes no more than the second
SETTINGS = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"  # the same in the environment


def device_of(name: str) -> torch.device:
    """The torch device of this name.

    Raises:
        UsageError: torch knows no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        known = devices()
        reason = str(error).splitlines()[0] if name in known else f"this machine has {', '.join(known)}"
        raise UsageError(f"device {name!r}: not to be had; {reason}") from None
    return device


def keep_freed_memory() -> None:
    """Let this process keep the memory of tensors that are gone, for those that come.

    By itself glibc gives large blocks back to the system, which clears each page anew when the next step of training
    touches it: up to half of the time of a long sequence. Blocks above 128 MiB still go back. Where the environment
    says otherwise, or the C library is another, nothing changes.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SETTINGS):
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(TRIM_THRESHOLD, MOST_KEPT)
    any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_KEPT)  # the first that is taken


def devices() -> list[str]:
    """Names of the devices of this machine."""
    accelerators = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *accelerators, *(["mps"] if torch.backends.mps.is_available() else [])]
