"""Where tensors live."""

import torch

from recurra.errors import UsageError


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


def devices() -> list[str]:
    """Names of the devices of this machine."""
    accelerators = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *accelerators, *(["mps"] if torch.backends.mps.is_available() else [])]
