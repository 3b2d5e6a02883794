"""The first promise: the bot is the backtest run forward by one hour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rig import command, quick_params, venue
from trader.core.types import HOUR_MS, parse_hour


def both(folder: Path, bars: Path, start: str, stop: str, params: dict[str, object]) -> tuple[str, str]:
    """The hours files of `backtest run` and of `trader replay`."""
    (folder / "P.json").write_text(json.dumps(params))
    span = ("--bars", str(bars), "--from", start, "--to", stop, "--params", "P.json")
    command("backtest", "run", *span, "--hours-out", "backtest.jsonl", "--json", cwd=folder)
    command("trader", "replay", *span, "--hours-out", "replay.jsonl", "--json", cwd=folder)
    return (folder / "backtest.jsonl").read_text(), (folder / "replay.jsonl").read_text()


def test_replay_writes_the_lines_of_the_backtest(tmp_path: Path, gappy_bars: Path) -> None:
    """Ten days with two outages, a retrain inside, orders and halts: the two files are equal to the byte."""
    backtest, replayed = both(tmp_path, gappy_bars, "2021-03-05", "2021-03-15", quick_params(step_days=4))
    assert backtest == replayed
    reasons = {json.loads(line)["reason"] for line in backtest.splitlines()}
    assert {"gap", "venue_closed", "enter", "leave"} <= reasons


def test_a_shell_loop_of_ticks_writes_the_same_lines(tmp_path: Path, gappy_bars: Path) -> None:
    """Hour by hour, a fresh process each: moving the clock and `trader tick` give the backtest's lines."""
    start, hours = parse_hour("2021-03-05"), 12
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    span = ("--bars", str(gappy_bars), "--from", "2021-03-05", "--to", "2021-03-05T12:00")
    command("backtest", "run", *span, "--params", "P.json", "--hours-out", "backtest.jsonl", cwd=tmp_path)
    with venue(tmp_path, gappy_bars, start - HOUR_MS) as exchange:
        exchange.trader("retrain", "--params", "P.json")
        for hour in range(start, start + hours * HOUR_MS, HOUR_MS):
            exchange.move_to(hour)
            exchange.trader("tick")
        lines = exchange.journal()
    assert lines == (tmp_path / "backtest.jsonl").read_text().splitlines()


@pytest.mark.parametrize(("start", "stop"), [("2022-01-01", "2022-03-01"), ("2021-04-15", "2021-05-01")])
def test_parity_on_real_bars(tmp_path: Path, real_or_made_bars: Path, start: str, stop: str) -> None:
    """The documented parameters over months of BTCUSDT, outages included, where real bars are at hand."""
    from trader.core.params import DEFAULT_PARAMS

    backtest, replayed = both(tmp_path, real_or_made_bars, start, stop, DEFAULT_PARAMS)
    assert backtest == replayed
