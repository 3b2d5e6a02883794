"""A book of three symbols on one account: its exchange, its store, and what must hold of both after anything that breaks.

The hour that the scenes stand at moves cash between all three sleeves, and buys two symbols and sells one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.crew import STATE, STORE, AtExchange, Trap, TrappedStore, trap_requests, was_killed
from tests.support.rig import quick_params
from tests.support.rig_bars import made_bars
from tests.support.served import settings_at
from trader import wiring
from trader.adapters.clocks import ExchangeClock, SimClock
from trader.adapters.files import read_bars
from trader.app.book import Book
from trader.app.book_journal import BookJournal, hour_key
from trader.app.book_replay import replay_book
from trader.app.book_tick import BookTicked, tick_book
from trader.app.journal import Journal, hour_folder
from trader.app.layout import BOOK
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, Settings
from trader.core.book import BookHour
from trader.core.book_params import BookParams
from trader.core.errors import TraderError
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, Filters, parse_hour
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol

PRICES = {"BTCUSDT": 48_000.0, "ETHUSDT": 1_800.0, "SOLUSDT": 20.0}
SYMBOLS = tuple(PRICES)
PARAMS = params_of(quick_params(halt_cumulative_return=-0.05, step_days=30), "tests")
PARAMS_OF = dict.fromkeys(SYMBOLS, PARAMS)
CAPITAL = Decimal(30_000)
START = parse_hour("2021-03-02T00:00")
# Its bars make it so: BUY, SELL, BUY in alphabetical order, each after a transfer.
HOUR = parse_hour("2021-03-02T12:00")
SIDES = {"BTCUSDT": "BUY", "ETHUSDT": "SELL", "SOLUSDT": "BUY"}


def book_params(**changes: Any) -> BookParams:
    """A book that shares equally, every four hours."""
    return BookParams.model_validate(
        {"symbols": SYMBOLS, "capital_usdt": CAPITAL, "rebalance_hours": 4, **changes}
    )


def bars_of_book(folder: Path) -> None:
    """The bars of every symbol."""
    for seed, (symbol, price) in enumerate(PRICES.items(), start=1):
        made_bars(folder, "2021-01-20", "2021-03-20", symbol, price, seed)


@cache
def _bars(folder: Path, symbol: str) -> Bars:
    return read_bars(folder / f"{symbol}-1h.parquet", symbol)


@contextmanager
def book_exchange(bars: Path, at: int, state: Path | None, port: int = 0) -> Iterator[EmbeddedExchange]:
    """An exchange of the three symbols whose account holds the book's capital, its clock at `at` or where its state left it."""
    traded = []
    for symbol in SYMBOLS:
        known = _bars(bars, symbol)
        filters = Filters.derived(float(known.close[known.row(START)]))
        traded.append(TradedSymbol(known, symbol.removesuffix("USDT"), "USDT", filters))
    served = EmbeddedExchange(
        ExchangeConfig(
            traded=tuple(traded),
            costs=PARAMS.costs,
            at_ms=at,
            balances={"USDT": CAPITAL},
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
            port=port,
            state_path=state,
        )
    )
    served.start()
    try:
        yield served
    finally:
        served.stop()


def settings_for(url: str, store: Path) -> Settings:
    """Settings of a book at an embedded exchange; a busy machine is no fault of the venue's."""
    return settings_at(url, store=store, timeout_s=20)


@contextmanager
def a_book(url: str, store: Path, *, lanes: int = 1, **changes: Any) -> Iterator[Book]:
    """A book whose sleeps move the exchange's clock; with lanes several threads ask it, and sleeps are the wall's."""
    clock = SimClock(url) if lanes == 1 else None
    with (
        closing(clock) if clock else nullcontext(),
        wiring.open_book(
            settings_for(url, store),
            book_params(**changes),
            clock or ExchangeClock(url),
            lanes=lanes,
            durable=False,
            keep_bars=False,
        ) as book,
    ):
        yield book


class BookScene(AtExchange):
    """An exchange, and a folder that holds a book whose hours before `HOUR` are closed; the clock stands at `HOUR`."""

    def book(self, **more: Any) -> Any:
        """The book in this process."""
        return a_book(self.url, self.store, **more)

    def journal(self, symbol: str) -> Journal:
        """A symbol's journal, or the book's own."""
        return Journal(wiring.make_store(settings_for(self.url, self.store)), symbol, SYMBOLS)

    def move_to(self, hour: int) -> None:
        """Set the exchange's clock forward."""
        self.sim("/sim/clock", {"to": hour})

    def book_hour(self, hour: int) -> BookHour:
        """The book record of an hour."""
        book_record = BookJournal(self.journal(BOOK)).hour(hour)
        assert book_record is not None
        return book_record.hour

    def orders(self, symbol: str, hour: int = HOUR) -> list[dict[str, Any]]:
        """The orders of a symbol that the exchange executed within an hour."""
        ledger = [it for it in self.sim("/sim/ledger") if it["symbol"] == symbol]
        return [it for it in ledger if hour <= it["time"] < hour + HOUR_MS]

    def objects(self, *hours: int) -> dict[str, Any]:
        """What decides and closes these hours, without who wrote it: book records, decisions and records by their keys."""
        folders = [(it, hour) for it in SYMBOLS for hour in hours]
        keys = [hour_key(hour) for hour in hours]
        keys += [f"{hour_folder(it, hour)}/{name}" for it, hour in folders for name in ("decision", "record")]
        found = {}
        for key in keys:
            data = (self.store / key).read_bytes()
            found[key] = {name: it for name, it in json.loads(data).items() if name != "token"}
        return found

    def check_money(self, hour: int) -> None:
        """After an hour that every symbol has closed: each execution is in one record, no hour traded twice, transfers booked
        once, and all cash and every position are the account's, to the last unit."""
        ledger = self.sim("/sim/ledger")
        for symbol in SYMBOLS:
            booked = sorted(fill.trade_id for it in self.journal(symbol).records() for fill in it.fills)
            mine = [order for order in ledger if order["symbol"] == symbol]
            assert booked == sorted(int(fill["tradeId"]) for order in mine for fill in order["fills"])
            assert len({order["clientOrderId"].rsplit("-", 1)[0] for order in mine}) == len(mine)
        self.check_adopted(hour)

    def check_adopted(self, hour: int) -> None:
        """The same where orders of others were adopted: transfers, cash and positions."""
        held = {it: Decimal(row["free"]) for it, row in self.sim("/sim/balances").items()}
        cash = self.book_hour(hour).reserve_usdt
        for symbol in SYMBOLS:
            journal = self.journal(symbol)
            records = list(journal.records())
            assert records[-1].close_time == hour
            cash += records[-1].ledger.cash
            assert held.get(symbol.removesuffix("USDT"), Decimal(0)) == records[-1].ledger.position, symbol
            for record in records:
                made, said = journal.decision(record.close_time), self.book_hour(record.close_time)
                assert made is not None
                assert made.transfer_usdt == said.transfer(symbol)
        assert cash == held["USDT"]
        self._check_transfers(hour)

    def _check_transfers(self, hour: int) -> None:
        before = CAPITAL
        for at in range(START, hour + HOUR_MS, HOUR_MS):
            said = self.book_hour(at)
            assert said.reserve_usdt == before - sum(said.transfers.values(), Decimal(0))
            before = said.reserve_usdt

    def check_hour(self) -> None:
        """`HOUR` was traded as it is in peace: one order a symbol, each on its side."""
        for symbol, side in SIDES.items():
            assert [it["side"] for it in self.orders(symbol)] == [side], symbol

    def finish(self, hour: int = HOUR, **more: Any) -> BookTicked:
        """What the next ticks of the schedule do, until every symbol has closed the hour."""
        with self.book(**more) as book:
            clock = next(iter(book.sleeves.values())).clock
            for _ in range(6):
                with suppress(TraderError):
                    tick_book(book)
                if all(it.journal.record(hour) is not None for it in book.sleeves.values()):
                    break
                clock.sleep(60)
            done: BookTicked = tick_book(book)
        assert (done.outcome, done.failed) == ("done", {}), done
        return done


@dataclass(frozen=True)
class BegunBook:
    """A folder with a book's store, its exchange's state and bars, to be copied."""

    folder: Path

    @property
    def bars(self) -> Path:
        """The bars of every symbol, which nobody changes."""
        return self.folder / "bars"

    @contextmanager
    def again(self, folder: Path, port: int = 0) -> Iterator[BookScene]:
        """That book at an exchange of its own, where both were left."""
        shutil.copytree(self.folder / STORE, folder / STORE, dirs_exist_ok=True)
        shutil.copy(self.folder / STATE, folder / STATE)
        with book_exchange(self.bars, HOUR, folder / STATE, port) as served:
            yield BookScene(served, folder / STORE)


def begin_book(folder: Path) -> None:
    """Make a `BegunBook`: trained, and traded up to the hour before `HOUR`."""
    (folder / "bars").mkdir()
    bars_of_book(folder / "bars")
    with (
        book_exchange(folder / "bars", START - HOUR_MS, folder / STATE) as served,
        a_book(served.url, folder / STORE) as book,
    ):
        clock = next(iter(book.sleeves.values())).clock
        assert isinstance(clock, SimClock)
        replay_book(book, clock, PARAMS_OF, START, HOUR)
        for bot in book.sleeves.values():
            assert "missed" not in {record.line.reason for record in bot.journal.records()}


class Killed(BaseException):
    """What a step raises in place of a kill: nothing of the program catches it."""


class Fall(Trap):
    """Counts steps, and at the n-th falls as a killed process does, before or after the step is done."""

    def __init__(self, n: int, when: str) -> None:
        super().__init__(n, when, signal.SIGKILL)
        self.fallen = False

    def around(self, step: Callable[[], Any]) -> Any:
        """Do a step; nothing is done after the fall."""
        if self.fallen:
            raise Killed
        self.left -= 1
        self.fallen = self.left == 0
        if self.fallen and self.when == "before":
            raise Killed
        result = step()
        if self.fallen:
            raise Killed
        return result


def trap_book(book: Book, kind: str, trap: Trap) -> None:
    """Make every write of the book, or every request, a step of the trap."""
    if kind == "write":
        inner = book.hours.journal.store
        book.hours.journal._store = TrappedStore(inner, trap)
        for bot in book.sleeves.values():
            bot.journal = Journal(TrappedStore(inner, trap), bot.symbol, SYMBOLS)
        return
    trap_requests([it for bot in book.sleeves.values() for it in (bot.exchange, bot.collector._market)], trap)


def fall(made: BookScene, kind: str, n: int, when: str, **changes: Any) -> bool:
    """A tick in this process that falls at a step; False if it ended before that step, so there are no more."""
    trap = Fall(n, when)
    with made.book(**changes) as book:
        trap_book(book, kind, trap)
        with suppress(Killed):
            tick_book(book)
    return trap.fallen


def _trapped(url: str, store: Path, kind: str, n: int, when: str) -> None:
    trap = Trap(n, when, signal.SIGKILL)
    with a_book(url, store) as book:
        trap_book(book, kind, trap)
        tick_book(book)
    os._exit(0)


def kill(made: BookScene, kind: str, n: int, when: str) -> bool:
    """The same in a process of its own, ended by SIGKILL."""
    return was_killed(_trapped, made.url, made.store, kind, n, when)


def book_racer(url: str, store: Path, rounds: int, lanes: int, barrier: Any) -> None:
    """A child's work: tick every hour at the same moment as its rivals."""
    with a_book(url, store, lanes=lanes) as book:
        for _ in range(rounds):
            barrier.wait(400)
            with suppress(TraderError):
                tick_book(book)
            barrier.wait(400)
    os._exit(0)
