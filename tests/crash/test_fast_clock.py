"""An hour in half a minute: the protocol holds where the exchange's clock runs as fast as it may beside the bot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.test_faults import ONE, TWO
from tests.support.crew import Begun, settings_for
from trader import wiring
from trader.adapters.clocks import ExchangeClock
from trader.app.tick import tick
from trader.commands.venue import MOST_SPEED
from trader.core.errors import OrderInDoubt, Retry
from trader.core.types import HOUR_MS


@pytest.mark.parametrize(
    ("scenario", "outcomes"),
    [
        ("ok_baseline", ONE),
        ("rst_after_commit", ONE),
        ("rst_before_commit", TWO),
        ("timeout_after_commit", ONE),
        ("late_commit", ONE),
    ],
)
def test_one_order_leaves_in_time_and_is_booked_once(
    begun: Begun, tmp_path: Path, scenario: str, outcomes: list[str]
) -> None:
    """Windows, waits and deadlines are spans of the exchange's time, so an order is accepted, a lost one is found, one that
    never arrived is followed by another, all before the hour's ten minutes (5 s of the wall's) are over."""
    with begun.again(tmp_path) as scene:
        clock = scene.exchange.venue.clock
        clock.move_to(begun.hour)
        clock.speed = MOST_SPEED
        scene.sim("/sim/faults", {"scenario": scenario})
        with wiring.open_bot(settings_for(scene.url, scene.store), durable=False, keep_bars=False) as bot:
            assert isinstance(bot.clock, ExchangeClock)
            for _ in range(5):
                try:
                    tick(bot)
                    break
                except (OrderInDoubt, Retry):
                    bot.clock.sleep(30)
        assert clock.now() < begun.hour + HOUR_MS
        journal = scene.journal()
        found = [journal.outcome(begun.hour, n) for n in range(1, len(outcomes) + 1)]
        assert [outcome and outcome.kind for outcome in found] == outcomes
        scene.check_books()
        scene.check_balances()
        assert len(scene.executed()) == 1
