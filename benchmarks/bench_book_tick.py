"""What an hour of a book costs at an embedded exchange, warm: the wall from the close to the last record, this process' own share
of it for each symbol, its memory, how many symbol-hours a replay passes in a second, and a book of one beside its symbol alone.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import median
from tests.support.bars_made import bars_made
from trader import wiring
from trader.adapters.bar_names import bar_file
from trader.adapters.book_file import BookFile, read_book
from trader.adapters.clocks import SimClock
from trader.adapters.files import write_bars
from trader.app.book import Book
from trader.app.book_replay import replay_book
from trader.app.book_tick import tick_book
from trader.app.bot import Bot
from trader.app.replay import replay
from trader.app.tick import tick
from trader.commands.common import traded
from trader.config import Settings
from trader.core.types import DAY_MS, HOUR_MS
from trader.simulation import book_rehearsal, rehearsal

LOOK_BACK_DAYS, WARM_UP_DAYS = 30, 80
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Ticks:
    """Hours of a book that were ticked one by one: seconds of wall and of processor time, orders, resident bytes at the end."""

    walls: list[float]
    own: list[float]
    orders: int
    resident: int


def run() -> list[Figure]:
    """Fifty symbols, 24 hours; a day of twenty symbols replayed."""
    return _figures(symbols=50, hours=24, replayed=20, replayed_hours=24)


def run_full() -> list[Figure]:
    """Fifty symbols, 24 hours; a month of twenty symbols replayed."""
    return _figures(symbols=50, hours=24, replayed=20, replayed_hours=30 * 24)


def run_small() -> list[Figure]:
    """Four symbols, 6 hours; two symbols replayed."""
    return _figures(symbols=4, hours=6, replayed=2, replayed_hours=6)


def _figures(symbols: int, hours: int, replayed: int, replayed_hours: int) -> list[Figure]:
    few = _ticks(2, hours)
    many = _ticks(symbols, hours)
    own_ms = [1000 * it / symbols for it in many.own]
    each_mb = (many.resident - few.resident) / (symbols - 2) / MB
    title = f"a book of {symbols} symbols"
    pairs = _book_of_one_beside_its_symbol(max(24, 4 * hours))
    return [
        Figure(
            f"{title}, an hour from its close to the last record",
            median(many.walls),
            "at most",
            10.0,
            unit="s",
        ),
        Figure("its slowest hour", max(many.walls), unit="s"),
        Figure("this process' own share, a symbol", median(own_ms), "at most", 20.0, unit="ms"),
        Figure("memory, a symbol", each_mb, "at most", 5.0, unit="MB"),
        Figure(
            "a tick of a book of one / of its symbol alone, median of pairs",
            median([of_book / alone for alone, of_book in pairs]),
            "at most",
            1.02,
        ),
        Figure(
            "this process' own share of a tick of a symbol alone",
            1000 * median([alone for alone, _ in pairs]),
            unit="ms",
        ),
        Figure("orders that left", many.orders, "at least", 1, is_result=True),
        Figure(
            f"a replay of {replayed} symbols over {replayed_hours} hours",
            _replayed(replayed, replayed_hours),
            "at least",
            60.0,
            unit="symbol-hours/s",
        ),
    ]


def _ticks(symbols: int, hours: int) -> Ticks:
    with _opened(symbols, hours + 2) as (book, said, clock, start):
        replay_book(book, clock, said.strategies, start, start + HOUR_MS)  # trains, and warms up
        walls, own, orders = list[float](), list[float](), 0
        for hour in range(start + HOUR_MS, start + (hours + 1) * HOUR_MS, HOUR_MS):
            clock.move_to(hour)
            began, busy = time.perf_counter(), time.process_time()
            done = tick_book(book)
            own.append(time.process_time() - busy)
            walls.append(time.perf_counter() - began)
            orders += sum(it.lines[-1].order_side is not None for it in done.ticked.values())
            if done.failed or len(done.ticked) != symbols:
                raise RuntimeError(f"not every symbol was closed: {done.failed}")
        return Ticks(walls, own, orders, _resident())


def _book_of_one_beside_its_symbol(hours: int) -> list[tuple[float, float]]:
    """Processor seconds of this process for an hour's warm tick of a symbol alone, and of a bot that a book.toml of that symbol
    has opened; each at an exchange of its own, the one or the other first by turns."""
    with ExitStack() as opened:
        sides = [opened.enter_context(_alone(hours + 2, as_book=as_book)) for as_book in (False, True)]
        pairs = []
        for i in range(hours):
            taken = [0.0, 0.0]
            for side in (0, 1) if i % 2 else (1, 0):
                bot, clock, start = sides[side]
                clock.move_to(start + (i + 1) * HOUR_MS)
                busy = time.process_time()
                tick(bot)
                taken[side] = time.process_time() - busy
            pairs.append((taken[0], taken[1]))
        return pairs[len(pairs) // 8 :]  # the first ones warm up


@contextmanager
def _alone(hours: int, *, as_book: bool) -> Iterator[tuple[Bot, SimClock, int]]:
    """A bot of one symbol that has closed its first hour, opened by its symbol or by a book.toml of it."""
    with _venue(["S00USDT"], hours) as (_, said, settings, start):
        path = said.path if as_book else None
        whole = traded(settings.model_copy(update={"book": path}))
        with (
            closing(SimClock(settings.exchange_url)) as clock,
            wiring.open_bot(whole.settings, clock, durable=False, keep_bars=False) as bot,
        ):
            replay(bot, clock, said.strategies["S00USDT"], start, start + HOUR_MS)
            yield bot, clock, start


def _replayed(symbols: int, hours: int) -> float:
    """Symbol-hours a second, trainings included."""
    with _opened(symbols, hours + 1) as (book, said, clock, start):
        began = time.perf_counter()
        replay_book(book, clock, said.strategies, start, start + hours * HOUR_MS)
        return symbols * hours / (time.perf_counter() - began)


@contextmanager
def _opened(symbols: int, hours: int) -> Iterator[tuple[Book, BookFile, SimClock, int]]:
    """A book of random walks at an exchange of its own, and its first hour."""
    with _venue([f"S{i:02d}USDT" for i in range(symbols)], hours) as (_, said, settings, start):
        at_clock = closing(SimClock(settings.exchange_url))
        with (
            at_clock as clock,
            wiring.open_book(settings, said.params, clock, durable=False, keep_bars=False) as book,
        ):
            yield book, said, clock, start


@contextmanager
def _venue(names: Sequence[str], hours: int) -> Iterator[tuple[Path, BookFile, Settings, int]]:
    """An exchange of random walks, the book of all of them, settings that name a store beside it, and the first hour."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        markets = {
            name: bars_made(
                WARM_UP_DAYS * 24 + hours + 3, i + 1, symbol=name, price=10.0 * (i + 1), decimals=4
            )
            for i, name in enumerate(names)
        }
        for market in markets.values():
            write_bars(bar_file(folder, market.symbol), market)
        start = next(iter(markets.values())).first + WARM_UP_DAYS * DAY_MS
        said = _book(folder, names)
        rows = folder / "filters.json"
        book_rehearsal.write_info_rows(rows, book_rehearsal.filters_at(markets, start))
        served = ["--symbols", ",".join(names), "--filters", str(rows), "--bars", str(folder)]
        with wiring.embedded_exchange(served, said.strategies[names[0]], start) as venue:
            yield folder, said, rehearsal.embedded_settings(venue, names[0], folder / "store"), start


def _book(folder: Path, names: Sequence[str]) -> BookFile:
    """Small trees that trade often, shares by a rule that reads bars, a rebalance every six hours."""
    chosen = {
        "model": {"family": "xgboost", "n_estimators": 20, "max_depth": 3, "gamma": 0},
        "look_back_days": LOOK_BACK_DAYS,
        "enter_edge": 0.0,
    }
    (folder / "P.json").write_text(json.dumps(chosen))
    text = f"symbols = {json.dumps(list(names))}\ncapital_usdt = {10_000 * len(names)}\nparams = 'P.json'\n"
    (folder / "book.toml").write_text(f"{text}shares = 'inverse_volatility'\nrebalance_hours = 6\n")
    return read_book(folder / "book.toml")


def _resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
