"""The arrows of the house, read from the imports themselves."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "trader").rglob("*.py")) + sorted((ROOT / "backtest").rglob("*.py"))
MODULES = {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in FILES}

# What only another module of its family imports, once the family's library is there; tests/families import them.
OF_AN_EXTRA = {
    "trader.forecasters.tft_layers",
    "trader.forecasters.tft_network",
    "trader.forecasters.tft_samples",
    "trader.forecasters.tft_state",
    "trader.forecasters.tft_training",
}

# What a room needs that has tasks to compute. Which executor computes them is the composition root's matter.
TASKS = {"backtest.executors.protocol", "backtest.executors.futures"}

# Room -> what it may import of this project, besides itself. A room is a folder or a module; every module is in one.
ARROWS = {
    "trader.core": set(),
    "trader.plain_file": {"trader.core"},
    "trader.settings": {"trader.core", "trader.plain_file"},
    "trader.config": {"trader.core", "trader.settings"},
    "trader.terminal": {"trader.core", "trader.plain_file"},
    "trader.app": {"trader.core", "trader.forecasters.registry"},
    "trader.adapters": {"trader.core", "trader.plain_file"},
    "trader.forecasters": {"trader.core"},
    "trader.dashboard": {"trader.core"},
    "trader.frames": {"trader.core"},
    "trader.api": {"trader.core", "trader.forecasters"},
    "trader.exchange": {"trader.core.costs", "trader.core.types", "trader.core.errors"},
    "backtest.executors": {"trader.core"},
    "backtest.engine": {"trader.core", *TASKS},
    "backtest.evidence": {"trader.core", "backtest.engine", "backtest.executors.protocol"},
    "backtest.study": {
        "trader.core",
        "backtest.executors.packing",
        "backtest.engine",
        "backtest.evidence.ledger",
        *TASKS,
    },
    "backtest.select": {
        "trader.core",
        "backtest.engine",
        "backtest.evidence",
        "backtest.executors.packing",
        "backtest.study.cache",
        "backtest.study.results_folder",
        *TASKS,
    },
    "backtest.certificate": {
        "trader.core",
        "backtest.engine",
        "backtest.evidence.block_errors",
        "backtest.evidence.forecasts",
        "backtest.study.cache",
        *TASKS,
    },
    "backtest.pipeline": {
        "trader.core",
        "trader.plain_file",
        "trader.adapters",
        "trader.forecasters",
        "trader.own_families",
        "backtest.executors.packing",
        "backtest.certificate",
        "backtest.engine",
        "backtest.evidence",
        "backtest.study",
        *TASKS,
    },
    "backtest.lifecycle": {"trader.core", "backtest.engine", "backtest.study.trials"},
    "backtest.report": {
        "trader.core",
        "trader.terminal",
        "trader.forecasters",
        "backtest.executors.protocol",
        "backtest.engine",
        "backtest.evidence",
        "backtest.study.folder",
        "backtest.study.importance",
        "backtest.study.objectives",
    },
    "backtest.reference": {"trader.core", "trader.forecasters", *TASKS},
}

# The composition root: where concrete adapters are named. startup, wiring < observers < simulation < commands < cli.
BELOW = {"trader.core", "trader.config", "trader.app", "trader.adapters"}
ARROWS |= {
    "trader.own_families": {"trader.core", "trader.config", "trader.adapters", "trader.forecasters"},
    "trader.startup": {
        "trader.core",
        "trader.config",
        "trader.terminal",
        "trader.adapters",
        "trader.own_families",
    },
    "trader.wiring": {*BELOW, "trader.forecasters"},
    "trader.serving": {*BELOW, "trader.forecasters", "trader.wiring"},
    "trader.observers": {*BELOW, "trader.terminal", "trader.dashboard", "trader.wiring"},
    "trader.simulation": {*BELOW, "trader.terminal", "trader.exchange", "trader.wiring", "trader.observers"},
    "trader.commands": {
        *BELOW,
        "trader.settings",
        "trader.terminal",
        "trader.exchange",
        "trader.forecasters",
        "trader.wiring",
        "trader.observers",
        "trader.serving",
        "trader.simulation",
        "backtest.certificate",
        "backtest.engine.shared_fit",
        "backtest.executors.protocol",
        "backtest.executors.ray_training",
        "backtest.executors.registry",
        "backtest.study",
    },
    "trader.cli": {"trader.commands", "trader.startup", "trader.terminal"},
    "backtest.commands": {
        "trader.core",
        "trader.config",
        "trader.terminal",
        "trader.adapters",
        "trader.forecasters",
        "backtest.executors",
        "backtest.engine",
        "backtest.evidence",
        "backtest.study",
        "backtest.select",
        "backtest.pipeline",
        "backtest.lifecycle",
        "backtest.report",
        "backtest.reference",
        "trader.own_families",
    },
    "backtest.api": {
        "trader.core",
        "trader.frames",
        "trader.adapters",
        "trader.exchange",
        "trader.forecasters",
        "trader.own_families",
        "backtest.engine",
        "backtest.executors",
        "backtest.report",
    },
    "backtest.cli": {"trader.startup", "trader.terminal", "backtest.commands"},
}

HEAVY = ("xgboost", "optuna", "pyarrow", "binance", "rich", "talib", "pandas", "boto3", "botocore")


@cache
def tree_of(module: str) -> ast.Module:
    """A module, parsed once for all tests."""
    return ast.parse(MODULES[module].read_text())


@cache
def imports_of(module: str) -> frozenset[str]:
    """Project modules that a module imports, also inside functions and under TYPE_CHECKING."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            found |= {node.value.partition(":")[0]} & set(
                MODULES
            )  # `module:name`, imported when it is needed
    return frozenset(name for name in found if name.split(".")[0] in ("trader", "backtest"))


def within(module: str, room: str) -> bool:
    """True where a module lies in a room."""
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str:
    """The room a module lives in; the module itself where none is drawn for it."""
    return next((room for room in ARROWS if within(module, room)), module)


@pytest.mark.parametrize("module", sorted(m for m in MODULES if not m.endswith(".__init__")))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    """Every module lives in a room, and every import of the project follows a drawn arrow."""
    room = room_of(module)
    assert room in ARROWS, f"{module} lives in no room; draw its arrows in ARROWS"
    allowed = ARROWS[room] | {room}
    strangers = {name for name in imports_of(module) if not any(within(name, a) for a in allowed)}
    assert not strangers, f"{module} may import {sorted(allowed)}, not {sorted(strangers)}"


def test_every_arrow_is_used() -> None:
    """What is drawn is what is: a room that is empty, or may import what none of its modules does, is drawn anew."""
    used = {room: {name for m in MODULES if room_of(m) == room for name in imports_of(m)} for room in ARROWS}
    unused = {
        room: {a for a in arrows if not any(within(name, a) for name in used[room])}
        for room, arrows in ARROWS.items()
    }
    assert {room: arrows for room, arrows in unused.items() if arrows} == {}
    assert [room for room in ARROWS if room not in map(room_of, MODULES)] == []


def test_only_the_command_line_of_trader_knows_backtest() -> None:
    """Retraining gets the study, the certificate, and who shares its fits, as arguments; no other module of trader imports it."""
    knows = {
        m for m in MODULES if m.startswith("trader.") and any(within(i, "backtest") for i in imports_of(m))
    }
    assert knows <= {"trader.commands.check", "trader.commands.search", "trader.commands.shared_fits"}


def test_only_the_exports_of_the_app_know_the_families() -> None:
    """Every other verb of production is given its forecaster, so that a test can give it another."""
    knows = {
        m
        for m in MODULES
        if m.startswith("trader.app.") and any(within(i, "trader.forecasters") for i in imports_of(m))
    }
    assert knows == {"trader.app.exports"}


def test_there_is_no_import_cycle() -> None:
    """Modules can be put in an order in which each imports only earlier ones."""
    graph = {module: imports_of(module) & set(MODULES) - {module} for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())


def test_there_is_no_cycle_of_rooms() -> None:
    """Rooms can be read in an order, too: each knows only earlier ones."""
    graph: dict[str, set[str]] = {room: set() for room in ARROWS}
    for module in MODULES:
        here = room_of(module)
        if here in graph:  # packages themselves are empty
            graph[here] |= {room_of(name) for name in imports_of(module)} - {here}
    assert list(TopologicalSorter(graph).static_order())


def test_a_verb_is_known_to_its_command_line_alone() -> None:
    """What several verbs of `backtest` share lies in files that are no verb; so a verb can be read, or removed, alone."""
    verbs = {name for name in imports_of("backtest.cli") if within(name, "backtest.commands")}
    assert len(verbs) > 1
    knows = {module: imports_of(module) & verbs for module in MODULES if module != "backtest.cli"}
    assert {module: names for module, names in knows.items() if names} == {}


def test_packages_are_empty() -> None:
    """An `__init__` holds nothing, so importing a module runs that module only."""
    assert [f for f in FILES if f.name == "__init__.py" and f.read_text().strip()] == []


def test_the_core_is_pure() -> None:
    """It computes with numpy, says what a parameter may be with pydantic, and reaches for nothing outside itself."""
    roots = {
        name.split(".")[0]
        for module in MODULES
        if within(module, "trader.core")
        for node in ast.walk(tree_of(module))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert roots - sys.stdlib_module_names - {"trader"} == {"numpy", "pydantic"}
    assert not roots & {"os", "io", "pathlib", "socket", "subprocess", "threading", "time", "urllib", "http"}


def test_only_config_reads_the_environment() -> None:
    """Settings arrive through trader/config.py; no other file asks the environment. One writes into its own: Ray's processes
    are told nothing in another way."""
    readers = [f for f in FILES if "os.environ" in f.read_text() or "os.getenv" in f.read_text()]
    assert [f.name for f in readers if f.name != "config.py"] == ["ray_broker.py"]


def test_every_module_imports_without_environment_and_without_work(tmp_path: Path) -> None:
    """With an empty environment and no network every module can be imported, and that prints and writes nothing."""
    names = [m.removesuffix(".__init__") for m in MODULES if m not in OF_AN_EXTRA]
    code = (
        f"import importlib, socket, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "def refuse(*a, **k): raise AssertionError('a module reached for the network on import')\n"
        "socket.socket.connect = refuse\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_starts_without_heavy_libraries() -> None:
    """`trader --help` and a tick that is already done must not pay for what they do not use."""
    code = f"import sys, trader.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
