"""A text that can be learned."""

import random
from pathlib import Path

SUBJECTS = ("the cat", "the dog", "a bird", "the old man", "my sister", "nobody")
VERBS = {"sees": "often", "hears": "never", "feeds": "daily", "finds": "at last"}
OBJECTS = ("the mouse", "a stone", "the river", "some bread", "her book")


def write_story(path: Path, num_lines: int = 1200) -> Path:
    """Text whose next word can be learned: each verb has its own adverb, which closes the line after the object."""
    draw = random.Random(7)
    lines = []
    for _ in range(num_lines):
        verb = draw.choice(list(VERBS))
        lines.append(f"{draw.choice(SUBJECTS)} {verb} {draw.choice(OBJECTS)} {VERBS[verb]} .")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
