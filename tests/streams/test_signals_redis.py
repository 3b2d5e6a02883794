"""Signals as a Redis stream, at a small server of this machine's; `tests/system/test_redis.py` asks a real one the same."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.resp_server import Streams, resp_server
from tests.support.signals_contract import CHECKS, FIRST, hours, news_of
from trader.config import load_settings
from trader.core.errors import ConfigError, Retry
from trader.observers import builders, names
from trader.observers.signals_redis import RedisSignals

SECRET = "canary-of-redis"


@pytest.fixture
def served() -> Iterator[tuple[str, Streams]]:
    """A server without entries."""
    with resp_server() as made:
        yield made


@pytest.mark.parametrize("check", CHECKS)
def test_the_contract(served: tuple[str, Streams], check: Callable[[str], None]) -> None:
    """Each promise to readers, at the small server."""
    check(served[0])


def test_hours_that_the_stream_has_dropped_are_not_added_behind_newer_ones(
    served: tuple[str, Streams],
) -> None:
    """A cursor that was lost begins anew; what was trimmed by its age stays away, and nothing is wrong."""
    url, streams = served
    teller = RedisSignals(url, "old", of_book=False)
    teller.observe(news_of(hours(0, 1, 2, 3)))
    del streams.entries["old"][:2]
    teller.observe(news_of(hours(0, 1, 2, 3, 4)))
    assert [name for name, _ in streams.entries["old"]] == [f"{FIRST + n * 3_600_000}-0" for n in (2, 3, 4)]
    streams.entries["old"].clear()
    teller.observe(news_of(hours(0)))
    assert not streams.entries["old"]


def test_a_server_that_is_down_or_busy_is_tried_again(served: tuple[str, Streams]) -> None:
    """Retry, whose message repeats neither the address nor its password."""
    url, streams = served
    streams.busy = True
    with pytest.raises(Retry, match="did not take the signals"):
        RedisSignals(url, "busy", of_book=False).observe(news_of(hours(0)))
    streams.busy = False
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"redis://:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/0"
        with pytest.raises(Retry, match="did not take the signals") as refused:
            RedisSignals(nobody, "down", of_book=False).observe(news_of(hours(0)))
    assert SECRET not in str(refused.value)


def test_no_news_asks_nobody() -> None:
    """Events alone are no signal."""
    RedisSignals("redis://127.0.0.1:1", "none", of_book=False).observe(news_of([]))


def test_the_settings_make_the_observer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address switches it on, one that is none is refused without being repeated, and a missing library is named."""
    settings = load_settings(redis_url=f"redis://:{SECRET}@localhost", trackers="none")
    assert names.names_of(settings) == ("redis",)
    made = builders.make_observer(settings, "redis")
    assert isinstance(made, RedisSignals)
    assert made.key("BTCUSDT") == "hourly-trader:signals"
    assert SECRET not in repr(settings)
    wrong = load_settings(redis_url=f"http://:{SECRET}@localhost", trackers="none")
    with pytest.raises(ConfigError, match="redis_url: write redis://") as refused:
        builders.require_installed(wrong)
    assert SECRET not in str(refused.value)
    find = importlib.util.find_spec
    monkeypatch.setattr(names, "find_spec", lambda name: None if name == "redis" else find(name))
    with pytest.raises(ConfigError, match=r"redis is not installed: .*leave redis_url out"):
        builders.require_installed(settings)
