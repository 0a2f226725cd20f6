"""Token ids of a text, encoded once into a file and memory-mapped from then on."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.catalogue import cache_folder
from recurra.data.text.files import Text
from recurra.data.text.vocabulary import Vocabulary
from recurra.errors import DataError, SaveError
from recurra.progress import Progress
from recurra.runs import canonical_json, write_atomically


class TokenIds(NamedTuple):
    """An encoded text."""

    ids: NDArray[np.unsignedinteger]  # (tokens,), memory-mapped
    digest: str  # SHA-256 of text and vocabulary
    num_characters: int  # of the text, line ends included
    num_unknown: int  # tokens not in the vocabulary

    def __len__(self) -> int:
        return len(self.ids)


def encode_text(text: Text, vocabulary: Vocabulary, progress: Progress, title: str) -> TokenIds:
    """Token ids of a text, from the cache if the same text was encoded with the same vocabulary before.

    Args:
        text: the text.
        vocabulary: encodes it.
        progress: shows how far encoding is.
        title: of the progress bar.

    Raises:
        DataError: the text is not UTF-8, or has no tokens.
        SaveError: the cache cannot be written.
    """
    key = hashlib.sha256(f"{text.digest()} {vocabulary.dump()}".encode()).hexdigest()
    path = cache_folder() / "tokens" / f"{key}.ids"
    dtype = np.dtype("<u2" if len(vocabulary) <= 1 << 16 else "<u4")
    counts = read_counts(path, dtype)
    if counts is None:
        counts = write_tokens(path, text, vocabulary, dtype, progress, title)
    if not counts["num_tokens"]:
        raise DataError(f"{text.name}: no tokens in it; expected plain UTF-8 text")
    ids = np.memmap(path, dtype=dtype, mode="r", shape=(counts["num_tokens"],))
    return TokenIds(ids, key, counts["num_characters"], counts["num_unknown"])


def read_counts(path: Path, dtype: np.dtype) -> dict[str, int] | None:
    """The counts of an encoded text in the cache; None if it is not there or incomplete."""
    try:
        counts: dict[str, int] = json.loads(path.with_suffix(".json").read_bytes())
        is_whole = path.stat().st_size == counts["num_tokens"] * dtype.itemsize
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return counts if is_whole else None


def write_tokens(
    path: Path, text: Text, vocabulary: Vocabulary, dtype: np.dtype, progress: Progress, title: str
) -> dict[str, int]:
    """Encode a text into the cache and return its counts. They are written last and mark the ids as complete."""
    counts = {"num_tokens": 0, "num_characters": 0, "num_unknown": 0}
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file,
            progress.stage(title, text.size) as advance,
        ):
            temporary = Path(file.name)
            for piece in text.pieces(advance):
                ids = np.array(vocabulary.encode(piece), dtype)
                file.write(ids.tobytes())
                counts["num_tokens"] += len(ids)
                counts["num_characters"] += len(piece)
                counts["num_unknown"] += int((ids == vocabulary.unknown_id).sum())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SaveError(
            f"{path.parent}: the encoded text cannot be written ({error.strerror}); "
            "free some space, or set RECURRA_CACHE to another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    write_atomically(path.with_suffix(".json"), canonical_json(counts))
    return counts
