"""Every message that the code can raise, read from the code: for the page of errors, and for its test."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "langchain_optscale"
PAGE = ROOT / "docs" / "errors.md"
# Raised as they are where LangChain's interface asks for them.
STANDARD = frozenset({"NotImplementedError"})


@dataclass(frozen=True)
class Message:
    """One text that is raised: by which class, in which package, where."""

    error: str
    package: str
    place: str
    texts: tuple[str, ...]


@dataclass
class Code:
    """The package's modules as trees, its error classes, and its functions by name."""

    trees: dict[Path, ast.Module] = field(default_factory=dict)
    errors: set[str] = field(default_factory=lambda: {"OptScaleError"})
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)

    @classmethod
    def read(cls, package: Path = PACKAGE) -> Code:
        """Read all modules."""
        code = cls({path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))})
        nodes = [node for tree in code.trees.values() for node in ast.walk(tree)]
        code.functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        before = 0
        while before < len(code.errors):
            before = len(code.errors)
            code.errors |= {one.name for one in classes if {ast.unparse(base) for base in one.bases} & code.errors}
        return code


def messages(code: Code | None = None) -> list[Message]:
    """Each place that makes an error of this package, with the texts that it can have; none where it passes one on."""
    code = code or Code.read()
    found = []
    for path, tree in code.trees.items():
        package = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for scope in _scopes(tree):
            for call in _calls(scope):
                if (name := _error_of(call, code)) is not None:
                    place = f"{path.relative_to(ROOT).as_posix()}:{call.lineno}"
                    found.append(Message(name, package, place, _texts_of(call, name, scope, code)))
    return found


def _scopes(tree: ast.Module) -> list[ast.AST]:
    """The functions that stand in no other function."""
    inner = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    nested = {id(child) for node in inner for child in ast.walk(node) if child is not node}
    return [node for node in inner if id(node) not in nested]


def _calls(scope: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(scope) if isinstance(node, ast.Call))


def _error_of(call: ast.Call, code: Code) -> str | None:
    """The class of the error that a call makes; `FileError.of(...)` makes one as well."""
    made = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr == "of" else call.func
    name = made.id if isinstance(made, ast.Name) else None
    return name if name in code.errors or name in STANDARD else None


def _texts_of(call: ast.Call, error: str, scope: ast.AST, code: Code) -> tuple[str, ...]:
    texts = [text for argument in call.args[:1] for text in _read(argument, scope, code, 3)]
    if error == "MissingExtraError" and len(call.args) == 2:
        commands = list(_read(call.args[1], scope, code, 3)) or ["{command}"]
        return tuple(
            f"{purpose} needs an optional dependency; install it with: {command}"
            for purpose in texts or ["{purpose}"]
            for command in commands
        )
    return tuple(dict.fromkeys(text for text in texts if _says_something(text)))


def _says_something(text: str) -> bool:
    """Whether there are words beside what is filled in."""
    return len(re.findall(r"[A-Za-z]{2,}", re.sub(r"\{[^{}]*\}", "", text))) > 1


def _read(node: ast.expr, scope: ast.AST, code: Code, depth: int) -> Iterator[str]:
    """The texts that an expression can have; what is filled in stands in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_piece(value) for value in node.values)
    elif isinstance(node, ast.IfExp):
        yield from _read(node.body, scope, code, depth)
        yield from _read(node.orelse, scope, code, depth)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for left in _read(node.left, scope, code, depth):
            yield from (left + right for right in _read(node.right, scope, code, depth))
    elif isinstance(node, ast.Name) and depth:
        yield from (text for value in _assigned(node.id, scope) for text in _read(value, scope, code, depth - 1))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and depth and node.func.id in code.functions:
        function = code.functions[node.func.id]
        returned = [one.value for one in ast.walk(function) if isinstance(one, ast.Return) and one.value is not None]
        yield from (text for value in returned for text in _read(value, function, code, depth - 1))


def _piece(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    return "{" + ast.unparse(value.value if isinstance(value, ast.FormattedValue) else value) + "}"


def _assigned(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            yield node.value


def page(written: str | None = None, found: Iterable[Message] | None = None) -> str:
    """The page of errors: what is written by hand, and below each class every message that it can have."""
    by_class: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for message in messages() if found is None else found:
        by_class[message.error][message.package] |= set(message.texts)
    lines = (PAGE.read_text(encoding="utf-8") if written is None else written).rstrip().splitlines()
    made: list[str] = []
    error = None
    for line in [*lines, "## "]:
        if line.startswith("## "):
            made += _listed(by_class.get(error or "", {}))
            error = line.removeprefix("## ").strip("`")
        made.append(line)
    return "\n".join(made[:-1]).rstrip() + "\n"


def _listed(by_package: dict[str, set[str]]) -> list[str]:
    if not any(by_package.values()):
        return []
    lines = ["", "Its messages, by the package that raises them; words in braces are filled in:", ""]
    for package, texts in sorted(by_package.items()):
        if texts:
            lines += [f"*{package}*", "", *(f"- {_escaped(text)}" for text in sorted(texts)), ""]
    return lines


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))
