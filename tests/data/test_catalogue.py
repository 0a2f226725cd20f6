"""Data sets by name: where they are looked for, and how they are fetched."""

import hashlib
import http.server
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from recurra.data import catalogue
from recurra.data.catalogue import CATALOGUE, DataSet, RemoteFile, fetch, find, folder_of, in_memory, layouts, locate
from recurra.data.layouts import ArrayLayout, ImageLayout, SoundLayout
from recurra.data.text.files import find_text
from recurra.errors import DataError

CONTENTS = {"toy.train.txt": b"train text\n", "toy.valid.txt": b"valid text\n"}


class QuietServer(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RECURRA_CACHE", str(folder))
    monkeypatch.delenv("RECURRA_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    logging.getLogger("pooch").setLevel(logging.ERROR)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of this test's own, of the folder `public`."""
    public = tmp_path / "public"
    public.mkdir()
    for name, content in CONTENTS.items():
        (public / name).write_bytes(content)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietServer, directory=str(public))) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def toy(server: http.server.ThreadingHTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set `toy` of two files in the catalogue; the folder the server shows."""
    assert not cache.exists()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    files = tuple(
        RemoteFile(name, address + name, hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()
    )
    monkeypatch.setitem(CATALOGUE, "toy", DataSet("two lines", "none", files))
    return cache.parent / "public"


@pytest.mark.usefixtures("toy")
def test_a_fetched_data_set_is_found_by_its_name(cache: Path) -> None:
    with pytest.raises(DataError, match=r"toy: no such file, folder or data set; .*recurra data fetch toy"):
        locate("toy")
    assert fetch("toy") == locate("toy") == cache / "data" / "toy"
    assert {path.name: path.read_bytes() for path in folder_of("toy").iterdir()} == CONTENTS
    assert set(find_text("toy")) == {"train", "valid"}


def test_what_is_there_is_not_fetched_again(toy: Path) -> None:
    fetch("toy")
    for file in toy.iterdir():
        file.unlink()
    assert fetch("toy") == folder_of("toy")


def test_another_content_than_the_catalogue_knows_is_not_kept(toy: Path) -> None:
    (toy / "toy.train.txt").write_bytes(b"something else\n")
    with pytest.raises(DataError, match=r"toy\.train\.txt: not the file the catalogue knows .*nothing was kept"):
        fetch("toy")
    assert list(folder_of("toy").iterdir()) == []
    assert find("toy") is None


def test_half_a_data_set_is_not_taken_for_the_whole(toy: Path) -> None:
    """Trained on, it would split its training text for want of a validation text, without a word."""
    (toy / "toy.valid.txt").unlink()
    with pytest.raises(DataError, match=r"toy\.valid\.txt: cannot be fetched .*404"):
        fetch("toy")
    assert [file.name for file in folder_of("toy").iterdir()] == ["toy.train.txt"]
    assert find("toy") is None
    (toy / "toy.valid.txt").write_bytes(CONTENTS["toy.valid.txt"])
    assert find(fetch("toy").name) == folder_of("toy")


@pytest.mark.usefixtures("toy")
def test_a_server_that_is_down(server: http.server.ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"cannot be fetched .*check the connection"):
        fetch("toy")
    assert find("toy") is None


@pytest.mark.usefixtures("cache")
def test_a_name_the_catalogue_lacks() -> None:
    with pytest.raises(
        DataError,
        match=f"prb: not in the catalogue; it has {', '.join(CATALOGUE)}",
    ):
        fetch("prb")
    with pytest.raises(
        DataError,
        match=r"prb: no such file, folder or data set; looked at prb, .*cache/data/prb; if it .* RECURRA_DATA$",
    ):
        locate("prb")


def test_the_order_of_places(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path as given, then $RECURRA_DATA, then what was fetched."""
    shared = tmp_path / "shared"
    monkeypatch.setenv("RECURRA_DATA", str(shared))
    (cache / "data" / "novel").mkdir(parents=True)
    assert locate("novel") == cache / "data" / "novel"
    (shared / "novel").mkdir(parents=True)
    assert locate("novel") == shared / "novel"
    (tmp_path / "novel").write_text("here")
    assert locate("novel") == Path("novel")


def test_a_run_hides_no_data_set(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "novel").mkdir()
    for file in ("model.json", "recipe.toml"):
        (tmp_path / "novel" / file).touch()
    with pytest.raises(DataError, match="novel: the folder of a run, which holds no data"):
        locate("novel")
    (cache / "data" / "novel").mkdir(parents=True)
    assert locate("novel") == cache / "data" / "novel"


def test_a_path_may_begin_with_the_home_folder(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.txt").write_text("words")
    assert locate("~/mine.txt") == tmp_path / "mine.txt"


def test_the_cache_lies_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RECURRA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert catalogue.cache_folder() == tmp_path / "xdg" / "recurra"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalogue.cache_folder() == tmp_path / ".cache" / "recurra"


def test_the_embedded_text_is_there_at_once_and_says_nothing_twice(cache: Path) -> None:
    path = locate("python-docs")
    assert path.parent == cache / "data" / "python-docs"
    assert locate("python-docs") == path
    path.unlink()  # an empty folder, as an interrupted first write leaves it
    assert locate("python-docs").stat().st_size > 200_000
    text = "".join(find_text("python-docs")["all"].pieces())
    paragraphs = text.removesuffix("\n").split("\n\n")
    assert len(paragraphs) == len(set(paragraphs))
    assert len(text) > 200_000
    assert "assert" in text


def test_every_entry_says_what_it_is_and_pins_each_file() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.about, name
        assert entry.license, name
        for file in entry.files:
            assert file.url.startswith("https://")
            assert file.url.endswith(file.name)
            assert len(bytes.fromhex(file.sha256)) == 32


def test_what_is_made_in_memory_is_told_so() -> None:
    with pytest.raises(DataError, match="digits: made each time it is asked for, so there is nothing to fetch"):
        fetch("digits")
    with pytest.raises(DataError, match="touch-tones: made for speech alone"):
        locate("touch-tones")


@pytest.mark.usefixtures("cache")
def test_what_cannot_be_fetched_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = (
        r"; get it from https://github\.com/Jakobovski/.*; name the folder that holds the folder fsdd in RECURRA_DATA"
    )
    with pytest.raises(DataError, match=f"fsdd: cannot be downloaded by Recurra{remedy}"):
        fetch("fsdd")
    with pytest.raises(DataError, match=f"fsdd: no such file, folder or data set; looked at fsdd, .*{remedy}"):
        locate("fsdd")
    (tmp_path / "shared" / "fsdd").mkdir(parents=True)
    monkeypatch.setenv("RECURRA_DATA", str(tmp_path / "shared"))
    assert fetch("fsdd") == tmp_path / "shared" / "fsdd"


def test_layouts_by_kind() -> None:
    assert layouts(ImageLayout) == [CATALOGUE["mnist"].layout]
    assert layouts(ArrayLayout) == [CATALOGUE["hapt"].layout]
    (names,) = layouts(SoundLayout)
    assert names.parse("7_jackson_32") == ("seven", "jackson", "train")
    assert [names.parse(f"0_theo_{index}") for index in (4, 5, 9, 10)] == [
        ("zero", "theo", split) for split in ("test", "valid", "valid", "train")
    ]
    assert names.parse("12_theo_3") is names.parse("7_theo") is names.parse("7_theo_3_x") is None


def test_a_folder_named_like_a_data_set_in_memory_comes_first(cache: Path) -> None:
    made = in_memory("digits")
    assert made is not None
    assert in_memory("ptb") is in_memory("no such") is None
    (cache.parent / "digits").mkdir()
    assert in_memory("digits") is None
