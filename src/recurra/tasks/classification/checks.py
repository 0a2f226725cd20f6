"""Checks of labelled examples before training."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recurra.errors import counted, shortened
from recurra.runs import Json
from recurra.tasks.checks import Labels, balance, leaks, odd_labels
from recurra.tasks.classification.data import Example, Inputs


class Read(NamedTuple):
    """An example as the model reads it."""

    place: str
    label: str
    steps: int
    content: bytes


Splits = Mapping[str, Sequence[Read]]


def check_examples(splits: Mapping[str, Sequence[Example]], inputs: Inputs) -> Json:
    """Counts, lengths, balance, repetition.

    Args:
        splits: examples by split.
        inputs: how the model would read them.

    Returns:
        splits (examples and lengths of each), labels (examples of each label by split), problems (in words, each with
        the place of an example).
    """
    read: dict[str, list[Read]] = {}
    for split, examples in splits.items():
        encoded = [inputs.encode(example.content) for example in examples]
        pairs = zip(examples, encoded, strict=True)
        read[split] = [Read(example.place, example.label, len(found), found.tobytes()) for example, found in pairs]
    labels = {split: [(one.label, one.place) for one in examples] for split, examples in read.items()}
    return {
        "splits": {split: lengths_of(examples) for split, examples in read.items()},
        "labels": balance(labels),
        "problems": [
            *repeated(read),
            *leaks(read, lambda example: example.content, "example"),
            *contradictions(read),
            *odd_labels(labels, "label", "example", inputs.options.unknown_labels),
            *untested(labels),
        ],
    }


def lengths_of(examples: Sequence[Read]) -> Json:
    """How many examples, and their steps."""
    names = ("shortest", "median", "longest")
    lengths = np.quantile([example.steps for example in examples], (0, 0.5, 1))
    return {"examples": len(examples), **dict(zip(names, map(int, lengths), strict=True))}


def alike(examples: Sequence[Read]) -> list[list[Read]]:
    """Examples that the model cannot tell apart, together."""
    found: dict[bytes, list[Read]] = {}
    for example in examples:
        found.setdefault(example.content, []).append(example)
    return list(found.values())


def repeated(splits: Splits) -> list[str]:
    """Examples that stand in a split more than once."""
    problems = []
    for split, examples in splits.items():
        twice = [found for found in alike(examples) if len(found) > 1]
        if twice:
            spare = sum(len(found) - 1 for found in twice)
            problems.append(f"repeated within {split}: {counted(spare, 'example')}, such as {twice[0][1].place}")
    return problems


def contradictions(splits: Splits) -> list[str]:
    """The same example with different labels."""
    everything = [example for examples in splits.values() for example in examples]
    torn = [found for found in alike(everything) if len({one.label for one in found}) > 1]
    if not torn:
        return []
    first, other = torn[0][0], next(one for one in torn[0] if one.label != torn[0][0].label)
    return [
        f"with different labels: {counted(len(torn), 'example')}, such as {shortened(first.label)!r} at "
        f"{first.place} and {shortened(other.label)!r} at {other.place}"
    ]


def untested(labels: Labels) -> list[str]:
    """Labels of training that a split lacks."""
    trained = {label for label, _ in labels["train"]}
    problems = []
    for split, found in labels.items():
        lacking = sorted(trained - {label for label, _ in found})
        if lacking:
            named = ", ".join(repr(shortened(label)) for label in lacking[:8])
            problems.append(f"{split} has no example of {named}, so it tells nothing of them")
    return problems
