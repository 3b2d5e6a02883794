"""A definition's source as a hash that comments, white space, docstrings and names of local variables do not change, and the
names outside it that it refers to.

Parameters keep their names, since callers may say them. Names of local variables become numbers in the order of their
appearance, unless the function looks at its own variables by name (`locals`, `eval`).
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backtest.pipeline.source_scopes import (
    COMPREHENSIONS,
    FUNCTIONS,
    absolute,
    scope_of,
    without_docstring,
)

# What imports a module, or finds something in one, that no syntax names.
IMPORTS_BY_TEXT = frozenset({"import_module", "__import__"})
BY_TEXT = IMPORTS_BY_TEXT | {"eval", "exec", "globals"}
# What happens when a module is imported, beside its definitions.
AT_IMPORT = "(at import)"
SUBCLASSES = frozenset({"__subclasses__", "__init_subclass__"})
_A_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Written:
    """hash: of a definition's syntax. refers: dotted names outside it, sorted; of a module that is imported by a text, that text.
    by_text: it imports or evaluates what only its text at run time says, so that nothing can be said of what it reaches."""

    hash: str
    refers: tuple[str, ...]
    by_text: bool


def written(
    nodes: Iterable[ast.stmt], home: str, imported: Mapping[str, str], inside: str | None = None
) -> Written:
    """Statements of the module `home`. imported: its imports, local name to dotted target. inside: see `imports_in`."""
    writer = _Writer(home, imported, inside or home)
    for node in nodes:
        writer.node(node)
    text = "\n".join(writer.out)
    refers = writer.refers | (writer.texts if writer.imports_by_text else set())
    return Written(hashlib.sha256(text.encode()).hexdigest()[:16], tuple(sorted(refers)), writer.by_text)


class _Writer:
    """Writes syntax as tokens. scopes: of the functions around, innermost last, each name to the token it is written as; a name
    that a local import binds is written as the dotted target."""

    def __init__(self, home: str, imported: Mapping[str, str], inside: str) -> None:
        self._home, self._imported, self._inside = home, imported, inside
        self._scopes: list[dict[str, str | None]] = []
        self._targets: list[dict[str, str]] = []
        self._count = 0
        self._silent = 0
        self._types = 0
        self._in_function = False
        self.out: list[str] = []
        self.refers: set[str] = set()
        self.texts: set[str] = set()
        self.by_text = False
        self.imports_by_text = False

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
        elif isinstance(node, ast.AnnAssign):
            self._annotated(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._text(node.value)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar, ast.MatchMapping)):
            self._captured(node)
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
        if name in BY_TEXT and found is None:
            self.by_text = True
            self.imports_by_text |= name in IMPORTS_BY_TEXT

    def _refer(self, dotted: str) -> None:
        if not self._silent:
            self.refers.add(dotted)
            if dotted == "importlib.import_module":
                self.by_text = self.imports_by_text = True

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """What is used of it is written where it is used; a module may do something when it is imported."""
        self.out.append("import")
        base = f"{absolute(node, self._inside)}." if isinstance(node, ast.ImportFrom) else ""
        for it in node.names:
            self._refer(f"{base}{it.name}.{AT_IMPORT}")

    def _text(self, value: str) -> None:
        self.out.append(f"Constant {value!r}")
        if self._types:
            self._quoted_type(value)
        elif _A_MODULE.fullmatch(value):
            self.texts.add(value)

    def _quoted_type(self, value: str) -> None:
        """The names in a type that stands in quotes."""
        try:
            names = {it.id for it in ast.walk(ast.parse(value, mode="eval")) if isinstance(it, ast.Name)}
        except (SyntaxError, ValueError):
            return
        for name in names:
            if self._found(name) is None:
                self._refer(self._imported.get(name, f"{self._home}.{name}"))

    def _captured(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        self.out.append(type(node).__name__)
        for field in node._fields:
            value = getattr(node, field)
            bound = field in ("name", "rest") and value is not None
            self.out.append(self._token(value)) if bound else self._value(value)

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
        self.by_text |= node.attr in SUBCLASSES
        self.node(node.value)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.out.append(type(node).__name__)
        args = node.args
        if not isinstance(node, ast.Lambda):
            self.out.append(node.name)
            self._value(node.decorator_list)
            # Of a parameter the type says whose methods are called; what a function gives, its body says.
            self._type([it.annotation for it in _parameters(args)])
            self._unevaluated([node.returns])
            self.by_text |= node.name in SUBCLASSES
        self._value([*args.defaults, *args.kw_defaults])
        names = [it.arg for it in _parameters(args)]
        self.out.append(" ".join([*names, str(len(args.posonlyargs)), str(len(args.kwonlyargs))]))
        self.out.append(f"{args.vararg is not None} {args.kwarg is not None}")
        scope, targets = scope_of(node, self._inside)
        self._within({**scope, **{name: name for name in names}}, targets, without_docstring(node))

    def _within(self, scope: dict[str, str | None], targets: dict[str, str], body: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        self._targets.append(targets)
        within, self._in_function = self._in_function, True
        self._value(list(body))
        self._in_function = within
        self._scopes.pop()
        self._targets.pop()

    def _unevaluated(self, nodes: Iterable[ast.AST | None]) -> None:
        """Annotations: part of the text, and nothing that is reached."""
        self._silent += 1
        self._value(list(nodes))
        self._silent -= 1

    def _type(self, value: object) -> None:
        """Annotations that are followed, in quotes or not."""
        self._types += 1
        self._value(value)
        self._types -= 1

    def _annotated(self, node: ast.AnnAssign) -> None:
        """Of a local variable the type is nothing that is reached; of a field it may say how values are read."""
        self.out.append("AnnAssign")
        self.node(node.target)
        if self._in_function:
            self._unevaluated([node.annotation])
        else:
            self._type(node.annotation)
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
        within, self._in_function = self._in_function, False
        self._value(without_docstring(node))
        self._in_function = within

    def _handler(self, node: ast.ExceptHandler) -> None:
        self.out.append("ExceptHandler")
        self._value(node.type)
        self.out.append(self._token(node.name) if node.name else "None")
        self._value(node.body)


def _parameters(args: ast.arguments) -> list[ast.arg]:
    more = [it for it in (args.vararg, args.kwarg) if it is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *more]
