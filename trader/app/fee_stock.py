"""Commission that is taken in a third asset: its stock, what it suffices for, and when a person is told."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trader.core.errors import TraderError
from trader.core.ports import Exchange
from trader.core.types import Fill, plain

# A stock for fewer orders than this deserves a word: a bot may send one an hour.
LEAST_ORDERS = 24


def orders_left(stock: Decimal, per_order: Decimal) -> int:
    """For how many orders a stock suffices, both in the same unit."""
    return int(stock / per_order)


def taken_in_other(fills: Sequence[Fill]) -> dict[str, Decimal]:
    """What was taken of third assets, by asset."""
    taken: dict[str, Decimal] = {}
    for fill in fills:
        if fill.commission_in == "other":
            taken[fill.other_asset] = taken.get(fill.other_asset, Decimal(0)) + fill.other_amount
    return taken


def valued_by_rate(fills: Sequence[Fill]) -> str:
    """A word on commission that no price of its asset was known for, "" without any."""
    assets = {
        fill.other_asset for fill in fills if fill.commission_in == "other" and fill.other_price is None
    }
    said = ", ".join(sorted(assets))
    return (
        f"commission in {said} is valued by the account's rate: the venue gave no usable price"
        if said
        else ""
    )


def shortage(exchange: Exchange, fills: Sequence[Fill]) -> str:
    """A sentence where the stock that paid for an order would not last LEAST_ORDERS more like it, else "".

    Asks for balances only where the fills say that such a stock paid. It is a courtesy after the order: a venue that does
    not answer is no trouble of the hour.
    """
    taken = taken_in_other(fills)
    if not taken:
        return ""
    try:
        free = exchange.balances()
    except TraderError:
        return ""
    said = []
    for asset, amount in taken.items():
        stock = free.get(asset, Decimal(0))
        if (left := orders_left(stock, amount)) < LEAST_ORDERS:
            said.append(
                f"{plain(stock)} {asset} are left for commission, enough for about {left} more orders; then it is taken "
                f"from what is received"
            )
    return ". ".join(said)
