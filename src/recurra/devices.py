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
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device {name!r}: not to be had ({reason}); recurra doctor lists those of this machine"
        ) from None
    return device
