"""What of a definition's source counts: its syntax, not its looks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from backtest.pipeline.source_module import module_of, script_of
from backtest.pipeline.source_text import written

BASE = "def f(a, b=1):\n    total = a\n    for x in b:\n        total += x\n    return total\n"

SAME = {
    "comments and white space": "def f(a, b=1):  # what\n\n    total = (a)\n    for x in b: total += x\n    return total\n",
    "a docstring": 'def f(a, b=1):\n    """Says it."""\n    total = a\n    for x in b:\n        total += x\n    return total\n',
    "local names": "def f(a, b=1):\n    s = a\n    for y in b:\n        s += y\n    return s\n",
}
OTHER = {
    "a number": BASE.replace("b=1", "b=2"),
    "a number's kind": BASE.replace("b=1", "b=1.0"),
    "truth for one": BASE.replace("b=1", "b=True"),
    "an operator": BASE.replace("+=", "-="),
    "a parameter's name": BASE.replace("b", "c"),
    "a default less": BASE.replace("b=1", "b"),
    "another variable": BASE.replace("return total", "return x"),
    "a name that is global now": BASE.replace("return total", "return totals"),
    "a function's name": BASE.replace("def f", "def g"),
    "a statement": BASE + "    print(total)\n",
}


def code(source: str) -> str:
    """The hash of statements."""
    return written(ast.parse(source).body, "m", {}).hash


@pytest.mark.parametrize("what", SAME)
def test_looks_change_nothing(what: str) -> None:
    """White space, comments, docstrings, names of local variables."""
    assert code(SAME[what]) == code(BASE)


@pytest.mark.parametrize("what", OTHER)
def test_syntax_counts(what: str) -> None:
    """Everything that could change a result."""
    assert code(OTHER[what]) != code(BASE)


RENAMED = {
    "a comprehension": ("def f(n):\n    return [{0} for {0} in n if {0}]", "x", "y"),
    "a closure": ("def f():\n    {0} = 1\n    def g():\n        return {0}\n    return g", "x", "y"),
    "a handler": ("def f():\n    try:\n        pass\n    except E as {0}:\n        raise {0}", "e", "it"),
    "nonlocal": ("def f():\n    {0} = 0\n    def g():\n        nonlocal {0}\n        {0} += 1", "x", "y"),
    "a walrus": ("def f(n):\n    return [({0} := x) for x in n], {0}", "last", "it"),
    "an annotation": ("def f():\n    {0}: int = 1\n    return {0}", "x", "y"),
    "a pattern": ("def f(n):\n    match n:\n        case [{0}, 1]:\n            return {0}", "x", "y"),
    "an import": ("def f():\n    from a import b as {0}\n    return {0}()", "b", "c"),
}


@pytest.mark.parametrize("what", RENAMED)
def test_a_local_name_may_be_another_in_every_kind_of_scope(what: str) -> None:
    """Comprehensions, closures, handlers, nonlocal, walrus, local imports, annotations."""
    source, one, other = RENAMED[what]
    assert code(source.format(one)) == code(source.format(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f():\n    x = 1\n    return locals()", "def f():\n    y = 1\n    return locals()"),
        ("class C:\n    x = 1", "class C:\n    y = 1"),
        ("def f():\n    global x\n    x = 1", "def f():\n    global y\n    y = 1"),
        ("def f(x):\n    return [x for x in x]", "def f(x):\n    return [y for y in [x]]"),
        ("def f():\n    x = 1\n    return f'{x=}'", "def f():\n    y = 1\n    return f'{y=}'"),
        ("def f():\n    from a import b\n    return b()", "def f():\n    from c import b\n    return b()"),
    ],
)
def test_a_name_that_is_seen_from_outside_counts(one: str, other: str) -> None:
    """Attributes, globals, names that are printed or looked up, what is imported."""
    assert code(one) != code(other)


def test_what_is_referred_to() -> None:
    """Names of the module, of imports, through a module, by local imports, of a parameter's type; none that is local."""
    source = (
        "import a.b\nimport c as d\nfrom e import f\nfrom .near import g\n\n"
        "def h(x: Typed) -> Other:\n    from k import m\n    y = f(x)\n    return a.b.z(y), d.q, g, m.n, helper(y)\n"
    )
    module = module_of("pkg.mod", source.encode(), Path("mod.py"))
    assert module.definitions["h"].refers == (
        "a.b.z", "c.q", "e.f", "k.m.(at import)", "k.m.n", "pkg.mod.Typed", "pkg.mod.helper", "pkg.near.g",
    )  # fmt: skip  # as a line
    assert not module.definitions["h"].by_text
    loads = module_of(
        "m", b"import importlib\ndef f(n):\n    return importlib.import_module(n)\n", Path("m.py")
    )
    assert loads.definitions["f"].by_text


def test_a_file_that_is_run_is_one_text() -> None:
    """All of its statements happen, in their order; comments and its docstring do not count."""
    one = script_of("__main__", b'"""Says."""\nx = 1\nprint(x)\n', Path("s.py"))
    other = script_of("__main__", b"x = 1  # one\n\nprint(x)\n", Path("s.py"))
    turned = script_of("__main__", b"print(x)\nx = 1\n", Path("s.py"))
    assert one.definitions == other.definitions
    assert turned.definitions != one.definitions
