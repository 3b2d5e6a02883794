"""A definition's source as a hash that comments, white space, docstrings and names of local variables do not change, and the
names outside it that it refers to.

Parameters keep their names, since callers may say them. Names of local variables become numbers in the order of their
appearance, unless the function looks at its own variables by name (`locals`, `eval`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# A function that calls one of these sees its variables, or others, by a name that is no syntax.
LOOKS_AT_NAMES = frozenset({"locals", "vars", "eval", "exec", "dir", "globals"})
# What imports a module that no syntax names.
IMPORTS_BY_TEXT = frozenset({"import_module", "__import__", "eval", "exec", "globals"})


@dataclass(frozen=True, slots=True)
class Written:
    """hash: of a definition's syntax. refers: dotted names outside it, sorted. by_text: it imports or evaluates what only its
    text at run time says, so that nothing can be said of what it reaches."""

    hash: str
    refers: tuple[str, ...]
    by_text: bool


def written(nodes: Iterable[ast.stmt], home: str, imported: Mapping[str, str]) -> Written:
    """Statements of the module `home`. imported: its imports, local name to dotted target."""
    writer = _Writer(home, imported)
    for node in nodes:
        writer.node(node)
    text = "\n".join(writer.out)
    return Written(
        hashlib.sha256(text.encode()).hexdigest()[:16], tuple(sorted(writer.refers)), writer.by_text
    )


def imports_in(node: ast.stmt, home: str) -> dict[str, str]:
    """What an import statement binds: local name to dotted target. A star is bound as `*<module>`."""
    found: dict[str, str] = {}
    if isinstance(node, ast.Import):
        for it in node.names:
            found[it.asname or it.name.partition(".")[0]] = (
                it.name if it.asname else it.name.partition(".")[0]
            )
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, home)
        for it in node.names:
            name = it.asname or it.name
            found[f"*{base}" if name == "*" else name] = base if name == "*" else f"{base}.{it.name}"
    return found


def _absolute(node: ast.ImportFrom, home: str) -> str:
    if not node.level:
        return node.module or ""
    package = home.split(".")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


class _Writer:
    """Writes syntax as tokens. scopes: of the functions around, innermost last, each name to the token it is written as; a name
    that a local import binds is written as the dotted target."""

    def __init__(self, home: str, imported: Mapping[str, str]) -> None:
        self._home, self._imported = home, imported
        self._scopes: list[dict[str, str | None]] = []
        self._targets: list[dict[str, str]] = []
        self._count = 0
        self._silent = 0
        self.out: list[str] = []
        self.refers: set[str] = set()
        self.by_text = False

    def node(self, node: ast.AST) -> None:
        """Any node."""
        if isinstance(node, ast.Name):
            self._name(node.id)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, FUNCTIONS):
            self._function(node)
        elif isinstance(node, COMPREHENSIONS):
            self._comprehension(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.AnnAssign) and self._scopes:
            self._local_annotation(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.out.append("import")  # what is used of it is written where it is used
        elif isinstance(node, ast.ExceptHandler):
            self._handler(node)
        elif isinstance(node, (ast.Nonlocal, ast.Global)):
            self.out.append(" ".join([type(node).__name__, *map(self._token, node.names)]))
        else:
            self._plain(node)

    def _plain(self, node: ast.AST) -> None:
        self.out.append(type(node).__name__)
        for name in node._fields:
            self._value(getattr(node, name, None))

    def _value(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        elif isinstance(value, list):
            self.out.append("[")
            for it in value:
                self._value(it)
            self.out.append("]")
        else:
            self.out.append(repr(value))

    def _found(self, name: str) -> tuple[dict[str, str | None], dict[str, str]] | None:
        for scope, targets in zip(reversed(self._scopes), reversed(self._targets), strict=True):
            if name in scope:
                return scope, targets
        return None

    def _token(self, name: str) -> str:
        """How a name is written; a local variable that is seen first gets its number."""
        found = self._found(name)
        if found is None:
            return self._imported.get(name, name)
        scope, targets = found
        if name in targets:
            return targets[name]
        if scope[name] is None:
            scope[name] = f"%{self._count}"
            self._count += 1
        return str(scope[name])

    def _name(self, name: str) -> None:
        token = self._token(name)
        self.out.append(f"Name {token}")
        found = self._found(name)
        if found is None:
            self._refer(token if name in self._imported else f"{self._home}.{name}")
        elif name in found[1]:
            self._refer(token)
        if name in IMPORTS_BY_TEXT and found is None:
            self.by_text = True

    def _refer(self, dotted: str) -> None:
        if not self._silent:
            self.refers.add(dotted)
            self.by_text |= dotted == "importlib.import_module"

    def _attribute(self, node: ast.Attribute) -> None:
        names, root = [node.attr], node.value
        while isinstance(root, ast.Attribute):
            names.append(root.attr)
            root = root.value
        if isinstance(root, ast.Name):
            token, found = self._token(root.id), self._found(root.id)
            if (found is None and root.id in self._imported) or (found and root.id in found[1]):
                dotted = ".".join([token, *reversed(names)])
                self.out.append(f"Name {dotted}")
                self._refer(dotted)
                return
        self.out.append(f"Attribute {node.attr}")
        self.node(node.value)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.out.append(type(node).__name__)
        args = node.args
        if not isinstance(node, ast.Lambda):
            self.out.append(node.name)
            self._value(node.decorator_list)
            # Of a parameter the type says whose methods are called; what a function gives, its body says.
            self._value([it.annotation for it in _parameters(args)])
            self._unevaluated([node.returns])
        self._value([*args.defaults, *args.kw_defaults])
        names = [it.arg for it in _parameters(args)]
        self.out.append(" ".join([*names, str(len(args.posonlyargs)), str(len(args.kwonlyargs))]))
        self.out.append(f"{args.vararg is not None} {args.kwarg is not None}")
        scope, targets = _scope_of(node, self._home)
        self._within({**scope, **{name: name for name in names}}, targets, without_docstring(node))

    def _within(self, scope: dict[str, str | None], targets: dict[str, str], body: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        self._targets.append(targets)
        self._value(list(body))
        self._scopes.pop()
        self._targets.pop()

    def _unevaluated(self, nodes: Iterable[ast.AST | None]) -> None:
        """Annotations: part of the text, and nothing that is reached."""
        self._silent += 1
        self._value(list(nodes))
        self._silent -= 1

    def _local_annotation(self, node: ast.AnnAssign) -> None:
        self.out.append("AnnAssign")
        self.node(node.target)
        self._unevaluated([node.annotation])
        self._value(node.value)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.out.append(type(node).__name__)
        first = node.generators[0]
        self.node(first.iter)  # the one part that is evaluated around the comprehension
        bound = {it.id for one in node.generators for it in ast.walk(one.target) if isinstance(it, ast.Name)}
        parts: list[ast.AST] = []
        for one in node.generators:
            parts += [one.target, *([] if one is first else [one.iter]), *one.ifs]
        parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._within(dict.fromkeys(bound), {}, parts)

    def _class(self, node: ast.ClassDef) -> None:
        self.out.append(f"ClassDef {node.name}")
        self._value([*node.decorator_list, *node.bases])
        self._value(node.keywords)
        self._value(without_docstring(node))

    def _handler(self, node: ast.ExceptHandler) -> None:
        self.out.append("ExceptHandler")
        self._value(node.type)
        self.out.append(self._token(node.name) if node.name else "None")
        self._value(node.body)


def _parameters(args: ast.arguments) -> list[ast.arg]:
    more = [it for it in (args.vararg, args.kwarg) if it is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *more]


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


def _scope_of(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, home: str
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
            targets |= {name: to for name, to in imports_in(it, home).items() if not name.startswith("*")}
        elif isinstance(it, (ast.MatchAs, ast.MatchStar)) and it.name:
            kept.add(it.name)
        elif isinstance(it, ast.MatchMapping) and it.rest:
            kept.add(it.rest)
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
