"""What there is to know of tagged sentences before anything is trained on them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from recurra.data.tagged import TaggedSentence
from recurra.models.tag_scores import breaks_bio, is_bio
from recurra.runs import Json
from recurra.tasks.checks import RARE

Splits = Mapping[str, Sequence[TaggedSentence]]


def check_tagged(splits: Splits, *, lowercase: bool) -> Json:
    """Counts, lengths, tags, repetition.

    Args:
        splits: sentences by split.
        lowercase: whether words are looked up in lower case.

    Returns:
        splits (sentences, tokens and lengths of each, and how many tokens training has not seen), tags (tokens of each
        tag by split), problems (in words, each with the place of a sentence).
    """
    words = words_of(splits["train"], lowercase=lowercase)
    rows: Json = {}
    for split, sentences in splits.items():
        lengths = [len(sentence.tokens) for sentence in sentences]
        shortest, median, longest = map(int, np.quantile(lengths, (0, 0.5, 1)))
        unseen = sum(n for word, n in words_of(sentences, lowercase=lowercase).items() if word not in words)
        rows[split] = {"sentences": len(sentences), "tokens": sum(lengths), "shortest": shortest, "median": median}
        rows[split] |= {"longest": longest, "unseen": unseen}
    counts = {split: Counter(tag for one in sentences for tag in one.tags) for split, sentences in splits.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    tags = {tag: {split: counted[tag] for split, counted in counts.items()} for tag, _ in total.most_common()}
    return {"splits": rows, "tags": tags, "problems": [*repeated(splits), *odd_tags(splits)]}


def words_of(sentences: Sequence[TaggedSentence], *, lowercase: bool) -> Counter[str]:
    """How often each word stands there."""
    return Counter(token.lower() if lowercase else token for sentence in sentences for token in sentence.tokens)


def repeated(splits: Splits) -> list[str]:
    """Held-out sentences that stand in training too."""
    trained = {sentence.tokens for sentence in splits["train"]}
    problems = []
    for split in [split for split in splits if split != "train"]:
        leaked = [sentence for sentence in splits[split] if sentence.tokens in trained]
        if leaked:
            problems.append(
                f"{len(leaked):,} sentences of {split} stand in train too, such as {leaked[0].place}: {split} is "
                "easier than new data would be"
            )
    return problems


def odd_tags(splits: Splits) -> list[str]:
    """Tags that training hardly shows, or not at all, and I- tags that go on from nothing."""
    counts = Counter(tag for sentence in splits["train"] for tag in sentence.tags)
    rare = [tag for tag, count in counts.items() if count < RARE]
    problems = [f"{len(rare)} tags have fewer than {RARE} training tokens: {', '.join(rare[:8])}"] if rare else []
    for split, sentences in splits.items():
        unknown = [(tag, sentence.place) for sentence in sentences for tag in sentence.tags if tag not in counts]
        broken = [sentence.place for sentence in sentences if is_bio(counts) and breaks_bio(sentence.tags)]
        if unknown:
            tag, place = unknown[0]
            problems.append(f"{len(unknown):,} tokens of {split} have a tag that training lacks: {tag!r} at {place}")
        if broken:
            problems.append(
                f"{len(broken):,} sentences of {split} have an I- tag that goes on from nothing: {broken[0]}"
            )
    return problems
