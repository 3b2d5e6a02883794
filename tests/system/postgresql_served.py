"""A real PostgreSQL server, on loopback with a password, as a child of this process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.radosgw import free_ports

PASSWORD = "canary-of-the-server"
PATIENCE_S = 60


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database. The server refuses to run as root, so root starts it as Debian's own user."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    (port,) = free_ports(1)
    as_user: list[str] = []
    if os.getuid() == 0:
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    (tools,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    data = folder / "data"
    try:
        subprocess.run(
            [
                *as_user,
                tools / "initdb",
                "--no-sync",
                "-A",
                "scram-sha-256",
                f"--pwfile={secret}",
                "-U",
                "me",
                "-D",
                data,
            ],
            check=True,
            capture_output=True,
            timeout=PATIENCE_S,
            cwd=folder,
        )
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off")
        options = [word for it in settings for word in ("-c", it)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_user, tools / "postgres", "-D", data, "-p", str(port), *options], stderr=log, cwd=folder
            )
        try:
            stop = time.monotonic() + PATIENCE_S
            while subprocess.run([tools / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < stop, "PostgreSQL did not come up"
                time.sleep(0.1)
            yield f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # it does not wait for its clients
            server.wait(PATIENCE_S)
    finally:
        shutil.rmtree(folder)
