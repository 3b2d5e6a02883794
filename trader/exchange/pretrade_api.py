"""What clients ask beside the spot API before they trade: coins, margin pairs, contracts. Here there is spot alone."""

from __future__ import annotations

from typing import Any

from trader.exchange.filters import ZERO
from trader.exchange.replies import eight
from trader.exchange.venue import ApiCall, Venue


def coins(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """GET /sapi/v1/capital/config/getall: every asset of the account; none can be deposited or withdrawn."""
    account, nothing = venue.account, eight(ZERO)
    return [
        {
            "coin": asset,
            "name": asset,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "free": eight(account.free[asset]),
            "locked": eight(account.locked[asset]),
            **dict.fromkeys(("freeze", "withdrawing", "ipoing", "ipoable", "storage"), nothing),
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for asset in account.free
    ]


def nothing(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """Lists of what there is none of: cross and isolated margin pairs."""
    return []


def no_contracts(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET exchangeInfo of the futures: an exchange of contracts that lists none."""
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [],
    }
