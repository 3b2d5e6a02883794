"""The notebook `examples/pipeline.ipynb` runs from its first cell to its last, and each run makes what it says it makes."""

from __future__ import annotations

import base64
import csv
import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from trader.core.forecast import LEVELS

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "pipeline.ipynb"
DECISIONS = ["backtest/BTCUSDT/arima", "backtest/BTCUSDT/xgboost", "publish", "plot"]
pytestmark = [
    # Sockets and an event loop of Jupyter's client, closed when they are collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook runs, and what it writes lies."""
    return tmp_path_factory.mktemp("walk")


@pytest.fixture(scope="module")
def run(folder: Path) -> nbformat.NotebookNode:
    """The notebook after its run, offline. A cell that raises ends it here. Two searches, and seven commands: half a minute."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(folder)}})
    client.execute(env={name: value for name, value in os.environ.items() if name != "PIPELINE_BARS"})
    return notebook


@pytest.fixture(scope="module")
def out(run: nbformat.NotebookNode, folder: Path) -> Path:
    """The output folder after the last run."""
    return folder / "pipeline" / "out"


def printed(notebook: nbformat.NotebookNode, name: str) -> str:
    """What the cells printed to a stream."""
    parts = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(part.text for part in parts if part.output_type == "stream" and part.name == name)


def pictures(notebook: nbformat.NotebookNode) -> list[bytes]:
    """The pictures that the cells show, as PNG."""
    parts = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [part.data["image/png"] for part in parts if "image/png" in part.get("data", {})]
    return [base64.b64decode(it) for it in shown]


def stages_of(out: Path, number: int) -> dict[str, dict[str, Any]]:
    """What a run's manifest says of each stage."""
    manifest = json.loads((out / "manifests" / f"{number}.json").read_text())
    return {it["stage"]: it for it in manifest["stages"]}


def test_status_run_repeat_and_change_say_what_they_do(run: nbformat.NotebookNode) -> None:
    """Everything before the first run, nothing on the repeat, the decisions after the threshold; in this order."""
    said, at = " ".join(printed(run, "stdout").split()), 0
    for words in (
        "0 of 14 stages up to date. Would run: collect 1, features 1, tune 2,",
        "Ran: collect 1, features 1, tune 2, predict 2, train 2, backtest 2, check 2, publish 1, plot 1;",
        "14 of 14 stages up to date. Nothing would run.",
        "Ran: nothing; 14 stages up to date.",
        "backtest/BTCUSDT/arima: parameter decisions.enter_edge 0.1, now 0.02",
        "10 of 14 stages up to date. Would run: backtest 2, publish 1, plot 1.",
        f"ran: {', '.join(DECISIONS)}",
    ):
        at = said.find(words, at)
        assert at >= 0, words


def test_the_changed_threshold_made_the_decisions_again_and_no_model(out: Path) -> None:
    """By the manifests of both runs: other hours, another table and picture; the same predictions, models and checks."""
    first, second = stages_of(out, 1), stages_of(out, 2)
    made_again = [stage for stage in first if first[stage]["at"] != second[stage]["at"]]
    assert sorted(made_again) == sorted(DECISIONS)
    for stage in DECISIONS:
        assert first[stage]["outputs"] != second[stage]["outputs"]
    for stage in first.keys() - set(DECISIONS):
        assert first[stage]["outputs"] == second[stage]["outputs"]


def test_its_table_is_that_of_the_hours_traded(out: Path) -> None:
    """Both families trade with the second threshold, and the equity published is that of the last hour."""
    with (out / "current" / "publish" / "table.csv").open(newline="") as file:
        rows = {row["family"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"arima", "xgboost"}
    for family, row in rows.items():
        traded = out / "current" / "backtest" / "BTCUSDT" / family
        hours = [json.loads(line) for line in (traded / "hours.jsonl").read_text().splitlines()]
        assert len(hours) == 20 * 24
        assert int(row["orders"]) == sum(it["order_side"] is not None for it in hours) > 0
        assert float(row["final_equity_usdt"]) == pytest.approx(float(hours[-1]["equity"]))
        assert json.loads((traded / "P.json").read_text())["enter_edge"] == 0.02


def test_its_forecasts_lie_in_the_output_folder(out: Path) -> None:
    """A day of hours by ARIMA, quantiles of the price that never cross; of XGBoost the probability alone."""
    with (out / "current" / "publish" / "forecasts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["family"] for row in rows] == ["arima"] * 24 + ["xgboost"]
    for row in rows[:24]:
        prices = [float(row[f"q{level:g}"]) for level in LEVELS]
        assert prices == sorted(prices)
        assert prices[0] < prices[-1]
    assert 0 < float(rows[-1]["p_up"]) < 1


def test_it_draws_the_equity_of_both_runs_without_a_warning(run: nbformat.NotebookNode, out: Path) -> None:
    """Two pictures by the stage `plot`, the second of other orders; the graph as Mermaid; nothing on stderr."""
    before, after = pictures(run)
    assert before != after
    assert after == (out / "current" / "plot" / "plot.png").read_bytes()
    parts = [output for cell in run.cells for output in cell.get("outputs", [])]
    graphs = [part.data["text/markdown"] for part in parts if "text/markdown" in part.get("data", {})]
    assert len(graphs) == 1
    assert graphs[0].startswith("```mermaid\nflowchart")
    assert '["plot"]' in graphs[0]
    assert printed(run, "stderr") == ""


def test_git_holds_no_output() -> None:
    """Outputs are made where the notebook is run."""
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) >= 7
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
