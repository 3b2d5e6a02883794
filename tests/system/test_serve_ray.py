"""`trader.serving.on_ray`: the application on a real Ray Serve, in a network of its own. docs/serving.md names this test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)  # a Ray that starts beside other work takes a minute

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a short name: Ray's sockets lie in it, and theirs may have 107 characters."""
    made = Path(tempfile.mkdtemp(prefix="ray-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_replicas_answer_as_one_server_and_lose_nothing_as_they_come_and_go(folder: Path) -> None:
    """The same answers as `trader serve`; a second replica comes with the load and goes with it, and every request meanwhile is
    answered; without the token none is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.serve_on_ray", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=800)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert out.startswith("{"), err[-6000:]
    found = json.loads(out)
    assert found["equal"], (found["said"], found["told"])
    assert [status for status, _ in found["said"]] == [200, 200, 200, 422]
    assert found["without_token"] == 401
    assert (found["scaled_up"], found["most_replicas"], found["scaled_down"]) == (True, 2, True)
    lost = {code: count for code, count in found["codes"].items() if code not in ("200", "503")}
    assert lost == {}, found["codes"]
    assert found["codes"]["200"] > 100
    print(f"Ray Serve, one client: {found['one_client_a_second']} requests a second; all: {found['codes']}")
