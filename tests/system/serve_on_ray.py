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
from pathlib import Path
from typing import Any

import requests

from backtest.executors.own_network import entered
from backtest.executors.ray_broker import NOT_FOUND

PATIENCE_S = 300
# Ray's node ends where its agents have not said in 15 s which ports they listen on. That cannot be set (Ray's issue 65983), and
# beside other work the agents take a minute. So their ports are given, and `agents_ports` writes what the agents would write.
# Nobody else is in this network, so that the ports are free.
PORTS = {
    "metrics_agent_port": 21_001,
    "metrics_export_port": 21_002,
    "dashboard_agent_listen_port": 21_003,
    "runtime_env_agent_port": 21_004,
}
# What can be set: how long workers, agents and proxies may take beside other work.
PATIENT = {
    "RAY_worker_register_timeout_seconds": PATIENCE_S,
    "RAY_agent_register_timeout_ms": 1_000 * PATIENCE_S,
    "RAY_raylet_start_wait_time_s": PATIENCE_S,
    "RAY_gcs_server_port_wait_time_s": PATIENCE_S,
    "RAY_gcs_server_request_timeout_seconds": PATIENCE_S,
    "RAY_health_check_timeout_ms": 1_000 * PATIENCE_S,
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": PATIENCE_S,
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": PATIENCE_S,
}
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
        **{name: str(value) for name, value in PATIENT.items()},
    }
    # Without this module Ray's processes do not spend five seconds each on a grammar of addresses that nobody here checks.
    (folder / "stubs").mkdir()
    (folder / "stubs" / f"{NOT_FOUND[0]}.py").write_text("raise ModuleNotFoundError\n")
    path = os.pathsep.join([str(folder / "stubs"), *filter(None, sys.path)])
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
        f"{URL}/v1/forecast", json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE_S
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
    from ray.cluster_utils import Cluster

    from trader.serving.on_ray import NAME, application

    head = {"num_cpus": 4, "node_ip_address": "127.0.0.1", "object_store_memory": 100_000_000, **PORTS}
    began = time.monotonic()
    threading.Thread(target=agents_ports, args=(Path.cwd(),), daemon=True).start()
    cluster = Cluster(
        initialize_head=True, head_node_args={**head, "include_dashboard": False, "no_monitor": True}
    )
    ray.init(cluster.address, configure_logging=False, log_to_driver=False)
    started_s = time.monotonic() - began

    def replicas() -> int:
        states = serve.status().applications["bot"].deployments[NAME].replica_states
        return int(dict(states).get("RUNNING", 0))

    insisted(lambda: serve.start(http_options={"host": "127.0.0.1", "port": PORT}))
    words = {"replicas_min": "1", "replicas_max": "2", "downscale_delay_s": "3"}
    serve.run(application(words), name="bot", route_prefix="/")
    said = [asked(body) for body in ASKED]
    codes: Counter[int] = Counter()
    without = requests.post(f"{URL}/v1/forecast", json=ASKED[0], timeout=PATIENCE_S).status_code
    busy = hammered(24, codes, lambda: replicas() == 2)
    most = replicas()
    calm = hammered(2, codes, lambda: replicas() == 1)
    began = time.perf_counter()
    for _ in range(200):
        asked(ASKED[0])
    rate = 200 / (time.perf_counter() - began)
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()
    return {
        "node_started_s": round(started_s, 1),
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


def agents_ports(folder: Path) -> None:
    """As soon as Ray's session has a node, say the ports of its agents in the files that the node waits for."""
    first = "gcs_server_port_"
    until = time.monotonic() + PATIENCE_S
    while not (found := list(folder.glob(f"ray/session_2*/{first}*"))):
        assert time.monotonic() < until
        time.sleep(0.05)
    node_id = found[0].name.removeprefix(first)
    for name, port in PORTS.items():
        part = found[0].with_name(f"{name}.part")
        part.write_text(str(port))
        part.rename(found[0].with_name(f"{name}_{node_id}"))


def insisted(start: Callable[[], Any], tries: int = 5) -> Any:
    """Ray Serve gives its proxy 60 s to be there, and one that comes later is there at the next try."""
    for left in reversed(range(tries)):
        try:
            return start()
        except TimeoutError:
            if not left:
                raise
    raise AssertionError(tries)


def hammered(threads: int, codes: Counter[int], over: Callable[[], bool]) -> bool:
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
    until = time.monotonic() + PATIENCE_S
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
