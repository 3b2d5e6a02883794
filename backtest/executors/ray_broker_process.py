"""The coordinator's end of the process that speaks with Ray."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from backtest.executors.program import program, program_hash
from backtest.executors.ray_address import RayAddress
from backtest.executors.ray_messages import Messages
from backtest.executors.ray_worker import HELD
from trader.core.errors import ConfigError, Retry

# The network is entered first: a user may only while there is one thread, and numpy starts more.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from backtest.executors.own_network import entered; own = sys.argv[3] == 'own' and entered(); "
    "from backtest.executors.ray_broker import main; main(int(sys.argv[1]), own)"
)
# To connect with a cluster takes 5 s, to start a Ray 10; on a machine at work either may take minutes. Ray gives its own
# processes 30 s to be up, which is not enough every time.
_START_S = 200
_TRIES = 4
_END_S = 60
# Ray's names below its folder take 77 bytes, and a socket's path must not be longer than 107.
_LONGEST_FOLDER = 30
_LEAST_STORE = 100_000_000
_OPEN_PORTS = (
    "its control store, its node's manager and store of objects, its agents for metrics, dashboard and environments, and one "
    "port for each worker and for the command itself"
)


class BrokerProcess:
    """Ready to start Ray when it is there; `tell` hears where Ray's dashboard is, and which ports are open. without: what a
    command is given instead that shall do without Ray."""

    def __init__(
        self,
        address: RayAddress | None,
        tasks: int | None,
        open_ports: bool,
        tell: Callable[[str], None],
        without: str = "--executor local",
    ) -> None:
        self._address, self._tell = address, tell
        self._starting = threading.Lock()
        self._capacity = tasks or 0
        self.started = False
        self._begin()
        try:
            self._require_network(open_ports, without)
        except BaseException:
            self.end()
            raise

    def _begin(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir=_short_folder()))
        pipe, theirs = Pipe()
        self.messages = Messages(pipe)
        network = "machine's" if self._address else "own"
        words = [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path), network]
        with (self._folder / "said").open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603  # this very interpreter
                words,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=(theirs.fileno(),),
                # Workers import what is installed, not what lies in the folder where the command was started.
                cwd=self._folder,
                start_new_session=True,
            )
        theirs.close()

    def _require_network(self, open_ports: bool, without: str) -> None:
        own_network = self._heard(_START_S)["own_network"]
        if not (self._address or own_network or open_ports):
            raise ConfigError(
                f"a Ray of this command's own listens on all addresses of this machine: {_OPEN_PORTS}. A network of its own, "
                f"where nobody else would reach them, is not permitted here. Give --ray-open-ports where that does no harm, "
                f"--ray-address of a cluster, or {without}"
            )

    def capacity(self) -> int:
        """How many tasks Ray computes at the same time."""
        if not self._capacity:
            self.start(0)
        return self._capacity

    def start(self, shared_bytes: int) -> None:
        """Ray, once; `shared_bytes` are what the first tasks share. Raises ConfigError or Retry where it cannot be."""
        with self._starting:
            if self.started:
                return
            ready = self._ready(max(_LEAST_STORE, (HELD + 1) * shared_bytes + _LEAST_STORE // 2))
            self._capacity, self.started = self._capacity or ready["cpus"], True
            if ready["dashboard"]:
                self._tell(f"Ray's dashboard: http://{ready['dashboard']}")
            if ready["ports"]:
                self._tell(f"Ray listens on {', '.join(ready['ports'])}")

    def _ready(self, store_bytes: int) -> dict[str, Any]:
        """In a process that has not tried before: Ray does not recover from a start that took too long."""
        address = str(self._address) if self._address else ""
        how: dict[str, Any] = {"address": address, "workers": self._capacity, "store_bytes": store_bytes}
        for _ in range(_TRIES):
            with contextlib.suppress(OSError):  # `_heard` says why
                self.messages.send("start", program=program_hash(), **how)
            head = self._heard(_START_S)
            if head["kind"] == "ready":
                return head
            self.end()
            self._begin()
            self._heard(_START_S)
        raise Retry(f"Ray's processes were not up in time, {_TRIES} times: this machine has too much to do")

    def _heard(self, seconds: float) -> dict[str, Any]:
        try:
            if not self.messages.waits(seconds):
                raise Retry(f"Ray was not there within {seconds:.0f} s; {self.last_words()}")
            head, body = self.messages.receive()
        except (EOFError, OSError):
            raise Retry(f"Ray could not be started: {self.last_words()}") from None
        if head["kind"] == "refused":
            raise ConfigError(body.decode())
        if head["kind"] == "retry":
            raise Retry(f"Ray could not be started or reached: {body.decode()}")
        return head

    def last_words(self) -> str:
        """The last line that the process wrote, without the logs of Ray's servers."""
        with contextlib.suppress(OSError):
            lines = (self._folder / "said").read_text(errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip() and not line.startswith("[")]
            if said:
                return said[-1]
        return "nothing was said"

    def kill(self) -> None:
        """With a Ray of its own, in the middle of whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """The pipe is closed, so it ends, and its Ray with it; or it is ended. Safe to repeat."""
        self.messages.hang_up()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.messages.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _short_folder() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108  # mkdtemp makes one that is ours


def other_program(told: bytes) -> ConfigError:
    """Says what differs between this program and a node's."""
    there, here = json.loads(told), program()
    names = sorted(here.keys() | there["program"].keys())
    pairs = [(name, here.get(name, "none"), there["program"].get(name, "none")) for name in names]
    told_of = "; ".join(f"{name}: {mine} here, {other} there" for name, mine, other in pairs if mine != other)
    return ConfigError(
        f"node {there['node']} of the Ray cluster runs another program ({told_of}), so that its results could differ. Install "
        f"the same version of hourly-trader and of its libraries on every node, and start its Ray again"
    )
