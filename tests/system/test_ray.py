"""`--executor ray` on a real Ray: the executors' contract over a Ray of its own, and a cluster of two nodes by its address."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

import backtest
import trader
from backtest.executors.protocol import Executor
from backtest.executors.registry import Setup, open_executor
from tests.contracts.executor_contract import ExecutorContract, Opened, until, waiting
from tests.support.tuned import contents, study_of_seconds, tune_words
from tests.system.ray_nodes import PATIENCE_S, RayNodes, ray_nodes

pytestmark = pytest.mark.timeout(900)  # a Ray that starts beside other work takes a minute

ROOT = Path(__file__).resolve().parents[2]
# A Ray takes ten seconds to start. Those that show how one ends have their own; the others share one.
ENDING = ("test_an_interrupt_loses_nothing_that_was_begun", "test_closing_twice_does_no_harm")


class FewRays:
    """One Ray of two workers for many tests; others live as long as they are open."""

    def __init__(self, folders: Callable[[str], Path]) -> None:
        self._folders, self._kept = folders, ExitStack()
        self._executor: Executor | None = None

    @contextmanager
    def opened(self, workers: int, *, ending: bool) -> Iterator[Executor]:
        """With all its workers up, so that each has a part in what follows."""
        if workers != 2 or ending:
            self.close()
            with open_executor("ray", Setup(workers)) as executor:
                yield self._ready(executor)
            return
        if self._executor is None:
            self._executor = self._ready(self._kept.enter_context(open_executor("ray", Setup(workers))))
        yield self._executor

    def _ready(self, executor: Executor) -> Executor:
        folder = self._folders("ready")
        futures = [executor.submit(waiting(folder, str(n))) for n in range(executor.capacity)]
        until(lambda: len(list(folder.iterdir())) == executor.capacity, "not all workers are up")
        (folder / "go").touch()
        for future in futures:
            future.result()
        return executor

    def close(self) -> None:
        """The one that is kept."""
        self._kept.close()
        self._executor = None


@pytest.fixture(scope="module")
def rays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FewRays]:
    """None is left at the end."""
    few = FewRays(tmp_path_factory.mktemp)
    yield few
    few.close()


class TestRay(ExecutorContract):
    """Without an address: a Ray of its own, in a network of its own."""

    @pytest.fixture
    def opened(self, rays: FewRays, request: pytest.FixtureRequest) -> Opened:
        """By its name, as `--executor` opens it."""
        ending = request.node.name in ENDING
        return partial[AbstractContextManager[Executor]](rays.opened, ending=ending)

    def test_it_listens_in_a_network_of_its_own(self, opened: Opened) -> None:
        """Every process of its Ray is in another network than this one, and all that listens there does so on loopback."""
        with opened(2):
            (broker,) = (pid for pid in descendants(os.getpid()) if b"ray_broker" in cmdline(pid))
            inside = descendants(broker)
            assert len(inside) > 5
            assert {network(pid) for pid in inside} == {network(broker)}
            assert network(broker) != network(os.getpid())
            words = ["nsenter", f"--net=/proc/{broker}/ns/net", "ip", "-brief", "address"]
            links = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            assert [line.split()[0] for line in links.splitlines()] == ["lo"]


def test_without_a_network_of_its_own_nothing_listens_unless_it_is_said() -> None:
    """Where namespaces are not permitted the ports are listed, and the command ends with 2."""
    code = "from backtest.executors.registry import *; open_executor('ray', Setup(1)).__enter__()"
    # Within this user namespace, and nowhere else, no network can be had.
    none = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    words = ["unshare", "--map-root-user", "sh", "-c", none, "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert "listens on all addresses of this machine: its control store" in done.stderr
    assert "Give --ray-open-ports" in done.stderr


def test_a_ray_of_its_own_ends_with_its_coordinator(tmp_path: Path) -> None:
    """Killed with SIGKILL while a worker computes, it leaves no process and no file behind."""
    code = (
        "from pathlib import Path\n"
        "from backtest.executors.registry import Setup, open_executor\n"
        "from tests.contracts.executor_contract import waiting\n"
        "with open_executor('ray', Setup(1)) as executor:\n"
        "    executor.submit(waiting(Path.cwd(), 'begun')).result()\n"
    )
    words, there = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, cwd=tmp_path, env=there)
    try:
        until(lambda: (tmp_path / "begun").exists() or process.poll() is not None, "no worker")
        started = {pid: cmdline(pid) for pid in descendants(process.pid)}
        assert len(started) > 5
        (folder,) = {
            str(Path(f"/proc/{pid}/cwd").readlink()) for pid in started if b"ray_broker" in started[pid]
        }
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(alive(pid) for pid in started), "something lives on")
    assert not Path(folder).exists()


TUNE = tuple(tune_words(trials=3))


class Commands:
    """Processes of one test, and what each has said so far."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._all = folder, dict[int, subprocess.Popen[bytes]]()

    def begin(self, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """In the folder, and in a session of its own."""
        with (self._folder / f"said-{len(self._all)}").open("wb") as said:
            process = subprocess.Popen(
                words, cwd=self._folder, stdout=said, stderr=said, start_new_session=True
            )
        self._all[len(self._all)] = process
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """Both outputs."""
        (number,) = (number for number, it in self._all.items() if it is process)
        return (self._folder / f"said-{number}").read_text()

    def ended(self, process: subprocess.Popen[bytes], code: int) -> str:
        """What it said, once it has ended as it should."""
        process.wait(PATIENCE_S)
        assert process.returncode == code, self.said(process)
        return self.said(process)

    def end(self) -> None:
        """Those that have not."""
        for process in self._all.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    """A cluster of two, for all tests."""
    with ray_nodes() as started:
        yield started


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Beside bars and parameters."""
    study_of_seconds(tmp_path)
    given = Commands(tmp_path)
    yield given
    given.end()


def test_a_study_ends_as_a_local_one_whatever_is_killed(
    nodes: RayNodes, commands: Commands, tmp_path: Path
) -> None:
    """Interrupted, its worker killed, its coordinator killed: the same command goes on, and its files are the local
    ones."""
    study = tmp_path / "ray"
    by_ray = (*nodes.inside, *TUNE, "--study", "ray", "--executor", "ray", "--ray-address", nodes.address)

    first = commands.begin(by_ray)
    until(lambda: len(folds(study)) >= 2 or first.poll() is not None, "no folds")
    first.send_signal(signal.SIGINT)
    said = commands.ended(first, 130)
    assert "the same command goes on" in said
    assert "Traceback" not in said
    kept = {it: it.stat().st_mtime_ns for it in folds(study)}

    second = commands.begin(by_ray)
    until(nodes.workers, "no worker")
    os.kill(nodes.workers()[0], signal.SIGKILL)
    until(lambda: "it is given again" in commands.said(second), "nothing was lost")
    until(lambda: len(folds(study)) > len(kept), "no more folds")
    second.kill()
    second.wait()

    commands.ended(commands.begin(by_ray), 0)
    commands.ended(commands.begin((*TUNE, "--study", "local", "--workers", "2")), 0)
    assert all(it.stat().st_mtime_ns == written for it, written in kept.items())
    assert contents(study) == contents(tmp_path / "local")


def test_another_program_on_a_node_is_told(nodes: RayNodes, commands: Commands, tmp_path: Path) -> None:
    """One comment is another hash of the sources: exit 2, naming what differs, and no file of the study is begun."""
    other = tmp_path / "other"
    for package in (trader, backtest):
        (home,) = package.__path__
        shutil.copytree(home, other / package.__name__, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "trader/core/errors.py").open("a") as file:
        file.write("# changed\n")
    nodes.add(other)
    words = ("--study", "mixed", "--executor", "ray", "--ray-address", nodes.address)
    said = commands.ended(commands.begin((*nodes.inside, *TUNE, *words)), 2)
    pattern = r"node \S+ \(127\.0\.0\.1\) of the Ray cluster runs another program \(sources: \w{16} here, \w{16} there\)"
    assert re.search(pattern, " ".join(said.split())), said


def folds(study: Path) -> list[Path]:
    """Windows that are kept."""
    return list(study.glob("folds/*/*"))


def descendants(pid: int) -> list[int]:
    """Living processes that a process started, and those that they did."""
    found: list[int] = []
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            parents.setdefault(int(parent), []).append(int(folder.name))
    left = [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def cmdline(pid: int) -> bytes:
    """Of a process, its words between zeros."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def network(pid: int) -> str:
    """Which one a process is in."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())
