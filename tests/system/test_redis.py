"""Signals in a real Redis: the contract of its readers, and a bot that goes on while the server is dead."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from tests.support.signals_contract import CHECKS, entries, hours, news_of
from tests.system.redis_served import PASSWORD, RedisServer, redis_server
from trader.core.types import HOUR_MS, parse_hour
from trader.observers.signals_redis import KEPT, RedisSignals

START = parse_hour("2021-03-05")
KEY = "hourly-trader:signals"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the file."""
    with redis_server(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.mark.parametrize("check", CHECKS)
def test_the_contract(server: RedisServer, check: Callable[[str], None]) -> None:
    """Each promise to readers, at a real server."""
    check(server.url)


def test_a_stream_is_trimmed_and_a_lost_cursor_adds_nothing(server: RedisServer) -> None:
    """About as many entries as are meant to be kept stay, and telling all of it again changes nothing."""
    teller = RedisSignals(server.url, "long", of_book=False)
    many = hours(*range(KEPT + 500))
    teller.observe(news_of(many))
    before = entries(server.url, "long")
    assert KEPT <= len(before) < KEPT + 200
    teller.observe(news_of(many))
    assert entries(server.url, "long") == before


def test_a_bot_publishes_each_hour_once_and_never_waits_for_redis(
    tmp_path: Path, server: RedisServer
) -> None:
    """Hours are closed while the server is dead, and told when it is back; a consumer group reads each of them once."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    with venue(tmp_path, bars, START - HOUR_MS) as made:
        at = Venue(made.url, tmp_path, {"TRADER_REDIS_URL": server.url})
        (tmp_path / "P.json").write_text(json.dumps(quick_params()))
        at.trader("retrain", "--params", "P.json")
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            client.xgroup_create(KEY, "desk", id="0", mkstream=True)
        for n in range(5):
            if n == 1:
                server.kill()
            if n == 3:
                server.start()
            at.move_to(START + n * HOUR_MS)
            done = at.trader("tick")
            assert PASSWORD not in done.stderr + done.stdout
            if n in (1, 2):
                assert "observer redis: Retry: the Redis server did not take the signals" in done.stderr
        lines = at.journal()
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            ((_, read),) = client.xreadgroup("desk", "one", {KEY: ">"})
            assert not client.xreadgroup("desk", "two", {KEY: ">"})
    assert [name for name, _ in read] == [f"{START + n * HOUR_MS}-0" for n in range(5)]
    hashes = [hashlib.sha256(line.encode()).hexdigest() for line in lines]
    assert [fields["line_hash"] for _, fields in read] == hashes
