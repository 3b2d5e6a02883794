"""What trackers hold is what the records say: read back with the tracker's own means, hour by hour."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socket
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.observers.conftest import HOURS, START, TRIALS, Told, a_study
from trader.app.cursors import cursor_key
from trader.core.errors import ConfigError
from trader.core.hours import line_json
from trader.core.records import Cursor, HourRecord
from trader.core.types import HOUR_MS
from trader.observers.builders import make_observer
from trader.observers.tracker_content import TABLE_HOURS

# What the trackers' own libraries still use of each other is theirs to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Series = dict[str, dict[int, tuple[int, float]]]


def expected(records: list[HourRecord]) -> Series:
    """Name -> step -> (time, value), computed anew from the lines and running totals."""
    series: Series = defaultdict(dict)
    before = records[0].risk.base_equity
    for step, record in enumerate(records):
        line, totals, at = record.line, record.totals, START + step * HOUR_MS
        equity = line.equity
        series["equity_usdt"][step] = (at, float(equity))
        series["hourly_return"][step] = (at, float(equity / before - 1))
        series["exposure"][step] = (at, float(line.position * record.close / equity))
        series["close"][step] = (at, float(record.close))
        series["fees_usdt"][step] = (at, float(record.ledger.fees_usdt))
        if line.p_up is not None:
            series["p_up"][step] = (at, line.p_up)
        if totals.scored:
            series["hit_rate"][step] = (at, totals.hits / totals.scored)
        before = equity
    return series


class Mlflow:
    """An SQLite store, read with MLflow's own client."""

    def __init__(self, told: Told) -> None:
        from mlflow import MlflowClient

        self.client: Any = MlflowClient(f"sqlite:///{told.tracking / 'mlflow.db'}")

    def runs(self, experiment: str) -> list[Any]:
        """The runs of an experiment, by name."""
        found = self.client.get_experiment_by_name(experiment)
        return sorted(self.client.search_runs([found.experiment_id]), key=lambda run: run.info.run_name)

    def series(self, run: Any) -> Series:
        """Every value of every metric; one that is there twice fails."""
        series: Series = defaultdict(dict)
        for name in run.data.metrics:
            for metric in self.client.get_metric_history(run.info.run_id, name):
                assert metric.step not in series[name], f"{name} holds step {metric.step} twice"
                series[name][metric.step] = (metric.timestamp, metric.value)
        return series

    def files(self, run: Any) -> dict[str, bytes]:
        """Every artifact by its path."""
        root = Path(run.info.artifact_uri.removeprefix("file://"))
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_mlflow_holds_every_hour_order_and_study(told: Told, mlflow_database: Path) -> None:
    """A deployment's run and a study's, read back; telling everything twice changes nothing; a rebuilding is equal."""
    told.tracking.mkdir()
    shutil.copy(mlflow_database, told.tracking)
    observer = make_observer(told.settings, "mlflow")
    told.tell(observer)
    mlflow = Mlflow(told)
    deployment, study = mlflow.runs("BTCUSDT")
    series, files = mlflow.series(deployment), mlflow.files(deployment)
    assert series == expected(told.records)
    assert len(series["equity_usdt"]) == HOURS
    check_anonymous(deployment)
    check_anonymous(study)
    check_order_files(told, files)
    check_study(told, study.data.params, mlflow.series(study), mlflow.files(study))
    assert study.info.status == "FINISHED"

    (told.store / cursor_key("mlflow", "BTCUSDT")).unlink()
    told.tell(make_observer(told.settings, "mlflow"))
    again = mlflow.runs("BTCUSDT")
    assert [mlflow.series(run) for run in again] == [series, mlflow.series(study)]
    assert mlflow.files(again[0]) == files

    older = (told.tracking / "mlflow-artifacts" / "BTCUSDT-2").as_uri()
    mlflow.client.create_experiment("BTCUSDT 2", artifact_location=older)
    told.tell(observer, Cursor(edition=2), chunk_hours=None)
    for name in ("BTCUSDT", "BTCUSDT 2"):
        kind = mlflow.client.get_experiment_by_name(name).tags["mlflow.experimentKind"]
        assert kind == "custom_model_development", "else MLflow opens it as one of language models"
    rebuilt = mlflow.runs("BTCUSDT 2")
    assert [mlflow.series(run) for run in rebuilt] == [mlflow.series(run) for run in again]
    assert [mlflow.files(run) for run in rebuilt] == [mlflow.files(run) for run in again]
    assert [run.data.params for run in rebuilt] == [run.data.params for run in again]


def check_order_files(told: Told, files: dict[str, bytes]) -> None:
    """After each order a PNG, a page that needs no network, and the last hours as a table."""
    records = told.records
    orders = [i for i, record in enumerate(records) if record.line.order_side]
    assert len(orders) >= 4
    for i in orders:
        line = line_json(records[i].line)
        folder = f"orders/{line['close_time'][:13]}-{line['order_side']}"
        assert files[f"{folder}/equity-and-price.png"].startswith(b"\x89PNG\r\n")
        page = files[f"{folder}/equity-and-price.html"].decode()
        assert page.startswith("<!doctype html>")
        assert line["order_qty"] in page
        assert "<script" not in page
        assert "<svg" in page
        table = [*csv.DictReader(io.StringIO(files[f"{folder}/last-{TABLE_HOURS}-hours.csv"].decode()))]
        shown = [line_json(record.line) for record in records[: i + 1]][-TABLE_HOURS:]
        assert [row["close_time"] for row in table] == [row["close_time"] for row in shown]
        assert [row["equity"] for row in table] == [row["equity"] for row in shown]
    assert len([name for name in files if name.endswith(".png")]) == len(orders)


def check_study(told: Told, params: dict[str, str], series: Series, files: dict[str, bytes]) -> None:
    """Parameters, trial table, three charts and the best model."""
    report = a_study()
    assert params["look_back_days"] == "20"
    assert params["trials"] == str(TRIALS)
    done = {t["number"]: t["value"] for t in report["trials"] if t["value"] is not None}
    assert {step: value for step, (_, value) in series["value"].items()} == done
    assert {value for _, value in series["best_value"].values()} == {1.0}
    rows = [*csv.DictReader(io.StringIO(files["trials.csv"].decode()))]
    assert [(row["number"], row["look_back_days"]) for row in rows] == [
        (str(i), str(20 + i)) for i in range(TRIALS)
    ]
    assert json.loads(files["study.json"]) == report
    for chart in ("history", "importance", "parallel-coordinates"):
        assert files[f"{chart}.png"].startswith(b"\x89PNG\r\n")
        assert b"<svg" in files[f"{chart}.html"]
    (model,) = (told.store / "models").iterdir()
    assert files["best_model/model.ubjson"] == (model / "model").read_bytes()
    assert json.loads(files["best_model/card.json"]) == json.loads((model / "card").read_bytes())


def offline_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Neptune's offline files by the run's name: series, fields and the bytes of files, all openings joined."""
    runs: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"series": defaultdict(dict), "fields": {}, "files": {}}
    )
    for log in sorted(folder.glob(".neptune/offline/*/data-1.log"), key=lambda path: path.stat().st_mtime):
        rows = [json.loads(text)["obj"] for text in log.read_text().splitlines()]
        name = next(row["value"] for row in rows if row["path"] == ["sys", "name"])
        for row in rows:
            path = "/".join(row["path"])
            if row["type"] == "LogFloats":
                for value in row["values"]:
                    step = round(value["step"])
                    runs[name]["series"][row["path"][-1]][step] = (round(value["ts"] * 1000), value["value"])
            elif row["type"] == "UploadFile":
                runs[name]["files"][path] = (log.parent / "upload_path" / row["tmp_file_name"]).read_bytes()
            elif "value" in row:
                runs[name]["fields"][path] = row["value"]
    return runs


def test_neptunes_offline_files_hold_the_same(told: Told) -> None:
    """The very series, files and parameters, read back from the files; telling everything twice changes nothing."""
    told.tell(make_observer(told.settings, "neptune"))
    runs = offline_runs(told.tracking / "neptune")
    (deployment,) = (run for name, run in runs.items() if not name.startswith("study"))
    (study,) = (run for name, run in runs.items() if name.startswith("study"))
    assert deployment["series"] == expected(told.records)

    def as_paths(files: dict[str, bytes]) -> dict[str, bytes]:
        return {".".join(path.rsplit("_", 1)): data for path, data in files.items()}

    check_order_files(told, as_paths(deployment["files"]))
    parameters = {k.removeprefix("parameters/"): v for k, v in study["fields"].items()}
    check_study(told, parameters, study["series"], as_paths(study["files"]))
    (model,) = (told.store / "models").iterdir()
    kept = as_paths(deployment["files"])[f"models/{model.name}/model.ubjson"]
    assert kept == (model / "model").read_bytes()

    (told.store / cursor_key("neptune", "BTCUSDT")).unlink()
    told.tell(make_observer(told.settings, "neptune"))
    assert offline_runs(told.tracking / "neptune") == runs


def check_anonymous(run: Any) -> None:
    """No user, host or folder is told by this program: only what the journal says."""
    said = json.dumps([run.data.tags, run.data.params])
    assert "mlflow.user" not in said
    assert "mlflow.source" not in said
    assert socket.gethostname() not in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neptune_project": "me/bot"}, "needs both"),
        ({"neptune_project": "me/bot", "neptune_token": "x"}, "not a Neptune API token"),
        (
            {
                "neptune_project": "me/bot",
                "neptune_token": "eyJhcGlfYWRkcmVzcyI6Imh0dHBzOi8vYXBwLm5lcHR1bmUuYWkiLCJhcGlfa2V5IjoiayJ9",
            },
            r"app\.neptune\.ai.*closed on 2026-03-05",
        ),
    ],
)
def test_neptune_refuses_what_cannot_work(told: Told, settings: dict[str, str], message: str) -> None:
    """Half a setting, a token that is none, and the hosted service that is gone."""
    from trader.config import load_settings

    with pytest.raises(ConfigError, match=message):
        make_observer(load_settings(store=told.store, tracker_dir=told.tracking, **settings), "neptune")


@pytest.mark.parametrize("uri", ["ftp://host", "http://user:word@host", "sqlite:///x", "localhost:5000"])
def test_an_mlflow_server_is_an_address_without_a_password(uri: str) -> None:
    """A password in an address would stand in messages and process lists."""
    from trader.config import load_settings

    with pytest.raises(ConfigError, match="without a user") as refused:
        load_settings(mlflow_uri=uri)
    assert "word" not in str(refused.value).replace("PASSWORD", "")
