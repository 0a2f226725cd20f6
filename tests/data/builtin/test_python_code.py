"""Roles of the tokens of Python: a module written for it, every role in it, and what hides or imports a name."""

import textwrap

import pytest

from recurra.data.builtin.python_code import tagged_lines

LETTERS = {
    "k": "keyword",
    "f": "function",
    "C": "class",
    "m": "method",
    "a": "attribute",
    "M": "module",
    "p": "parameter",
    "v": "variable",
    "n": "number",
    "s": "string",
    "=": "operator",
    ",": "punctuation",
    "(": "call",
    "[": "index",
    "d": "definition",
    "g": "group",
    "{": "display",
}
# Each line with the role of each of its tokens, by letter.
MODULE = [
    ('"""What it is."""', "s"),
    ("import os.path as paths, sys", "k M , M k M , M"),
    ("from .files import copy, Archive, bar as baz", "k , M k f , C , v k v"),
    ("SIZE = 0x10  # bytes", "v = n"),
    ("class Store(dict, metaclass=Meta):", "k C d C , p = v d ,"),
    ("    size: int = None", "v , C = k"),
    ("    @property", ", C"),
    (
        "    def size(self, size=(1, 2), /, *rest, key: Archive = b'a b'):",
        "k m d p , p = g n , n g , = , = p , p , C = s d ,",
    ),
    ("        size = self.size[size][0](size=size)", "v = v , a [ v [ [ n [ ( p = v ("),
    ("        return sys.size(paths.join(rest), size(key))", "k M , f ( M , f ( v ( , f ( v ( ("),
    ("    async def close(self): await self.close()", "k k m d p d , k v , m ( ("),
    ("def size(*, items):", "k f d = , p d ,"),
    ("    def inner(): yield from (lambda x, y: x)(items)", "k f d d , k k g k p , p , v g ( v ("),
    ("    return {1: [items[1:2], *items], 'it': -2.5e3}", "k { n , { v [ n , n [ , = v { , s , = n {"),
    ("try: store, dict = Store(size), {copy(store)}", "k , v , v = C ( f ( , { f ( v ( {"),
    ("except (OSError, Archive) as error: raise ValueError(f'{error!r} {a[\"b\"]}')", "k g C , C g k v , k C ( s ("),
    ("size(int('1'), len, str)", "f ( f ( s ( , f , C ("),
    ("print(x := 'é', rb'''\n'''  # two\n, ...)", "f ( v = s , s , , ("),
    ("match = match if match is not None and match != (SIZE) else ~match", "v = v k v k k k k v = g v g k = v"),
    ("match (store):", "k g v g ,"),
    ("    case Store(size=SIZE) | [_]: pass", "k C ( v = v ( = { k { , k"),
]


FILES = "class Archive: ...\ndef copy(): ...\n"


def roles_of(source: str) -> list[list[tuple[str, str]]]:
    """Lines of a module beside which there is another, `files`."""
    return tagged_lines({"this": textwrap.dedent(source), "files": FILES})["this"]


@pytest.fixture(scope="module")
def module() -> list[list[tuple[str, str]]]:
    return roles_of("\n".join(line for line, _ in MODULE))


def test_each_token_has_the_role_that_a_reader_gives_it(module: list[list[tuple[str, str]]]) -> None:
    for line, (text, letters) in zip(module, MODULE, strict=True):
        assert [role for _, role in line] == [LETTERS[letter] for letter in letters.split()], text
    assert {role for line in module for _, role in line} == set(LETTERS.values())


def test_one_spelling_has_many_roles(module: list[list[tuple[str, str]]]) -> None:
    roles: dict[str, set[str]] = {}
    for token, role in (pair for line in module for pair in line):
        roles.setdefault(token, set()).add(role)
    assert roles["size"] == {"variable", "method", "parameter", "attribute", "function"}
    assert roles["("] == roles[")"] == {"call", "definition", "group"}
    assert roles["["] == roles["]"] == {"index", "display"}
    assert roles["match"] == {"variable", "keyword"}
    assert roles["int"] == {"class", "function"}


def test_a_string_is_one_token_of_prefix_and_quotes(module: list[list[tuple[str, str]]]) -> None:
    strings = [token for line in module for token, role in line if role == "string"]
    assert strings == ['"""..."""', "b'...'", "'...'", "f'...'", "'...'", "'...'", "rb'''...'''"]


def test_names_of_a_function_hide_those_of_the_module() -> None:
    lines = roles_of(
        """
        import time
        class Clock: ...
        def early(seconds):
            time.sleep(Clock)
        def late(time):
            Clock = time.sleep(time)
            return Clock
        def shared():
            global Clock
            Clock = Clock()
        """
    )
    found = [[(token, role) for token, role in line if token.isidentifier() and role != "keyword"] for line in lines]
    assert found[3] == [("time", "module"), ("sleep", "function"), ("Clock", "class")]
    assert found[5] == [("Clock", "variable"), ("time", "variable"), ("sleep", "method"), ("time", "variable")]
    assert found[6] == [("Clock", "variable")]
    assert found[9] == [("Clock", "variable"), ("Clock", "class")]
