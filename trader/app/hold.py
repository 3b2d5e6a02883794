"""Buy and hold beside the bot: one purchase with the whole allocation at the first hour that had a quote, by the same function as
a backtest's."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from trader.app.journal import Journal
from trader.app.retrain import params_or_newest_readable
from trader.core.hours import Rules
from trader.core.ledger import Ledger
from trader.core.summary import bought_and_held

# Hours at the beginning that are looked at for a quote: a bot that began in an outage has one after it.
LOOKED_AT = 7 * 24


@dataclass(frozen=True, slots=True)
class BuyAndHold:
    """What buy and hold owns, and what it began with, in quote."""

    ledger: Ledger
    allocation_usdt: Decimal

    def net_return(self, mark: Decimal) -> float:
        """At a price, a compounded share of the allocation, after the costs of the purchase."""
        return float(self.ledger.equity(mark) / self.allocation_usdt - 1)


def buy_and_hold(journal: Journal, start: int) -> BuyAndHold | None:
    """Buy and hold since the bot's first hour, `start` (UTC ms); of a symbol of a book since its first transfer, with what that
    gave it. None where no early hour has a quote."""
    for record in islice(journal.records(start), LOOKED_AT):
        decision = journal.decision(record.close_time)
        if decision is not None and decision.quote is not None:
            params = params_or_newest_readable(journal, decision.model_id)
            if journal.in_book:
                if not record.risk.base_equity:
                    continue
                params = params.model_copy(update={"allocation_usdt": record.risk.base_equity})
            owned = bought_and_held(decision.quote, decision.close, Rules(params, decision.filters))
            return BuyAndHold(owned, params.allocation_usdt)
    return None
