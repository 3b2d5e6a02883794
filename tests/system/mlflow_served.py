"""MLflow's own server as a child process, and one over a told file that several tests look at."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.observers.conftest import Told
from trader.commands.tracker import ui_command
from trader.config import load_settings
from trader.observers.builders import make_observer

PATIENCE_S = 120


@contextmanager
def server(command: list[str], environment: dict[str, str], cwd: Path, url: str) -> Iterator[None]:
    """A server and everything it starts, until it answers and then until the context ends."""
    child = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        began = time.monotonic()
        while True:
            with contextlib.suppress(OSError):
                if get(url + "/health")[0] == 200:
                    break
            assert child.poll() is None, f"the server ended with {child.returncode}"
            assert time.monotonic() - began < PATIENCE_S, "the server does not answer"
            time.sleep(0.5)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def get(url: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    """Status and bytes of one answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class MlflowUi:
    """What `trader tracker ui` shows, and where. Tests read it and change nothing."""

    told: Told
    url: str


@contextmanager
def local_ui(told: Told) -> Iterator[MlflowUi]:
    """MLflow is told everything; then the command of `trader tracker ui` serves its file until the context ends."""
    told.tell(make_observer(told.settings, "mlflow"))
    settings = load_settings(store=told.store, tracker_dir=told.tracking, trackers="mlflow")
    port = free_port()
    command, environment = ui_command(settings, port)
    url = f"http://127.0.0.1:{port}"
    with server(command, environment, told.tracking, url):
        yield MlflowUi(told, url)
