"""A tick that leaves no trace but under `dry/`: decide, then ask the venue whether it would accept the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trader.app.bot import Bot
from trader.app.codec import DECISION
from trader.app.proposal import propose
from trader.app.retrain import deployment
from trader.app.stored import encode
from trader.core.errors import ConfigError
from trader.core.records import Decision
from trader.core.types import HOUR_MS, floor_hour, iso, plain


@dataclass(frozen=True, slots=True)
class DryTick:
    """What the hour would decide, and why the venue would refuse its order ("" if it would accept it, or there is none)."""

    decision: Decision
    venue_message: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """What lies under `dry/`, and what machines are told."""
        return {**DECISION.content(self.decision), "schema": "dry/2", "venue_message": self.venue_message}


def dry_tick(bot: Bot) -> DryTick:
    """Decide the current hour as `tick` would and send its order to /order/test. Overwrites dry/<symbol>/<hour>."""
    hour = floor_hour(bot.exchange.time_ms())
    begun = deployment(bot.journal)
    if begun is None:
        raise ConfigError(
            "this bot has not begun yet; train its first model with: trader retrain --params P.json"
        )
    newest = bot.journal.newest_record(hour - HOUR_MS, begun.start_ms)
    proposal = propose(bot, hour, hour, newest)
    order, refusal, answer, verdict = proposal.order, "", "", "no order"
    if order is not None:
        refusal = bot.exchange.check(bot.symbol, order.side, order.qty)
        answer = f"; the venue would refuse it: {refusal}" if refusal else "; the venue would accept it"
        verdict = f"{order.side} {plain(order.qty)}"
    words = f"{bot.symbol} {iso(hour)} (dry): {verdict} ({proposal.reason}){answer}"
    made = DryTick(proposal, refusal, words)
    bot.journal.store.put(f"dry/{bot.symbol}/{iso(hour)[:13]}", encode(made.as_json()))
    return made
