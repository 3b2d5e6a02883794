"""compose.yaml's bot, server, MLflow and Prometheus, each started by what the file says, and what they say of one another.

Grafana is not started: Debian has no package of it. What its dashboard asks, Prometheus is asked here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.image.smoke import BEGIN, PARAMS, stamp
from tests.system import containers
from tests.system.compose_services import Composed, own_network, services_of
from tests.system.containers import ROOT, clean_context

pytestmark = pytest.mark.timeout(1800)  # a first build downloads a Debian base and a set of wheels

TOKEN = "t" * 32
# What a person would write into the file .env to run it on the embedded exchange.
ENVIRONMENT = {"TRADER_SERVE_TOKEN": TOKEN, "GRAFANA_PASSWORD": "p" * 32, "TRADER_VENUE": "embedded"}
EXCHANGE, MLFLOW, PROMETHEUS = "http://127.0.0.1:8900", "http://127.0.0.1:5000", "http://127.0.0.1:9090"
PATIENCE_S = 600


def until(holds: Callable[[], Any], said: Callable[[], str] = str) -> Any:
    """What `holds` returns once it is something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < end, said()
        time.sleep(1)
    return found


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """All of them, beside an embedded exchange at 60 times the wall's pace; a model is trained before the bot starts."""
    (engine,) = containers.engine()
    services = services_of((ROOT / "compose.yaml").read_text(), ENVIRONMENT)
    build = services["bot"]["build"]
    services["bot"]["image"] = services["serve"]["image"] = f"localhost/{services['bot']['image']}"
    context = clean_context(tmp_path_factory.mktemp("context") / build["context"])
    engine.build(context, services["bot"]["image"], build["args"]["TRACKERS"])
    folder = tmp_path_factory.mktemp("composed")
    with own_network() as network:
        made = Composed(engine, network, services, {"serve_token": TOKEN}, folder / "own")
        (folder / "P.json").write_text(json.dumps(PARAMS))
        trader = [sys.executable, "-m", "trader.cli", "exchange", "--synthetic", "7", "--at", stamp(BEGIN)]
        try:
            made.start("exchange", made.beside("env", f"PYTHONPATH={ROOT}", *trader, "--speed", "60"))
            until(lambda: network.ask(f"{EXCHANGE}/sim/clock")[0] == 200, lambda: made.said("exchange"))
            made.start("mlflow", made.program("mlflow", sys.executable, "-m", *services["mlflow"]["command"]))
            until(lambda: network.ask(f"{MLFLOW}/health")[0] == 200, lambda: made.said("mlflow"))
            parameters = f"{folder / 'P.json'}:/P.json:ro"
            once = made.podman_run("bot", "retrain", "--params", "/P.json", mounts=(parameters,))
            containers.run(*once)
            for name in ("bot", "serve"):
                made.start(name, made.podman_run(name))
            made.start("prometheus", made.program("prometheus"))
            yield made
        finally:
            made.end()


def test_all_are_up(composed: Composed) -> None:
    """The server's own health check passes, the bot ticks, and Prometheus, whose configuration promtool accepts, reaches both."""
    until(lambda: composed.healthy("serve"), lambda: composed.said("serve"))
    check = composed.program("prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    def up() -> dict[str, str]:
        status, told = composed.network.ask(f"{PROMETHEUS}/api/v1/targets")
        active = json.loads(told)["data"]["activeTargets"] if status == 200 else []
        return {it["labels"]["job"]: it["health"] + it["lastError"] for it in active}

    until(lambda: up() == {"bot": "up", "serve": "up"}, lambda: f"{up()} {composed.said('prometheus')}")
    assert all(process.poll() is None for process in composed.running.values())


def test_the_server_says_what_the_bot_decides(composed: Composed) -> None:
    """Refused without the token; with it, asked about an hour that the bot's journal has, it says the same P(up)."""
    url, asked = "http://127.0.0.1:8080/v1/forecast", {"symbol": "BTCUSDT"}
    assert composed.network.ask(url, asked)[0] == 401
    token = {"Authorization": f"Bearer {TOKEN}"}
    until(lambda: composed.network.ask(url, asked, **token)[0] == 200, lambda: composed.said("serve"))

    def decided() -> dict[str, Any] | None:
        inside = [*composed.engine.podman, "exec", f"{composed.project}-bot", "trader", "journal", "--jsonl"]
        lines = [json.loads(it) for it in containers.run(*inside).splitlines()]
        return next((it for it in reversed(lines) if it["p_up"] is not None), None)

    line = until(decided, lambda: composed.said("bot"))
    told = composed.network.answer(url, {**asked, "hour": line["close_time"]}, **token)
    assert (told["hour"], told["p_up"]) == (line["close_time"], line["p_up"])


def queries() -> list[str]:
    """Of every panel of the dashboard."""
    board = json.loads((ROOT / "infra/grafana/dashboards/hourly-trader.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("query", queries())
def test_every_query_of_the_dashboard_has_a_value(composed: Composed, query: str) -> None:
    """Within a few hours of trading."""
    where = f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    found = until(lambda: composed.network.answer(where)["data"]["result"], lambda: composed.said("bot"))
    assert all({"metric", "value"} <= set(it) for it in found)


def test_mlflow_is_told_of_the_hours(composed: Composed) -> None:
    """By the bot, over HTTP, at the address and under the name that compose.yaml gives."""
    where = f"{MLFLOW}/api/2.0/mlflow"

    def equity() -> list[dict[str, Any]]:
        status, told = composed.network.ask(f"{where}/experiments/get-by-name?experiment_name=BTCUSDT")
        if status != 200:
            return []
        experiment = json.loads(told)["experiment"]["experiment_id"]
        runs = composed.network.answer(f"{where}/runs/search", {"experiment_ids": [experiment]}).get(
            "runs", []
        )
        return [it for run in runs for it in run["data"].get("metrics", []) if it["key"] == "equity_usdt"]

    assert until(equity, lambda: composed.said("bot"))


def test_what_must_be_set_is_asked_for() -> None:
    """Without the token the file says how to make one."""
    with pytest.raises(
        KeyError, match="TRADER_SERVE_TOKEN: set it, such as to the output of openssl rand -hex 32"
    ):
        services_of((ROOT / "compose.yaml").read_text(), {})
