"""Buy and hold beside the bot: the number of the backtest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A day that was replayed: its store, and the summary."""
    folder = tmp_path_factory.mktemp("hold")
    bars = made_bars(folder, "2020-12-01", "2021-03-20")
    (folder / "P.json").write_text(json.dumps(quick_params()))
    span = ("--bars", str(bars), "--from", "2021-03-05", "--to", "2021-03-06", "--params", "P.json")
    done = command("trader", "replay", *span, "--store", "store", "--json", cwd=folder)
    return folder / "store", json.loads(done.stdout)


def test_the_bot_says_the_buy_and_hold_of_the_backtest(replayed: tuple[Path, dict[str, Any]]) -> None:
    """From what its first hour saw, to the last digit."""
    store, summary = replayed
    found = json.loads(command("trader", "status", "--store", str(store), "--json", cwd=store.parent).stdout)
    assert found["results"]["buy_and_hold"] == summary["buy_and_hold"]
    assert found["market"] == ""
