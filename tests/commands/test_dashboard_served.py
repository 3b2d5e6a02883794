"""`trader dashboard --serve`: the page for this machine, and nothing but the page."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def served(week: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with the page, served, and the server's host and port."""
    out = tmp_path / "page"
    words = ["dashboard", "--store", str(week), "--out", str(out), "--serve", "--port", "0", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "trader.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield out, urlsplit(json.loads(process.stdout.readline())["url"]).netloc
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=200) == 130


def asked(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of a GET."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_page_is_for_this_machine_and_nothing_else_is_shown(served: tuple[Path, str]) -> None:
    """A stranger's page in this machine's browser gets nothing, and no link leads out of the folder."""
    out, address = served
    page = (out / "index.html").read_bytes()
    assert asked(address, "/") == asked(address, "/index.html") == (200, page)
    assert asked(address, "/", Host="evil.example")[0] == 403
    assert asked(address, "/", Origin="https://evil.example")[0] == 403
    secret = out.parent / "secret"
    secret.write_text("a key")
    (out / "way-out").symlink_to(secret)
    (out / "up").symlink_to(out.parent)
    for path in ("/way-out", "/up/secret", "/../secret", "/%2e%2e/secret"):
        status, body = asked(address, path)
        assert (status, b"a key" in body) == (404, False), path
