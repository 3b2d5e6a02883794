"""Nodes of Ray, each with one CPU, in a network of their own: the script that starts them, and how a test does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backtest.executors.own_network import entered
from backtest.executors.ray_broker import NOT_FOUND

PATIENCE_S = 200
NODE: dict[str, Any] = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 100_000_000}


def main() -> None:
    """A head and a node; one more for each line, a folder that its workers import from first. Until the input ends."""
    assert entered(), "no network of its own"
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray's processes talk to whoever reads their parent
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_LOG_TO_STDERR": "1"}
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # Ray's own name
    os.environ["RAY_TMPDIR"] = str(folder)
    (folder / "ray").mkdir()
    # As an own Ray of `--executor ray`: what its processes do not find, they do not spend seconds on.
    (folder / "stubs").mkdir()
    for name in NOT_FOUND:
        (folder / "stubs" / f"{name}.py").write_text("raise ModuleNotFoundError\n")
    sys.path.insert(0, str(folder / "stubs"))
    path = os.pathsep.join(filter(None, sys.path))
    os.environ["PYTHONPATH"] = path
    from ray.cluster_utils import Cluster

    head = {**NODE, "include_dashboard": False, "no_monitor": True}
    cluster = insisted(lambda: Cluster(initialize_head=True, head_node_args=head))
    insisted(lambda: cluster.add_node(**NODE))
    print(json.dumps(cluster.address), file=answers, flush=True)
    for line in sys.stdin:
        env_vars = {"PYTHONPATH": os.pathsep.join([line.strip(), path])}
        insisted(partial(cluster.add_node, **NODE, env_vars=env_vars))
        print(json.dumps(line), file=answers, flush=True)
    cluster.shutdown()


def insisted(start: Callable[[], Any], tries: int = 4) -> Any:
    """Ray gives a node 30 s to be up, which beside other work is not enough every time."""
    for left in reversed(range(tries)):
        try:
            return start()
        except Exception as error:  # Ray has no type for a start that took too long
            if not left or "timed out during startup" not in str(error):
                raise
    raise AssertionError(tries)


@dataclass(frozen=True)
class RayNodes:
    """A cluster that a test has started."""

    address: str
    process: subprocess.Popen[str]

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command begins with that is to see the cluster."""
        return ("nsenter", f"--net=/proc/{self.process.pid}/ns/net")

    def add(self, first_on_path: Path) -> None:
        """One more node, whose workers import from this folder first."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{first_on_path}\n")
        self.process.stdin.flush()
        assert first_on_path.name in self.process.stdout.readline()

    def workers(self) -> list[int]:
        """Processes that compute a task at this moment."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().startswith(b"ray::answer") and self._ours(folder):
                    found.append(int(folder.name))
        return found

    def _ours(self, folder: Path) -> bool:
        return (folder / "ns/net").readlink() == Path(f"/proc/{self.process.pid}/ns/net").readlink()

    def end(self) -> None:
        """Also what outlived it: everything in its network is the test's."""
        ours = [int(it.name) for it in Path("/proc").glob("[0-9]*") if _suppressed(self._ours, it)]
        assert self.process.stdin
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_S)
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)


def _suppressed(ours: Any, folder: Path) -> bool:
    try:
        return bool(ours(folder))
    except OSError:
        return False


@contextmanager
def ray_nodes() -> Iterator[RayNodes]:
    """Two nodes; nothing of them is left."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.ray_nodes", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )
    nodes = None
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, (folder / "said").read_text()[-9000:]
        nodes = RayNodes(json.loads(line), process)
        yield nodes
    finally:
        if nodes:
            nodes.end()
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            assert end
            end.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
