"""A real Redis server, on loopback with a password, as a child of this process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.system.radosgw import free_ports

PASSWORD = "canary-of-redis"
PATIENCE_S = 30.0


class RedisServer:
    """One that can be killed and started anew at the same address, with what it has written."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        words = f"--port {self.port} --bind 127.0.0.1 --requirepass {PASSWORD} --dir {self.folder} --appendonly yes"
        self._process = subprocess.Popen(
            ["redis-server", *words.split(), "--appendfsync", "always"], stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except redis.RedisError:
                assert time.monotonic() < end, "Redis did not come up"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A server with nothing in it."""
    made = RedisServer(folder)
    made.start()
    try:
        yield made
    finally:
        made.kill()
