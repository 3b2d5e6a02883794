"""What readers of the Redis stream may rely on, as checks that any server can be put to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.records_made import SYMBOL, line_made, record_made
from trader.core.errors import ConfigError
from trader.core.hours import line_text
from trader.core.ledger import Ledger
from trader.core.news import News
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS, parse_hour
from trader.observers.signals_redis import RedisSignals

FIRST = parse_hour("2021-03-05")


def news_of(records: Sequence[HourRecord], symbol: str = SYMBOL) -> News:
    """News of these hours."""
    nothing: Any = None
    return News(symbol, "store", FIRST, records, lambda n: [], [], nothing)


def hours(*numbers: int, symbol: str = SYMBOL, **line: Any) -> list[HourRecord]:
    """Records of hours after the first."""
    return [record_made(FIRST + n * HOUR_MS, symbol=symbol, line=line) for n in numbers]


def entries(url: str, key: str) -> list[tuple[str, dict[str, str]]]:
    """What a reader finds."""
    import redis

    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as client:
        found: list[tuple[str, dict[str, str]]] = client.xrange(key)
    return found


def an_hour_is_an_entry(url: str) -> None:
    """Its id is the hour's close time, its fields are texts, and the hash is that of the journal's line."""
    record = record_made(FIRST, line={"p_up": 0.625, "target": "long"})
    state = record.totals.state
    held = replace(state, ledger=Ledger(Decimal(4_000), Decimal("0.12")))
    record = replace(record, totals=replace(record.totals, state=held))
    RedisSignals(url, "one", of_book=False).observe(news_of([record]))
    ((name, fields),) = entries(url, "one")
    line = line_made(FIRST, p_up=0.625, target="long")
    assert name == f"{FIRST}-0"
    assert fields == {
        "symbol": "BTCUSDT",
        "hour": "2021-03-05T00:00:00Z",
        "p_up": "0.625",
        "target": "long",
        "exposure": "0.6",
        "model_id": "m1",
        "line_hash": hashlib.sha256(line_text(line).encode()).hexdigest(),
    }


def a_repeat_adds_nothing(url: str) -> None:
    """Hours that were told before are left as they are, in any overlap; an hour without a probability has an empty text."""
    teller = RedisSignals(url, "again", of_book=False)
    for told in (hours(0, 1), hours(0, 1, 2), hours(1), [], hours(3, p_up=None)):
        teller.observe(news_of(told))
    assert [name for name, _ in entries(url, "again")] == [f"{FIRST + n * HOUR_MS}-0" for n in range(4)]
    assert [fields["p_up"] for _, fields in entries(url, "again")] == ["0.5", "0.5", "0.5", ""]


def symbols_of_a_book_may_be_behind_each_other(url: str) -> None:
    """Each has its own stream, so an older hour of one follows a newer one of another."""
    teller = RedisSignals(url, "book", of_book=True)
    teller.observe(news_of(hours(0, 1, 2, symbol="BTCUSDT"), "BTCUSDT"))
    teller.observe(news_of(hours(0, 1, symbol="ETHUSDT"), "ETHUSDT"))
    assert len(entries(url, "book:BTCUSDT")) == 3
    assert len(entries(url, "book:ETHUSDT")) == 2


def another_writer_is_named(url: str) -> None:
    """A stream that another bot writes to holds other lines at the same hours, or newer hours: nothing is lost silently."""
    RedisSignals(url, "shared", of_book=False).observe(news_of(hours(0, 2, symbol="ETHUSDT"), "ETHUSDT"))
    mine = RedisSignals(url, "shared", of_book=False)
    for number in (0, 1, 2):
        with pytest.raises(
            ConfigError, match=r"written by another bot or store as well.*Set TRADER_REDIS_STREAM"
        ):
            mine.observe(news_of(hours(number)))
    assert len(entries(url, "shared")) == 2


CHECKS = (
    an_hour_is_an_entry,
    a_repeat_adds_nothing,
    symbols_of_a_book_may_be_behind_each_other,
    another_writer_is_named,
)
