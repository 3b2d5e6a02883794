"""The waking part of `trader run`: a stream says that a bar has closed, REST confirms it, and the tick runs as it always does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from trader import terminal
from trader.adapters.binance_stream import KlineStream, stream_url
from trader.adapters.clocks import ExchangeClock
from trader.adapters.stream_file import write_stream
from trader.app.waking import HourWaker, WakeUp, confirmed_by_rest
from trader.core.streams import ClosedBar, StreamState
from trader.core.text import plural
from trader.core.types import iso

if TYPE_CHECKING:
    from trader.adapters.scheduler import RunNow
    from trader.app.bot import Bot
    from trader.config import Settings
    from trader.observers.metrics import Served

TICKS = "ticks"
# The venue that is traded may be in the old hour a little longer than the host of the bars.
TRIES, TRY_PAUSE_S = 3, 0.3


class StreamWaking:
    """One stream for all symbols; each hour that it closes is a tick in the lane of the scheduled ones, which it never replaces.

    bots: symbol -> bot. tick: gives the hour that it reached, UTC ms.
    """

    def __init__(
        self,
        settings: Settings,
        bots: Mapping[str, Bot],
        tick: Callable[[], int],
        metrics: Served | None = None,
    ) -> None:
        """Raises ConfigError where the source of the bars has no stream."""
        self._bots, self._tick, self._folder = bots, tick, settings.bars
        self._clock = next(iter(bots.values())).clock
        self._waker = HourWaker(bots)
        self._run_now: RunNow = lambda lane, action: None
        self._stream = KlineStream(
            stream_url(settings.market_url), list(bots), self._closed, told=self._told, say=_say
        )
        if metrics is not None:
            from trader.observers.stream_metrics import StreamMetrics

            metrics.registry.register(StreamMetrics(lambda: self._stream.state, self._waker))

    @contextmanager
    def awake(self, run_now: RunNow) -> Iterator[None]:
        """Within it the stream wakes ticks."""
        self._run_now = run_now
        symbols = plural(len(self._bots), "symbol")
        _say(
            f"a stream of klines at {self._stream.state.address} wakes ticks of {symbols}; the schedule runs unchanged"
        )
        self._stream.start()
        try:
            yield
        finally:
            self._stream.stop()

    def _closed(self, bar: ClosedBar) -> None:
        """On the stream's thread."""
        now_ms = self._clock.now_ms()
        if bar.close_time > now_ms and isinstance(self._clock, ExchangeClock) and self._clock.follow():
            now_ms = self._clock.now_ms()  # somebody has moved the embedded exchange's clock
        wake_up = self._waker.heard(bar, now_ms)
        if wake_up is not None:
            self._run_now(TICKS, partial(self._woken, wake_up))

    def _woken(self, wake_up: WakeUp) -> None:
        """On the thread of the ticks: confirm, then tick. A stream that lies costs a few requests and changes nothing."""
        hour = wake_up.hour
        confirmed = confirmed_by_rest(self._bots[wake_up.symbol], hour)
        self._waker.settled(hour, confirmed)
        if not confirmed:
            _say(
                f"the stream says that {wake_up.symbol} closed at {iso(hour)}, but REST has no such bar; the schedule ticks next"
            )
            return
        for _ in range(TRIES):
            reached = self._tick()
            if not reached or reached >= hour:
                return
            self._clock.sleep(TRY_PAUSE_S)

    def _told(self, state: StreamState) -> None:
        write_stream(self._folder, state)


def _say(words: str) -> None:
    terminal.say(words)
