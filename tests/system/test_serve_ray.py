"""`trader.serving.on_ray`: the application on a real Ray Serve, in a network of its own. docs/serving.md names this test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(1_800)  # a Ray Serve that starts beside other work takes minutes

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
    # Whatever is left of it when it is over, or killed, ends with its process namespace.
    own = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    with (folder / "said").open("w") as said:
        done = subprocess.run(
            [*own, sys.executable, "-m", "tests.system.serve_on_ray", str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            timeout=1_500,
            check=False,
        )
    out, err = done.stdout, (folder / "said").read_text()
    assert out.startswith("{"), err[-6000:]
    found = json.loads(out)
    assert found["equal"], (found["said"], found["told"])
    assert [status for status, _ in found["said"]] == [200, 200, 200, 422]
    assert found["without_token"] == 401
    assert (found["scaled_up"], found["most_replicas"], found["scaled_down"]) == (True, 2, True)
    lost = {code: count for code, count in found["codes"].items() if code not in ("200", "503")}
    assert lost == {}, found["codes"]
    assert found["codes"]["200"] > 100
    print(
        f"Ray's node was up after {found['node_started_s']} s; one client: {found['one_client_a_second']} requests a second; "
        f"all: {found['codes']}"
    )
