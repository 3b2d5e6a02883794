"""compose.yaml's services started without a container daemon: each by what the file says of it, in a network of their own.

Ours run in podman from the image that the file's arguments build. Prometheus is Debian's and MLflow this environment's, started
as their images start them; a mount namespace gives them the files, the secret and the names that compose would.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.system.containers import ROOT, RUN, Engine

_NEW_NETWORK = 0x4000_0000  # CLONE_NEWNET of <linux/sched.h>
_HOLD = (
    "from backtest.executors.own_network import entered; assert entered(); print('up', flush=True); input()"
)
# Every key of a service of ours, so that none is passed over: as options of podman, or with the reason why it is none.
_NOT_OPTIONS = {
    "image": "built by the test, under this name",
    "build": "the same",
    "restart": "a test wants to see the end of a service",
    "ports": "the network is nobody else's",
    "depends_on": "the test starts them in this order",
    "healthcheck": "podman needs systemd for it; `healthy` runs its command",
}
# What the images of others run where compose.yaml gives no command.
_COMMANDS = {
    "prometheus": [
        "prometheus",
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
    ],
}
# Its mounts end with it. $1 is a folder with the hosts, the secrets and the files to be mounted.
_OWN_MOUNTS = """
set -e
folder=$1; shift
mount --make-rprivate /
mount --bind "$folder/hosts" /etc/hosts
mount -t tmpfs tmpfs /run
cp -r "$folder/secrets" /run/secrets
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
exec "$@"
"""


def services_of(text: str, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services of a compose file, with variables as compose fills them in. Raises KeyError for one that must be set."""

    def value(found: re.Match[str]) -> str:
        name, how, otherwise = found[1], found[2], found[3]
        if how == ":?" and not environment.get(name):
            raise KeyError(f"{name}: {otherwise}")
        return environment.get(name) or (otherwise if how == ":-" else "")

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(it) for key, it in part.items()}
        if isinstance(part, list):
            return [filled(it) for it in part]
        return re.sub(r"\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}", value, part) if isinstance(part, str) else part

    found: dict[str, dict[str, Any]] = filled(yaml.safe_load(text)["services"])
    return found


@dataclass
class Network:
    """A network that holds nothing but a loopback and what is started in it."""

    holder: subprocess.Popen[str]
    _thread: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    @property
    def path(self) -> str:
        """Of its namespace."""
        return f"/proc/{self.holder.pid}/ns/net"

    def _enter(self) -> None:
        """This thread alone."""
        with Path(self.path).open() as namespace:
            assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NETWORK) == 0

    def ask(self, url: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and bytes of one answer; 0 where nobody listens."""
        return self._thread.submit(_ask, url, body, headers).result()

    def answer(self, url: str, body: Any = None, **headers: str) -> Any:
        """The JSON of an answer, which must be one."""
        status, told = self.ask(url, body, **headers)
        assert status == 200, (url, status, told)
        return json.loads(told)


def _ask(url: str, body: Any, headers: Mapping[str, str]) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


@contextmanager
def own_network() -> Iterator[Network]:
    """Until the context ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "up\n"
            yield Network(holder)
        finally:
            holder.kill()


@dataclass
class Composed:
    """The services of compose.yaml, those that are started, and their one network."""

    engine: Engine
    network: Network
    services: dict[str, dict[str, Any]]
    secrets: dict[str, str]
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "secrets").mkdir(parents=True)
        for name, text in self.secrets.items():
            (self.folder / "secrets" / name).write_text(text)
        (self.folder / "hosts").write_text(
            "".join(f"127.0.0.1 {name}\n" for name in ("localhost", *self.services))
        )

    @property
    def project(self) -> str:
        """What names of containers and volumes begin with."""
        return f"compose-{self.network.holder.pid}"

    def podman_run(self, service: str, *command: str, mounts: tuple[str, ...] = ()) -> list[str]:
        """A service of ours as a command of podman; with another command, as `docker compose run` has it."""
        said = self.services[service]
        name = f"{self.project}-{service}{'-once' if command else ''}"
        words = ["--name", name, "--network", f"ns:{self.network.path}"]
        words += [f"--add-host={name}:127.0.0.1" for name in self.services]
        for key, value in said.items():
            if key == "read_only":
                words += ["--read-only"] if value else []
            elif key == "cap_drop":
                words += [f"--cap-drop={it}" for it in value]
            elif key == "security_opt":
                words += [f"--security-opt={it.removesuffix(':true')}" for it in value]
            elif key == "tmpfs":
                words += [f"--tmpfs={it}" for it in value]
            elif key == "environment":
                words += [f"--env={name}={text}" for name, text in value.items()]
            elif key == "volumes":
                words += [f"--volume={self.project}-{it}" for it in value]
            else:
                assert key in {*_NOT_OPTIONS, "command"}, f"compose.yaml: {service}.{key} is not obeyed here"
        words += [f"--volume={it}" for it in mounts]
        return [
            *self.engine.podman,
            "run",
            "--rm",
            *RUN,
            *words,
            said["image"],
            *(command or said.get("command", ())),
        ]

    def program(self, service: str, *command: str) -> list[str]:
        """A service of others as a command of this machine: named volumes are folders here, files are mounted where it reads
        them, and it sees the secrets and the names of the others."""
        words = list(command or self.services[service].get("command") or _COMMANDS[service])
        mounted: list[str] = []
        for mount in self.services[service].get("volumes", ()):
            source, target = mount.split(":")[:2]
            if source.startswith("."):
                mounted += [str(ROOT / source), target]
                continue
            own = self.folder / source
            own.mkdir(exist_ok=True)
            words = [re.sub(rf"(?<=[=/]){re.escape(target)}(?=/|$)", str(own), word) for word in words]
        inside = self.beside("unshare", "--mount", "sh", "-c", _OWN_MOUNTS, "sh")
        given = [f"{name}={text}" for name, text in self.services[service].get("environment", {}).items()]
        return [*inside, str(self.folder), *mounted, "--", "env", *given, *words]

    def beside(self, *command: str) -> list[str]:
        """A command of this machine in the network of the services."""
        return ["nsenter", f"--net={self.network.path}", *command]

    def start(self, service: str, words: list[str]) -> None:
        """In the background; what it says is kept."""
        with (self.folder / f"{service}.log").open("wb") as log:
            self.running[service] = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def said(self, service: str) -> str:
        """The last of it."""
        return (self.folder / f"{service}.log").read_text(errors="replace")[-3000:]

    def healthy(self, service: str) -> bool:
        """By the service's own check, within its container."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        inside = [*self.engine.podman, "exec", f"{self.project}-{service}", *words]
        return subprocess.run(inside, capture_output=True, check=False).returncode == 0

    def end(self) -> None:
        """All that was started, and its volumes."""
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for service in self.services:
            named = [*self.engine.podman, "rm", "--force", "--ignore", f"{self.project}-{service}"]
            subprocess.run(named, capture_output=True, check=False)
        volumes = [*self.engine.podman, "volume", "rm", "--force", f"{self.project}-state"]
        subprocess.run(volumes, capture_output=True, check=False)
