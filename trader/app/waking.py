"""Which bars of a stream wake a tick: each hour once, when all its symbols have closed. A stream wakes and never decides."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass

from trader.app.bot import Bot
from trader.core.errors import TraderError
from trader.core.streams import ClosedBar
from trader.core.types import HOUR_MS

# A bar that a stream closes so long before its time, by the bot's clock, is none. Less than this may be a clock that is slow.
AHEAD_MS = 60_000
# So often an hour that REST does not confirm is looked at again when the stream repeats it; then the schedule has it.
MOST_ROUNDS = 3
# How REST is asked for the bar that the stream calls closed: at once, and after each of these pauses, in seconds.
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.5, 3.0)


@dataclass(frozen=True, slots=True)
class WakeUp:
    """An hour (UTC ms) that may have begun, and the symbol whose bar was the last to close."""

    hour: int
    symbol: str


class HourWaker:
    """Hears what a stream says and tells when a tick is due. Safe for several threads."""

    def __init__(self, symbols: Collection[str]) -> None:
        self._symbols = frozenset(symbols)
        self._lock = threading.Lock()
        self._closed: dict[int, set[str]] = {}
        self._rounds: dict[int, int] = {}
        self._running: set[int] = set()
        self._newest = 0
        self.wakes = 0
        self.unconfirmed = 0

    def heard(self, bar: ClosedBar, now_ms: int) -> WakeUp | None:
        """The hour that is to be looked at now, None where this bar changes nothing: it was told before, another symbol's bar is
        still open, or its time has not come. now_ms: the bot's clock, UTC ms."""
        with self._lock:
            hour = bar.close_time
            if bar.symbol not in self._symbols or hour <= self._newest or hour > now_ms + AHEAD_MS:
                return None
            closed = self._closed.setdefault(hour, set())
            closed.add(bar.symbol)
            if closed != self._symbols or hour in self._running:
                return None
            if self._rounds.get(hour, 0) >= MOST_ROUNDS:
                return None
            self._rounds[hour] = self._rounds.get(hour, 0) + 1
            self._running.add(hour)
            return WakeUp(hour, bar.symbol)

    def settled(self, hour: int, confirmed: bool) -> None:
        """What REST said of the hour. One that it did not confirm may be told by the stream again."""
        with self._lock:
            self._running.discard(hour)
            if confirmed:
                self.wakes += 1
                self._newest = max(self._newest, hour)
            else:
                self.unconfirmed += 1
            for old in [it for it in self._closed if it <= self._newest or it < hour - HOUR_MS]:
                del self._closed[old]
            for old in [it for it in self._rounds if it <= self._newest or it < hour - HOUR_MS]:
                del self._rounds[old]


def confirmed_by_rest(bot: Bot, hour: int) -> bool:
    """Whether REST shows the bar that closed at `hour` as over, asked a few times within seconds. The bar is kept for the tick,
    which need not ask again. Raises nothing: what cannot be asked is not confirmed."""
    for pause_s in (*PAUSES_S, None):
        try:
            bars = bot.collector.between(hour, hour + HOUR_MS)
        except TraderError:
            bars = None
        if bars is not None and len(bars) and bars.last >= hour:
            return True
        if pause_s is not None:
            bot.clock.sleep(pause_s)
    return False
