"""Files that commands are given: which they are, and that answers before one that cannot be read are not lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recurra.cli.inputs import batches_until_failure, paths_in
from recurra.errors import DataError


@pytest.mark.parametrize("number", range(6))
def test_what_comes_before_a_failure_is_given_before_it(number: int) -> None:
    def read() -> Iterator[int]:
        yield from range(number)
        raise DataError("the next one")

    found: list[list[int]] = []
    with pytest.raises(DataError, match="the next one"):
        found.extend(batches_until_failure(read(), 2))  # which keeps what it has
    assert found == list(batches_until_failure(range(number), 2))
    assert found == [list(range(first, min(first + 2, number))) for first in range(0, number, 2)]


def test_a_folder_stands_for_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", "c.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    (tmp_path / "d.png" / "e.png").touch()
    inside = [str(tmp_path / name) for name in ("a.png", "b.PNG", "c.jpg")]
    assert paths_in([str(tmp_path)], (".png", ".jpg")) == inside
    assert paths_in(["z.png", str(tmp_path), "-", "y.gif"], (".png", ".jpg")) == ["z.png", *inside, "-", "y.gif"]


def test_a_folder_without_such_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"a folder without files ending in \.png, \.jpg; give files, or another"):
        paths_in(["a.png", str(tmp_path)], (".png", ".jpg"))


def test_a_folder_is_left_to_models_that_read_whole_folders(tmp_path: Path) -> None:
    assert paths_in([str(tmp_path)], ()) == [str(tmp_path)]
