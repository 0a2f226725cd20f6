"""Checks of pairs of texts before training."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from recurra.data.text.pairs import Pair
from recurra.errors import counted
from recurra.runs import Json
from recurra.tasks.checks import leaks
from recurra.tasks.translation.data import PairOptions, Vocabularies

Splits = Mapping[str, Sequence[Pair]]
MAX_UNKNOWN = 0.05  # share of unknown tokens on a side; more is a problem


def check_pairs(splits: Splits, options: PairOptions, vocabularies: Vocabularies) -> Json:
    """Counts, lengths, unknown tokens, repetition.

    Args:
        splits: pairs by split.
        options: how their lengths are counted.
        vocabularies: types of the training pairs.

    Returns:
        splits (pairs, and median and longest side of each), vocabulary (types of each side), problems (in words, each
        with the place of a pair).
    """
    rows: Json = {}
    for split, pairs in splits.items():
        rows[split] = {"pairs": len(pairs)}
        for side in ("source", "target"):
            lengths = [options.count(getattr(pair, side)) for pair in pairs]
            rows[split] |= {f"{side} median": int(np.median(lengths)), f"{side} longest": max(lengths)}
    types = {side: {"types": len(vocabulary)} for side, vocabulary in vocabularies._asdict().items()}
    leaked = leaks(splits, lambda pair: pair.source, "source")
    problems = [*leaked, *repeated(splits), *unchanged(splits), *unknown(splits, vocabularies)]
    return {"splits": rows, "vocabulary": types, "problems": problems}


def repeated(splits: Splits) -> list[str]:
    """Training pairs that occur twice."""
    counts = Counter((pair.source, pair.target) for pair in splits["train"])
    twice = sum(count - 1 for count in counts.values())
    return [f"repeated within train: {counted(twice, 'pair')}; they count double"] if twice else []


def unchanged(splits: Splits) -> list[str]:
    """Pairs whose target is the source."""
    problems = []
    for split, pairs in splits.items():
        same = [pair for pair in pairs if pair.source == pair.target]
        if same:
            problems.append(f"target as source: {counted(len(same), 'pair')} of {split}, such as {same[0].place}")
    return problems


def unknown(splits: Splits, vocabularies: Vocabularies) -> list[str]:
    """Splits with many unknown tokens on one side."""
    problems = []
    for split, pairs in splits.items():
        for side, vocabulary in vocabularies._asdict().items():
            ids = np.concatenate([vocabulary.encode_line(getattr(pair, side)) for pair in pairs])
            share = float((ids == vocabulary.unknown_id).mean())
            if share > MAX_UNKNOWN:
                problems.append(f"{share:.0%} of the {side} tokens of {split} are unknown; raise vocabulary_size")
    return problems
