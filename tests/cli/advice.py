"""Find every text of vmnet's source that tells people what to do, and the place it stands at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOUSE: Final = Path(__file__).parents[2]
KEYWORDS: Final = frozenset({"fix", "mend"})


def _positions() -> Iterator[tuple[str, int]]:
    """Give vmnet's classes that have a field for a fix, and which of their fields that is."""
    for path in (HOUSE / "provisioner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                lines = [x.target for x in node.body if isinstance(x, ast.AnnAssign)]
                fields = [line.id for line in lines if isinstance(line, ast.Name)]
                yield from ((node.name, fields.index(k)) for k in KEYWORDS & set(fields))


POSITIONAL: Final = {"BadValue": 1, **dict(_positions())}
"""Which argument of a call is a fix text, where it bears no name."""

TABLES: Final = frozenset({"provisioner/guest/xml/allowlist.py"})
"""Modules whose texts are told as fixes by others."""

OPEN, CLOSE = "\x01", "\x02"


@dataclass(frozen=True, slots=True)
class Text:
    """A literal text; what is filled in stands in it between OPEN and CLOSE, as it is written."""

    place: str
    text: str
    is_fix: bool


def texts(path: Path) -> Iterator[Text]:
    """Give every literal text of a module; those that end up as a fix are marked so."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shown = path.relative_to(HOUSE) if path.is_relative_to(HOUSE) else path
    fixes = {id(node) for node in _fixes(tree)}
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.BinOp)]
    inside = {id(part) for node in joined for part in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if id(node) not in inside and (text := _text(node)):
            yield Text(
                f"{shown}:{getattr(node, 'lineno', 0)}",
                text,
                id(node) in fixes or str(shown) in TABLES,
            )


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(_text, values))
        case ast.FormattedValue(value=value):
            return f"{OPEN}{ast.unparse(value)}{CLOSE}"
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            sides = [_text(side) or f"{OPEN}{ast.unparse(side)}{CLOSE}" for side in (left, right)]
            return "".join(sides) if any(map(_text, (left, right))) else ""
        case _:
            return ""


def _fixes(tree: ast.Module) -> Iterator[ast.AST]:
    """Give the nodes below every fix; a name stands for all that the module puts into it."""
    nodes = list(ast.walk(tree))
    given: dict[str, list[ast.AST]] = {}
    for target, value in (pair for node in nodes for pair in _put(node)):
        given.setdefault(target, []).append(value)
    wanted = [node for call in nodes if isinstance(call, ast.Call) for node in _of(call)]
    wanted += [x for name, values in given.items() if name.strip("_") in KEYWORDS for x in values]
    seen: set[str] = set()
    while wanted:
        for node in ast.walk(wanted.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                wanted += given.get(node.id, [])


def _put(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Give the names that a statement puts something into, and what."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _named(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value:
        yield from _named(node.target, node.value)
    elif isinstance(node, ast.FunctionDef):
        results = [x.value for x in ast.walk(node) if isinstance(x, ast.Return)]
        yield from ((node.name, _last(value)) for value in results if value)


def _last(value: ast.AST) -> ast.AST:
    """Give what is the fix of a result: the last part of it, as in `what, fix`."""
    return value.elts[-1] if isinstance(value, ast.Tuple) and value.elts else value


def _named(target: ast.AST, value: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _named(one, other)
    elif isinstance(target, ast.Tuple):
        for one in target.elts:
            yield from _named(one, value)


def _of(call: ast.Call) -> Iterator[ast.AST]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    yield from (k.value for k in call.keywords if k.arg in KEYWORDS)
    at = POSITIONAL.get(str(name))
    if at is not None and len(call.args) > at:
        yield call.args[at]
