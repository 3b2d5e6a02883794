"""Signals for other programs: each closed hour as an entry of a Redis stream, once.

The id of an entry is `<close time in ms>-0`, so Redis itself refuses a repeat, and readers find an hour by its time. Ids of a
stream only grow, and a symbol of a book may be behind the others, so each symbol of a book has a stream of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from trader.core.errors import ConfigError, Retry
from trader.core.hours import line_json, line_text
from trader.core.news import News
from trader.core.records import HourRecord
from trader.core.types import iso, plain

SCHEMES = ("redis", "rediss", "unix")
PATIENCE_S = 5.0
# About so many entries are kept: more than a year of hours.
KEPT = 10_000
SIX_PLACES = Decimal("0.000001")


class RedisSignals:
    """An observer that publishes to a Redis stream, after the record. Safe to repeat: an hour is not added twice."""

    name = "redis"

    def __init__(self, url: str, stream: str, of_book: bool) -> None:
        """Raises ConfigError for an address that is none; it may hold a password, so it is not repeated."""
        if urlsplit(url).scheme not in SCHEMES:
            raise ConfigError(
                "redis_url: write redis://[user:password@]host[:port][/database], rediss:// or unix://"
            )
        self._url, self._stream, self._of_book = url, stream, of_book

    def key(self, symbol: str) -> str:
        """The Redis stream of a symbol."""
        return f"{self._stream}:{symbol}" if self._of_book else self._stream

    def observe(self, news: News) -> None:
        """Publish the closed hours. Raises Retry where the server does not take them, ConfigError where somebody else writes
        to the stream."""
        if not news.records:
            return
        import redis

        try:
            client = redis.Redis.from_url(
                self._url,
                socket_timeout=PATIENCE_S,
                socket_connect_timeout=PATIENCE_S,
                decode_responses=True,
                protocol=2,  # any server that has streams speaks it
            )
        except ValueError:
            raise ConfigError("redis_url is no address of a Redis server") from None
        try:
            with client:
                _publish(client, self.key(news.symbol), news.records)
        except redis.RedisError as error:
            # What the server itself says repeats no password; what the client says may name the address.
            said = str(error) if isinstance(error, redis.ResponseError | redis.AuthenticationError) else ""
            words = f"{type(error).__name__}: {said}".rstrip(": ")
            raise Retry(f"the Redis server did not take the signals ({words})") from None


def signal(record: HourRecord) -> dict[str, str]:
    """What other programs are told of an hour; all values are texts, "" for a probability that there was not.

    p_up: the shortest decimal of its float32. target: long, short or flat. exposure: what is held after the hour's fill, as a
    share of the equity, six places. line_hash: SHA-256 of the journal's line, as `trader journal --jsonl` writes it.
    """
    line = record.line
    held = record.ledger.position * record.mark
    exposure = (held / record.equity_usdt).quantize(SIX_PLACES) if record.equity_usdt else Decimal(0)
    return {
        "symbol": record.symbol,
        "hour": iso(record.close_time),
        "p_up": "" if line.p_up is None else str(line_json(line)["p_up"]),
        "target": line.target,
        "exposure": plain(exposure),
        "model_id": record.model_id,
        "line_hash": hashlib.sha256(line_text(line).encode()).hexdigest(),
    }


def entry_id(record: HourRecord) -> str:
    """The id of an hour's entry."""
    return f"{record.close_time}-0"


def _publish(client: Any, key: str, records: Sequence[HourRecord]) -> None:
    """Add the entries in one round trip; what Redis refuses as not newer must be there already."""
    from redis.exceptions import ResponseError

    adding = client.pipeline(transaction=False)
    for record in records:
        adding.xadd(key, signal(record), id=entry_id(record), maxlen=KEPT, approximate=True)
    for record, said in zip(records, adding.execute(raise_on_error=False), strict=True):
        if isinstance(said, ResponseError) and "equal or smaller" in str(said):
            _require_there(client, key, record)
        elif isinstance(said, Exception):
            raise said


def _require_there(client: Any, key: str, record: HourRecord) -> None:
    """Raises ConfigError unless the stream has the hour, or had it and has dropped it by its age."""
    found = client.xrange(key, entry_id(record), entry_id(record))
    mine = signal(record)
    if found and all(found[0][1].get(name) == mine[name] for name in ("symbol", "line_hash")):
        return
    oldest = client.xrange(key, count=1)
    if not found and (not oldest or int(oldest[0][0].partition("-")[0]) > record.close_time):
        return
    other = found or client.xrevrange(key, count=1)
    raise ConfigError(
        f"redis_stream {key} is written by another bot or store as well: its entry {other[0][0]} is of "
        f"{other[0][1].get('symbol')}, and {mine['symbol']} {mine['hour']} cannot be added. Set TRADER_REDIS_STREAM"
    )
