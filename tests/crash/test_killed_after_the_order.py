"""The second promise: an hour is traded exactly once, whatever breaks."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.support.crew import VALUES, Begun
from tests.support.rig import Venue, venue
from trader.core.types import HOUR_MS

# An answer that never comes: the order is executed and its sender keeps waiting.
SILENT_AFTER_COMMIT = [
    {"method": "POST", "path": "/api/v3/order", "phase": "after", "action": "delay", "seconds": 30}
]


def wait_for_an_order(exchange: Venue) -> None:
    """Until the exchange has executed one."""
    deadline = time.monotonic() + 200
    while not exchange.ledger():
        assert time.monotonic() < deadline, "no order arrived"
        time.sleep(0.02)


def test_a_tick_killed_after_its_order_was_accepted_is_finished_by_the_next(
    tmp_path: Path, begun: Begun
) -> None:
    """SIGKILL between the exchange's acceptance and the reply: the next tick finds the order; one order, one record."""
    (tmp_path / "P.json").write_text(json.dumps(VALUES))
    with venue(tmp_path, begun.bars, begun.hour - HOUR_MS) as exchange:
        exchange.trader("retrain", "--params", "P.json")
        exchange.move_to(begun.hour)
        exchange.sim("/sim/faults", SILENT_AFTER_COMMIT)
        child = exchange.start("tick")
        try:
            wait_for_an_order(exchange)
        finally:
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
