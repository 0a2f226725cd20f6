"""What there is to know of labelled examples before anything is trained on them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from recurra.runs import Json
from recurra.tasks.examples import Example, Inputs

RARE = 5  # training examples below which a label is called rare


def check_examples(splits: Mapping[str, Sequence[Example]], inputs: Inputs) -> Json:
    """Counts, lengths, balance, repetition.

    Args:
        splits: examples by split.
        inputs: how the model would read them.

    Returns:
        splits (examples and lengths of each), labels (examples of each label by split), problems (in words, each with
        the place of an example).
    """
    return {
        "splits": {split: lengths_of(examples, inputs) for split, examples in splits.items()},
        "labels": balance(splits),
        "problems": [*repeated(splits, inputs), *contradictions(splits, inputs), *rare_labels(splits)],
    }


def lengths_of(examples: Sequence[Example], inputs: Inputs) -> Json:
    """How many examples, and their steps."""
    lengths = [len(inputs.encode(example.content)) for example in examples]
    names = ("shortest", "median", "longest")
    return {"examples": len(examples), **dict(zip(names, map(int, np.quantile(lengths, (0, 0.5, 1))), strict=True))}


def balance(splits: Mapping[str, Sequence[Example]]) -> Json:
    """Examples of each label by split, the most frequent first."""
    counts = {split: Counter(example.label for example in examples) for split, examples in splits.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    return {label: {split: counted[label] for split, counted in counts.items()} for label, _ in total.most_common()}


def keys_of(examples: Sequence[Example], inputs: Inputs) -> dict[bytes, list[Example]]:
    """Examples by what the model reads of them."""
    found: dict[bytes, list[Example]] = {}
    for example in examples:
        found.setdefault(inputs.encode(example.content).tobytes(), []).append(example)
    return found


def repeated(splits: Mapping[str, Sequence[Example]], inputs: Inputs) -> list[str]:
    """Examples that stand in a split more than once, or in a held-out split and in training."""
    problems = []
    keys = {split: keys_of(examples, inputs) for split, examples in splits.items()}
    for split, found in keys.items():
        twice = [examples for examples in found.values() if len(examples) > 1]
        if twice:
            spare = sum(len(examples) - 1 for examples in twice)
            problems.append(f"{spare:,} examples of {split} repeat others there, such as {twice[0][1].place}")
    for split in [split for split in keys if split != "train"]:
        leaked = [one for key, examples in keys[split].items() if key in keys.get("train", {}) for one in examples]
        if leaked:
            problems.append(
                f"{len(leaked):,} examples of {split} stand in train too, such as {leaked[0].place}: {split} is easier "
                "than new data would be"
            )
    return problems


def contradictions(splits: Mapping[str, Sequence[Example]], inputs: Inputs) -> list[str]:
    """The same example with different labels."""
    everything = [example for examples in splits.values() for example in examples]
    torn = [found for found in keys_of(everything, inputs).values() if len({one.label for one in found}) > 1]
    if not torn:
        return []
    first, other = torn[0][0], next(one for one in torn[0] if one.label != torn[0][0].label)
    return [
        f"{len(torn):,} examples come with different labels, such as {first.label!r} at {first.place} and "
        f"{other.label!r} at {other.place}"
    ]


def rare_labels(splits: Mapping[str, Sequence[Example]]) -> list[str]:
    """Labels that training hardly shows, or not at all."""
    counts = Counter(example.label for example in splits.get("train", []))
    rare = [label for label, count in counts.items() if count < RARE]
    problems = [f"{len(rare)} labels have fewer than {RARE} training examples: {', '.join(rare[:8])}"] if rare else []
    for split, examples in splits.items():
        lacking = sorted(counts.keys() - {example.label for example in examples})
        if lacking:
            named = ", ".join(map(repr, lacking[:8]))
            problems.append(f"{split} has no example of {named}, so it tells nothing of them")
        unknown = [example for example in examples if example.label not in counts]
        if unknown:
            problems.append(
                f"{len(unknown):,} examples of {split} have a label that training lacks, such as "
                f"{unknown[0].label!r} at {unknown[0].place}"
            )
    return problems
