"""The second promise: an hour is traded exactly once, whatever breaks."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.rig import Venue, command, quick_params, venue
from trader.core.types import HOUR_MS, parse_time

# An answer that never comes: the order is executed and its sender keeps waiting.
SILENT_AFTER_COMMIT = [
    {"method": "POST", "path": "/api/v3/order", "phase": "after", "action": "delay", "seconds": 30}
]


def first_order(folder: Path, bars: Path) -> int:
    """The first hour of a backtest that sends an order, UTC ms."""
    (folder / "P.json").write_text(json.dumps(quick_params()))
    span = ("--bars", str(bars), "--from", "2021-03-05", "--to", "2021-03-07", "--params", "P.json")
    command("backtest", "run", *span, "--hours-out", "hours.jsonl", cwd=folder)
    lines = [json.loads(line) for line in (folder / "hours.jsonl").read_text().splitlines()]
    return next(parse_time(line["close_time"]) for line in lines if line["order_side"])


def wait_for_an_order(exchange: Venue) -> None:
    """Until the exchange has executed one."""
    deadline = time.monotonic() + 30
    while not exchange.ledger():
        assert time.monotonic() < deadline, "no order arrived"
        time.sleep(0.02)


def test_a_tick_killed_after_its_order_was_accepted_is_finished_by_the_next(
    tmp_path: Path, gappy_bars: Path
) -> None:
    """SIGKILL between the exchange's acceptance and the reply: the next tick finds the order; one order, one record."""
    hour = first_order(tmp_path, gappy_bars)
    with venue(tmp_path, gappy_bars, hour - HOUR_MS) as exchange:
        exchange.trader("retrain", "--params", "P.json")
        exchange.move_to(hour)
        exchange.sim("/sim/faults", SILENT_AFTER_COMMIT)
        child = exchange.start("tick")
        wait_for_an_order(exchange)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert exchange.journal() == []
        exchange.sim("/sim/faults", [])

        exchange.trader("tick")
        again = exchange.trader("tick").stdout

        [order] = exchange.ledger()
        [line] = [json.loads(text) for text in exchange.journal()]
        assert line["order_qty"] is not None
        assert float(line["order_qty"]) == float(order["executedQty"])
        assert "already done" in again
