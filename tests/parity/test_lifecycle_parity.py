"""A rule of retraining that was back-tested is the rule that the bot follows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backtest.lifecycle.market import LifecycleMarket
from backtest.lifecycle.rules import LifecycleRule, simulate_rule
from tests.support.bars_made import bars_made
from tests.support.rig import quick_params
from tests.support.twins import Twins, told
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.codec_events import BREACH
from trader.app.replay import replay
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, load_settings
from trader.core.hours import Rules, line_text
from trader.core.lifecycle import BreachRule, DriftRule
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Filters, iso, parse_hour
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol
from trader.forecasters.xgboost import XGBoostForecaster

START = parse_hour("2021-02-20")
RULES = [
    LifecycleRule("loss", breach=BreachRule(24, -0.01, 0.5, 30, 4)),
    LifecycleRule("drift", drift=DriftRule(("calibration", "ks", "psi"), 24, 3)),
]


def twins(hours: int, **changes: object) -> Twins:
    """A made market with outages, one of them at an hour that a breach would be seen in."""
    bars = bars_made(2_200, 11, missing=(*range(1_290, 1_293), 1_400, 1_401, 1_502))
    rules = Rules(
        params_of(quick_params(**changes), "tests"), Filters.derived(float(bars.close[bars.row(START)]))
    )
    return Twins(bars, rules, START, START + hours * HOUR_MS)


def market_of(it: Twins) -> LifecycleMarket:
    """The same as a walk under a rule sees it."""
    days = it.rules.params.look_back_days
    return LifecycleMarket(XGBoostForecaster(), it.bars, it.rules, it.start, it.stop, "tests", days)


def lived_by_the_bot(it: Twins, rule: LifecycleRule, folder: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """A replay with the rule: the lines, and the breaches of its journal."""
    served = EmbeddedExchange(
        ExchangeConfig(
            traded=(TradedSymbol(it.bars, "BTC", "USDT", it.rules.filters),), costs=it.rules.params.costs,
            at_ms=it.start - HOUR_MS, balances={"USDT": it.rules.params.allocation_usdt},
            api_key=EMBEDDED_KEY, api_secret=EMBEDDED_SECRET,
        )
    )  # fmt: skip  # read as a table
    served.start()
    try:
        settings = load_settings(
            venue="embedded", venue_url=served.url, data_url=served.url, symbol="BTCUSDT", store=folder
        )
        clock_at = closing(SimClock(served.url))
        with clock_at as clock, wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot:
            replay(bot, clock, it.rules.params, it.start, it.stop, rule=rule.breach, drift=rule.drift)
            lines = [line_text(record.line) for record in bot.journal.records(it.start, it.stop)]
            events = [(e.content.at_ms, e.content.reason) for e in bot.journal.events(BREACH)]
    finally:
        served.stop()
    return lines, events


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_bot_lives_as_the_backtest_says(tmp_path: Path, rule: LifecycleRule) -> None:
    """Ten days with outages and the calendar's refits between: the same breaches for the same reasons in the same
    hours, and after each the same lines; under drift with calls about three hours ahead."""
    horizon = {"loss": 1, "drift": 3}[rule.name]
    it = twins(10 * 24, step_days=4, horizon_hours=horizon)
    lived = simulate_rule(market_of(it), rule, search=None)
    lines, breaches = lived_by_the_bot(it, rule, tmp_path / "store")
    assert [(answer.at, answer.why) for answer in lived.answers] == breaches
    assert lived.run.track.texts() == lines
    assert len(breaches) >= 3
    assert lived.refits >= len(breaches) + 2
    assert told(lines)["orders"] >= 30
    assert lines != it.backtest()  # the rule did something


@pytest.mark.parametrize("gap_hours", [1, 5])
def test_the_calendar_alone_is_the_backtest(gap_hours: int) -> None:
    """Nothing to answer: the hours of `backtest run`, to the byte."""
    it = twins(30 * 24, step_days=4, gap_hours=gap_hours)
    lived = simulate_rule(market_of(it), LifecycleRule("calendar"), search=None)
    assert lived.run.track.texts() == it.backtest()
    assert (lived.refits, lived.searches, lived.answers) == (7, 0, [])


def test_within_cooldown_and_budget_nothing_is_answered() -> None:
    """A rule that every hour breaches answers at its cooldown's pace, and stops at its budget."""
    it = twins(12 * 24, halt_cumulative_return=None)
    always = BreachRule(hours=24, net_return_below=0.99, hit_rate_below=None, cooldown_hours=48)
    paced = simulate_rule(market_of(it), LifecycleRule("paced", breach=always), None)
    assert [answer.at for answer in paced.answers] == [START + h * HOUR_MS for h in range(24, 12 * 24, 48)]
    spent = simulate_rule(market_of(it), LifecycleRule("spent", breach=replace(always, budget=2)), None)
    assert spent.answers == paced.answers[:2]
    assert spent.row(market_of(it))["answers"][0]["at"] == iso(START + 24 * HOUR_MS)
