"""A kind of fault of the soak, and how an answer may fail: data that `soak_faults` makes kinds of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.soak_process import Trouble
from trader.core.types import Json
from trader.exchange.scenarios import BUSY, HTML_403, HTML_502, SCENARIOS, UNKNOWN_STATE

Group = Literal[
    "POST order", "GET", "GET after a lost order", "klines", "clock", "limits", "venue", "account", "store"
]

ORDER: Final[Json] = {"method": "POST", "path": "/api/v3/order"}
EVERY: Final[Json] = {"path": "/api/*"}
HTML: Final[Json] = {"Content-Type": "text/html"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. The last of `faults` is the one that must meet a request; `trouble` is of the hour's first process.

    hours: how long it lasts, where it is not over earlier. passes: it may also strike only once, or for some minutes.
    for_order: it waits for an order to be sent. halts: reasons of a halt that it may rightly cause. a_person: exit 2 is
    right while it lasts. amount: what it moves into the account, as a share of the free quote; put_back: a person returns it.
    """

    group: Group
    name: str
    faults: tuple[Json, ...] = ()
    trouble: Trouble | None = None
    hours: int = 1
    passes: bool = True
    for_order: bool = False
    halts: tuple[str, ...] = ()
    a_person: bool = False
    amount: str = ""
    put_back: bool = False

    @property
    def title(self) -> str:
        """The name within all kinds."""
        return f"{self.group}: {self.name}"


def reply(status: int, code: int, msg: str) -> Json:
    """Settings of a fault that answers with an error."""
    return {"action": "reply", "status": status, "body": {"code": code, "msg": msg}}


# How an answer may fail, whatever was asked. The wait for a dropped one is wall time, so these two are rare.
BROKEN: Final[dict[str, Json]] = {
    "reset": {"action": "reset"},
    "closed": {"action": "close"},
    "502 html": {"action": "reply", "status": 502, "body": HTML_502, "headers": HTML},
    "504 empty": {"action": "reply", "status": 504, "body": ""},
    "408 -1007": reply(408, -1007, UNKNOWN_STATE),
    "500 -1006": reply(500, -1006, "An unexpected response was received from the message bus."),
    "503 -1001": reply(503, -1001, "Internal error; unable to process your request. Please try again."),
    "200 {}": {"action": "reply", "status": 200, "body": {}},
    "500 []": {"action": "reply", "status": 500, "body": []},
    "500 null": {"action": "reply", "status": 500, "body": "null"},
    "truncated": {"action": "truncate", "bytes": 1},
    "200 html": {"action": "reply", "status": 200, "body": HTML_502, "headers": HTML},
    "302": {"action": "reply", "status": 302, "body": "", "headers": {"Location": "/api/v3/time"}},
}
SLOW: Final[dict[str, Json]] = {"no answer": {"action": "drop"}, "drip": {"action": "drip", "bytes_per_s": 2}}

# What an order's request may meet before anything is committed, beside what is BROKEN.
REFUSED: Final[dict[str, Json]] = {
    "503 -1008": reply(503, -1008, BUSY),
    "429 -1015": {**reply(429, -1015, "Too many new orders."), "headers": {"Retry-After": "10"}},
    "400 -2010 balance": reply(400, -2010, "Account has insufficient balance for requested action."),
    "400 -2010 closed": reply(400, -2010, "Market is closed."),
    "400 -1013": reply(400, -1013, "Filter failure: LOT_SIZE"),
    "400 -1021": reply(400, -1021, "Timestamp for this request is outside of the recvWindow."),
    "403 html": {"action": "reply", "status": 403, "body": HTML_403, "headers": HTML},
    "held up 20 s": {"action": "advance", "ms": 20_000},
    "executed 8 s later": {"action": "late_commit", "ms": 8_000},
    "executed 2 s later": {"action": "late_commit", "ms": 2_000},
    "a thin book fills 40 %": {"action": "book", "share": "0.4"},
    "a thin book fills a sliver": {"action": "book", "share": "0.003"},
    "an empty book": {"action": "book", "share": "0"},
    "three fills": {"action": "book", "fills": 3},
    "seventeen fills": {"action": "book", "fills": 17},
    "coarser filters": SCENARIOS["filter_change_midrun"][0],
    "the symbol halts": {"action": "status", "status": "HALT"},
    "weight": {"action": "limit_429", "seconds": 30},
    "ban": {"action": "ban_418", "seconds": 120},
}
