"""Which bars of a stream wake a tick: rules without a network, and the lane that scheduled ticks run in."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from trader.adapters.scheduler import NOW, RunNow, run_schedule
from trader.app.bot import Bot
from trader.app.waking import AHEAD_MS, MOST_ROUNDS, PAUSES_S, HourWaker, WakeUp, confirmed_by_rest
from trader.core.errors import Retry
from trader.core.streams import SILENCE_S, ClosedBar, StreamState
from trader.core.types import HOUR_MS, no_bars
from trader.exchange.market import synthetic

T = 400_000 * HOUR_MS
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def test_a_bar_wakes_once_however_often_it_is_told() -> None:
    """Not while it is looked at, and not after REST has confirmed it; nor does an older one."""
    waker = HourWaker(["BTCUSDT"])
    assert waker.heard(ClosedBar("BTCUSDT", T), T) == WakeUp(T, "BTCUSDT")
    assert waker.heard(ClosedBar("BTCUSDT", T), T) is None
    waker.settled(T, confirmed=True)
    assert waker.heard(ClosedBar("BTCUSDT", T), T) is None
    assert waker.heard(ClosedBar("BTCUSDT", T - HOUR_MS), T) is None
    assert waker.heard(ClosedBar("BTCUSDT", T + HOUR_MS), T + HOUR_MS) == WakeUp(T + HOUR_MS, "BTCUSDT")
    assert (waker.wakes, waker.unconfirmed) == (1, 0)


def test_a_lie_is_looked_at_a_few_times_and_spoils_nothing() -> None:
    """A bar of the far future is not looked at; one that REST denies may be told again, until the schedule has it."""
    waker = HourWaker(["BTCUSDT"])
    assert waker.heard(ClosedBar("BTCUSDT", T), T - AHEAD_MS - 1) is None
    for _ in range(MOST_ROUNDS):
        assert waker.heard(ClosedBar("BTCUSDT", T), T - AHEAD_MS) is not None
        waker.settled(T, confirmed=False)
    assert waker.heard(ClosedBar("BTCUSDT", T), T) is None
    assert waker.heard(ClosedBar("BTCUSDT", T + HOUR_MS), T + HOUR_MS) is not None
    assert waker.unconfirmed == MOST_ROUNDS


def test_a_symbol_that_nobody_asked_for_wakes_nothing() -> None:
    """Whatever a stream sends."""
    assert HourWaker(["BTCUSDT"]).heard(ClosedBar("ETHUSDT", T), T) is None


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 5)), max_size=60))
def test_an_hour_of_a_book_begins_when_all_have_closed(told: list[tuple[str, int]]) -> None:
    """In any order and number: an hour wakes at most once, when its last symbol closes, and hours wake in their order."""
    waker, heard, woken = HourWaker(SYMBOLS), dict[int, set[str]](), list[int]()
    for symbol, number in told:
        hour = T + number * HOUR_MS
        wake_up = waker.heard(ClosedBar(symbol, hour), T + 10 * HOUR_MS)
        heard.setdefault(hour, set()).add(symbol)
        due = heard[hour] == set(SYMBOLS) and hour > max(woken, default=0)
        assert (wake_up is not None) == due
        if wake_up is not None:
            woken.append(wake_up.hour)
            waker.settled(wake_up.hour, confirmed=True)
    assert woken == sorted(set(woken))


@dataclass
class Rest:
    """A collector whose source shows the bar after `after` questions, and a clock that counts what it slept."""

    after: int
    symbol: str = "BTCUSDT"
    asked: int = 0
    slept: list[float] = field(default_factory=list)

    def between(self, start: int, stop: int) -> Any:
        """Bars once they are there; the first question fails."""
        self.asked += 1
        if self.asked == 1 and self.after > 1:
            raise Retry("the source does not answer")
        if self.asked < self.after:
            return no_bars(self.symbol)
        return synthetic(self.symbol, 7, start, 1).bars

    def sleep(self, seconds: float) -> None:
        """Count."""
        self.slept.append(seconds)

    @property
    def bot(self) -> Bot:
        """A bot that has only these two parts."""
        made: Any = type("OnlyBars", (), {"collector": self, "clock": self})()
        return cast(Bot, made)


def test_rest_is_asked_again_shortly_and_then_left() -> None:
    """A bar that is there at once costs one request; one that comes late a few; one that never comes seconds, not minutes."""
    at_once, late, never = Rest(1), Rest(4), Rest(1000)
    assert confirmed_by_rest(at_once.bot, T)
    assert (at_once.asked, at_once.slept) == (1, [])
    assert confirmed_by_rest(late.bot, T)
    assert (late.asked, late.slept) == (4, list(PAUSES_S[:3]))
    assert not confirmed_by_rest(never.bot, T)
    assert (never.asked, sum(never.slept) < 10) == (1 + len(PAUSES_S), True)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """A schedule sets the process's handlers of signals; these are the old ones again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_wake_and_the_schedule_never_run_at_once() -> None:
    """A tick of the schedule and five that a stream asks for meanwhile run one after the other in their lane."""
    running, most, ran, done = [0], [0], [0], threading.Event()

    def action() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        running[0] -= 1
        ran[0] += 1
        if ran[0] == 6:
            done.set()

    @contextmanager
    def waking(run_now: RunNow) -> Iterator[None]:
        threads = [threading.Thread(target=run_now, args=("ticks", action)) for _ in range(5)]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()

    def end() -> None:
        done.wait(30)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end)
    ending.start()
    with handlers_kept():
        assert run_schedule([(NOW, "ticks", action)], waking=waking) == ""
    ending.join()
    assert (ran[0], most[0]) == (6, 1)


def test_a_bug_in_a_woken_tick_ends_the_service() -> None:
    """As in a scheduled one: whoever supervises the process starts it anew."""

    def broken() -> None:
        raise ZeroDivisionError

    @contextmanager
    def waking(run_now: RunNow) -> Iterator[None]:
        run_now("ticks", broken)
        yield

    with handlers_kept():
        assert "ZeroDivisionError" in run_schedule([(NOW, "ticks", lambda: None)], waking=waking)


def test_the_state_is_told_in_one_sentence() -> None:
    """Alive, dead with its trouble, and what nobody has renewed."""
    alive = StreamState("ws://x", alive=True, last_message_ms=T, connections=3, messages=9)
    assert alive.in_words(T + 2000) == "alive, last message 2 s ago, 2 reconnections"
    assert "may have ended" in alive.in_words(T + int(SILENCE_S * 1000) + 1000)
    assert StreamState("ws://x", trouble="refused").in_words(T) == (
        "dead, no message yet (refused); the schedule ticks without it"
    )
