"""A study with every state of a trial, and what an export of it must be, whatever the database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from backtest.study.rounds import rungs_of
from backtest.study.tune import SearchTask, tune
from tests.support.bars_made import bars_made
from tests.support.quick_forecaster import QuickForecaster
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import Filters, parse_hour

FROM, TO, WINDOWS = "2021-07-12", "2021-08-01", 10
REASON = "window 3: too few hours to fit"
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def study_made(folder: Path) -> list[dict[str, Any]]:
    """Nine trials of a quick family, some of them pruned, and a tenth that failed; the lines of its journal by number."""
    bars = bars_made(5_200, 4)
    params = params_of({**DEFAULT_PARAMS, "step_days": 2}, "a test")
    filters = Filters.derived(float(bars.close[bars.row(parse_hour(FROM))]))
    task = SearchTask(QuickForecaster(), bars, params, filters, parse_hour(FROM), parse_hour(TO), "made bars")
    tune(task, trials=9, seed=5, batch=3, folder=folder)
    journal = folder / "journal.jsonl"
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    gone: Any = {
        "value": None,
        "traded_value": None,
        "net_return": None,
        "rungs": [],
        "candidates": [],
        "orders": 0,
    }
    failed = {**rows[0], **gone, "number": 9, "state": "failed", "windows_run": 3, "reason": REASON}
    with journal.open("a") as file:
        file.write(json.dumps(failed) + "\n")
    return sorted([*rows, failed], key=lambda row: int(row["number"]))


def export(folder: Path, url: str, *more: str) -> subprocess.Popen[str]:
    """`backtest study export` in a process of its own."""
    words = [sys.executable, "-m", "backtest.cli", "study", "export", str(folder), "--storage", url, *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def done(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it answered."""
    out, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    answer: dict[str, Any] = json.loads(out)
    return answer


def assert_exported(url: str, name: str, rows: list[dict[str, Any]]) -> None:
    """Every trial under its number: state, value, point of the space with its bounds, values at its rungs, why it failed."""
    storage = optuna.storages.RDBStorage(url)
    try:
        _assert_same(optuna.load_study(study_name=name, storage=storage), rows)
    finally:
        storage.engine.dispose()


def _assert_same(study: optuna.Study, rows: list[dict[str, Any]]) -> None:
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["net Sharpe, a year"]
    told = study.user_attrs
    assert (told["symbol"], told["from"], told["seed"]) == ("BTCUSDT", f"{FROM}T00:00:00Z", 5)
    assert [trial.number for trial in study.trials] == list(range(len(rows)))
    for trial, row in zip(study.trials, rows, strict=True):
        assert trial.state == _STATES[row["state"]]
        assert trial.value == row["value"]
        assert trial.params == row["suggestion"]
        assert set(trial.distributions) == set(trial.params)
        assert trial.intermediate_values == dict(zip(rungs_of(WINDOWS), row["rungs"], strict=False))
        assert trial.user_attrs.get("reason", "") == row["reason"]
        assert trial.user_attrs["params"] == row["params"]
        assert trial.user_attrs["windows"] == row["windows_run"]
    assert {row["state"] for row in rows} == set(_STATES)
    assert any(trial.intermediate_values for trial in study.trials)
    assert (
        study.best_trial.number
        == max((row for row in rows if row["state"] == "complete"), key=lambda row: float(row["value"]))[
            "number"
        ]
    )
