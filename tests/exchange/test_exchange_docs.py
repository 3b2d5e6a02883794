"""docs/exchange.md says what there is."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trader.exchange.fault_settings import ACTIONS, KLINE_EDITS
from trader.exchange.routes import ROUTES
from trader.exchange.scenarios import SCENARIOS
from trader.exchange.sim_api import SIM_ROUTES

TEXT = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()


def test_every_endpoint_is_listed_and_no_other() -> None:
    """The two tables of endpoints are the routing tables."""
    listed = set(
        re.findall(r"^\| (GET|POST|DELETE) (/(?:api|sapi|fapi|dapi|sim)/\S+) \|", TEXT, re.MULTILINE)
    )
    assert listed == set(ROUTES) | set(SIM_ROUTES)


def test_every_fault_action_is_listed_with_its_settings() -> None:
    """The table of actions names each action and each of its settings."""
    rows = dict(re.findall(r"^\| `([a-z_0-9]+)` \| ([^|]*)\|", TEXT, re.MULTILINE))
    assert {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows.items()} == {
        name: set(settings) for name, (settings, _) in ACTIONS.items()
    }
    assert all(f"`{edit}`" in TEXT for edit in KLINE_EDITS)


BLOCKS = {
    name: body
    for _, name, body in re.findall(r"^```(\w+)\n# (\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
}


def run(folder: Path, *command: str) -> str:
    """Run what the page says, as a reader would, with this environment's commands first in PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Its own group: what the snippet leaves in the background must not outlive it.
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("name", [name for name in BLOCKS if name.startswith("test_")])
def test_the_tests_that_are_shown_pass(tmp_path: Path, name: str) -> None:
    """A reader who copies the fixture and a test file has tests that pass."""
    (tmp_path / "conftest.py").write_text(BLOCKS["conftest.py"])
    (tmp_path / name).write_text(BLOCKS[name])
    without = (
        word for plugin in ("cacheprovider", "xdist", "schemathesis") for word in ("-p", f"no:{plugin}")
    )
    words = ("-W", "ignore", "-m", "pytest", "-q", *without, name)
    assert " passed" in run(tmp_path, sys.executable, *words)


def test_the_class_is_used_as_shown(tmp_path: Path) -> None:
    """The snippet of the same process runs and prints an address."""
    (tmp_path / "shown.py").write_text(BLOCKS["in_process.py"])
    assert run(tmp_path, sys.executable, "shown.py").startswith("http://127.0.0.1:")


def test_the_shell_lines_run(tmp_path: Path) -> None:
    """Started in the shell, asked by curl, told to refuse, stopped; on a free port instead of the one shown."""
    (shown,) = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        script = shown.replace("8901", str(free.getsockname()[1]))
    said = run(tmp_path, "bash", "-euc", script)
    assert '"symbol":"BTCUSDT"' in said
    assert "retry-after: 30" in said


def test_the_workflow_is_yaml_and_its_tests_are_pytest() -> None:
    """The example of a workflow can be read, and ends with what was tried above."""
    steps = yaml.safe_load(BLOCKS[".github/workflows/test.yml"])["jobs"]["test"]["steps"]
    assert [step["run"].split()[2] for step in steps if "run" in step] == ["pip", "pytest"]


def test_the_scenarios_that_are_named_exist() -> None:
    """Whatever the page calls a scenario is one."""
    named = set(re.findall(r'"scenario": "(\w+)"', TEXT))
    assert named
    assert named <= set(SCENARIOS)
