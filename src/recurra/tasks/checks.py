"""Checks of data before training that several tasks share: balance of labels, leaks between splits."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal

from recurra.errors import counted, shortened
from recurra.runs import Json

RARE = 5  # training examples below which a label is called rare

Labels = Mapping[str, Sequence[tuple[str, str]]]  # by split: each label with its place


def balance(labels: Labels) -> Json:
    """How often each label stands in each split, the most frequent first."""
    counts = {split: Counter(label for label, _ in found) for split, found in labels.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    return {label: {split: found[label] for split, found in counts.items()} for label, _ in total.most_common()}


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
