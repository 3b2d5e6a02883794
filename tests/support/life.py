"""Two days of a bot's life, made the same way in any store; and one hour with an order, before it is traded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support.rig import quick_params
from tests.support.s3_kit import Bucketry
from tests.support.served import exchange_at, settings_at
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.bot import Bot
from trader.app.halts import announce, resume
from trader.app.replay import replay
from trader.app.retrain import retrain
from trader.app.tick import tick
from trader.config import Settings
from trader.core.params import params_of
from trader.core.types import HOUR_MS, parse_hour
from trader.exchange.server import EmbeddedExchange

PARAMS = params_of(quick_params(), "tests")
START = parse_hour("2021-03-06")
HOURS = 48


@contextmanager
def exchange(bars_file: Path, at: int, state: Path | None = None) -> Iterator[EmbeddedExchange]:
    """An embedded exchange in this process, its clock standing at `at` (UTC ms); its filters are those of START."""
    with exchange_at(bars_file, at, PARAMS, state, priced_at=START) as served:
        yield served


def settings_of(url: str, **store: Any) -> Settings:
    """Settings of a bot at an embedded exchange: `store` and, for a bucket, where its server is."""
    return settings_at(url, timeout_s=2, **store)


def address(server: Bucketry, bucket: str, url: str = "") -> dict[str, Any]:
    """A bot's store in a bucket, as settings."""
    return {"store": f"s3://{bucket}/bot", "s3_endpoint_url": url or server.url, "s3_region": "us-east-1"}


@contextmanager
def a_bot(settings: Settings) -> Iterator[tuple[Bot, SimClock]]:
    """A bot in this process, and the exchange's clock."""
    with (
        closing(SimClock(settings.exchange_url)) as clock,
        wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot,
    ):
        yield bot, clock


def live(settings: Settings) -> None:
    """Trade HOURS hours from START on, with a halt, a resume and a second model in between."""
    cut = START + 20 * HOUR_MS
    with a_bot(settings) as (bot, clock):
        replay(bot, clock, PARAMS, START, cut)
        announce(bot.journal, cut, "person", freeze=False, by="person", message="a look")
        replay(bot, clock, PARAMS, cut, cut + 2 * HOUR_MS)
        resume(bot.journal, cut + 2 * HOUR_MS, "seen")
        retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, cut + 2 * HOUR_MS, "tests")
        replay(bot, clock, PARAMS, cut + 2 * HOUR_MS, START + HOURS * HOUR_MS)


def begin(bars_file: Path, store: Path) -> int:
    """A bot that has begun, in a folder, and has not traded its first hour, which buys. Returns that hour."""
    for hour in range(START, START + 100 * HOUR_MS, HOUR_MS):
        folder = store / f"{hour}"
        with exchange(bars_file, hour - HOUR_MS) as served:
            for place in (folder, folder.with_suffix(".tried")):
                with a_bot(settings_of(served.url, store=place)) as (bot, clock):
                    retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, hour, "tests")
            with a_bot(settings_of(served.url, store=folder.with_suffix(".tried"))) as (bot, clock):
                clock.move_to(hour)
                if tick(bot).lines[0].order_side:
                    return hour
    raise AssertionError("no hour of these bars begins with an order")
