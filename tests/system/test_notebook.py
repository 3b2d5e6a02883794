"""The notebook in `examples/`: it runs from its first cell to its last, what it says is true, git holds no output of it."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from tests.support.rig_bars import made_bars
from trader.adapters.files import read_bars

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "eda.ipynb"
pytestmark = [
    # Sockets and an event loop of Jupyter's client, closed when they are collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen months of a random walk with a little memory, with outages."""
    return made_bars(tmp_path_factory.mktemp("notebook"), "2020-02-01", "2021-04-26")


@pytest.fixture(scope="module")
def run(bars: Path) -> nbformat.NotebookNode:
    """The notebook after its run in the folder of those bars. A cell that raises ends it here."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(bars.parent)}})
    client.execute(env={**os.environ, "EDA_BARS": bars.name})
    return notebook


def outputs(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    """What the cells gave of a MIME type, or printed (kind "stdout")."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == kind:
                found.append(output.text)
            elif kind in output.get("data", {}):
                found.append(output.data[kind])
    return found


def test_it_draws_and_says_nothing_on_stderr(run: nbformat.NotebookNode) -> None:
    """Four figures: returns, seasons, STL, correlation; and no warning."""
    assert len(outputs(run, "image/png")) == 4
    assert outputs(run, "stderr") == []


def test_its_figures_are_those_of_the_bars(run: nbformat.NotebookNode, bars: Path) -> None:
    """Hours, outages, the mean return and the memory of the walk that the bars were made from."""
    series = read_bars(bars)
    assert f"BTCUSDT: {len(series):,} hours" in outputs(run, "stdout")[0]
    assert "4 gaps" in outputs(run, "stdout")[0]
    rows = {
        name.strip(): float(value)
        for name, value in (
            line.rsplit(maxsplit=1)
            for line in outputs(run, "text/plain")[0].splitlines()
            if not line.startswith("dtype")
        )
    }
    steps = np.diff(np.log(series.close))
    kept = steps[~(series.flagged[1:] | series.flagged[:-1])]
    assert rows["hours"] == len(kept)
    assert rows["mean, bps"] == pytest.approx(kept.mean() * 1e4, abs=1e-3)
    # made_bars adds a fifth of the step before: 0.2 / (1 + 0.2 ** 2)
    assert rows["autocorrelation, 1 h"] == pytest.approx(0.192, abs=0.03)


def test_git_holds_no_output() -> None:
    """Outputs are made where the notebook is run."""
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) >= 7
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
