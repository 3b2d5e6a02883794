"""A certificate of a model that was fitted on several symbols, while another symbol's bars are late or have ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest.certificate.certify import certify
from tests.support.bars_made import bars_made
from tests.support.certified import MarketOf, a_bot
from tests.support.global_family import known, params_text
from tests.support.rig import quick_params
from trader.app.collect import Collector
from trader.app.retrain import retrain
from trader.commands.check import subject_of
from trader.core.certificate import Certificate
from trader.core.params import Params, params_of
from trader.core.types import DAY_MS, HOUR_MS

BTC = bars_made(1_200, 3)
ETH = bars_made(1_200, 4, symbol="ETHUSDT", price=1_500.0)
STEP_DAYS = 10
# The next refit serves the newest hour, and needs the bar of four hours before.
SERVES = BTC.last - STEP_DAYS * DAY_MS
CHANGES: dict[str, Any] = {
    "step_days": STEP_DAYS, "look_back_days": 12, "gap_hours": 4, "train_symbols": ["BTCUSDT", "ETHUSDT"]
}  # fmt: skip  # one refit after the other


def params_for(kind: str) -> Params:
    """Trees on rows of both, or a family of scope global that reads the series."""
    return params_of(quick_params(**CHANGES) if kind == "rows" else params_text(**CHANGES), "tests")


@pytest.fixture(autouse=True)
def _pooled(tmp_path: Path) -> Iterator[None]:
    with known(tmp_path):
        yield


def certificate_of(params: Params, told_until: int) -> Certificate:
    """Of a model that was trained while the other symbol was told, examined when its source has told nothing after an hour."""
    bot = a_bot(BTC)
    bot = replace(bot, collector=Collector(MarketOf({"BTCUSDT": BTC, "ETHUSDT": ETH}), "BTCUSDT"))
    card = retrain(bot.journal, bot.collector, bot.forecaster_of, params, SERVES, "tests")
    late = MarketOf({"BTCUSDT": BTC, "ETHUSDT": ETH.until(told_until)})
    bot = replace(bot, collector=Collector(late, "BTCUSDT"))
    return certify(subject_of(bot, card, BTC.last), BTC.last + 60_000, "tests")


@pytest.mark.parametrize("kind", ["rows", "series"])
@pytest.mark.parametrize("hours", [0, 6, 5 * 24])
def test_another_symbol_that_is_late_or_has_ended_fails_no_certificate(kind: str, hours: int) -> None:
    """With its bars whole, six hours late while the next refit waits for them, and ended days before: every part passes, and
    the walk-forward goes over every refit."""
    found = certificate_of(params_for(kind), BTC.last - hours * HOUR_MS)
    assert {it.part: [check for check in it.checks if not check.passed] for it in found.parts} == {
        it.part: [] for it in found.parts
    }
    assert next(it.figures["folds"] for it in found.parts if it.part == "newest") == 4
