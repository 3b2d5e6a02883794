"""What attacks on a bot's account need: copies and restored stores, a venue that loses answers, and what must be in sight
after it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.crew import PARAMS, Scene
from trader.app.account_care import believed
from trader.app.bot import Bot
from trader.app.halts import resume, standing_halt
from trader.app.order_care import adopt, ignore
from trader.app.retrain import next_serve_hour, retrain
from trader.app.tick import tick
from trader.core.errors import TraderError
from trader.core.lifecycle import BreachRule
from trader.core.types import HOUR_MS

RULE = BreachRule(hours=168, net_return_below=-0.05, hit_rate_below=None, cooldown_hours=168)


LOST = {
    "name": "lost",
    "method": "POST",
    "path": "/api/v3/order",
    "nth": 1,
    "phase": "after",
    "action": "reset",
}


GET = {"method": "GET", "since": "lost", "action": "reply"}


DEAF = {**GET, "path": "/api/v3/order", "status": 503, "body": {"code": -1001, "msg": "no"}}


UNSEEN = [
    {**GET, "path": "/api/v3/order", "status": 400, "body": {"code": -2013, "msg": "Order does not exist."}},
    *(
        {**GET, "path": f"/api/v3/{name}", "status": 200, "body": []}
        for name in ("allOrders", "myTrades", "openOrders")
    ),
]


SKEWED = {
    "method": "POST",
    "path": "/api/v3/order",
    "nth": 1,
    "action": "reply",
    "status": 400,
    "body": {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."},
}


def at(fresh: Scene, hours: float) -> None:
    """So many hours after the first."""
    fresh.sim("/sim/clock", {"to": fresh.start + round(hours * HOUR_MS)})


def moved(fresh: Scene, asset: str, amount: str) -> None:
    """A deposit or a withdrawal by the next request."""
    fresh.sim(
        "/sim/faults",
        [{"path": "/api/*", "nth": 1, "action": "deposit", "asset": asset, "amount": amount}],
    )


def changed(decision: dict[str, Any], what: str) -> None:
    """What somebody else may write into a decision."""
    if what == "twice the allocation":
        decision["order"]["qty"] = str(2 * Decimal(decision["order"]["qty"]))
    elif what == "twice the cash":
        decision["order"]["qty"] = str(2 * Decimal(decision["order"]["qty"]))
        decision["totals"]["cash_usdt"] = "20000"
    elif what == "a deadline in 2099":
        decision["deadline_ms"] = 4_070_908_800_000
    else:
        decision["totals"]["cash_usdt"] = "NaN"


def rich(fresh: Scene, asset: str = "USDT", amount: str = "20000") -> None:
    """The account has more than the bot was given, as most accounts have."""
    moved(fresh, asset, amount)
    with fresh.bot() as bot:
        bot.exchange.balances()
    fresh.sim("/sim/faults", [])


def restore(copy: Path, store: Path) -> None:
    """The store as it was when the copy was made."""
    shutil.rmtree(store)
    shutil.copytree(copy, store)


class Watched:
    """A store that calls somebody after an object was created."""

    def __init__(self, inner: Any, after: Callable[[str], object]) -> None:
        self.inner, self.after = inner, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def create(self, key: str, data: bytes) -> bool:
        done = self.inner.create(key, data)
        self.after(key)
        return bool(done)


def watched(bot: Bot, after: Callable[[str], object]) -> None:
    """Let somebody be told of each object that the bot creates."""
    bot.journal._store = Watched(bot.journal._store, after)


def copied_when(fresh: Scene, bot: Bot, end: str, to: Path) -> None:
    """Copy the store right after an object whose key ends so was created."""
    watched(bot, lambda key: shutil.copytree(fresh.store, to) if key.endswith(end) else None)


def held(fresh: Scene, more: str = "0") -> Decimal:
    """What the account has of the base asset, apart from `more` that is somebody else's."""
    return Decimal(fresh.sim("/sim/balances").get("BTC", {"free": "0"})["free"]) - Decimal(more)


def hours(fresh: Scene, bot: Bot, *which: float) -> None:
    """Tick at these hours after the first, whatever comes of it."""
    for hour in which:
        at(fresh, hour)
        with suppress(TraderError):
            tick(bot)


def in_sight(fresh: Scene, bot: Bot, more: str = "0") -> None:
    """The bot knows what the account holds, or has stopped and says so."""
    assert believed(bot).position == held(fresh, more) or standing_halt(bot.journal) is not None


def left(bot: Bot, fresh: Scene, name: str) -> None:
    """One of the commands that the halt names ends it."""
    for act in (
        lambda: adopt(bot, name, "x"),
        lambda: ignore(bot, name, "x"),
        lambda: resume(bot.journal, fresh.start, "x"),
    ):
        with suppress(TraderError):
            act()
    assert standing_halt(bot.journal) is None


def retrained(bot: Bot) -> None:
    """What `trader retrain --params P.json` does now."""
    hour = next_serve_hour(bot.exchange.time_ms(), PARAMS.gap_hours)
    retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, hour, "tests")
