"""What `trader status` and `trader doctor` say of the stream that wakes ticks."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from trader.config import Settings

if TYPE_CHECKING:
    from trader.app.doctor import Finding

# A kline of a pair that trades comes every 2 s.
PATIENCE_S = 10.0


def stream_said(settings: Settings) -> str | None:
    """What `trader run` on this machine last noted of its stream; None where the settings want no stream."""
    if not settings.stream:
        return None
    from trader.adapters.stream_file import NAME, read_stream

    state = read_stream(settings.bars)
    if state is None:
        return f"trader run has noted none in {settings.bars / NAME}; its schedule ticks without it"
    return state.in_words(time.time_ns() // 1_000_000)


def stream_finding(settings: Settings, symbols: Collection[str]) -> Finding:
    """A stream opened now, and its first kline. The bot trades without it, so it is never a failure."""
    from trader.adapters.binance_stream import first_message_s, stream_url
    from trader.app.doctor import Finding
    from trader.core.errors import DataError

    url = stream_url(settings.market_url)
    try:
        seconds = first_message_s(url, symbols, PATIENCE_S)
    except DataError as error:
        todo = "look at this machine's network; until then trader run ticks by its schedule alone"
        return Finding("stream", "warn", f"{url} brings no kline: {error}", todo)
    return Finding("stream", "pass", f"{url} brings klines, the first after {seconds:.1f} s")
