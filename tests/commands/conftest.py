"""A week that a bot traded, for everything that looks at it afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.once import once
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `store` holds eight days of hours: outages, orders, three models."""
    return once(tmp_path_factory, "week", _traded)


def _traded(folder: Path) -> None:
    bars = made_bars(folder, "2020-12-01", "2021-03-20")
    (folder / "P.json").write_text(json.dumps(quick_params(step_days=3)))
    span = ("--bars", str(bars), "--from", "2021-03-05", "--to", "2021-03-13", "--params", "P.json")
    command("trader", "replay", *span, "--store", "store", "--hours-out", "hours.jsonl", cwd=folder)


@pytest.fixture(scope="session")
def demo_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `trader demo --book` leaves of two symbols' made bars: book.toml, store, page, and `bars` beside it."""
    return once(tmp_path_factory, "demo-book", _demo_book)


def _demo_book(folder: Path) -> None:
    (folder / "made").mkdir()
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        made_bars(folder / "made", "2021-05-01", "2021-06-25", symbol, 48_000.0 / (1 + 9 * seed), seed)
    done = command("trader", "demo", "--book", "--bars", "made", "--folder", "demo", "--json", cwd=folder)
    (folder / "summary.json").write_text(done.stdout)
