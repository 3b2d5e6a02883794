"""MLflow's own server, started by `trader tracker ui`'s command over the tracker's file: it answers what was told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.observers.conftest import HOURS, Told, told
from tests.observers.test_trackers import Mlflow, expected
from tests.system.mlflow_served import MlflowUi, free_port, get, server
from trader.config import load_settings
from trader.observers.builders import make_observer

__all__ = ["told"]  # a fixture
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def ask(url: str, what: str, body: Any) -> Any:
    """One call of MLflow's REST interface."""
    status, text = get(f"{url}/api/2.0/mlflow/{what}", body)
    assert status == 200, text
    return json.loads(text)


def series_over_rest(
    url: str, experiment: str
) -> tuple[dict[str, Any], dict[str, dict[int, tuple[int, float]]]]:
    """The deployment's run and its metrics, asked over REST."""
    status, text = get(f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name={experiment}")
    assert status == 200, text
    experiment_id = json.loads(text)["experiment"]["experiment_id"]
    runs = ask(url, "runs/search", {"experiment_ids": [experiment_id]})["runs"]
    (run,) = [run for run in runs if not run["info"]["run_name"].startswith("study")]
    series: dict[str, dict[int, tuple[int, float]]] = {}
    for metric in run["data"]["metrics"]:
        status, text = get(
            f"{url}/api/2.0/mlflow/metrics/get-history?run_id={run['info']['run_id']}&metric_key={metric['key']}"
        )
        assert status == 200, text
        rows = json.loads(text)["metrics"]
        series[metric["key"]] = {
            int(row.get("step", 0)): (int(row["timestamp"]), row["value"]) for row in rows
        }
    return run, series


def test_the_pages_of_the_local_file_answer(mlflow_ui: MlflowUi) -> None:
    """The command of `trader tracker ui` over the told file: the page is there, REST says the records' figures, and a
    foreign Host header is refused."""
    told, url = mlflow_ui.told, mlflow_ui.url
    status, page = get(url + "/")
    assert status == 200
    assert b"<title>MLflow</title>" in page
    _, series = series_over_rest(url, "BTCUSDT")
    assert series == expected(told.records)
    assert len(series["equity_usdt"]) == HOURS
    assert get(url + "/api/2.0/mlflow/experiments/search", {"max_results": 1}, Host="evil.example")[0] == 403
    assert len(Mlflow(told).runs("BTCUSDT")) == 2


def test_a_server_is_told_over_http(told: Told, tmp_path: Path) -> None:
    """The same hours logged through a server on SQLite, told twice, read back over REST; files are fetched through it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ),
        *("--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"),
        *("--artifacts-destination", (tmp_path / "artifacts").as_uri()),
    ]
    from trader.adapters.tracker_mlflow import SERVER_ENVIRONMENT

    with server(command, SERVER_ENVIRONMENT, tmp_path, url):
        settings = load_settings(
            store=told.store, tracker_dir=told.tracking, trackers="mlflow", mlflow_uri=url
        )
        for _ in range(2):
            told.tell(make_observer(settings, "mlflow"))
            for cursor in told.store.glob("observers/mlflow/*/cursor"):
                cursor.unlink()
        run, series = series_over_rest(url, "BTCUSDT")
        assert series == expected(told.records)
        listed = [p.relative_to(tmp_path) for p in (tmp_path / "artifacts").rglob("*.png")]
        assert len([p for p in listed if "orders" in p.parts]) >= 4
        path = next(p for p in listed if "orders" in p.parts)
        inside = "/".join(path.parts[path.parts.index("orders") :])
        status, image = get(f"{url}/get-artifact?path={inside}&run_uuid={run['info']['run_id']}")
        assert status == 200
        assert image.startswith(b"\x89PNG\r\n")
    assert not (told.tracking / "mlflow.db").exists()
