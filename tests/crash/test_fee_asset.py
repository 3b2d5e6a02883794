"""Commission in a third asset, in whole hours: whatever the venue takes, the hour is closed and the books agree."""

from __future__ import annotations

import re
from decimal import Decimal

from tests.support.crew import Scene, a_bot
from tests.support.proxy import proxy_to
from trader.app.store_check import check
from trader.app.tick import tick
from trader.core.types import HOUR_MS


def in_bnb(path: str, answer: bytes) -> bytes:
    """What an account that pays fees in BNB is told: every commission is 0.012 BNB, and the discount is switched on."""
    if "/order" in path or "myTrades" in path:
        answer = re.sub(rb'"commission":\s*"[0-9.]+"', b'"commission":"0.01200000"', answer)
        answer = re.sub(rb'"commissionAsset":\s*"[A-Z]+"', b'"commissionAsset":"BNB"', answer)
    if "account/commission" in path:
        answer = re.sub(rb'"enabledFor(Account|Symbol)":\s*false', rb'"enabledFor\1":true', answer)
    return answer


def test_an_account_that_pays_in_bnb_trades_on(fresh: Scene) -> None:
    """The venue lists no BNBUSDT, so the account's rate says the value: the purchase is booked whole in its hour, the
    equity counts the cost, the sale works, and the store holds together."""
    with proxy_to(fresh.url) as proxy:
        proxy.rewrite = in_bnb
        with a_bot(proxy.url, fresh.store) as bot:
            ticked = tick(bot)
            bought = bot.journal.record(fresh.start)
            assert bought is not None
            [fill] = bought.fills
            notional = fill.qty * fill.price
            assert bought.ledger.position == fill.qty == bought.line.order_qty
            assert (fill.other_asset, fill.other_amount) == ("BNB", Decimal("0.012"))
            assert abs(fill.commission - notional * Decimal("0.00075")) < Decimal("0.00000001")
            assert bought.ledger.cash == 10_000 - notional - fill.commission
            assert bought.line.fee == bought.ledger.fees_usdt == fill.commission
            assert "0 BNB are left for commission, enough for about 0 more orders" in ticked.message
            outcome = bot.journal.outcome(fresh.start, 1)
            assert outcome is not None
            assert "valued by the account's rate" in outcome.message
            # The exchange behind the proxy took base; this account's paid in BNB, so it has that base still.
            kept = fresh.executed()[0]["fills"][0]["commission"]
            back = {"action": "deposit", "asset": "BTC", "amount": kept, "path": "/api/*", "nth": 1}
            fresh.sim("/sim/faults", [back])
            hour = fresh.start
            while bought.ledger.position and hour < fresh.start + 72 * HOUR_MS:
                hour += HOUR_MS
                fresh.sim("/sim/clock", {"to": hour})
                tick(bot)
                bought = bot.journal.record(hour) or bought
            assert bought.line.order_side == "SELL"
            assert bought.ledger.position == 0
            assert check(bot.journal).problems == []
    fresh.check_books()
