"""The notebook `examples/forecasts.ipynb` runs from its first cell to its last, and what it concludes follows from its scores."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from trader.core.forecast import LEVELS

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "forecasts.ipynb"
pytestmark = [
    # Sockets and an event loop of Jupyter's client, closed when they are collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook runs, and what it writes lies."""
    return tmp_path_factory.mktemp("story")


@pytest.fixture(scope="module")
def run(folder: Path) -> nbformat.NotebookNode:
    """The notebook after its run, offline. A cell that raises ends it here. Fits of two families, twice: above two seconds."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(folder)}})
    client.execute(env={name: value for name, value in os.environ.items() if name != "STORY_BARS"})
    return notebook


def printed(notebook: nbformat.NotebookNode, name: str) -> str:
    """What the cells printed to a stream."""
    parts = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(part.text for part in parts if part.output_type == "stream" and part.name == name)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file by their heads."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_scores_both_families_beside_the_naive_forecast(run: nbformat.NotebookNode, folder: Path) -> None:
    """Losses are there, and the sentence about each family follows from its skill and the skill's standard error."""
    rows = rows_of(folder / "story" / "scores.csv")
    assert [row["family"] for row in rows] == ["arima", "tft"]
    said = printed(run, "stdout")
    for row in rows:
        skill, error = float(row["skill"]), float(row["skill_error"] or "nan")
        assert 0 < float(row["pinball_bps"]) < 10 * float(row["naive_bps"])
        assert 0 <= float(row["held_by_80"]) <= 1
        verdict = "cannot be told from"
        if not math.isnan(error) and abs(skill) > 2 * error:
            verdict = "better than" if skill > 0 else "worse than"
        assert f"{row['family']}: {verdict} the naive forecast" in said


def test_it_takes_the_look_back_that_lost_least(run: nbformat.NotebookNode, folder: Path) -> None:
    """The choice is that of the tuning table, and goes into the parameters that are validated."""
    losses = {
        int(row["look_back_days"]): float(row["pinball"]) for row in rows_of(folder / "story" / "tuning.csv")
    }
    best = min(losses, key=lambda days: losses[days])
    assert f"look back {best} days" in printed(run, "stdout")
    assert json.loads((folder / "story" / "arima.json").read_text())["look_back_days"] == best


def test_its_forecasts_are_intervals_of_prices(run: nbformat.NotebookNode, folder: Path) -> None:
    """Twelve hours by each family, quantiles that never cross, and the close that came beside them."""
    rows = rows_of(folder / "story" / "forecasts.csv")
    assert [row["family"] for row in rows] == ["arima"] * 12 + ["tft"] * 12
    for row in rows:
        prices = [float(row[str(level)]) for level in LEVELS]
        assert prices == sorted(prices)
        assert prices[0] < prices[-1]
        assert float(row["actual"]) == pytest.approx(prices[3], rel=0.5)


def test_it_says_what_is_missing_and_draws_without_a_warning(
    run: nbformat.NotebookNode, folder: Path
) -> None:
    """Three hours are missing from each symbol; one figure; nothing on stderr."""
    rows = rows_of(folder / "story" / "quality.csv")
    assert [(row["symbol"], row["missing"], row["gaps"]) for row in rows] == [
        ("BTCUSDT", "3", "1"),
        ("ETHUSDT", "3", "1"),
        ("SOLUSDT", "3", "1"),
    ]
    parts = [output for cell in run.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in part.get("data", {}) for part in parts) == 1
    assert printed(run, "stderr") == ""


def test_git_holds_no_output() -> None:
    """Outputs are made where the notebook is run."""
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) >= 7
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
