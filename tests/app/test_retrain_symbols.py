"""A training on several symbols: all are collected, none may be late, one model is published for the symbol that is traded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fakes import MemoryStore
from tests.support.global_family import known, pooled_params, three_symbols
from trader.app.codec_events import CHAMPION
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import CALENDAR, champions, load_model, retrain
from trader.core.errors import ConfigError, DataError, OtherSymbol, Retry
from trader.core.model import ModelCard
from trader.core.panel import Panel
from trader.core.types import DAY_MS, HOUR_MS, Bars, no_bars
from trader.forecasters.registry import forecaster_of

SERIES = {it.symbol: it for it in three_symbols()}
START = SERIES["BTCUSDT"].first + 800 * HOUR_MS


@pytest.fixture(autouse=True)
def _pooled(tmp_path: Path) -> Iterator[None]:
    with known(tmp_path):
        yield


class ManyBars:
    """A market of several series, of which some show nothing after an hour; it remembers who was asked for."""

    def __init__(self, **late: int) -> None:
        self.late = late
        self.asked: list[str] = []

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """The rows within."""
        self.asked.append(symbol)
        series = SERIES.get(symbol, no_bars(symbol))
        return series.span(start, min(stop, self.late.get(symbol, stop)))


class Files:
    """Files of collected bars."""

    def __init__(self) -> None:
        self.kept: dict[str, Bars] = {}

    def load(self, symbol: str) -> Bars:
        """What was collected."""
        return self.kept.get(symbol, no_bars(symbol))

    def save(self, bars: Bars) -> None:
        """Kept by its symbol."""
        self.kept[bars.symbol] = bars


def train(
    store: MemoryStore, collector: Collector, hour: int = START, now_ms: int | None = None, **changes: Any
) -> ModelCard:
    """One training for the collector's symbol."""
    journal = Journal(store, collector.symbol)
    params = pooled_params(**changes)
    return retrain(journal, collector, forecaster_of, params, hour, "tests", CALENDAR, now_ms=now_ms)


def test_every_symbol_is_collected_and_stands_on_the_card() -> None:
    """The card names what the fit saw, sorted; each has a file of its own; one champion event, of the traded symbol."""
    store, files = MemoryStore(), Files()
    collector = Collector(ManyBars(), "ETHUSDT", files)
    card = train(store, collector)
    collector.save()
    assert card.symbols == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert files.kept.keys() == set(card.symbols)
    assert all(files.kept[it].symbol == it for it in card.symbols)
    journal = Journal(store, "ETHUSDT")
    [event] = journal.events(CHAMPION)
    assert (event.content.symbol, event.content.model_id) == ("ETHUSDT", card.model_id)
    assert not [key for key in store.objects if key.startswith(("state/BTCUSDT/", "state/SOLUSDT/"))]
    assert load_model(journal, card.model_id)[0] == card


def test_the_order_of_the_symbols_changes_nothing() -> None:
    """Named in another order, the same model under the same id."""
    turned: dict[str, Any] = {"train_symbols": ["SOLUSDT", "ETHUSDT", "BTCUSDT"]}
    variants: list[dict[str, Any]] = [{}, turned]
    cards = [train(MemoryStore(), Collector(ManyBars(), "BTCUSDT"), **it) for it in variants]
    assert cards[0] == cards[1]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
def test_a_late_symbol_holds_up_the_training_and_nothing_else(symbol: str) -> None:
    """Retry that names it, nothing is written, the old model serves; when its bar is there the same training goes through."""
    store = MemoryStore()
    first = train(store, Collector(ManyBars(), "BTCUSDT"))
    before = dict(store.objects)
    later = START + 2 * DAY_MS
    market = ManyBars(**{symbol: later - HOUR_MS})
    collector = Collector(market, "BTCUSDT")
    named = "" if symbol == "BTCUSDT" else "; if it is traded no more, leave it out of train_symbols"
    with pytest.raises(
        Retry, match=rf"{symbol}: training for .* needs the bar of .*; the newest is [-0-9T:]+Z{named}"
    ):
        train(store, collector, later)
    assert store.objects == before
    market.late.clear()
    second = train(store, collector, later)
    assert [it.model_id for it in champions(Journal(store, "BTCUSDT"))] == [first.model_id, second.model_id]
    assert second.model_id == train(MemoryStore(), Collector(ManyBars(), "BTCUSDT"), later).model_id


def test_a_symbol_of_which_nothing_is_told_for_a_day_is_waited_for_no_longer() -> None:
    """Its source tells nothing after an hour: within a day the training waits, then it learns from what there is; once the window
    has no row of it, it is no part of the fit."""
    newest = START - HOUR_MS - HOUR_MS
    for now, waits in ((newest + 23 * HOUR_MS, True), (newest + 24 * HOUR_MS, False)):
        collector = Collector(ManyBars(ETHUSDT=newest + HOUR_MS), "BTCUSDT")
        if waits:
            with pytest.raises(Retry, match="a symbol without bars for a day counts as no longer traded"):
                train(MemoryStore(), collector, now_ms=now)
        else:
            assert train(MemoryStore(), collector, now_ms=now).symbols == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    for hours, symbols in ((0, ["BTCUSDT", "ETHUSDT"]), (1, ["BTCUSDT"])):
        # A window of 15 days has a row of a symbol whose last bar is the outcome of the window's first hour.
        ended = START - HOUR_MS - 15 * DAY_MS + (1 - hours) * HOUR_MS
        market = ManyBars(ETHUSDT=ended + HOUR_MS)
        card = train(MemoryStore(), Collector(market, "BTCUSDT"), train_symbols=["BTCUSDT", "ETHUSDT"])
        assert card.symbols == symbols


def test_a_symbol_that_the_market_does_not_have_is_said() -> None:
    """Before anything is fitted or written."""
    store = MemoryStore()
    with pytest.raises(DataError, match=r"NOPEUSDT: there are no bars up to .*leave it out of train_symbols"):
        train(store, Collector(ManyBars(), "BTCUSDT"), train_symbols=["BTCUSDT", "NOPEUSDT"])
    assert store.objects == {}


def test_parameters_of_other_symbols_are_refused_before_a_bar_is_asked_for() -> None:
    """The traded symbol is not among them; a local family is told of several."""
    market = ManyBars()
    with pytest.raises(ConfigError, match="names ETHUSDT, SOLUSDT and not BTCUSDT"):
        train(MemoryStore(), Collector(market, "BTCUSDT"), train_symbols=["ETHUSDT", "SOLUSDT"])
    with pytest.raises(ConfigError, match="'naive' is fitted on one symbol"):
        train(MemoryStore(), Collector(market, "BTCUSDT"), model={"family": "naive"})
    assert market.asked == []


def test_a_model_serves_the_symbols_of_its_fit_and_no_other() -> None:
    """In another symbol's store it is refused unless its card names that symbol; the model itself refuses as well."""
    store = MemoryStore()
    card = train(store, Collector(ManyBars(), "BTCUSDT"))
    copied = MemoryStore()
    copied.objects = {key: data for key, data in store.objects.items() if key.startswith("models/")}
    assert load_model(Journal(copied, "SOLUSDT"), card.model_id)[0] == card
    with pytest.raises(
        OtherSymbol, match=r"was trained for BTCUSDT, ETHUSDT, SOLUSDT and serves no hour of XRPUSDT"
    ):
        load_model(Journal(copied, "XRPUSDT"), card.model_id)
    predictor = forecaster_of("pooled").load(store.objects[f"models/{card.model_id}/model"], "here")
    foreign = Panel.of([Bars(**{**_fields(SERIES["BTCUSDT"]), "symbol": "XRPUSDT"})])
    with pytest.raises(DataError, match="says nothing about XRPUSDT"):
        predictor.predict(foreign, foreign.close_time[-1:])
    own = Panel.of([SERIES["SOLUSDT"]])
    assert not np.isnan(predictor.predict(own, own.close_time[-1:]).p_up).any()


def _fields(bars: Bars) -> dict[str, Any]:
    return {
        name: getattr(bars, name)
        for name in ("close_time", "open", "high", "low", "close", "volume", "flagged")
    }
