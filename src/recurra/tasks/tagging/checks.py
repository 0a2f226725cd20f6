"""What there is to know of tagged sentences before anything is trained on them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from recurra.data.text.tagged import TaggedSentence
from recurra.errors import counted
from recurra.metrics.spans import is_bio, is_invalid_bio
from recurra.runs import Json
from recurra.tasks.checks import balance, leaks, odd_labels
from recurra.tasks.tagging.data import TaggedOptions

Splits = Mapping[str, Sequence[TaggedSentence]]


def check_tagged(splits: Splits, options: TaggedOptions) -> Json:
    """Counts, lengths, tags, repetition.

    Args:
        splits: sentences by split.
        options: how their words are looked up.

    Returns:
        splits (sentences, tokens and lengths of each, and how many tokens training has not seen), tags (tokens of each
        tag by split), problems (in words, each with the place of a sentence).
    """
    words = words_of(splits["train"], lowercase=options.lowercase)
    rows: Json = {}
    for split, sentences in splits.items():
        lengths = [len(sentence.tokens) for sentence in sentences]
        shortest, median, longest = map(int, np.quantile(lengths, (0, 0.5, 1)))
        unseen = sum(n for word, n in words_of(sentences, lowercase=options.lowercase).items() if word not in words)
        rows[split] = {"sentences": len(sentences), "tokens": sum(lengths), "shortest": shortest, "median": median}
        rows[split] |= {"longest": longest, "unseen": unseen}
    tags = {split: [(tag, one.place) for one in found for tag in one.tags] for split, found in splits.items()}
    problems = [
        *leaks(splits, lambda sentence: sentence.tokens, "sentence"),
        *odd_labels(tags, "tag", "token", options.unknown_tags),
        *broken_spans(splits),
    ]
    return {"splits": rows, "tags": balance(tags), "problems": problems}


def words_of(sentences: Sequence[TaggedSentence], *, lowercase: bool) -> Counter[str]:
    """How often each word stands there."""
    return Counter(token.lower() if lowercase else token for sentence in sentences for token in sentence.tokens)


def broken_spans(splits: Splits) -> list[str]:
    """Sentences with an I- tag that goes on from nothing, where tags are those of spans."""
    if not is_bio({tag for sentence in splits["train"] for tag in sentence.tags}):
        return []
    problems = []
    for split, sentences in splits.items():
        broken = [sentence.place for sentence in sentences if is_invalid_bio(sentence.tags)]
        if broken:
            found = counted(len(broken), "sentence")
            problems.append(f"with an I- tag that goes on from nothing: {found} of {split}, such as {broken[0]}")
    return problems
