"""What `trader doctor` says about commission: what the account is charged, in what, and whether the parameters count on it."""

from __future__ import annotations

from decimal import Decimal

from trader.app.bot import Bot
from trader.app.doctor import Finding, FindingVerdict
from trader.app.fee_stock import LEAST_ORDERS, orders_left
from trader.app.retrain import newest_readable_params
from trader.core.params import Params
from trader.core.ports import CommissionTerms
from trader.core.text import plural
from trader.core.types import plain


def costs_check(bot: Bot) -> Finding:
    """The account is charged what the serving model's parameters count on, and a stock that pays for it lasts."""
    params, terms = newest_readable_params(bot.journal), bot.exchange.commission_terms(bot.symbol)
    if not terms.discount_asset:
        return _judged(terms.rate, params, f"the account pays {_percent(terms.rate)} a side", in_other=False)
    said = (
        f"the account pays {_percent(terms.discounted_rate)} a side in {terms.discount_asset} instead of "
        f"{_percent(terms.rate)}"
    )
    if terms.discount_asset in bot.exchange.assets(bot.symbol):
        return _judged(terms.discounted_rate, params, said, in_other=False)
    lasts, stock = _stock(bot, terms, params)
    judged = _judged(terms.discounted_rate, params, f"{said}; {stock}", in_other=True)
    if lasts:
        return judged
    asset = terms.discount_asset
    refill = (
        f"have more {asset}: without it commission is taken from what is received, at {_percent(terms.rate)}"
    )
    return Finding("costs", "warn", judged.said, "; ".join(filter(None, (refill, judged.todo))))


def _judged(rate: Decimal, params: Params | None, said: str, *, in_other: bool) -> Finding:
    if params is None:
        return Finding("costs", "pass", said)
    counted = params.costs.paid_rate
    said = f"{said}, the parameters count on {_percent(counted)}"
    verdict: FindingVerdict = "warn"
    if in_other and params.fee_discount is None:
        todo = (
            f"the backtest takes commission from what is received; set fee_discount, with fee_rate x (1 - fee_discount) = "
            f"{plain(rate)}"
        )
    elif not in_other and params.fee_discount is not None:
        todo = "the backtest counts on commission paid in another asset: switch that on at the venue, or leave fee_discount out"
    elif rate > counted:
        todo = "results will be worse than the backtest: raise fee_rate in P.json and search parameters again"
    elif rate < counted:
        todo = "the backtest is stricter than the venue; lower fee_rate to match it"
    else:
        verdict, todo = "pass", ""
    return Finding("costs", verdict, said, todo)


def _stock(bot: Bot, terms: CommissionTerms, params: Params | None) -> tuple[bool, str]:
    """Whether the free stock of the asset lasts, and what there is of it, in orders of the whole allocation."""
    asset = terms.discount_asset
    free = bot.exchange.balances().get(asset, Decimal(0))
    price = bot.exchange.price_of(asset, bot.symbol)
    if price is None or params is None or not terms.discounted_rate:
        return free > 0, f"{plain(free)} {asset} are free"
    left = orders_left(free, params.allocation_usdt * terms.discounted_rate / price)
    return left >= LEAST_ORDERS, f"{plain(free)} {asset} are free, enough for about {plural(left, 'order')}"


def _percent(share: Decimal) -> str:
    return f"{plain(share * 100)}%"
