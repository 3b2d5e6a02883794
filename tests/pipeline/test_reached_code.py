"""What a definition reaches, in a small project made for it: ways in which one line of Python leads to another."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from backtest.pipeline.code import Code, Reached

STAGE, HELPER = "backtest/stage.py", "trader/helper.py"
F = "from trader.helper import f\n\ndef stage():\n    return f(1)\n"
TABLE = "from trader.helper import TABLE\n\ndef stage():\n    return TABLE['a'](1)\n"
C = "from trader.helper import C\n\ndef stage():\n    return C.x\n"
REGISTER = "TABLE = {}\n\ndef put(f):\n    TABLE[f.__name__] = f\n    return f\n\n"
DISPATCH = "from functools import singledispatch\n\n@singledispatch\ndef f(n):\n    return 0\n\n@f.register\ndef _(n: int):\n"
FIELD = "from pydantic import BaseModel, Field\nfrom typing import Annotated\n\nN = Annotated[int, Field(ge={})]\n\n"
FIELD += "class C(BaseModel):\n"

# How a stage uses a file, that file, and a part of it that is changed into another.
REACHED: dict[str, tuple[str, str, str, str]] = {
    "a decorator": (
        "from trader.helper import d\n\n@d\ndef stage():\n    return 1\n",
        "def d(f):\n    return f\n",
        "return f",
        "return id",
    ),
    "a decorator's argument": (
        "from trader.helper import N, d\n\n@d(N)\ndef stage():\n    return 1\n",
        "N = 1\ndef d(n):\n    return lambda f: f\n",
        "N = 1",
        "N = 2",
    ),
    "a default": (F, "def f(n, m=1):\n    return m\n", "m=1", "m=2"),
    "a constant as a default": (F, "M = 1\n\ndef f(n, m=M):\n    return m\n", "M = 1", "M = 2"),
    "a constant through a module": (
        "from trader import helper\n\ndef stage():\n    h = helper\n    return h.N\n",
        "N = 1\n",
        "1",
        "2",
    ),
    "an attribute of a base class": (C, "class B:\n    x = 1\n\nclass C(B):\n    pass\n", "1", "2"),
    "an attribute that is set later": (C, "class C:\n    x = 1\n\nC.x = 3\n", "3", "4"),
    "a metaclass": (C, "class M(type):\n    x = 1\n\nclass C(metaclass=M):\n    pass\n", "1", "2"),
    "a field's type": (C, FIELD.format(1) + "    x: N\n", "ge=1", "ge=2"),
    "a field's type in quotes": (C, FIELD.format(1) + "    x: 'N'\n", "ge=1", "ge=2"),
    "a field of a class in a function": (
        "from trader.helper import N\n\ndef stage():\n    class C:\n        x: N = 1\n    return C\n",
        "N = int\n",
        "int",
        "float",
    ),
    "an import within a function": (
        "def stage():\n    from trader.helper import f\n    return f()\n",
        "def f():\n    return 1\n",
        "1",
        "2",
    ),
    "all that a module has": (
        "from trader.helper import *\n\ndef stage():\n    return f()\n",
        "def f():\n    return 1\n",
        "1",
        "2",
    ),
    "a lambda": (F, "f = lambda n: n\n", "n: n", "n: -n"),
    "a table of functions": (TABLE, "def g(n):\n    return n\n\nTABLE = {'a': g}\n", "return n", "return -n"),
    "a table that decorators fill": (
        TABLE,
        REGISTER + "@put\ndef a(n):\n    return n\n",
        "return n",
        "return -n",
    ),
    "a table that subclasses fill": (
        "from trader.helper import B\n\ndef stage():\n    return B.made\n",
        "class B:\n    made = []\n    def __init_subclass__(cls):\n        B.made.append(cls)\n\nclass C(B):\n    x = 1\n",
        "x = 1",
        "x = 2",
    ),
    "a function by the type of its argument": (F, DISPATCH + "    return 1\n", "return 1", "return 2"),
    "a module's own getattr": (
        "from trader import helper\n\ndef stage():\n    return helper.f\n",
        "def __getattr__(name):\n    return 1\n",
        "1",
        "2",
    ),
    "a module imported by its name": (
        "import importlib\n\ndef stage():\n    return importlib.import_module('trader.helper').f()\n",
        "def f():\n    return 1\n",
        "1",
        "2",
    ),
    "another function where an import fails": (
        F,
        "try:\n    from nowhere import f\nexcept ImportError:\n    def f(n):\n        return 1\n",
        "return 1",
        "return 2",
    ),
}


def reached(folder: Path, files: dict[str, str]) -> Reached:
    """By a stage of a project that is these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for package in (path.parent, path.parent.parent):
            if package != folder and folder in package.parents and not (package / "__init__.py").exists():
                (package / "__init__.py").touch()
        path.write_text(textwrap.dedent(text))
    return Code(None, folder).reached(["backtest.stage:stage"])


@pytest.mark.parametrize("how", REACHED)
def test_a_change_that_a_stage_reaches_counts(how: str, tmp_path: Path) -> None:
    """The stage's own file stays as it is, the other one changes."""
    stage, helper, old, new = REACHED[how]
    assert helper.count(old) == 1
    before = reached(tmp_path, {STAGE: stage, HELPER: helper})
    after = reached(tmp_path, {STAGE: stage, HELPER: helper.replace(old, new)})
    assert before.digest != after.digest


@pytest.mark.parametrize(
    "how", ["beside it", "renamed", "turned round", "of another module", "after another"]
)
def test_a_name_that_only_leads_on_counts_where_it_leads(how: str, tmp_path: Path) -> None:
    """A package that only passes a name on, by relative imports: from a module beside it, under another name, two names turned
    round, from another module."""
    files = {
        STAGE: "from trader.sub import f, g\n\ndef stage():\n    return f() - g()\n",
        "trader/sub/__init__.py": "from .deep import f, g\n",
        "trader/sub/deep.py": "def f():\n    return 1\n\ndef g():\n    return 2\n",
        "trader/sub/other.py": "def f():\n    return 1\n\ndef g():\n    return 3\n",
    }
    before = reached(tmp_path, files)
    change = {
        "beside it": {"trader/sub/deep.py": "def f():\n    return 5\n\ndef g():\n    return 2\n"},
        "renamed": {
            "trader/sub/__init__.py": "from .deep import h as f, g\n",
            "trader/sub/deep.py": "def h():\n    return 1\n\ndef g():\n    return 2\n",
        },
        "turned round": {"trader/sub/__init__.py": "from .deep import f as g, g as f\n"},
        "of another module": {"trader/sub/__init__.py": "from .other import f, g\n"},
        "after another": {
            "trader/sub/__init__.py": "from .other import *\nfrom .deep import *\n",
            "trader/sub/deep.py": "def f():\n    return 1\n",
        },
    }[how]
    assert reached(tmp_path, {**files, **change}).digest != before.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A = 1\nB = 2\n", "B = 2\nA = 1\n"),
        ("def f(n):\n    return n\n\ndef g(n):\n    return A\n", "def g(n):\n    return A\n\ndef f(n):\n    return n\n"),
        ("import json\nimport os\n", "import os\nimport json\n"),
        ("'Says it.'\n", "'Says it otherwise.'\n"),
        ("UNUSED = 1\n", "UNUSED = 2\n"),
    ],
    ids=["constants", "functions", "imports", "docstring", "what nobody uses"],
)  # fmt: skip  # read as a table
def test_an_order_or_a_word_that_changes_nothing_does_not_count(old: str, new: str, tmp_path: Path) -> None:
    """Definitions in another order, imports in another order, a module's docstring, a constant that no stage reaches."""
    helper = (
        "'Says it.'\nimport json\nimport os\nA = 1\nB = 2\nUNUSED = 1\n\n"
        "def f(n):\n    return n\n\ndef g(n):\n    return A\n\ndef h():\n    return f(B), g(A), json, os\n"
    )
    stage = "from trader.helper import h\n\ndef stage():\n    return h()\n"
    assert old in helper
    before = reached(tmp_path, {STAGE: stage, HELPER: helper})
    assert reached(tmp_path, {STAGE: stage, HELPER: helper.replace(old, new)}).digest == before.digest


@pytest.mark.parametrize(
    "script",
    [
        "import mine.style\n",
        "def draw():\n    import mine.style\n\ndraw()\n",
        "from mine import tools\ntools.draw()\n",
        "from mine.tools import draw\ndraw()\n",
        "import importlib\nimportlib.import_module('mine.tools').draw()\n",
    ],
)
def test_what_a_persons_package_does_when_it_is_imported_counts(script: str, tmp_path: Path) -> None:
    """Nothing of the file is named: it is imported by the script, in a function, by a module that the script uses, by a text. The
    package that it lies in counts too."""
    files = {
        "script.py": script,
        "mine/__init__.py": "import os\nos.environ['A'] = '1'\n",
        "mine/style.py": "import os\nos.environ['B'] = '1'\n",
        "mine/tools.py": "from . import style\n\ndef draw():\n    return 1\n",
    }
    (tmp_path / "mine").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def digest() -> str:
        return Code(None).reached((), file=tmp_path / "script.py").digest

    before = digest()
    for name in ("mine/__init__.py", "mine/style.py"):
        (tmp_path / name).write_text(files[name].replace("'1'", "'2'"))
        assert digest() != before, name
        (tmp_path / name).write_text(files[name])
    assert digest() == before
