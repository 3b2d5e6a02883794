"""A real S3 server for tests: moto's, as a child process, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import tests.support.boto_files  # noqa: F401 - every session here reads botocore's files once
from trader.adapters.store_s3 import S3Store

# moto prints nothing useful; the port is chosen by the system and written to a file. Connections are kept, and moto looks
# through its own folders once instead of twice for each request: together a third of a request's time. What moto imports for
# CloudFormation would compile the grammar of every kind of address, for ten seconds, if it found the package that does.
SERVE = """
import functools, sys, threading
from pathlib import Path
sys.modules["rfc3987_syntax"] = None
from werkzeug.serving import WSGIRequestHandler, make_server
from moto import backends
backends.list_of_moto_modules = functools.cache(lambda found=backends.list_of_moto_modules: [*found()])
from moto.server import DomainDispatcherApplication, create_backend_app
moto, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()
def answer(environ, start_response):
    if not environ.get("HTTP_IF_NONE_MATCH"):
        return moto(environ, start_response)
    with one_at_a_time:  # moto looks and then writes; S3 does both at once
        return list(moto(environ, start_response))
WSGIRequestHandler.protocol_version, WSGIRequestHandler.disable_nagle_algorithm = "HTTP/1.1", True
server = make_server("127.0.0.1", 0, answer, threaded=True)
place = Path(sys.argv[1])
place.with_suffix(".new").write_text(str(server.server_port))
place.with_suffix(".new").rename(place)
server.serve_forever()
"""


@dataclass
class Bucketry:
    """An S3 server and how one signs in there."""

    url: str
    key: str = "test-key"
    secret: str = "test-secret"
    numbers: Iterator[int] = field(default_factory=count)
    _clients: dict[str, Any] = field(default_factory=dict)  # making one costs more than a hundred requests

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 reads."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    def client(self) -> Any:
        """A plain client, made once."""
        import boto3

        if "plain" in self._clients:
            return self._clients["plain"]
        from botocore.config import Config

        made = self._clients["plain"] = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=Config(s3={"addressing_style": "path"}),
        )
        return made

    def bucket(self) -> str:
        """A new bucket's name."""
        name = f"bucket-{os.getpid()}-{next(self.numbers)}"
        self.client().create_bucket(Bucket=name)
        return name

    def store(self, bucket: str, prefix: str = "", url: str = "", timeout_s: float = 5.0) -> S3Store:
        """A store in a bucket, at the server itself or through a proxy; it hardly waits between tries. Stores at the same
        place share a client, as threads may."""
        made = S3Store(
            bucket,
            prefix,
            region="us-east-1",
            endpoint_url=url or self.url,
            timeout_s=timeout_s,
            _sleep=lambda _: time.sleep(0.001),
        )
        place = f"{url} {timeout_s}"
        made._made = self._clients.get(place)
        self._clients[place] = made.client
        return made


@contextmanager
def moto(folder: Path) -> Iterator[Bucketry]:
    """moto's server in a process of its own."""
    place = folder / "moto-port"
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(place)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 200
        while not place.exists():
            assert child.poll() is None, "moto ended"
            assert time.monotonic() < deadline, "moto did not start"
            time.sleep(0.02)
        url = f"http://127.0.0.1:{place.read_text()}"
        urllib.request.urlopen(url + "/moto-api/", timeout=30).close()
        yield Bucketry(url)
    finally:
        child.kill()
        child.wait(30)
