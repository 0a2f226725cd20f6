"""The data set brackets: strings of brackets and letters, balanced or broken."""

import random
from collections.abc import Callable, Iterator
from itertools import accumulate, cycle, islice

NUM_STRINGS = (8000, 1000, 2000)
MIN_LENGTH, MAX_LENGTH = 6, 60  # characters
LETTERS = "abcd"
MIN_PAIRS = 2
BRACKETS_SEED = 1


def brackets() -> list[str]:
    """Lines of label and string for training, validation and test."""
    strings = bracket_strings(MIN_LENGTH, MAX_LENGTH, BRACKETS_SEED)
    return ["".join(f"{label}\t{text}\n" for label, text in islice(strings, count)) for count in NUM_STRINGS]


def bracket_strings(shortest: int, longest: int, seed: int) -> Iterator[tuple[str, str]]:
    """Endless labels and strings, alternately balanced and broken, without repetition.

    Counting does not tell them apart: both have as many closing as opening brackets, but in a broken string one closes
    too early.

    Args:
        shortest: characters, at least 4.
        longest: characters, enough for as many different strings as are drawn.
        seed: same seed, same strings.
    """
    number = random.Random(seed).random  # the only draws that Python promises never to change

    def below(limit: int) -> int:
        return int(number() * limit)

    seen: set[str] = set()
    for label in cycle(("balanced", "broken")):
        text = ""
        while not text or text in seen:
            text = balanced(shortest + below(longest - shortest + 1), below)
            text = broken(text, below) if label == "broken" else text
        seen.add(text)
        yield label, text


def balanced(length: int, below: Callable[[int], int]) -> str:
    """A balanced string of at least 4 characters; given the number of pairs, all orders of brackets are equally likely.

    Source: Arnold & Sleep 1980, Uniform random generation of balanced parenthesis strings.
    """
    left = 2 * (MIN_PAIRS + below(length // 2 - MIN_PAIRS + 1))  # brackets that are still to be written
    depth, text = 0, ""
    for position in range(length):
        if below(length - position) >= left:
            text += LETTERS[below(len(LETTERS))]
            continue
        opens = below(2 * left * (depth + 1)) < (depth + 2) * (left - depth)
        text += "(" if opens else ")"
        depth += 1 if opens else -1
        left -= 1
    return text


def broken(text: str, below: Callable[[int], int]) -> str:
    """A balanced string with two of its brackets exchanged, so that one closes before it was opened."""
    opening, closing = ([at for at, symbol in enumerate(text) if symbol == kind] for kind in "()")
    while True:
        first, second = opening[below(len(opening))], closing[below(len(closing))]
        symbols = list(text)
        symbols[first], symbols[second] = ")", "("
        if min(accumulate((symbol == "(") - (symbol == ")") for symbol in symbols)) < 0:
            return "".join(symbols)
