"""Metrics of the stream that wakes ticks, read from its state when Prometheus asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from trader.app.waking import HourWaker
from trader.core.streams import StreamState


class StreamMetrics:
    """A collector of Prometheus' client: `trader_stream_*`."""

    def __init__(self, state: Callable[[], StreamState], waker: HourWaker) -> None:
        self._state, self._waker = state, waker

    def collect(self) -> Iterator[Any]:
        """The families with their values of now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        state, waker = self._state(), self._waker
        age_s = state.age_s(time.time_ns() // 1_000_000)
        yield GaugeMetricFamily(
            "trader_stream_alive", "1 while the stream of klines is connected and not silent", state.alive
        )
        yield GaugeMetricFamily(
            "trader_stream_last_message_age_seconds",
            "seconds since the last message of the stream; NaN before one",
            float("nan") if age_s is None else age_s,
        )
        yield CounterMetricFamily(
            "trader_stream_reconnects", "connections of the stream after the first", state.reconnections
        )
        yield CounterMetricFamily("trader_stream_messages", "messages of the stream", state.messages)
        yield CounterMetricFamily(
            "trader_stream_bad_messages", "messages that were no kline", state.bad_messages
        )
        yield CounterMetricFamily("trader_stream_wakes", "hours that the stream began", waker.wakes)
        yield CounterMetricFamily(
            "trader_stream_unconfirmed",
            "closed bars of the stream that REST did not confirm",
            waker.unconfirmed,
        )
