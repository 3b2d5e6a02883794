"""Processes that tick and are made to die, stop or race at a precise step.

Children come from a fork server that has imported everything, so a fresh process costs milliseconds. What is
wrapped is the outside of the product (its store and its HTTP session), never a function of it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import requests

from tests.support.forked import crew
from tests.support.rig import command, quick_params
from tests.support.served import exchange_at, settings_at
from trader import wiring
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_spot import BinanceSpot
from trader.adapters.clocks import SimClock
from trader.app.bot import Bot
from trader.app.journal import Journal
from trader.app.retrain import retrain
from trader.app.retrain_rules import retrain_if_due
from trader.app.tick import tick
from trader.config import Settings
from trader.core.errors import Halt, TraderError
from trader.core.lifecycle import BreachRule
from trader.core.params import params_of
from trader.core.ports import Store
from trader.core.types import DAY_MS, HOUR_MS, iso, parse_time
from trader.exchange.server import EmbeddedExchange

# A loss of half a percent halts, so that a test need not wait for a real one.
VALUES = quick_params(halt_cumulative_return=-0.005, step_days=5)
PARAMS = params_of(VALUES, "tests")

STORE, STATE = "store", "exchange"


@dataclass
class AtExchange:
    """An exchange in this process, and the folder of a store that trades on it."""

    exchange: EmbeddedExchange
    store: Path

    @property
    def url(self) -> str:
        """The exchange's address."""
        return self.exchange.url

    def sim(self, path: str, body: Any = None) -> Any:
        """GET, or POST with a body, outside /api."""
        reply = (
            requests.get(self.url + path, timeout=20)
            if body is None
            else requests.post(self.url + path, json=body, timeout=20)
        )
        assert reply.status_code == 200, reply.text
        return reply.json()


@dataclass
class Scene(AtExchange):
    """An exchange, and a folder that holds a bot which has begun at `start` and has not ticked yet."""

    start: int

    def bot(self) -> AbstractContextManager[Bot]:
        """A bot in this process, on the exchange's clock."""
        return a_bot(self.url, self.store)

    def journal(self) -> Journal:
        """The bot's journal."""
        return Journal(wiring.make_store(settings_for(self.url, self.store)), "BTCUSDT")

    def executed(self) -> list[dict[str, Any]]:
        """Every order that the exchange executed."""
        ledger = self.sim("/sim/ledger")
        orders: list[dict[str, Any]] = ledger["orders"] if isinstance(ledger, dict) else ledger
        return orders

    def check_books(self) -> None:
        """Nothing executed is in no record or in two, and never more than decided was."""
        recorded: list[int] = []
        for record in self.journal().records():
            decision = self.journal().decision(record.close_time)
            assert decision is not None
            done = sum((fill.qty for fill in record.fills), Decimal(0))
            assert done <= (decision.order.qty if decision.order else 0)
            recorded += [fill.trade_id for fill in record.fills]
        executed = [int(fill["tradeId"]) for order in self.executed() for fill in order["fills"]]
        assert sorted(recorded) == sorted(executed)

    def check_balances(self) -> None:
        """The account holds what the newest record says, to the last unit: the bot traded its allocation alone."""
        held = {asset: Decimal(row["free"]) for asset, row in self.sim("/sim/balances").items()}
        ledger = list(self.journal().records())[-1].ledger
        assert held.get("BTC", Decimal(0)) == ledger.position
        assert held["USDT"] == ledger.cash

    def finish(self) -> None:
        """What the next tick of the schedule does, until the hour is closed; then the books agree with one order."""
        with self.bot() as bot:
            for _ in range(5):
                try:
                    tick(bot)
                    break
                except TraderError:
                    bot.clock.sleep(60)
            assert bot.journal.record(self.start) is not None
            assert tick(bot).outcome == "done"
        self.check_books()
        self.check_balances()
        assert len(self.executed()) == 1


def settings_for(url: str, store: Path) -> Settings:
    """Settings of a bot at an embedded exchange."""
    return settings_at(url, store=store, timeout_s=0.3)


@contextmanager
def a_bot(url: str, store: Path) -> Iterator[Bot]:
    """A bot whose sleeps move the exchange's clock."""
    settings = settings_for(url, store)
    with (
        closing(SimClock(url)) as clock,
        wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot,
    ):
        yield bot


def first_hour(folder: Path, bars: Path, start: str, params: dict[str, Any], side: str, reason: str) -> int:
    """The first hour of a backtest from `start` on that sends such an order, UTC ms."""
    (folder / "P.json").write_text(json.dumps(params))
    stop = iso(parse_time(start) + 10 * DAY_MS)
    span = ("--bars", str(bars), "--from", start, "--to", stop, "--params", "P.json")
    command("backtest", "run", *span, "--hours-out", "hours.jsonl", cwd=folder)
    lines = [json.loads(line) for line in (folder / "hours.jsonl").read_text().splitlines()]
    found = [line["close_time"] for line in lines if (line["order_side"], line["reason"]) == (side, reason)]
    return parse_time(found[0])


@dataclass(frozen=True)
class Begun:
    """A folder with a bot's store and its exchange's state, to be copied. `hour` is the bot's first, in which it buys;
    `halt_hour` the one in which a loss halts it."""

    bars: Path
    folder: Path
    hour: int
    halt_hour: int

    @property
    def store(self) -> Path:
        """The bot's store."""
        return self.folder / STORE

    @contextmanager
    def again(self, folder: Path) -> Iterator[Scene]:
        """That bot at an exchange of its own, where both were left."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        with exchange_at(self.bars, self.hour, PARAMS, folder / STATE) as served:
            yield Scene(served, folder / STORE, self.hour)


@contextmanager
def scene(bars_file: Path, folder: Path, start: int) -> Iterator[Scene]:
    """A bot that begins at `start`, and the exchange standing at that hour."""
    with exchange_at(bars_file, start - HOUR_MS, PARAMS, folder / STATE) as served:
        with a_bot(served.url, folder / STORE) as bot:
            retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, start, "tests")
        made = Scene(served, folder / STORE, start)
        made.sim("/sim/clock", {"to": start})
        yield made


class Trap:
    """Counts steps and pulls at the n-th, before or after it is done."""

    def __init__(self, n: int, when: str, number: int) -> None:
        self.left, self.when, self.signal = n, when, number

    def around(self, step: Callable[[], Any]) -> Any:
        """Do a step, trapped."""
        self.left -= 1
        if self.left == 0 and self.when == "before":
            os.kill(os.getpid(), self.signal)
        result = step()
        if self.left == 0 and self.when == "after":
            os.kill(os.getpid(), self.signal)
        return result

    def around_call(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do a step that takes arguments, trapped."""
        return self.around(lambda: step(*args, **kwargs))


class TrappedStore:
    """A store whose writes are steps."""

    def __init__(self, inner: Store, trap: Trap) -> None:
        self.inner, self.trap = inner, trap

    def get(self, key: str) -> bytes | None:
        """Passed on."""
        return self.inner.get(key)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Passed on."""
        return self.inner.list(prefix, after, limit)

    def put(self, key: str, data: bytes) -> None:
        """A step."""
        self.trap.around(lambda: self.inner.put(key, data))

    def create(self, key: str, data: bytes) -> bool:
        """A step."""
        done: bool = self.trap.around(lambda: self.inner.create(key, data))
        return done


def begin(bot: Bot) -> None:
    """The first training, for the next hour. On a busy machine an answer may come late, and then the wait for another one has
    moved the clock on within the hour."""
    now = bot.clock.now_ms()
    retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, now - now % HOUR_MS + HOUR_MS, "tests")


def refit(bot: Bot) -> None:
    """What `trader retrain --if-due` does, with a rule that three hours of any trading breach."""
    rule = BreachRule(hours=3, net_return_below=0.5, hit_rate_below=None, cooldown_hours=48)
    retrain_if_due(bot, bot.clock.now_ms(), rule)


WORK: dict[str, Callable[[Bot], object]] = {"tick": tick, "begin": begin, "refit": refit}


def trapped(url: str, store: Path, work: str, kind: str, n: int, when: str, number: int) -> None:
    """A child's work, trapped at its n-th write or request. Exits 0 if the trap was never reached."""
    trap = Trap(n, when, number)
    with a_bot(url, store) as bot:
        if kind == "write":
            bot = replace(bot, journal=Journal(TrappedStore(bot.journal.store, trap), bot.symbol))
        else:
            trap_requests((bot.exchange, bot.collector._market), trap)
        with suppress(Halt):
            WORK[work](bot)
    os._exit(0 if trap.left > 0 else 3)


def trap_requests(hosts: Iterable[object], trap: Trap) -> None:
    """Make every request of these hosts a step of the trap; a host that is named twice is trapped once."""
    for host in {id(it): it for it in hosts}.values():
        assert isinstance(host, BinanceSpot | BinanceKlines)
        session = host._api.client.session
        session.request = partial(trap.around_call, session.request)


def run_trapped(made: Scene, kind: str, n: int, when: str, work: str = "tick") -> bool:
    """Kill a working child at a step; False if it ended before that step, so there are no more."""
    return was_killed(trapped, made.url, made.store, work, kind, n, when, signal.SIGKILL)


def was_killed(work: Callable[..., None], *args: Any) -> bool:
    """Whether a child that does this work was ended by SIGKILL; False where it came to its end."""
    child = crew.Process(target=work, args=args)
    child.start()
    child.join(200)
    assert child.exitcode in (0, -signal.SIGKILL), child.exitcode
    return child.exitcode != 0


def racer(url: str, store: Path, rounds: int, barrier: Any) -> None:
    """A child's work: tick every hour at the same moment as its rivals."""
    with a_bot(url, store) as bot:
        for _ in range(rounds):
            barrier.wait(200)
            with suppress(TraderError):
                tick(bot)
            barrier.wait(200)
    os._exit(0)
