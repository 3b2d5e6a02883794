"""`docs/streams.md` names what there is: hosts, metrics and fields."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.support.records_made import record_made
from trader.adapters.binance_stream import STREAM_HOSTS
from trader.app.waking import HourWaker
from trader.core.streams import StreamState
from trader.observers.signals_redis import signal
from trader.observers.stream_metrics import StreamMetrics

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()
CODE = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_every_host_is_in_the_table() -> None:
    """With the stream beside it."""
    for rest, stream in STREAM_HOSTS.items():
        assert re.search(rf"^\| `{rest}`.* \| `{stream}` \|$", PAGE, re.MULTILINE), rest


def test_every_metric_and_field_is_named() -> None:
    """And no metric that there is not."""
    families: list[Any] = list(StreamMetrics(lambda: StreamState("ws://x"), HourWaker(["BTCUSDT"])).collect())
    metrics = {f"{it.name}_total" if it.type == "counter" else it.name for it in families}
    assert {name for name in CODE if name.startswith("trader_")} == metrics
    assert set(signal(record_made(0))) <= CODE
