"""Drills on a model of the rows of two symbols: a planted fault of each kind is caught in the certificate of a symbol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, cast

import pytest

from backtest.certificate.certify import certify
from backtest.certificate.formats import formats
from backtest.certificate.live import said_live
from backtest.certificate.production import production
from backtest.certificate.subject import Spans, Subject
from tests.support.bars_made import bars_made
from tests.support.certified import Fault, FaultyForecaster, MarketOf, an_hour_off, scaled, swapped
from tests.support.fakes import FakeClock, MemoryStore
from tests.support.rig import quick_params
from trader.app.bot import Bot
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.pool import retrain_pool
from trader.commands.check import subject_of
from trader.core.forecast import Forecast
from trader.core.model import ModelCard
from trader.core.panel import Panel
from trader.core.params import params_of
from trader.core.ports import Predictor
from trader.core.types import HOUR_MS, Ints
from trader.forecasters.registry import forecaster_of

SYMBOLS = ("AAUSDT", "BBUSDT")
HOURS = 900
# The second rises in most hours, so that a model of both must know whose a row is.
RISING = dict.fromkeys(range(1, HOURS), 1.004)
SERIES = {
    "AAUSDT": bars_made(HOURS, 1, symbol="AAUSDT", missing=(700,)),
    "BBUSDT": bars_made(HOURS, 2, symbol="BBUSDT", missing=(700,), jumps=RISING),
}
LAST = SERIES["AAUSDT"].last
SPANS = Spans(live_hours=6, newest_days=8)


def pooled_subjects(fault: Fault | None = None) -> dict[str, Subject]:
    """What a certificate of each symbol examines, of one pooled model that was trained clean or with a fault."""
    store, clock = MemoryStore(), FakeClock(LAST + 60_000)
    bots = {
        it: Bot(
            name="bot",
            journal=Journal(store, it, SYMBOLS),
            exchange=cast(Any, None),  # a training and a certificate ask the market alone
            collector=Collector(MarketOf(SERIES), it),
            forecaster_of=forecaster_of,
            clock=clock,
            version="tests",
        )
        for it in SYMBOLS
    }
    fitting = dict(bots)
    if fault is not None:
        faulty = FaultyForecaster(forecaster_of("xgboost"), fault)
        fitting = {name: replace(it, forecaster_of=lambda _: faulty) for name, it in bots.items()}
    card = retrain_pool(fitting, params_of(quick_params(step_days=10), "tests"), LAST + HOUR_MS)
    return {name: subject_of(bot, card, LAST) for name, bot in bots.items()}


@cache
def clean() -> dict[str, Subject]:
    """Of a clean model; nobody changes it."""
    return pooled_subjects()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_clean_pooled_model_passes(symbol: str) -> None:
    """Every part of each symbol's certificate; the scale of its columns was really compared."""
    made = certify(clean()[symbol], 1_800_000_000_000, "tests", SPANS)
    assert made.passed, made.verdict
    checks = {check.name: check for part in made.parts for check in part.checks}
    assert "distributed in training as the card records" in checks["scale of every column"].words
    assert "6 hours" in checks["live path and walk-forward"].words


@pytest.mark.parametrize("fault", [swapped, scaled, an_hour_off], ids=lambda it: it.__name__)
def test_a_fault_in_the_training_is_caught(fault: Fault) -> None:
    """Column order swapped, rows scaled, horizon off by one: the walk-forward predicts otherwise, for every symbol."""
    for subject in pooled_subjects(fault).values():
        assert production(subject, 6).failure.startswith("live path and walk-forward")


Ranges = dict[str, list[float]]
Recorded = dict[str, Ranges]


def _swapped_columns(ranges: Recorded) -> Ranges:
    own = ranges["AAUSDT"]
    return dict(zip(own, reversed(list(own.values())), strict=True))


def _of_older_hours(ranges: Recorded) -> Ranges:
    return {name: [value * 1.01 for value in values] for name, values in ranges["AAUSDT"].items()}


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        (_swapped_columns, "columns differ"),
        (_of_older_hours, "columns differ"),
        (lambda ranges: ranges["BBUSDT"], "columns differ"),
        (lambda ranges: {}, "the card records no distribution of AAUSDT's columns"),
    ],
    ids=["columns swapped", "a stale scale", "those of the other symbol", "none"],
)
def test_a_card_of_other_ranges_is_caught(recorded: Callable[[Recorded], Ranges], says: str) -> None:
    """The ranges that a pooled card records of a symbol: only this symbol's own training rows give them, in the order of its
    columns. The other symbol's certificate is not touched by them."""
    subject = clean()["AAUSDT"]
    assert formats(subject).passed
    ranges = subject.card.ranges_by_symbol
    card: ModelCard = replace(subject.card, ranges_by_symbol={**ranges, "AAUSDT": recorded(ranges)})
    found = formats(replace(subject, card=card))
    assert found.failure.startswith("scale of every column: ")
    assert says in found.failure
    assert formats(replace(clean()["BBUSDT"], card=card)).passed


class Misread:
    """A predictor that is asked of another symbol than it is."""

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """By the other symbol's place."""
        (bars,) = panel.bars
        other = next(it for it in SYMBOLS if it != bars.symbol)
        return self.inner.predict(Panel((replace(bars, symbol=other),), panel.X), hours)


def test_a_live_path_that_takes_one_symbol_for_another_is_caught() -> None:
    """The last column says whose a row is: with the other symbol's number the bot predicts otherwise than was tested."""
    subject = clean()["AAUSDT"]
    cell = next(it for it in subject.live.__closure__ or () if hasattr(it.cell_contents, "predictor"))
    model = replace(cell.cell_contents, predictor=Misread(cell.cell_contents.predictor))
    found = production(replace(subject, live=lambda bars, hour: said_live(bars, hour, model)), 24)
    assert found.failure.startswith("live path and walk-forward")
