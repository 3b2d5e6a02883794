"""Where ticks are measured: a bot at an embedded exchange of its own, and whoever watches its requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.scene import Process, bars_file, process, trader
from tests.support.rig import quick_params
from trader import wiring
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_spot import BinanceSpot
from trader.adapters.clocks import SimClock
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT, CHAMPION
from trader.app.comparison import unknown_orders
from trader.app.retrain import retrain
from trader.app.tick import tick
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, parse_hour
from trader.simulation import rehearsal

START = parse_hour("2022-01-01")
DEFAULTS = params_of(DEFAULT_PARAMS, "the defaults")
# Small trees that change their mind often: as many of the hours as possible carry an order.
BUSY = params_of(
    quick_params(step_days=365, exit_edge=0.0, halt_cumulative_return=None), "the benchmark's own"
)


@dataclass(frozen=True, slots=True)
class Size:
    """Hours of the warm bot; fresh ticks of each kind; warm ticks in turn; closed hours behind the older bot."""

    own_hours: int = 2_000
    fresh_ticks: int = 9
    warm_ticks: int = 300
    hours_behind: int = 87_600


@dataclass
class Stage:
    """A bot in this process at an exchange of its own, its hours moved by hand."""

    bot: Bot
    clock: SimClock
    store: Path
    url: str

    def tick_at(self, hour: int) -> float:
        """Seconds of the tick of an hour (UTC ms), the exchange's clock set to it before."""
        self.clock.move_to(hour)
        began = time.perf_counter()
        ticked = tick(self.bot)
        seconds = time.perf_counter() - began
        if ticked.outcome != "traded":
            raise RuntimeError(f"a tick of the benchmark did not trade: {ticked.message}")
        return seconds

    def fresh(self, hour: int, **more: str) -> Process:
        """The tick of an hour in a fresh process, with `more` in its environment."""
        self.clock.move_to(hour)
        return process(trader("tick"), {**self.environment, **more}, self.store.parent)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to run this bot."""
        folder = self.store.parent
        return {
            "TRADER_VENUE_URL": self.url,
            "TRADER_STORE": str(self.store),
            "TRADER_BARS": str(folder / "bars"),
            "TRADER_TRACKERS": "none",
        }


@contextmanager
def stage(folder: Path, params: Params, start: int, *, durable: bool) -> Iterator[Stage]:
    """A bot that begins at `start`; one that has begun already where the folder holds its store."""
    served = ["--bars", str(bars_file(folder)), "--symbol", "BTCUSDT"]
    with wiring.embedded_exchange(served, params, start) as venue:
        settings = rehearsal.embedded_settings(venue, "BTCUSDT", folder / "store")
        with (
            closing(SimClock(venue["url"])) as clock,
            wiring.open_bot(settings, clock, durable=durable, keep_bars=False) as bot,
        ):
            if not bot.journal.events(CHAMPION):
                retrain(bot.journal, bot.collector, bot.forecaster_of, params, start, bot.version)
            yield Stage(bot, clock, folder / "store", venue["url"])


@dataclass
class Watch:
    """Every request of a bot: when it left, when its answer was there. perf_counter seconds."""

    requests: list[tuple[float, float, str]] = field(default_factory=list)

    def over(self, bot: Bot) -> None:
        """Watch the two connections of a bot: to its account, and to the market."""
        for side in (bot.exchange, bot.collector._market):
            assert isinstance(side, BinanceSpot | BinanceKlines)
            self._over(side._api.client.session)

    def _over(self, session: Any) -> None:
        """Watch one HTTP session."""
        send = session.request

        def timed(method: str, uri: str, **asked: Any) -> Any:
            began = time.perf_counter()
            try:
                return send(method, uri, **asked)
            finally:
                what = f"{method} {urlsplit(uri).path}"
                self.requests.append((began, time.perf_counter(), what))

        session.request = timed

    def own_seconds(self, ended: float) -> tuple[float, bool]:
        """From the answer with the closed bar to the order's leaving (or to the hour's end), requests left out; and
        whether there was an order."""
        known = max((end for _, end, what in self.requests if what.endswith("/klines")), default=None)
        if known is None:
            raise RuntimeError("no bar was asked for")
        orders = [began for began, _, what in self.requests if what == "POST /api/v3/order"]
        until = orders[0] if orders else ended
        waited = sum(end - began for began, end, _ in self.requests if began >= known and end <= until)
        return until - known - waited, bool(orders)

    def compared(self) -> int:
        """Requests that compare the account with the journal."""
        return sum(what.endswith(("/allOrders", "/myTrades")) for _, _, what in self.requests)

    def comparison_seconds(self, bot: Bot, hour: int) -> float:
        """What comparing the account with the journal takes of the bot itself, requests left out, once the hour is closed."""
        newest, account = bot.journal.record(hour), bot.journal.events(ACCOUNT)
        self.requests.clear()
        began = time.perf_counter()
        found = unknown_orders(bot.context, newest, hour + HOUR_MS, hour + HOUR_MS, account)
        seconds = time.perf_counter() - began
        if found:
            raise RuntimeError(f"an order of the benchmark is unknown: {found}")
        return seconds - sum(end - start for start, end, _ in self.requests)
