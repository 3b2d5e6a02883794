"""A whole Ray Serve in a network of its own, asked by many while replicas come and go; says as JSON what came of it.

    python -m tests.system.serve_on_ray FOLDER

FOLDER holds a store, bars and the exchange's clock as `prepared` leaves them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import requests

from backtest.executors.own_network import entered
from tests.system.ray_nodes import insisted

TOKEN = "t" * 32
PORT = 8000
URL = f"http://127.0.0.1:{PORT}"
ASKED: tuple[dict[str, Any], ...] = (
    {"symbol": "BTCUSDT"},
    {"symbol": "BTCUSDT", "hour": "2022-01-23T02:00:00Z"},
    {"requests": [{"symbol": "BTCUSDT"}, {"symbol": "NONE"}]},
    {"symbol": "NONE"},
)


def main() -> None:
    """Prepare, serve by uvicorn and by Ray, compare, load, unload."""
    assert entered(), "no network of its own"
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray's processes talk to whoever reads their parent
    os.chdir(folder)
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_LOG_TO_STDERR": "1",
        "RAY_TMPDIR": str(folder),
        "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
        "TRADER_TRACKERS": "none",
        "TRADER_SERVE_TOKEN": TOKEN,
    }
    path = os.pathsep.join(filter(None, sys.path))
    exchange = started("exchange", "--synthetic", "7", "--at", "2022-01-23T01:00Z", "--json")
    try:
        prepared()
        told = by_uvicorn()
        os.environ["PYTHONPATH"] = path
        print(json.dumps(by_ray(told)), file=answers, flush=True)
    finally:
        exchange.kill()
        exchange.wait()


def trader(*words: str) -> list[str]:
    """The command of this environment."""
    return [sys.executable, "-m", "trader.cli", *words]


def started(*words: str) -> subprocess.Popen[str]:
    """A command that says a line when it is ready."""
    process = subprocess.Popen(trader(*words), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline()
    return process


def prepared() -> None:
    """A model, and an hour that it serves."""
    trees = {"family": "xgboost", "n_estimators": 20}
    Path("P.json").write_text(json.dumps({"look_back_days": 30, "model": trees}))
    subprocess.run(trader("retrain", "--params", "P.json"), check=True)
    requests.post("http://127.0.0.1:8900/sim/clock", json={"to": "2022-01-23T03:00:05Z"}, timeout=20)


def asked(body: Any) -> tuple[int, Any]:
    """Status and answer of one request."""
    reply = requests.post(
        f"{URL}/v1/forecast", json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
    )
    return reply.status_code, reply.json()


def by_uvicorn() -> list[tuple[int, Any]]:
    """What `trader serve` answers."""
    process = started("serve", "--port", str(PORT), "--json")
    try:
        return [asked(body) for body in ASKED]
    finally:
        process.terminate()
        process.wait(60)


def by_ray(told: list[tuple[int, Any]]) -> dict[str, Any]:
    """What Ray Serve answers, and what becomes of requests while its replicas come and go."""
    import ray
    from ray import serve

    from trader.serving.on_ray import NAME, application

    started_ray = partial(
        ray.init,
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
        configure_logging=False,
        log_to_driver=False,
    )
    insisted(started_ray)

    def replicas() -> int:
        states = serve.status().applications["bot"].deployments[NAME].replica_states
        return int(dict(states).get("RUNNING", 0))

    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    words = {"replicas_min": "1", "replicas_max": "2", "downscale_delay_s": "3"}
    serve.run(application(words), name="bot", route_prefix="/")
    said = [asked(body) for body in ASKED]
    codes: Counter[int] = Counter()
    without = requests.post(f"{URL}/v1/forecast", json=ASKED[0], timeout=60).status_code
    busy = hammered(24, codes, lambda: replicas() == 2)
    most = replicas()
    calm = hammered(2, codes, lambda: replicas() == 1)
    began = time.perf_counter()
    for _ in range(200):
        asked(ASKED[0])
    rate = 200 / (time.perf_counter() - began)
    serve.shutdown()
    ray.shutdown()
    return {
        "equal": said == told,
        "said": said,
        "told": told,
        "codes": codes,
        "without_token": without,
        "most_replicas": most,
        "scaled_up": busy,
        "scaled_down": calm,
        "one_client_a_second": round(rate, 1),
    }


def hammered(threads: int, codes: Counter[int], over: Callable[[], bool], patience_s: float = 120) -> bool:
    """Whether `over` came about while so many threads asked without end; the status of every answer is counted."""
    stop, lock = threading.Event(), threading.Lock()

    def ask() -> None:
        while not stop.is_set():
            try:
                code, _ = asked(ASKED[0])
            except requests.RequestException:
                code = 0
            with lock:
                codes[code] += 1

    crew = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in crew:
        thread.start()
    until = time.monotonic() + patience_s
    came = False
    while not came and time.monotonic() < until:
        time.sleep(0.5)
        came = over()
    time.sleep(1)
    stop.set()
    for thread in crew:
        thread.join()
    return came


if __name__ == "__main__":
    main()
