"""Client order ids: `<bot>-<store>-<symbol>-<yymmddhh>-<kind><attempt>`, so that an order at the venue says whose it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trader.core.errors import ConfigError
from trader.core.types import iso, parse_hour

# d: the hour's decision, h: the sale of a halt, f: a sale that a person ordered within the hour.
OrderKind = Literal["d", "h", "f"]
ID = re.compile(
    r"(?P<bot>[A-Za-z0-9]{1,6})-(?P<store>[0-9a-f]{4})-(?P<symbol>[A-Z0-9]{1,12})-"
    r"(?P<yy>[0-9]{2})(?P<mm>[0-9]{2})(?P<dd>[0-9]{2})(?P<hh>[0-9]{2})-(?P<kind>[dhf])(?P<n>[1-9])"
)
# The same within other words.
ORDER_ID = re.compile(re.sub(r"\?P<[a-z]+>", "?:", ID.pattern))


@dataclass(frozen=True, slots=True)
class OrderName:
    """What a client order id of this program says. hour: the close time (UTC ms) that it was decided at."""

    bot: str
    store: str
    symbol: str
    hour: int
    kind: OrderKind
    attempt: int


def client_order_id(bot: str, store: str, symbol: str, hour: int, kind: OrderKind, n: int) -> str:
    """The id of an attempt: at most 36 characters, the same for everyone who computes it."""
    stamp = iso(hour)[2:13].replace("-", "").replace("T", "")
    return f"{bot[:6]}-{store}-{symbol[:12]}-{stamp}-{kind}{n}"


def parse_order_id(text: str) -> OrderName | None:
    """What an id says, None for one that this program does not make."""
    found = ID.fullmatch(text)
    if found is None:
        return None
    part = found.groupdict()
    try:
        hour = parse_hour(f"20{part['yy']}-{part['mm']}-{part['dd']}T{part['hh']}")
    except ConfigError:
        return None
    kind: OrderKind = "d" if part["kind"] == "d" else "h" if part["kind"] == "h" else "f"
    return OrderName(part["bot"], part["store"], part["symbol"], hour, kind, int(part["n"]))
