"""Built-in data sets that are written to the cache as files, made of what Python carries or computed."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recurra.data.builtin.brackets import brackets
from recurra.data.builtin.dates import dates
from recurra.data.builtin.mackey_glass import mackey_glass
from recurra.data.builtin.python_code import python_code
from recurra.data.builtin.python_docs import python_docs
from recurra.data.splits import SPLITS
from recurra.runs import write_atomically

PYTHON = platform.python_version()


class BuiltinDataSet(NamedTuple):
    """A data set that is made on this machine."""

    files: tuple[str, ...]  # one file, or the files of a folder; paths name the version of their content
    make: Callable[[], list[str]]  # returns the content of each file

    def place(self, folder: Path) -> Path:
        """The file or the folder, given the folder of the data set in the cache."""
        first = folder / self.files[0]
        return first if len(self.files) == 1 else first.parent


def make_builtin(name: str, folder: Path) -> Path:
    """Path of a data set of `BUILTIN` in its folder of the cache, which is made unless it is there.

    Raises:
        DataError: this installation of Python lacks what it is made of.
        SaveError: it cannot be written.
    """
    data_set = BUILTIN[name]
    paths = [folder / file for file in data_set.files]
    if not all(path.exists() for path in paths):
        for path, content in zip(paths, data_set.make(), strict=True):
            write_atomically(path, content.encode())
    return data_set.place(folder)


# The number is a version: new content gets a new path, so that no older file is used instead.
BUILTIN = {
    "python-docs": BuiltinDataSet((f"topics-{PYTHON}.txt",), python_docs),
    "python-code": BuiltinDataSet(tuple(f"1-{PYTHON}/{split}.txt" for split in SPLITS), python_code),
    "brackets": BuiltinDataSet(tuple(f"1/{split}.txt" for split in SPLITS), brackets),
    "dates": BuiltinDataSet(tuple(f"1/{split}.txt" for split in SPLITS), dates),
    "mackey-glass": BuiltinDataSet(("1/mackey-glass.csv",), mackey_glass),
}
