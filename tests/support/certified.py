"""A model in a store of its own, trained on made bars, and what a certificate examines of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from backtest.certificate.subject import Spans, Subject
from tests.support.bars_made import bars_made, bars_of_closes
from tests.support.fakes import FakeClock, FakeExchange, MemoryStore
from tests.support.rig import quick_params
from trader.app.bot import Bot
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import retrain
from trader.commands.check import subject_of
from trader.core.certificate import PARTS, SCHEMA, Certificate, CertificatePart, check_of
from trader.core.model import ModelCard, digest_of
from trader.core.panel import Panel
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster, Predictor
from trader.core.types import HOUR_MS, Bars, Floats, Matrix
from trader.forecasters.registry import forecaster_of

# (X (n, k), y (symbols, n)) -> what is learnt from instead
Fault = Callable[[Matrix, Floats], tuple[Matrix, Floats]]


def swapped(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    """The columns in another order than the card says."""
    return np.ascontiguousarray(X[:, ::-1]), y


def scaled(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    """Rows by a scaler that was fitted anew."""
    return ((X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)).astype(np.float32), y


def an_hour_off(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    """The labels of the hour after."""
    later = np.roll(y, -1, axis=1)
    later[:, -1] = np.nan
    return X, later


# 100 days: a look-back of 20, and a walk-forward of 30 whose newest tenth has too few days to be judged.
HOURS = 2_400
SPANS = Spans(live_hours=24, newest_days=30)
QUICK: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 20, "num_leaves": 4, "min_data_in_leaf": 20},
    "naive": {},
    "arima": {"max_p": 1, "max_q": 1, "forecast_hours": 2},
    "prophet": {"n_changepoints": 5, "forecast_hours": 2},
    "tft": {"encoder_hours": 24, "forecast_hours": 3, "hidden_size": 8, "attention_heads": 1, "epochs": 1},
}


@dataclass(frozen=True)
class MarketOf:
    """A market that is a few series, as they stand at an hour."""

    series: dict[str, Bars]

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """The rows within."""
        return self.series[symbol].span(start, stop)


def params_for(family: str, **changes: Any) -> Params:
    """Quick ones, of a family."""
    model = {} if family == "xgboost" else {"model": {"family": family, **QUICK[family]}}
    return params_of(quick_params(step_days=10, **{**model, **changes}), "tests")


def a_bot(bars: Bars, store: MemoryStore | None = None) -> Bot:
    """A bot whose market ends with these bars."""
    journal = Journal(MemoryStore() if store is None else store, bars.symbol)
    collector = Collector(MarketOf({bars.symbol: bars}), bars.symbol)
    clock = FakeClock(bars.last + 60_000)
    return Bot("tests", journal, FakeExchange(clock), collector, forecaster_of, clock, "tests")


def trained(bot: Bot, params: Params, serve_from: int, **options: Any) -> ModelCard:
    """A model of the bot, trained by the bot's own verb."""
    return retrain(bot.journal, bot.collector, bot.forecaster_of, params, serve_from, "tests", **options)


class FaultyForecaster:
    """A family that learns from what a fault makes of its rows and labels, and says nothing of it: its bytes, format and card are
    those of the family."""

    def __init__(self, inner: Forecaster, fault: Fault) -> None:
        self.inner, self.fault = inner, fault
        self.family, self.format, self.libraries, self.traits = (
            inner.family,
            inner.format,
            inner.libraries,
            inner.traits,
        )

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """Spoilt."""
        spoilt = [self.fault(X, y[i : i + 1]) for i, X in enumerate(panel.X)]
        wrong = Panel.of(panel.bars, [X for X, _ in spoilt])
        labels = np.concatenate([it for _, it in spoilt])
        return self.inner.fit(wrong, labels, params, horizon=horizon, until=until, seed=seed)

    def load(self, model: bytes, source: str) -> Predictor:
        """As the family does."""
        return self.inner.load(model, source)


def market(seed: int = 5) -> Bars:
    """HOURS made bars with gaps, one of them among the newest hours."""
    return bars_made(HOURS, seed, missing=(1_700, 1_701, HOURS - 30))


def trending(hours: int, turned: int = 0) -> Bars:
    """A market in which a move is followed by one of the same sign, but for its last `turned` hours, where the sign turns."""
    random = np.random.default_rng(3)
    moves = np.zeros(hours)
    for i in range(1, hours):
        sign = -1.0 if i >= hours - turned else 1.0
        moves[i] = sign * 0.8 * moves[i - 1] + 0.004 * random.normal()
    return bars_of_closes(np.round(30_000 * np.exp(np.cumsum(moves)), 2).tolist())


def subject_for(
    family: str = "xgboost", fault: Fault | None = None, bars: Bars | None = None, **changes: Any
) -> Subject:
    """A model of a family, trained as `trader retrain` does, an hour before it serves; clean, or with a fault in its training."""
    bars = market() if bars is None else bars
    bot = a_bot(bars)
    fitting = (
        bot
        if fault is None
        else replace(bot, forecaster_of=lambda name: FaultyForecaster(forecaster_of(name), fault))
    )
    card = trained(fitting, params_for(family, **changes), bars.last + HOUR_MS)
    return subject_of(bot, card, bars.last)


@cache
def clean_subject() -> Subject:
    """A clean model by XGBoost, made once in a process; nobody changes it."""
    return subject_for()


def certificate_of(card: ModelCard, *, passes: bool = True, made_at_ms: int = 0) -> Certificate:
    """Of all parts, the second of which may have failed, made at a time (UTC ms)."""
    parts = tuple(
        CertificatePart(part, (check_of("a look", passes or part != "newest", "as planted"),), {"hours": 2.0})
        for part in PARTS
    )
    return Certificate(
        SCHEMA,
        card.model_id,
        digest_of(card),
        card.symbols[0],
        card.family,
        made_at_ms,
        card.valid_from,
        "tests",
        parts,
    )
