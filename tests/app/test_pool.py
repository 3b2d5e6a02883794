"""The training of a pooled book: one fit, one model, a champion of every symbol; killed, late and delisted symbols."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.support.fakes import FakeClock, MemoryStore
from tests.support.pooled_book import FIRST, SYMBOLS, pooled_params, three_bars
from trader.app.bot import Bot
from trader.app.codec_events import CHAMPION
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.pool import require_seen, retrain_pool, retrain_pool_if_due
from trader.app.retrain import champions, load_model
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.events import BreachEvent
from trader.core.lifecycle import BreachRule
from trader.core.types import DAY_MS, HOUR_MS, Bars, no_bars, parse_hour
from trader.forecasters.registry import forecaster_of

SERIES = {it.symbol: it for it in three_bars()}
START = parse_hour(FIRST)


class Market:
    """Three symbols, some of which show nothing after an hour (UTC ms)."""

    def __init__(self, **ends: int) -> None:
        self.ends = ends

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """The rows within."""
        return SERIES.get(symbol, no_bars(symbol)).span(start, min(stop, self.ends.get(symbol, stop)))


class Killed(Exception):
    """The process is gone."""


class DyingStore(MemoryStore):
    """Dies before it creates the object number `at`, counted from when it is set."""

    at = -1

    def create(self, key: str, data: bytes) -> bool:
        """As a store that lives, until then."""
        if self.at == 0:
            raise Killed
        self.at -= 1
        return super().create(key, data)


def bots_of(store: MemoryStore, at: int = START - HOUR_MS, **ends: int) -> dict[str, Bot]:
    """A bot of each symbol on one store, whose clock stands at an hour."""
    return {
        it: Bot(
            name="bot",
            journal=Journal(store, it, SYMBOLS),
            exchange=cast(Any, None),  # a training asks the market alone
            collector=Collector(Market(**ends), it),
            forecaster_of=forecaster_of,
            clock=FakeClock(at),
            version="tests",
        )
        for it in SYMBOLS
    }


def told(store: MemoryStore) -> list[list[str]]:
    """The champions of each symbol."""
    return [[it.model_id for it in champions(Journal(store, symbol, SYMBOLS))] for symbol in SYMBOLS]


def test_a_training_that_is_killed_anywhere_is_finished_by_the_next() -> None:
    """Before every third object that it creates: the next one leaves one model and one champion event of each symbol, and a third
    training changes nothing."""
    whole = MemoryStore()
    card = retrain_pool(bots_of(whole), pooled_params(), START)
    assert card.symbols == list(SYMBOLS)
    writes = len([key for key in whole.objects if not key.startswith("caches/")])
    killed = 0
    for at in range(0, writes, 3):
        store = DyingStore()
        store.at = at
        with pytest.raises(Killed):
            retrain_pool(bots_of(store), pooled_params(), START)
        killed += 1
        store.at = -1
        retrain_pool(bots_of(store), pooled_params(), START)
        assert told(store) == told(whole) == [[card.model_id]] * 3
        before = dict(store.objects)
        retrain_pool(bots_of(store), pooled_params(), START)
        assert store.objects == before
    assert killed > 2
    for symbol in SYMBOLS:
        journal = Journal(whole, symbol, SYMBOLS)
        assert load_model(journal, card.model_id)[0].known_ranges(symbol) == card.ranges_by_symbol[symbol]
        assert [it.content.cause for it in journal.events(CHAMPION)] == ["first"]


def test_a_late_symbol_makes_all_wait_and_a_delisted_one_does_not() -> None:
    """A newest bar that is missing is Retry with its name, until the symbol has been without bars for a day: then it is learnt
    from as far as it goes, and after its window it is no part of the model and waits for none."""
    params = pooled_params(look_back_days=12)
    for missing in (1, 23):
        with pytest.raises(Retry, match=r"needs the bar of .* of BBUSDT \(newest "):
            retrain_pool(bots_of(MemoryStore(), BBUSDT=START - missing * HOUR_MS), params, START)
    store = MemoryStore()
    first = retrain_pool(bots_of(store), params, START)
    ended, refit = START + 20 * HOUR_MS, START + DAY_MS
    with pytest.raises(Retry, match="counts as no longer traded"):
        retrain_pool_if_due(bots_of(store, refit, BBUSDT=ended), refit)
    later = ended + 23 * HOUR_MS  # its last bar closed an hour before `ended`
    due = retrain_pool_if_due(bots_of(store, later, BBUSDT=ended), later)
    assert due is not None
    assert due.symbols == list(SYMBOLS)
    assert retrain_pool_if_due(bots_of(store, later, BBUSDT=ended), later) is None
    store = MemoryStore()
    retrain_pool(bots_of(store), params, START)
    gone = bots_of(store, START + 2 * DAY_MS, BBUSDT=START - 13 * DAY_MS)
    left = retrain_pool_if_due(gone, START + 2 * DAY_MS)
    assert left is not None
    assert left.symbols == ["AAUSDT", "CCUSDT"]
    assert told(store)[1] == [first.model_id]
    assert retrain_pool_if_due(gone, START + 2 * DAY_MS) is None


def test_a_delisted_symbol_trains_nothing_twice_and_holds_up_no_answer_to_a_breach() -> None:
    """With a gap of thirty hours and a refit a day tomorrow's model is there while the delisted symbol's newest is older: none
    of the two is trained again, and a breach of another symbol is answered."""
    params = pooled_params(look_back_days=12, gap_hours=30)
    store, ended = MemoryStore(), START - 13 * DAY_MS
    retrain_pool(bots_of(store, START - 30 * HOUR_MS), params, START)
    trained = [retrain_pool_if_due(bots_of(store, START, BBUSDT=ended), START) for _ in range(2)]
    assert [it and it.valid_from for it in trained] == [START + DAY_MS, None]
    assert trained[0] is not None
    assert trained[0].symbols == ["AAUSDT", "CCUSDT"]
    bots = bots_of(store, START, BBUSDT=ended)
    bots["AAUSDT"].journal.append(BreachEvent("AAUSDT", START, "net return of 24 h is -0.1"))
    answered = retrain_pool_if_due(bots, START, BreachRule(24, -0.05, None, 24))
    assert answered is not None
    assert answered.valid_from == START + 30 * HOUR_MS


def test_what_cannot_be_trained_is_said_and_nothing_is_written() -> None:
    """A family that reads the series, and a symbol that would begin without a model."""
    store = MemoryStore()
    with pytest.raises(
        ConfigError, match=r"pool = true: a fit of naive does not take rows of several symbols"
    ):
        retrain_pool(bots_of(store), pooled_params().model_copy(update={"model": naive()}), START)
    with pytest.raises(DataError, match="CCUSDT: the first training on all symbols finds no bars there"):
        retrain_pool(bots_of(store, CCUSDT=SERIES["CCUSDT"].first), pooled_params(), START)
    assert not [key for key in store.objects if not key.startswith("caches/")]


def test_a_symbol_that_the_next_fit_would_not_see_is_not_added() -> None:
    """Its bars ended before the window: a person who adds it is told so, with the hours of the window."""
    params, traits = pooled_params(look_back_days=12), forecaster_of("xgboost").traits
    for ends, unseen in ((START - 13 * DAY_MS, True), (START, False)):
        collectors = {it: bot.collector for it, bot in bots_of(MemoryStore(), BBUSDT=ends).items()}
        if unseen:
            with pytest.raises(
                DataError, match=r"BBUSDT: .* would not see it, .* between 2021-01-28T23.* is not changed"
            ):
                require_seen(collectors, params, START, traits, START, ["BBUSDT"])
        else:
            require_seen(collectors, params, START, traits, START, ["BBUSDT"])


def naive() -> Any:
    """Its parameters."""
    from trader.core.model_params import NaiveParams

    return NaiveParams()
