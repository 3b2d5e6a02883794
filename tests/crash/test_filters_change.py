"""Filters that the exchange changes while a process keeps those of before: the order of the hour still leaves."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.support.crew import Scene
from trader.app.codec import ATTEMPT
from trader.app.halts import announce
from trader.app.journal import hour_folder
from trader.app.store_check import check
from trader.app.tick import tick
from trader.core.types import HOUR_MS

# A hundredth of a bitcoin at least, for orders and for whoever asks.
COARSE = {"LOT_SIZE": {"stepSize": "0.01000000", "minQty": "0.01000000"}}


def test_a_halt_sells_what_the_filters_of_now_accept(fresh: Scene) -> None:
    """The same process bought by the old filters. Its halt's sale is refused, fitted to the new ones and sent in the same
    hour; the next hour goes by them from the beginning, and the store holds together."""
    with fresh.bot() as bot:
        tick(bot)
        bought = bot.journal.record(fresh.start)
        assert bought is not None
        held = bought.ledger.position
        fresh.sim("/sim/faults", [{"path": "/api/*", "action": "filters", "set": COARSE}])
        hour = fresh.start + HOUR_MS
        announce(bot.journal, fresh.start, "person", freeze=False, by="person")
        fresh.sim("/sim/clock", {"to": hour})
        [line] = tick(bot).lines
        sold = bot.journal.record(hour)
        assert sold is not None
        [fill] = sold.fills
        step = Decimal("0.01")
        assert line.order_qty != fill.qty == held // step * step
        assert sold.ledger.position == held - fill.qty
        kinds = [(o.kind, o.requantise) for n in (1, 2) if (o := bot.journal.outcome(hour, n))]
        assert kinds == [("refused", True), ("filled", False)]
        fresh.sim("/sim/clock", {"to": hour + HOUR_MS})
        assert tick(bot).lines[0].order_side is None
        decision = bot.journal.decision(hour + HOUR_MS)
        assert decision is not None
        assert decision.filters.step_size == step
        assert check(bot.journal).problems == []
    fresh.check_books()
    posts = [row for row in fresh.sim("/sim/requests") if row["method"] == "POST"]
    assert len(posts) == 3, "a purchase, a refused sale, a sale"


def test_a_part_that_is_no_multiple_of_its_step_is_a_problem(fresh: Scene) -> None:
    """`trader store verify` knows what a fitted attempt may carry: nothing more than was decided, on the step it names."""
    with fresh.bot() as bot:
        bot.filters(fresh.start)
        fresh.sim("/sim/faults", [{"path": "/api/*", "action": "filters", "set": COARSE}])
        tick(bot)
        assert check(bot.journal).problems == []
        attempt = bot.journal.attempt(fresh.start, 2)
        assert attempt is not None
        key = f"{hour_folder('BTCUSDT', fresh.start)}/attempt-2"
        spoiled = replace(attempt, qty=attempt.qty + Decimal("0.001"))
        bot.journal.store.put(key, ATTEMPT.encode(spoiled, "0f" * 8))
        assert [p for p in check(bot.journal).problems if "another order than the decision's" in p]
