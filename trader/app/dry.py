"""A tick that leaves no trace but under `dry/`: decide, then ask the venue whether it would accept the order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.app.journal import Json
from trader.app.retrain import deployment
from trader.app.stored import encode
from trader.app.tick import Bot, propose
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, floor_hour, iso


@dataclass(frozen=True, slots=True)
class DryTick:
    """What the hour would decide, and what the venue says to its order ("" if it would accept it, or has none)."""

    content: Json
    message: str


def dry_tick(bot: Bot) -> DryTick:
    """Decide the current hour as `tick` would and send its order to /order/test. Overwrites dry/<symbol>/<hour>."""
    hour = floor_hour(bot.exchange.time_ms())
    begun = deployment(bot.journal)
    if begun is None:
        raise ConfigError(
            "this bot has not begun yet; train its first model with: trader retrain --params P.json"
        )
    newest = bot.journal.newest_record(hour - HOUR_MS, begun.start)
    proposal = propose(bot, hour, hour, newest)
    order, said = proposal["order"], ""
    if order is not None:
        said = bot.exchange.check(bot.symbol, order["side"], Decimal(order["qty"]))
    content = {**proposal, "schema": "dry/1", "venue_says": said}
    bot.journal.store.put(f"dry/{bot.symbol}/{iso(hour)[:13]}", encode(content))
    verdict = "no order" if order is None else f"{order['side']} {order['qty']}"
    answer = (
        "" if order is None else f"; the venue {'would refuse it: ' + said if said else 'would accept it'}"
    )
    return DryTick(content, f"{bot.symbol} {iso(hour)} (dry): {verdict} ({proposal['reason']}){answer}")
