"""What there is to know of labelled examples before anything is trained on them."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from recurra.errors import counted, shortened
from recurra.runs import Json
from recurra.tasks.classification.data import Example, Inputs

RARE = 5  # training examples below which a label is called rare


class Read(NamedTuple):
    """An example as the model reads it."""

    place: str
    label: str
    steps: int
    content: bytes


Splits = Mapping[str, Sequence[Read]]
Labels = Mapping[str, Sequence[tuple[str, str]]]  # of each split, each with its place


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


def balance(labels: Labels) -> Json:
    """How often each label stands in each split, the most frequent first."""
    counts = {split: Counter(label for label, _ in found) for split, found in labels.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    return {label: {split: found[label] for split, found in counts.items()} for label, _ in total.most_common()}


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


def leaks(splits: Mapping[str, Sequence[Any]], key: Callable[[Any], Hashable], what: str) -> list[str]:
    """What is held out and stands in training too.

    Args:
        splits: examples, each with its place.
        key: by which they are the same.
        what: they are called.
    """
    trained = {key(example) for example in splits["train"]}
    problems = []
    for split, examples in splits.items():
        known = [example for example in examples if split != "train" and key(example) in trained]
        if known:
            problems.append(
                f"in train too: {counted(len(known), what)} of {split}, such as {known[0].place}; {split} is easier "
                "than new data would be"
            )
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


def odd_labels(labels: Labels, name: str, what: str, if_unknown: Literal["fail", "wrong"]) -> list[str]:
    """Labels that training hardly shows, or not at all, or shows alone.

    Args:
        labels: what each split has.
        name: what a label is called, "label" or "tag".
        what: what has one, "example" or "token".
        if_unknown: what becomes of a label that training lacks.
    """
    counts = Counter(label for label, _ in labels["train"])
    rare = [label for label, count in counts.items() if count < RARE]
    problems = []
    if len(counts) < 2:
        problems.append(
            f"all of train has the {name} {shortened(next(iter(counts)))!r}: training refuses it, it takes two"
        )
    if rare:
        few = counted(len(rare), name)
        problems.append(
            f"hardly in train: {few} with fewer than {RARE} {what}s there: {', '.join(map(shortened, rare[:8]))}"
        )
    fate = "they count as wrong" if if_unknown == "wrong" else f"training refuses them without --unknown-{name}s wrong"
    for split, found in labels.items():
        unknown = [(label, place) for label, place in found if label not in counts]
        if unknown:
            label, place = unknown[0]
            problems.append(
                f"with a {name} that train lacks: {counted(len(unknown), what)} of {split}, such as "
                f"{shortened(label)!r} at {place}; {fate}"
            )
    return problems


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
