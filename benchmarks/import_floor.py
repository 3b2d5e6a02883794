"""The floor of a fresh process: a fresh interpreter that imports the same third-party modules and does nothing else.

`record` runs a `trader` command and writes the third-party modules that were there at its end, in the order in which they
came. `words` is the command line of the floor: it imports these names; a third-party package that the command did without
cannot be found, since a library that looks for it would otherwise import more than the command did.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.scene import process

OURS = ("trader", "backtest", "benchmarks", "tests", "__main__", "__mp_main__")

RECORD = """
import atexit, json, sys
out = sys.argv.pop(1)
atexit.register(lambda: open(out, "w").write(json.dumps([n for n, m in sys.modules.items() if m is not None])))
from trader.cli import main
main()
"""

FLOOR = """
import importlib, sys
wanted = sys.argv[1].split(",")
known = {name.partition(".")[0] for name in wanted} | sys.stdlib_module_names
class NothingElse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in known and not name.startswith("_"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, NothingElse())
for name in wanted:
    if name not in sys.modules:
        importlib.import_module(name)
"""


def record(out: Path, cwd: Path, environment: dict[str, str], *words: str) -> list[str]:
    """Names of the third-party modules of a `trader` command, in the order of their import."""
    process([sys.executable, "-c", RECORD, str(out), *words], environment, cwd)
    names: list[str] = json.loads(out.read_text())
    there = [name for name in names if _is_third_party(name)]
    return [name for name in there if _can_be_imported(name)]


def words(names: list[str]) -> list[str]:
    """The command line of the floor."""
    return [sys.executable, "-c", FLOOR, ",".join(names)]


def _is_third_party(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in OURS and not top.startswith("_")


def _can_be_imported(name: str) -> bool:
    """Whether the name leads to a module; a few are put into sys.modules by hand."""
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False
