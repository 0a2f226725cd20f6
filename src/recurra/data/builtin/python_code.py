"""The data set python-code: lines of Python's standard library, each token with its role.

A token alone does not tell its role: `f` may be a function or a parameter.
"""

import ast
import builtins
import io
import keyword
import re
import sysconfig
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from recurra.errors import DataError

Names = Mapping[str, str]  # roles by name
Positions = Mapping[tuple[int, int], str]  # roles by line and column
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

OPENING, CLOSING = "([{", ")]}"
PUNCTUATION = {*",:;.@", "->", "..."}
VALUES = {"attribute", "class", "function", "method", "module", "parameter", "string", "variable"}
DEFINE = ([("def", "keyword")], [("class", "keyword")])
LITERALS = {tokenize.NUMBER: "number", tokenize.STRING: "string"}
BEGINS, ENDS = ({f"{kind}STRING_{end}" for kind in "FT"} for end in ("START", "END"))  # of Python 3.12, and 3.14
UNSAID = {"COMMENT", "NL", "INDENT", "DEDENT", "ENDMARKER"}
TYPES = {name: value for name, value in vars(builtins).items() if isinstance(value, type)}
CONVERSIONS = {name for name, value in TYPES.items() if not issubclass(value, BaseException)}  # called like functions
BUILTINS = {name: "class" if name in TYPES else "function" for name, value in vars(builtins).items() if callable(value)}


# Each split has its own modules, so that many names in the test split do not occur in training.
MODULES = (
    "argparse calendar configparser difflib doctest ftplib http/client imaplib inspect mailbox optparse pdb pickle "
    "shutil tarfile turtle",
    "smtplib threading uuid",
    "ipaddress plistlib subprocess",
)
MIN_TOKENS, MAX_TOKENS = 3, 60  # of a line


def python_code() -> list[str]:
    """Tagged lines for training, validation and test; a repeated line stands in the first split that has it.

    Raises:
        DataError: the sources of the modules of a split are not installed.
    """
    library = Path(sysconfig.get_path("stdlib"))
    seen: set[tuple[str, ...]] = set()
    contents = []
    for modules in MODULES:
        paths = {name: library / f"{name}.py" for name in modules.split()}
        found = {name.replace("/", "."): path for name, path in paths.items() if path.is_file()}
        sources = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
        if not sources:
            raise DataError(
                f"{library}: none of the modules {', '.join(paths)} is there as source; install Python's standard "
                "library with its .py files"
            )
        blocks = []
        for line in (line for lines in tagged_lines(sources).values() for line in lines):
            key = tuple(token for token, _ in line)
            if MIN_TOKENS <= len(line) <= MAX_TOKENS and key not in seen:
                seen.add(key)
                blocks.append("".join(f"{token}\t{role}\n" for token, role in line))
        contents.append("\n".join(blocks))
    return contents


class Token(NamedTuple):
    """A token and its position."""

    text: str  # of a string only its prefix and its quotes
    kind: int
    start: tuple[int, int]  # line, column


def tagged_lines(sources: Mapping[str, str]) -> dict[str, list[list[tuple[str, str]]]]:
    """Tokens and roles of the logical lines of some modules, without comments.

    Roles are keyword, function, class, method, attribute, module, parameter (where it is declared or named in a call),
    variable, number, string, operator and punctuation; of brackets call, index, definition, group and display (of a
    list, set or dictionary).

    Args:
        sources: text by name of the module; definitions of one are known where another imports them.

    Returns:
        lines by name of the module, each a list of token and role.
    """
    # ast counts positions in bytes, tokenize in characters: they agree only for ASCII.
    plain = {name: re.sub(r"[^\x00-\x7f]", "x", source) for name, source in sources.items()}
    trees = {name: ast.parse(source) for name, source in plain.items()}
    defined = {name: definitions(tree) for name, tree in trees.items()}
    found = {}
    for name, tree in trees.items():
        roles = Roles(plain[name].splitlines(), {**BUILTINS, **imports(tree, defined), **defined[name]})
        roles.visit(tree)
        found[name] = [with_roles(line, roles.found) for line in tokens(plain[name])]
    return found


def with_roles(line: list[Token], names: Positions) -> list[tuple[str, str]]:
    """Tokens of a line and their roles, given the roles of names by position."""
    found: list[tuple[str, str]] = []
    opened: list[str] = []  # roles of the open brackets
    for token in line:
        if token.text in OPENING and token.kind == tokenize.OP:
            opened.append(bracket_role(token.text, found, is_first=not opened))
            role = opened[-1]
        elif token.text in CLOSING and token.kind == tokenize.OP:
            role = opened.pop()
        else:
            role = role_of(token, names)
        found.append((token.text, role))
    return found


def bracket_role(bracket: str, before: list[tuple[str, str]], *, is_first: bool) -> str:
    """The role of an opening bracket after some tokens: a call or an index if it follows a value."""
    token, role = before[-1] if before else ("", "")
    if is_first and bracket == "(" and role in ("class", "function", "method") and before[-2:-1] in DEFINE:
        return "definition"
    if token in CLOSING or role in VALUES:
        return {"(": "call", "[": "index"}.get(bracket, "display")
    return "group" if bracket == "(" else "display"


def role_of(token: Token, names: Positions) -> str:
    """The role of a token that is no bracket."""
    if token.kind == tokenize.OP:
        return "punctuation" if token.text in PUNCTUATION else "operator"
    if token.kind in LITERALS or keyword.iskeyword(token.text):
        return LITERALS.get(token.kind, "keyword")
    return names.get(token.start, "keyword" if keyword.issoftkeyword(token.text) else "variable")


def tokens(source: str) -> Iterator[list[Token]]:
    """Tokens of each logical line; a string is one token."""
    line: list[Token] = []
    depth = 0  # of nested f-strings
    for kind, text, start, _, _ in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[kind]
        if name in ENDS:
            depth -= 1
        elif depth or name in UNSAID:
            pass
        elif name == "NEWLINE":
            yield line
            line = []
        elif name in BEGINS or name == "STRING":
            line.append(Token(abbreviate(text), tokenize.STRING, start))
        else:
            line.append(Token(text, kind, start))
        depth += name in BEGINS


def abbreviate(text: str) -> str:
    """The text of a string token, given its beginning: prefix and quotes around three dots."""
    prefix, quotes = re.match(r"(\w*)('''|\"\"\"|'|\")", text).groups()  # type: ignore[union-attr]
    return f"{prefix}{quotes}...{quotes}"


def definitions(tree: ast.Module) -> dict[str, str]:
    """Classes and functions that a module defines, without methods."""
    nodes = list(ast.walk(tree))
    methods = {id(child) for node in nodes if isinstance(node, ast.ClassDef) for child in node.body}
    found = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            found[node.name] = "class"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in methods:
            found[node.name] = "function"
    return found


def imports(tree: ast.Module, defined: Mapping[str, Names]) -> dict[str, str]:
    """Roles of the names that a module imports, given the definitions of other modules."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0]: "module" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            there = defined.get(node.module or "", {})
            found |= {alias.asname or alias.name: there.get(alias.name, "variable") for alias in node.names}
    return found


class Roles(ast.NodeVisitor):
    """Finds the roles of the names of a module, given its lines and the roles of names known in all of it."""

    def __init__(self, lines: list[str], known: Names) -> None:
        self.lines, self.known = lines, known
        self.found: dict[tuple[int, int], str] = {}  # by where a name begins
        self.local: list[set[str]] = []  # local names of the enclosing functions
        self.function = "function"  # role of a function defined here

    def role(self, name: str) -> str:
        """The role of a name in the current scope."""
        return "variable" if any(name in names for names in self.local) else self.known.get(name, "variable")

    def mark_end(self, node: ast.expr | ast.alias, name: str, role: str) -> None:
        """Mark a name at the end of a node."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        self.found[node.end_lineno, node.end_col_offset - len(name)] = role

    def mark_after(self, node: ast.stmt | ast.alias, before: str, path: str, role: str) -> None:
        """Mark a name, or a dotted path of names, in a node after a pattern."""
        match = re.compile(before).match(self.lines[node.lineno - 1], node.col_offset)
        start = match.end() if match else 0
        for part in path.split("."):
            self.found[node.lineno, start] = role
            start += len(part) + 1

    def visit_Name(self, node: ast.Name) -> None:
        """A variable where it is bound, else its role in the current scope."""
        is_read = isinstance(node.ctx, ast.Load)
        self.found.setdefault((node.lineno, node.col_offset), self.role(node.id) if is_read else "variable")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """The last name is an attribute."""
        self.mark_end(node, node.attr, "attribute")
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        """What is called is a class, a function or a method; `int` and the like count as functions."""
        self.generic_visit(node)
        called = node.func
        if isinstance(called, ast.Attribute):
            owner = called.value
            of_module = isinstance(owner, ast.Name) and self.role(owner.id) == "module"
            self.mark_end(called, called.attr, "function" if of_module else "method")
        elif isinstance(called, ast.Name):
            is_class = self.role(called.id) == "class"
            self.mark_end(called, called.id, "class" if is_class and called.id not in CONVERSIONS else "function")

    def visit_arg(self, node: ast.arg) -> None:
        """A parameter where it is declared."""
        self.found[node.lineno, node.col_offset] = "parameter"
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """A parameter where it is named in a call."""
        if node.arg:
            self.found[node.lineno, node.col_offset] = "parameter"
        self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        """Names of modules."""
        for alias in node.names:
            self.mark_after(alias, "", alias.name, "module")
            if alias.asname:
                self.mark_end(alias, alias.asname, "module")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """The name of a module, and the imported names."""
        if node.module:
            self.mark_after(node, r"from\s+[.\s]*", node.module, "module")
        for alias in node.names:
            role = self.known.get(alias.asname or alias.name, "variable")
            self.mark_after(alias, "", alias.name, role)
            self.mark_end(alias, alias.asname or alias.name, role)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Functions in a class are methods."""
        self.mark_after(node, r"class\s+", node.name, "class")
        self.enter(node, "method")

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A function or a method."""
        self.mark_after(node, r"(async\s+)?def\s+", node.name, self.function)
        self.visit_Lambda(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: Function) -> None:
        """Names that a function binds are local variables."""
        inside = list(ast.walk(node))
        stored = {one.id for one in inside if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
        shared = {name for one in inside if isinstance(one, ast.Global) for name in one.names}
        self.local.append({one.arg for one in inside if isinstance(one, ast.arg)} | stored - shared)
        self.enter(node, "function")
        self.local.pop()

    def enter(self, node: Definition | ast.Lambda, function: str) -> None:
        """Visit the body of a definition; `function` is the role of functions defined in it."""
        around, self.function = self.function, function
        self.generic_visit(node)
        self.function = around

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """A string is one token; before Python 3.12 positions in it are wrong."""

    visit_TemplateStr = visit_JoinedStr
