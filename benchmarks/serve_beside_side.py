"""`trader serve` beside one replica of Ray Serve, or beside itself with a Temporal Fusion Transformer, in a network of their own;
prints one line of JSON.

python -m benchmarks.serve_beside_side '{"part": "ray", "folder": "/tmp/ray-x", "bars": "BTCUSDT-1h.parquet", "seconds": 2,
    "trees": 20, "epochs": 1, "hours": 20}'
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from backtest.executors.own_network import entered
from backtest.executors.ray_broker import NOT_FOUND
from benchmarks import serve_load, serve_rows
from benchmarks.scene import params_file
from benchmarks.serve_beside import Beside
from tests.system import serve_on_ray as ray_kit
from trader.adapters.files import read_bars
from trader.core.features import features, preset_named
from trader.core.types import HOUR_MS, iso, parse_hour

AT = parse_hour("2021-12-01")
NEWEST = json.dumps({"symbol": "BTCUSDT", "hour": None, "horizon_hours": 1}).encode()
HEADER = f"Authorization: Bearer {ray_kit.TOKEN}"
TFT = {"family": "tft", "encoder_hours": 24, "forecast_hours": 6, "hidden_size": 16, "attention_heads": 2}


def main() -> None:
    """Prepare, then one server after the other."""
    asked = Beside(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray's processes talk to whoever reads their parent
    if not entered():
        raise SystemExit("this system lets no process have a network of its own, which Ray needs here")
    folder = Path(asked.folder)
    os.chdir(folder)
    _settle(folder)
    words = (
        "exchange",
        "--bars",
        asked.bars,
        "--symbol",
        "BTCUSDT",
        "--at",
        iso(AT),
        "--port",
        "0",
        "--json",
    )
    with _said(*words) as line:
        os.environ["TRADER_VENUE_URL"] = json.loads(line)["url"]
        print(json.dumps(_found(asked, folder)), file=answers, flush=True)


def _settle(folder: Path) -> None:
    """Ray in this folder and network alone, as patient as its test has it."""
    stubs = folder / "stubs"
    stubs.mkdir()
    (stubs / f"{NOT_FOUND[0]}.py").write_text("raise ModuleNotFoundError\n")
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_LOG_TO_STDERR": "1",
        "RAY_TMPDIR": str(folder),
        "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
        "TRADER_TRACKERS": "none",
        "TRADER_SERVE_TOKEN": ray_kit.TOKEN,
        "PYTHONPATH": os.pathsep.join([str(stubs), *filter(None, sys.path)]),
        **{name: str(value) for name, value in ray_kit.PATIENT.items()},
    }


def _found(asked: Beside, folder: Path) -> dict[str, Any]:
    params = params_file(folder, "trees", n_estimators=asked.trees)
    model_id = json.loads(_printed("retrain", "--params", str(params), "--json"))["model_id"]
    return _ray(asked, model_id) if asked.part == "ray" else _tft(asked, model_id, params)


def _ray(asked: Beside, model_id: str) -> dict[str, Any]:
    """uvicorn and Ray Serve with the same store and the same requests."""
    _printed("export", model_id, "--format", "onnx", "--out", "model.onnx")
    X = features(read_bars(Path(asked.bars), "BTCUSDT"), preset_named("reference"), AT - HOUR_MS, AT)
    bodies = {
        "the newest hour": ("/v1/forecast", NEWEST),
        "a row by ONNX": (f"/v2/models/{model_id}/infer", serve_rows.as_json(X[:1])),
    }
    with _served(model_id, "--runtime", "onnx") as url:
        told, uvicorn = _answers(url, bodies), _measured(url, bodies, asked.seconds)
    with _on_ray(model_id) as url:
        same, ray = _answers(url, bodies), _measured(url, bodies, asked.seconds)
    return {"uvicorn": uvicorn, "ray": ray, "equal": told == same}


def _tft(asked: Beside, model_id: str, params: Path) -> dict[str, Any]:
    """Trees, and a small network in a store of its own, trained on the same bars."""
    trees = _hours(asked, model_id)
    model = {**TFT, "epochs": asked.epochs}
    Path("tft.json").write_text(json.dumps(json.loads(params.read_text()) | {"model": model}))
    os.environ["TRADER_STORE"] = "state-tft"
    began = time.monotonic()
    network_id = json.loads(_printed("retrain", "--params", "tft.json", "--json"))["model_id"]
    trained_s = time.monotonic() - began
    said = ", ".join(f"{name} {value}" for name, value in model.items() if name != "family")
    found = {**_hours(asked, network_id), "trained_s": trained_s, "parameters": said}
    return {"trees": trees, "tft": found}


def _hours(asked: Beside, model_id: str) -> dict[str, Any]:
    """The newest hour at 300 requests a second, then past hours, each once."""
    with _served(model_id) as url:
        return _waits(url, "/v1/forecast", NEWEST, 300, asked.seconds) | _past_hours(url, asked.hours)


def _measured(url: str, bodies: dict[str, tuple[str, bytes]], seconds: float) -> dict[str, dict[str, Any]]:
    """Rate of eight clients, and waits at 100 requests a second, of each body."""
    found = {}
    for what, (path, body) in bodies.items():
        rate = serve_load.wrk(f"{url}{path}", body, _client_core(), 8, seconds, (HEADER,))
        if rate.refused or rate.failed:
            raise SystemExit(f"{what} at {url}: {rate}")
        found[what] = {"rate": rate.per_second, **_waits(url, path, body, 100, seconds)}
    return found


def _waits(url: str, path: str, body: bytes, per_second: float, seconds: float) -> dict[str, Any]:
    waits = serve_load.open_loop(f"{url}{path}", body, per_second, 2 * seconds, headers=(HEADER,))
    p50, p99 = (1_000 * waits.percentile(share) for share in (0.5, 0.99))
    return {"p50_ms": p50, "p99_ms": p99, "codes": dict(waits.codes)}


def _past_hours(url: str, many: int) -> dict[str, Any]:
    """Median milliseconds of hours that were not asked for before."""
    spent = []
    with requests.Session() as link:
        link.headers["Authorization"] = f"Bearer {ray_kit.TOKEN}"
        for n in range(many + 1):
            body = {"symbol": "BTCUSDT", "hour": iso(AT - (n + 1) * HOUR_MS)}
            began = time.perf_counter()
            reply = link.post(f"{url}/v1/forecast", json=body, timeout=60)
            spent.append(time.perf_counter() - began)
            if reply.status_code != 200:
                raise SystemExit(f"{body}: {reply.text}")
    return {"hour_ms": 1_000 * statistics.median(spent[1:]), "hours": many}


def _answers(url: str, bodies: dict[str, tuple[str, bytes]]) -> list[Any]:
    """What is answered to each body."""
    head = {"Authorization": f"Bearer {ray_kit.TOKEN}"}
    return [
        requests.post(f"{url}{path}", body, headers=head, timeout=60).json() for path, body in bodies.values()
    ]


@contextmanager
def _served(model_id: str, *words: str) -> Iterator[str]:
    """`trader serve` of a model on the server's core, once it answers."""
    with _said("serve", "--port", "0", "--json", "--model", model_id, *words, core=_server_core()) as line:
        url = str(json.loads(line)["url"])
        _until(lambda: _answers(url, {"": ("/v1/forecast", NEWEST)})[0].get("p_up") is not None)
        yield url


@contextmanager
def _on_ray(model_id: str) -> Iterator[str]:
    """One replica of Ray Serve, Ray's own processes on the same core."""
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    from trader.serving.on_ray import application

    head = {"num_cpus": 4, "node_ip_address": "127.0.0.1", "object_store_memory": 100_000_000}
    others = _processes()
    threading.Thread(target=ray_kit.agents_ports, args=(Path.cwd(),), daemon=True).start()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**head, **ray_kit.PORTS, "include_dashboard": False, "no_monitor": True},
    )
    ray.init(cluster.address, configure_logging=False, log_to_driver=False)
    try:
        ray_kit.insisted(lambda: serve.start(http_options={"host": "127.0.0.1", "port": ray_kit.PORT}))
        words = {"replicas_min": "1", "replicas_max": "1", "runtime": "onnx", "model": model_id}
        serve.run(application(words), name="bot", route_prefix="/")
        for process in _processes() - others:
            _pin(process, _server_core())
        _pin(os.getpid(), _client_core())  # the driver, whose threads only wait, and the client
        yield ray_kit.URL
    finally:
        os.sched_setaffinity(0, CORES)
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def _processes() -> set[int]:
    """All that are there: this process's own and Ray's, for whoever measures has a process namespace of its own."""
    return {int(it.name) for it in Path("/proc").iterdir() if it.name.isdigit()}


def _pin(process: int, core: int) -> None:
    """All threads of a process to a core."""
    for task in Path(f"/proc/{process}/task").glob("*"):
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(int(task.name), {core})


CORES = sorted(os.sched_getaffinity(0))


def _server_core() -> int:
    return CORES[0]


def _client_core() -> int:
    return CORES[-1]


def _printed(*words: str) -> str:
    done = subprocess.run(ray_kit.trader(*words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"trader {' '.join(words)} ended with {done.returncode}: {done.stderr[-600:]}")
    return done.stdout


@contextmanager
def _said(*words: str, core: int | None = None) -> Iterator[str]:
    """A command that goes on, by its first line."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with subprocess.Popen([*pinned, *ray_kit.trader(*words)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline() if process.stdout else ""
        finally:
            process.terminate()


def _until(holds: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("trader serve does not answer")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
