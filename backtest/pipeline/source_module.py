"""A module of Python as its top-level definitions: what each says, and what it refers to. Kept by the module's content."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backtest.pipeline.source_scopes import imports_in, without_docstring
from backtest.pipeline.source_text import AT_IMPORT, Written, written
from trader.core.errors import DataError

# Decorators that only change what they decorate. Any other may keep it somewhere, as a table of handlers does.
PURE_DECORATORS = (
    "abc.",
    "contextlib.",
    "dataclasses.",
    "enum.",
    "functools.",
    "pydantic.",
    "typing.",
    "numba.",
    "numpy.",
)
OWN_PURE_DECORATORS = ("backtest.executors.protocol.task_function",)


@dataclass(frozen=True, slots=True)
class SourceModule:
    """definitions: by name; AT_IMPORT holds statements that are none. imported: local name to dotted target. stars: modules of
    which everything is imported."""

    name: str
    content: str
    definitions: dict[str, Written]
    imported: dict[str, str]
    stars: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Plain values, `of_json` is the way back."""
        told = {name: [it.hash, list(it.refers), it.by_text] for name, it in self.definitions.items()}
        return {
            "name": self.name,
            "content": self.content,
            "definitions": told,
            "imported": self.imported,
            "stars": list(self.stars),
        }

    @staticmethod
    def of_json(told: dict[str, Any]) -> SourceModule:
        """Raises KeyError, TypeError or ValueError for anything else."""
        definitions = {
            name: Written(str(code), tuple(refers), bool(by_text))
            for name, (code, refers, by_text) in told["definitions"].items()
        }
        return SourceModule(
            told["name"], told["content"], definitions, dict(told["imported"]), tuple(told["stars"])
        )


def content_of(source: bytes) -> str:
    """The hash that a module is kept under."""
    return hashlib.sha256(source).hexdigest()[:32]


def module_of(name: str, source: bytes, path: Path) -> SourceModule:
    """Parse a module. Raises DataError, naming file and line, for what is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise DataError(f"{path}{f', line {line}' if line else ''}: is no Python ({error})") from None
    return _taken_apart(name, content_of(source), tree, _inside(name, path))


def _inside(name: str, path: Path) -> str:
    return f"{name}.__init__" if path.name == "__init__.py" else name


def script_of(name: str, source: bytes, path: Path) -> SourceModule:
    """The same of a file that is run: all of it happens."""
    module = module_of(name, source, path)
    tree = ast.parse(source)
    body = [it for it in without_docstring(tree) if isinstance(it, ast.stmt)]
    return SourceModule(
        name,
        module.content,
        {AT_IMPORT: written(body, name, module.imported, _inside(name, path))},
        module.imported,
        module.stars,
    )


def _taken_apart(name: str, content: str, tree: ast.Module, inside: str) -> SourceModule:
    imported: dict[str, str] = {}
    parts: dict[str, list[ast.stmt]] = {}
    for it in without_docstring(tree):
        if not isinstance(it, ast.stmt):
            continue
        if isinstance(it, (ast.Import, ast.ImportFrom)):
            imported |= imports_in(it, inside)
            continue
        imported |= _conditional_imports(it, inside)
        names, happens = _bound(it, imported)
        for bound in names:
            parts.setdefault(bound, []).append(it)
        if happens:
            parts.setdefault(AT_IMPORT, []).append(it)
    stars = tuple(to for local, to in imported.items() if local.startswith("*"))
    known = {local: to for local, to in imported.items() if not local.startswith("*")}
    definitions = {bound: written(body, name, known, inside) for bound, body in parts.items()}
    return SourceModule(name, content, definitions, known, stars)


def _conditional_imports(node: ast.stmt, inside: str) -> dict[str, str]:
    """Imports under an `if` or in a `try` of the module's top level."""
    if not isinstance(node, (ast.If, ast.Try, ast.With)):
        return {}
    found: dict[str, str] = {}
    for it in ast.walk(node):
        if isinstance(it, (ast.Import, ast.ImportFrom)):
            found |= imports_in(it, inside)
    return found


def _bound(node: ast.stmt, imported: dict[str, str]) -> tuple[set[str], bool]:
    """Names that a top-level statement defines, and whether more happens than that."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}, not all(_is_pure(it, imported) for it in node.decorator_list)
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {it.id for one in targets for it in ast.walk(one) if isinstance(it, ast.Name)}
        plain = all(isinstance(it, (ast.Name, ast.Tuple, ast.List)) for it in targets)
        return names, not plain
    if isinstance(node, ast.If) and _only_imports(node):
        return set(), False
    stored = {it.id for it in ast.walk(node) if isinstance(it, ast.Name) and not isinstance(it.ctx, ast.Load)}
    defined = {
        it.name
        for it in ast.walk(node)
        if isinstance(it, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    return stored | defined, not isinstance(node, ast.Pass)


def _is_pure(decorator: ast.expr, imported: dict[str, str]) -> bool:
    """Whether a decorator is known to keep nothing of what it decorates."""
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    dotted = ast.unparse(node)
    first, dot, rest = dotted.partition(".")
    target = f"{imported.get(first, '')}{dot}{rest}"
    return target.startswith(PURE_DECORATORS) or target in OWN_PURE_DECORATORS


def _only_imports(node: ast.If) -> bool:
    """`if TYPE_CHECKING:` and its like."""
    return all(isinstance(it, (ast.Import, ast.ImportFrom, ast.Pass)) for it in [*node.body, *node.orelse])
