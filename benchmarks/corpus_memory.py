"""Does a corpus larger than memory train? Encodes a generated text of 1 GB, trains 100 steps, prints the peak memory.

python benchmarks/corpus_memory.py [--gigabytes 1.0]
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

import recurra

TYPES, LINE = 50_000, 20


def write_text(path: Path, size: int, seed: int) -> None:
    """Lines of words whose frequencies fall as in a natural text (Zipf's law)."""
    draw = np.random.default_rng(seed)
    words = np.array([f"w{index:x}" for index in range(TYPES)])
    shares = 1 / np.arange(1, TYPES + 1)
    shares /= shares.sum()
    with path.open("w") as file:
        while file.tell() < size:
            lines = draw.choice(words, (10_000, LINE), p=shares)
            file.write("\n".join(map(" ".join, lines)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    size = int(parser.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory() as folder, recurra_cache(Path(folder)):
        text = Path(folder) / "text"
        text.mkdir()
        for name, bytes_wanted in (("train", size), ("valid", 100_000), ("test", 100_000)):
            write_text(text / f"{name}.txt", bytes_wanted, len(name))
        print(f"text: {(text / 'train.txt').stat().st_size / 1e9:.2f} GB; before: {peak():.0f} MB", flush=True)
        started = time.monotonic()
        recurra.train("language-modelling", text, run=Path(folder) / "run", steps=100, split="space")
        print(f"peak memory {peak():.0f} MB, {(time.monotonic() - started) / 60:.1f} minutes")


def peak() -> float:
    """Largest resident memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def recurra_cache(folder: Path):
    """Keep the encoded text in the same temporary folder."""
    import os
    from unittest import mock

    return mock.patch.dict(os.environ, {"RECURRA_CACHE": str(folder / "cache")})


if __name__ == "__main__":
    main()
