"""What an operator does, and what the bot does by itself when recent hours are bad: at a real exchange over HTTP."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.crew import Scene
from trader.app.codec_events import CHAMPION
from trader.app.dry import dry_tick
from trader.app.halts import announce, resume
from trader.app.retrain_rules import retrain_if_due
from trader.app.run import parse_cron_jobs
from trader.app.tick import tick
from trader.core.errors import ConfigError
from trader.core.lifecycle import BreachRule
from trader.core.types import HOUR_MS


def test_a_halt_sells_and_a_resume_begins_a_new_epoch(fresh: Scene) -> None:
    """`trader halt` sells what is held at the next tick and every later hour stays flat; a resume counts limits anew."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="maintenance")
        fresh.sim("/sim/clock", {"to": fresh.start + HOUR_MS})
        halted = tick(bot)
        assert (halted.halted, halted.lines[0].order_side, halted.lines[0].reason) == (
            True,
            "SELL",
            "halt",
        )
        fresh.sim("/sim/clock", {"to": fresh.start + 2 * HOUR_MS})
        assert tick(bot).lines[0].reason == "halted"
        resume(bot.journal, fresh.start + 2 * HOUR_MS, "over")
        fresh.sim("/sim/clock", {"to": fresh.start + 3 * HOUR_MS})
        after = tick(bot)
        record = bot.journal.record(fresh.start + 3 * HOUR_MS)
        assert not after.halted
        assert record is not None
        assert record.risk.base_equity < 10_000
        with pytest.raises(ConfigError, match="nothing is halted"):
            resume(bot.journal, fresh.start, "again")
    fresh.check_books()


def test_a_frozen_halt_keeps_what_is_held(fresh: Scene) -> None:
    """`trader halt --freeze` sends nothing."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=True, by="person")
        fresh.sim("/sim/clock", {"to": fresh.start + HOUR_MS})
        assert tick(bot).lines[0].order_side is None
    assert len(fresh.executed()) == 1


def test_a_dry_tick_leaves_no_trace_but_under_dry(fresh: Scene) -> None:
    """The decision of the hour, checked by /order/test: no order, no journal, one object under dry/."""
    with fresh.bot() as bot:
        before = set(bot.journal.store.list(""))
        seen = dry_tick(bot)
        new = set(bot.journal.store.list("")) - before
    assert seen.decision.order is not None
    assert "would accept it" in seen.message
    assert [key.split("/")[0] for key in new] == ["dry"]
    assert fresh.executed() == []


def test_a_breach_trains_anew_once_and_is_answered_after_a_kill(fresh: Scene) -> None:
    """Bad hours write a breach event; a training that dies leaves it open, the next call answers it; then cooldown."""
    rule = BreachRule(hours=3, net_return_below=0.5, hit_rate_below=None, cooldown_hours=48)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with fresh.bot() as bot:
        for i in range(5):
            fresh.sim("/sim/clock", {"to": fresh.start + i * HOUR_MS})
            tick(bot)
        now = fresh.start + 4 * HOUR_MS
        with pytest.raises(KeyboardInterrupt):
            retrain_if_due(bot, now, rule, killed)  # type: ignore[arg-type]  # it never returns parameters
        card = retrain_if_due(bot, now, rule, None)
        assert card is not None
        assert card.valid_from == now + HOUR_MS
        assert retrain_if_due(bot, now, rule, None) is None
        assert [event.content.breach_number for event in bot.journal.events(CHAMPION)] == [0, 1]


def test_run_ticks_at_once_and_ends_on_sigterm(fresh: Scene, tmp_path: Path) -> None:
    """`trader run` closes the current hour when it starts, waits for its schedule, and SIGTERM ends it with 0."""
    (tmp_path / "cron-job").write_text("0,1,3,10 * * * *  trader tick\n15 * * * *  trader retrain --if-due\n")
    child = subprocess.Popen(
        [sys.executable, "-m", "trader.cli", "run"],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "TRADER_VENUE_URL": fresh.url,
            "TRADER_STORE": str(fresh.store),
            "TRADER_TRACKERS": "none",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 200
        while fresh.journal().record(fresh.start) is None and child.poll() is None:
            assert time.monotonic() < deadline, "the first tick did not happen"
            time.sleep(0.1)
        time.sleep(1)
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=200)[1]
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 0, said
    assert "stopped by a signal" in said


@pytest.mark.parametrize("text", ["* * * * trader tick", "0 * * * * rm -rf x", "0 * * * * trader retrain"])
def test_a_schedule_that_cannot_be_meant_is_refused(text: str) -> None:
    """Four fields, another program, or no tick at all: an error that says what to write."""
    with pytest.raises(ConfigError, match="trader tick"):
        parse_cron_jobs(text, "cron-job")
