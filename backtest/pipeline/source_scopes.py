"""What a function binds, and what an import statement binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# A function that calls one of these sees its variables, or others, by a name that is no syntax.
LOOKS_AT_NAMES = frozenset({"locals", "vars", "eval", "exec", "dir", "globals"})


def imports_in(node: ast.stmt, inside: str) -> dict[str, str]:
    """What an import statement binds: local name to dotted target. A star is bound as `*<module>`. inside: the module that it
    stands in, of a package's own file `<package>.__init__`, from which a relative import counts."""
    found: dict[str, str] = {}
    if isinstance(node, ast.Import):
        for it in node.names:
            found[it.asname or it.name.partition(".")[0]] = (
                it.name if it.asname else it.name.partition(".")[0]
            )
    elif isinstance(node, ast.ImportFrom):
        base = absolute(node, inside)
        for it in node.names:
            name = it.asname or it.name
            found[f"*{base}" if name == "*" else name] = base if name == "*" else f"{base}.{it.name}"
    return found


def absolute(node: ast.ImportFrom, inside: str) -> str:
    """The module that names are imported from."""
    if not node.level:
        return node.module or ""
    package = inside.split(".")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def without_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef | ast.Module,
) -> list[ast.AST]:
    """The body; of a lambda its expression."""
    if isinstance(node, ast.Lambda):
        return [node.body]
    body: list[ast.AST] = list(node.body)
    first = body[0] if body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:]
    return body


def scope_of(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, inside: str
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Names that a function binds, to None where they may be renamed; and the targets of its imports."""
    renamed: set[str] = set()
    kept: set[str] = set()
    outside: set[str] = set()
    targets: dict[str, str] = {}
    by_name = False
    for it in _of_this_scope(node):
        if isinstance(it, ast.Name):
            if isinstance(it.ctx, ast.Load):
                by_name |= it.id in LOOKS_AT_NAMES
            else:
                renamed.add(it.id)
        elif isinstance(it, ast.ExceptHandler) and it.name:
            renamed.add(it.name)
        elif isinstance(it, (ast.Global, ast.Nonlocal)):
            outside |= set(it.names)
        elif isinstance(it, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            kept.add(it.name)
        elif isinstance(it, (ast.Import, ast.ImportFrom)):
            targets |= {name: to for name, to in imports_in(it, inside).items() if not name.startswith("*")}
        elif isinstance(it, (ast.MatchAs, ast.MatchStar)) and it.name:
            renamed.add(it.name)
        elif isinstance(it, ast.MatchMapping) and it.rest:
            renamed.add(it.rest)
    scope: dict[str, str | None] = {name: (name if by_name else None) for name in renamed - kept}
    scope |= {name: name for name in (kept | targets.keys())}
    return {name: token for name, token in scope.items() if name not in outside}, targets


def _of_this_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Every node of a function's own body. Of functions and classes within it the node alone; of comprehensions what a walrus
    binds, which belongs to the function around them."""
    waiting: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(getattr(node, "body", ()))
    while waiting:
        it = waiting.pop()
        if isinstance(it, COMPREHENSIONS):
            for inner in ast.walk(it):
                if isinstance(inner, ast.NamedExpr):
                    yield inner.target
                elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                    yield inner
            continue
        yield it
        if not isinstance(it, (*FUNCTIONS, ast.ClassDef)):
            waiting += ast.iter_child_nodes(it)
