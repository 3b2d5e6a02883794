"""The kinds of faults that the soak draws from: the exchange's faults crossed with paths and phases, and those of the store.

A kind is data. Most are one fault of `trader/exchange` in one request; some need a lost reply to an order first, so that the
queries of a recovery are made at all. What a kind may rightly lead to (a halt, exit 2) stands beside it. Left out is `wipe`,
the testnet's monthly reset, which ends a journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from benchmarks.soak_kind import BROKEN, EVERY, HTML, ORDER, REFUSED, SLOW, Kind, reply
from benchmarks.soak_process import QUOTE, Trouble
from trader.core.types import Json
from trader.exchange.fault_settings import KLINE_EDITS
from trader.exchange.scenarios import GEO, HTML_403, SCENARIOS

PATHS: Final = ("time", "klines", "exchangeInfo", "ticker/bookTicker", "account", "order", "allOrders")
# Asked only where an order is about to be sent, or was.
OF_ORDERS: Final = ("account", "order", "allOrders", "openOrders", "myTrades")
RECOVERY: Final = ("order", "openOrders", "allOrders", "myTrades", "account", "time")


def _orders() -> Iterator[Kind]:
    for phase in ("after", "before"):
        for name, what in {**BROKEN, **SLOW}.items():
            if phase == "before" and what["action"] in ("truncate", "drip"):
                continue
            committed = "executed" if phase == "after" else "never arrived"
            fault = {**what, **ORDER, "phase": phase, "nth": 1}
            yield Kind("POST order", f"{name}, {committed}", (fault,), passes=False, for_order=True, hours=3)
    for name, what in REFUSED.items():
        fault = {**what, **ORDER, "phase": "before", "nth": 1}
        yield Kind("POST order", name, (fault,), passes=False, for_order=True, hours=3)


def _reads() -> Iterator[Kind]:
    """Every path with a third of what can break, in turn; no path without silence or a drip."""
    broken, slow = list(BROKEN.items()), list(SLOW.items())
    for i, path in enumerate(PATHS):
        for name, what in [*broken[i % 3 :: 3], slow[i % 2]]:
            fault = {**what, "method": "GET", "path": f"/api/v3/{path}", "phase": "after"}
            waits = path in OF_ORDERS
            once = {"nth": 1} if name in SLOW else {}
            yield Kind(
                "GET",
                f"{path}: {name}",
                ({**fault, **once},),
                passes=name not in SLOW,
                for_order=waits,
                hours=3 if waits else 1,
            )


def _recoveries() -> Iterator[Kind]:
    """The reply to an order is lost, executed or not, and then the queries of its recovery meet a fault."""
    broken = list(BROKEN.items())
    for i, path in enumerate(RECOVERY):
        for lost in ("after", "before"):
            if lost == "after" and path not in ("order", "myTrades"):
                continue  # an executed order is found by these two
            for name, what in broken[(i + (lost == "after")) % 4 :: 4]:
                first = {**ORDER, "nth": 1, "phase": lost, "action": "reset", "name": "the order"}
                then = {"method": "GET", "path": f"/api/v3/{path}", "phase": "after", "since": "the order"}
                committed = "executed" if lost == "after" else "never arrived"
                yield Kind(
                    "GET after a lost order",
                    f"{path}: {name}, {committed}",
                    (first, {**what, **then}),
                    for_order=True,
                    hours=3,
                )
    lag: Json = {"method": "GET", "path": "/api/v3/*", "action": "lag", "since": "the order"}
    for seconds in (5, 50):
        first = {**ORDER, "nth": 1, "phase": "after", "action": "reset", "name": "the order"}
        late: Json = {**lag, "ms": seconds * 1000}
        name = f"reads are {seconds} s old, executed"
        yield Kind(
            "GET after a lost order", name, (first, late), for_order=True, hours=3, halts=("reconcile",)
        )


def _klines() -> Iterator[Kind]:
    for edit in KLINE_EDITS:
        fault = {
            "method": "GET",
            "path": "/api/v3/klines",
            "phase": "after",
            "action": "klines",
            "edit": edit,
        }
        yield Kind("klines", edit, (fault,), a_person=True)


def _clocks() -> Iterator[Kind]:
    skewed: dict[str, tuple[Json, int]] = {
        "1.5 s ahead": (EVERY, -1_500),
        "20 s behind": (EVERY, 20_000),
        "time alone 4 s off": ({"path": "/api/v3/time"}, -4_000),
        "account alone 9 s off": ({"path": "/api/v3/account"}, 9_000),
    }
    for name, (where, ms) in skewed.items():
        waits = "account" in where["path"]
        yield Kind(
            "clock", name, ({**where, "action": "skew", "ms": ms},), for_order=waits, hours=1 + 2 * waits
        )
    for path in ("time", "klines", "ticker/bookTicker"):
        fault = {"method": "GET", "path": f"/api/v3/{path}", "nth": 1, "action": "advance", "ms": 7_000}
        yield Kind("clock", f"jumps 7 s at {path}", (fault,), passes=False)


def _limits() -> Iterator[Kind]:
    for nth in (1, 3):
        yield Kind(
            "limits", f"weight, request {nth}", ({**EVERY, "nth": nth, "action": "limit_429"},), passes=False
        )
        ban = {**EVERY, "nth": nth, "action": "ban_418", "seconds": 120}
        yield Kind("limits", f"ban, request {nth}", (ban,), passes=False)
    html = {"action": "reply", "status": 403, "body": HTML_403, "headers": HTML}
    yield Kind("limits", "firewall 403", ({**EVERY, **html},))


def _venues() -> Iterator[Kind]:
    closed = reply(503, -1001, "Internal error; unable to process your request. Please try again.")
    yield Kind("venue", "maintenance, an hour", ({**EVERY, **closed},), passes=False)
    yield Kind("venue", "maintenance, two hours", ({**EVERY, **closed},), passes=False, hours=2)
    yield Kind("venue", "connections refused by reset", ({**EVERY, "action": "reset"},))
    yield Kind("venue", "451", ({**EVERY, **reply(451, 0, GEO)},), a_person=True)
    yield Kind("venue", "connections end unsaid", ({**EVERY, "action": "hang_up"},))
    for status in ("HALT", "BREAK", "CANCEL_ONLY", "END_OF_DAY"):
        fault = {**EVERY, "action": "status", "status": status}
        yield Kind("venue", f"symbol {status}", (fault,), halts=("symbol_status",))
    yield Kind(
        "venue",
        "coarser filters, six hours",
        (dict(SCENARIOS["filter_change_midrun"][0]),),
        passes=False,
        hours=6,
    )


def _accounts() -> Iterator[Kind]:
    signed: dict[str, tuple[str, tuple[str, ...]]] = {
        "key revoked": ("revoke_key", ()),
        "signatures refused": ("bad_signature", ()),
        "may not trade": ("no_trade", ("permission",)),
    }
    for name, (action, halts) in signed.items():
        yield Kind(
            "account",
            name,
            ({"path": "/api/v3/account", "action": action},),
            halts=halts,
            a_person=True,
            for_order=True,
            hours=3,
        )
        yield Kind(
            "account",
            f"{name}, everywhere",
            ({**EVERY, "action": action},),
            halts=halts,
            a_person=True,
            for_order=True,
            hours=3,
        )
    for name, share in {"a deposit": "0.1", "a withdrawal": "-0.05"}.items():
        yield Kind("account", name, (moves(share),), passes=False, amount=share)
    yield Kind(
        "account",
        "nearly all withdrawn",
        (moves("-0.97"),),
        passes=False,
        amount="-0.97",
        put_back=True,
        hours=8,
        halts=("reconcile",),
    )
    lost = {**ORDER, "nth": 1, "phase": "before", "action": "reset", "name": "the order"}
    for name, share in {"a deposit": "0.1", "a withdrawal": "-0.05"}.items():
        then = {**moves(share), "since": "the order"}
        yield Kind(
            "account",
            f"{name} after a lost order",
            (lost, then),
            passes=False,
            amount=share,
            for_order=True,
            hours=3,
            halts=("reconcile",),
        )


def moves(share: str) -> Json:
    """A fault that moves quote into the account, its amount still a share of what is free there."""
    return {**EVERY, "nth": 1, "action": "deposit", "asset": QUOTE, "amount": share}


def _stores() -> Iterator[Kind]:
    once: dict[str, Trouble] = {
        "a write fails": Trouble("fails", "write", 1),
        "the disk is full from a write on": Trouble("fails from then on", "write", 1),
        "an object is created, its answer lost": Trouble("reply lost", "create", 1),
        "a read fails": Trouble("fails", "read", 1),
        "reads fail from one on": Trouble("fails from then on", "read", 1),
    }
    for name, trouble in once.items():
        yield Kind("store", name, trouble=trouble)


def all_kinds() -> list[Kind]:
    """Every kind, each fault by its kind's title."""
    made = (_orders, _reads, _recoveries, _klines, _clocks, _limits, _venues, _accounts, _stores)
    return [kind for build in made for kind in build()]


def armed(kind: Kind, nth: int | None, free_quote: Decimal) -> list[Json]:
    """A kind's faults as the exchange takes them: the last by the kind's title; `nth` makes a passing one strike at that request
    alone; amounts by what is free of the quote."""
    *before, last = (dict(fault) for fault in kind.faults)
    last["name"] = kind.title
    if nth is not None and kind.passes:
        last["nth"] = nth
    if kind.amount:
        last["amount"] = f"{free_quote * Decimal(kind.amount):.2f}"
    return [*before, last]
