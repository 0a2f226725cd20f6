"""The one place outside a run folder that Recurra writes to: downloads and encoded text, safe to delete at any time."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$RECURRA_CACHE`, or `recurra` in the user's cache folder."""
    given = os.environ.get("RECURRA_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recurra"
