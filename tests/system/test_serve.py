"""`trader serve` under a real load generator, and in the built image."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.image.smoke import BEGIN, PARAMS, Machine, stamp
from tests.system import containers
from tests.system.containers import RUN, Engine, clean_context

pytestmark = pytest.mark.timeout(1200)  # a first build downloads a Debian base and a set of wheels

ASKED = b'{"symbol": "BTCUSDT"}'


@contextmanager
def said(words: list[str], **options: Any) -> Iterator[str]:
    """A command that runs on, by its first line."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            assert process.stdout
            yield process.stdout.readline()
        finally:
            process.terminate()
            process.wait(60)


def post(url: str, body: bytes, **headers: str) -> tuple[int, Any]:
    """Status and answer."""
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def until(holds: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_more_clients_than_it_takes_are_answered_or_told_to_come_back(tmp_path: Path) -> None:
    """wrk with 400 and with 2,000 connections: each request is answered by a forecast or 503, none is reset, each is counted, and
    the next client is answered as if nothing had been."""
    trader = [sys.executable, "-m", "trader.cli"]
    (tmp_path / "P.json").write_text(json.dumps(PARAMS))
    exchange = [*trader, "exchange", "--synthetic", "7", "--at", stamp(BEGIN), "--port", "0", "--json"]
    with said(exchange, cwd=tmp_path) as ready:
        own = {"TRADER_VENUE_URL": json.loads(ready)["url"], "TRADER_TRACKERS": "none"}
        options: dict[str, Any] = {
            "cwd": tmp_path,
            "env": {"PATH": "/usr/bin:/bin", **own, "PYTHONPATH": ":".join(sys.path)},
        }
        subprocess.run([*trader, "retrain", "--params", "P.json"], check=True, **options)
        with said([*trader, "serve", "--port", "0", "--json"], **options) as line:
            url = f"{json.loads(line)['url']}/v1/forecast"
            until(lambda: post(url, ASKED)[0] == 200)
            (tmp_path / "post.lua").write_text(f"wrk.method='POST'\nwrk.body='{ASKED.decode()}'\n")
            done, crowd = (
                subprocess.run(
                    ["wrk", "-t1", f"-c{clients}", "-d4s", "--timeout", "30s", "-s", "post.lua", url],
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                for clients in (400, 2_000)
            )
            until(lambda: post(url, ASKED)[0] == 200)  # once what they left behind is answered
            metrics = urllib.request.urlopen(url.replace("/v1/forecast", "/metrics")).read().decode()
    print(done, crowd)
    assert "Socket errors" not in done + crowd
    answered = int(re.search(r"(\d+) requests in", done)[1])  # type: ignore[index]
    refused = int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", done)) else 0
    assert answered - refused > 100
    assert refused > 0
    for what in ("request", "connection"):
        assert float(re.search(rf'shed_total{{what="{what}"}} (\S+)', metrics)[1]) > 0  # type: ignore[index]
    codes = set(re.findall(r'request_seconds_count\{code="(\d+)",route="/v1/forecast"\}', metrics))
    assert codes <= {"200", "503"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """buildah and podman, and the base image."""
    yield from containers.engine()


def test_the_image_answers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`docker run IMAGE serve`: sealed as the bot is, beyond loopback with a token only, by the model that it trained."""
    tag = "localhost/hourly-trader:serve"
    engine.build(clean_context(tmp_path_factory.mktemp("context")), tag, "no")
    folder = tmp_path_factory.mktemp("state")
    folder.chmod(0o777)
    (folder / "P.json").write_text(json.dumps(PARAMS))
    machine = Machine(engine.podman, tag, folder, list(RUN))
    exchange = machine.command("exchange", "--synthetic", "7", "--at", stamp(BEGIN), "--port", "0", "--json")
    with said(exchange) as ready:
        machine.environment["TRADER_VENUE_URL"] = json.loads(ready)["url"]
        machine.trader("retrain", "--params", "/state/P.json")
        everywhere = ("serve", "--host", "0.0.0.0", "--port", "0", "--json")  # noqa: S104 - in a container
        done = subprocess.run(machine.command(*everywhere), capture_output=True, text=True, check=False)
        assert (done.returncode, "set TRADER_SERVE_TOKEN" in done.stderr) == (2, True)
        machine.environment["TRADER_SERVE_TOKEN"] = "t" * 32
        with said(machine.command(*everywhere)) as line:
            url = json.loads(line)["url"].replace("0.0.0.0", "127.0.0.1") + "/v1/forecast"  # noqa: S104
            assert post(url, ASKED)[0] == 401
            token = {"Authorization": "Bearer " + "t" * 32}
            until(lambda: post(url, ASKED, **token)[0] == 200)
            assert post(url, ASKED, **token)[1]["p_up"] is not None
