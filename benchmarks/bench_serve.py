"""`trader serve` on one core: its rate beside an echo by FastAPI, waits at a rate, load beyond it, many rows at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import serve_beside, serve_load, serve_rows
from benchmarks.figure import Figure
from benchmarks.scene import ROOT, bars, bars_file, median, params_file, process, trader
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.core.features import features, preset_named
from trader.core.types import HOUR_MS, Matrix, iso, parse_hour
from trader.serving.model import load_served
from trader.serving.schemas import Runtime

AT = parse_hour("2021-12-01")
NEWEST = json.dumps({"symbol": "BTCUSDT", "hour": None, "horizon_hours": 1}).encode()


@dataclass(frozen=True, slots=True)
class Size:
    """seconds of each measurement, rounds of rates, asks of many rows, a second at which waits are taken, trees, epochs of the
    network beside them, past hours that are asked for."""

    seconds: float = 5.0
    rounds: int = 5
    many: int = 20
    per_second: float = 300.0
    trees: int = 355
    epochs: int = 3
    hours: int = 100


def run() -> list[Figure]:
    """As often as a median needs."""
    return _figures(Size())


def run_small() -> list[Figure]:
    """A second of each, at a tenth of the rate."""
    return _figures(Size(seconds=1.0, rounds=1, many=3, per_second=30.0, trees=20, epochs=1, hours=10))


def _figures(size: Size) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _by_uvicorn(size, folder)
        beside = serve_beside.figures(bars_file(folder), size.seconds, size.trees, size.epochs, size.hours)
    return found + beside


def _by_uvicorn(size: Size, folder: Path) -> list[Figure]:
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    with (
        _prepared(folder, size) as scene,
        scene.echo(server_core) as echo,
        scene.served("native", server_core) as native,
        scene.served("onnx", server_core) as onnx,
    ):
        found = _rates(size, client_core, echo, native.url, onnx.url, scene)
        os.sched_setaffinity(0, {client_core})
        try:
            found += _waits(size, native.url)
            served: dict[Runtime, serve_rows.Server] = {"native": native, "onnx": onnx}
            for runtime, server in served.items():
                model = load_served(scene.journal, scene.model_id, runtime)
                found += serve_rows.many_rows(server, model, scene.X, size.many, server_core)
        finally:
            os.sched_setaffinity(0, cores)
        found += _overload(size, client_core, native.url)
    return found


@dataclass(frozen=True, slots=True)
class Scene:
    """A store with a model and its export, an exchange, and rows of real features."""

    folder: Path
    url: str
    model_id: str
    X: Matrix

    @property
    def journal(self) -> Journal:
        """What the store says."""
        return Journal(LocalStore(self.folder / "state"), "BTCUSDT")

    @property
    def environment(self) -> dict[str, str]:
        """Of the commands."""
        own = {"TRADER_VENUE_URL": self.url, "TRADER_TRACKERS": "none", "PYTHONPATH": str(ROOT)}
        return {**{k: v for k, v in os.environ.items() if not k.startswith("TRADER_")}, **own}

    @contextmanager
    def served(self, runtime: str, core: int) -> Iterator[serve_rows.Server]:
        """`trader serve` on a core, once it answers."""
        words = trader("serve", "--port", "0", "--json", "--runtime", runtime)
        with _pinned(words, core, self.folder, self.environment) as (line, pid):
            url = str(json.loads(line)["url"])
            until = time.monotonic() + 60
            while _post(f"{url}/v1/forecast", NEWEST)[0] != 200:
                if time.monotonic() > until:
                    raise RuntimeError(f"trader serve --runtime {runtime} does not answer")
                time.sleep(0.2)
            yield serve_rows.Server(url, pid)

    @contextmanager
    def echo(self, core: int) -> Iterator[str]:
        """The address of the echo on a core."""
        side = str(Path(__file__).with_name("serve_side.py"))
        with _pinned([sys.executable, side], core, self.folder, self.environment) as (line, _):
            yield line.strip()


@contextmanager
def _pinned(words: list[str], core: int, cwd: Path, env: dict[str, str]) -> Iterator[tuple[str, int]]:
    """The first line of a command on a core, and its process."""
    pinned = ["taskset", "-c", str(core), *words]
    with subprocess.Popen(
        pinned, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd, env=env
    ) as child:
        try:
            yield child.stdout.readline() if child.stdout else "", child.pid
        finally:
            child.terminate()


@contextmanager
def _prepared(folder: Path, size: Size) -> Iterator[Scene]:
    file = bars_file(folder)
    words = trader(
        "exchange", "--bars", str(file), "--symbol", "BTCUSDT", "--at", iso(AT), "--port", "0", "--json"
    )
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=folder) as exchange:
        try:
            url = json.loads(exchange.stdout.readline() if exchange.stdout else "")["url"]
            env = {"TRADER_VENUE_URL": url, "TRADER_TRACKERS": "none"}
            params = params_file(folder, "P", n_estimators=size.trees)
            said = process(trader("retrain", "--params", str(params), "--json"), env, folder).said
            model_id = json.loads(said)["model_id"]
            process(trader("export", model_id, "--format", "onnx", "--out", "model.onnx"), env, folder)
            preset = preset_named("reference")
            X = features(bars(folder), preset, AT - 1_024 * HOUR_MS, AT)
            yield Scene(folder, url, model_id, X)
        finally:
            exchange.terminate()


def _rates(size: Size, core: int, echo: str, native: str, onnx: str, scene: Scene) -> list[Figure]:
    """Rates beside the echo of the same body, taken in turn."""
    if not serve_load.has_wrk():
        return [
            Figure("the newest hour, of an echo's rate", None, "at least", 0.7, note="apt-get install wrk")
        ]
    one, infer = serve_rows.as_json(scene.X[:1]), f"/v2/models/{scene.model_id}/infer"
    asked = {
        "the newest hour": (f"{native}/v1/forecast", NEWEST, 0.7),
        "a row by ONNX": (f"{onnx}{infer}", one, 0.7),
        "a row by XGBoost itself": (f"{native}{infer}", one, None),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    refused = 0
    for _ in range(size.rounds):
        for name, (url, body, _target) in asked.items():
            theirs = serve_load.wrk(f"{echo}/echo", body, core, 8, size.seconds)
            ours = serve_load.wrk(url, body, core, 8, size.seconds)
            refused += ours.refused
            found[name].append((ours.per_second, theirs.per_second))
    figures = [Figure("refused at these rates", refused, "exactly", 0, is_result=True)]
    for name, pairs in found.items():
        note = f"medians of {len(pairs)}: {median([a for a, _ in pairs]):.0f} and {median([b for _, b in pairs]):.0f} a second"
        target = asked[name][2]
        ratio = median([ours / theirs for ours, theirs in pairs])
        figures.append(
            Figure(f"{name}, of an echo's rate", ratio, "at least" if target else None, target, note=note)
        )
    return figures


def _waits(size: Size, url: str) -> list[Figure]:
    """By a schedule: waits count from when a request was due."""
    waits = serve_load.open_loop(f"{url}/v1/forecast", NEWEST, size.per_second, 2 * size.seconds)
    middle, longest = waits.percentile(0.5) * 1000, max(waits.seconds) * 1000
    note = f"median {middle:.1f} ms, longest {longest:.0f} ms; by status {dict(waits.codes)}"
    name = f"99 % of waits at {size.per_second:g} requests a second"
    answered = waits.codes[200] / max(1, sum(waits.codes.values()))
    return [
        Figure(name, waits.percentile(0.99) * 1000, "at most", 20, "ms", note),
        Figure("answered at that rate", answered, "at least", 0.999),
    ]


def _overload(size: Size, core: int, url: str) -> list[Figure]:
    """Ten times as many as above by a schedule, and more clients than it answers: what it cannot answer is 503 at once."""
    rate = 10 * size.per_second
    waits = serve_load.open_loop(f"{url}/v1/forecast", NEWEST, rate, size.seconds, 1_000)
    shares = ", ".join(f"{code}: {waits.share(code):.1%}" for code in sorted(waits.codes))
    failed = f"; failed: {dict(waits.failures)}" if waits.failures else ""
    answered = f"by status {shares}{failed}; the client has at most 1,000 connections"
    longest = max(waits.seconds)
    note = f"from when it was due: median {waits.percentile(0.5):.2f} s, longest {longest:.2f} s with the client's own queue"
    figures = [
        Figure(
            f"answered by 200 or 503 at {rate:,g} requests a second",
            waits.share(200, 503),
            "at least",
            0.999,
            note=answered,
        ),
        Figure(
            "longest wait at that rate, from when it was sent", max(waits.from_sent), "at most", 1, "s", note
        ),
    ]
    if serve_load.has_wrk():
        full = serve_load.wrk(f"{url}/v1/forecast", NEWEST, core, 400, size.seconds)
        note = (
            f"{full.per_second:.0f} answers a second, {full.refused / max(1, full.requests):.1%} of them 503"
        )
        figures += [
            Figure("longest wait of 400 clients at once", full.longest_s, "at most", 1, "s", note),
            Figure("of their requests those without an answer", full.failed, "exactly", 0, is_result=True),
        ]
    until = time.monotonic() + 10  # what those clients left behind is answered first
    while (status := _post(f"{url}/v1/forecast", NEWEST)[0]) != 200 and time.monotonic() < until:
        time.sleep(0.2)
    slow = _slow_answers(url)
    return [
        *figures,
        Figure("requests that the server itself took over 1 s for", slow, "exactly", 0),
        Figure("status after that", status, "exactly", 200, is_result=True),
    ]


def _slow_answers(url: str) -> float:
    """Of all answers so far those beyond a second, by the server's own histogram."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as reply:  # noqa: S310 - loopback
        lines = reply.read().decode().splitlines()

    def total(start: str, inside: str) -> float:
        return sum(float(it.rsplit(" ", 1)[1]) for it in lines if it.startswith(start) and inside in it)

    name = "trader_serve_request_seconds"
    return total(f"{name}_count{{", "") - total(f"{name}_bucket{{", 'le="1.0"')


def _post(url: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - the same
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:  # it does not listen yet
        return 0, None
