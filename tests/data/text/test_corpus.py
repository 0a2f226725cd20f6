"""Token ids on disk: encoded once, counted right, found again."""

from pathlib import Path

import numpy as np
import pytest

from recurra.data.text import corpus
from recurra.data.text import files as text
from recurra.data.text.corpus import TokenIds, encode_text
from recurra.data.text.files import Text
from recurra.data.text.vocabulary import Vocabulary, VocabularyOptions
from recurra.errors import DataError, SaveError
from recurra.progress import Progress

WORDS = "the cat saw the dog\r\nthe naïve dog ran\r\n" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RECURRA_CACHE", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Text:
    path = tmp_path / "words.txt"
    path.write_bytes(WORDS.encode())
    return Text.of([path])


def vocabulary(content: str = WORDS, **options: object) -> Vocabulary:
    return Vocabulary.of([content], VocabularyOptions.parse(options, "test"))


def encode(source: Text, made: Vocabulary) -> TokenIds:
    return encode_text(source, made, Progress(), "encoding")


def files(cache: Path) -> set[str]:
    return {path.name for path in (cache / "tokens").iterdir()}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("unit", ["word", "character", "bpe"])
def test_ids_and_counts_are_those_of_the_text(source: Text, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PIECE_BYTES", 100)  # so that many pieces are put together
    made = vocabulary(unit=unit)
    tokens = encode(source, made)
    plain = WORDS.replace("\r\n", "\n")
    assert tokens.ids.tolist() == made.encode(plain)
    assert made.decode(tokens.ids.tolist()) == plain
    assert len(tokens) == len(tokens.ids)
    assert tokens.num_characters == len(plain)
    assert tokens.num_unknown == 0
    assert isinstance(tokens.ids, np.memmap)


@pytest.mark.usefixtures("cache")
def test_unknown_tokens_are_counted(source: Text) -> None:
    assert encode(source, vocabulary("the dog\n")).num_unknown == 4 * 40  # cat, saw, naïve, ran


def test_the_same_text_is_encoded_once(source: Text, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encode(source, vocabulary()).ids.tolist()
    kept = files(cache)
    monkeypatch.setattr(Vocabulary, "encode", lambda *_: pytest.fail("encoded again"))
    moved = source.files[0].rename(source.files[0].with_name("renamed.txt"))
    assert encode(Text.of([moved]), vocabulary()).ids.tolist() == first
    assert files(cache) == kept


@pytest.mark.usefixtures("cache")
def test_another_vocabulary_or_text_is_encoded_anew(source: Text) -> None:
    first = encode(source, vocabulary())
    lower = encode(source, vocabulary("the dog\n"))
    assert first.ids.tolist() != lower.ids.tolist()
    source.files[0].write_bytes(WORDS.encode().replace(b"cat", b"dog"))
    assert encode(source, vocabulary()).ids.tolist() != first.ids.tolist()


@pytest.mark.usefixtures("cache")
def test_words_do_not_run_from_one_file_into_the_next(tmp_path: Path) -> None:
    for name, content in (("joined", "catdog\n"), ("x", "cat"), ("y", "dog\n")):
        (tmp_path / name).write_text(content)
    made = vocabulary("cat dog catdog\n")
    assert encode(Text.of([tmp_path / "joined"]), made).ids.tolist() == made.encode("catdog\n")
    assert encode(Text.of([tmp_path / "x", tmp_path / "y"]), made).ids.tolist() == made.encode("cat dog\n")


@pytest.mark.parametrize("suffix", [".ids", ".json"])
def test_half_a_cache_entry_is_written_again(source: Text, cache: Path, suffix: str) -> None:
    first = encode(source, vocabulary()).ids.tolist()
    next((cache / "tokens").glob(f"*{suffix}")).unlink()
    assert encode(source, vocabulary()).ids.tolist() == first


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(("types", "bytes_each"), [(1 << 16, 2), ((1 << 16) + 1, 4)])
def test_ids_are_as_wide_as_they_need(tmp_path: Path, types: int, bytes_each: int) -> None:
    content = " ".join(f"w{n}" for n in range(types - 1))  # and <unk>
    path = tmp_path / "many.txt"
    path.write_text(content)
    made = vocabulary(content, vocabulary_size=1 << 20)
    assert len(made) == types
    ids = encode(Text.of([path]), made).ids
    assert ids.dtype.itemsize == bytes_each
    assert int(ids.max()) == types - 1
    assert ids[-3:].tolist() == made.encode(f"w{types - 4} w{types - 3} w{types - 2}")


def test_a_text_without_tokens(tmp_path: Path, cache: Path) -> None:  # noqa: ARG001
    (tmp_path / "blank.txt").write_text("   \n  \n")
    blank = Text.of([tmp_path / "blank.txt"])
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match=r"blank\.txt: no tokens in it"):
            encode(blank, vocabulary(end_of_line=False))


def test_a_bad_text_leaves_nothing_in_the_cache(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"good words\n\xff\n")
    with pytest.raises(DataError, match="byte 11"):
        encode(Text.of([tmp_path / "bad.txt"]), vocabulary())
    assert files(cache) == set()


def test_a_cache_that_cannot_be_written(tmp_path: Path, source: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "file"))
    with pytest.raises(SaveError, match=r"encoded text cannot be written .*RECURRA_CACHE"):
        encode(source, vocabulary())


def test_a_disk_that_fills_up_while_encoding(source: Text, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(corpus.tempfile, "NamedTemporaryFile", full)
        with pytest.raises(SaveError, match="No space left on device"):
            encode(source, vocabulary())
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)  # of the counts, after the ids
        with pytest.raises(SaveError, match="No space left on device"):
            encode(source, vocabulary())
    assert not [name for name in files(cache) if not name.endswith(".ids")]
    assert len(encode(source, vocabulary())) == len(vocabulary().encode(WORDS))
