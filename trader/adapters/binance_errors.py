"""What a Binance host or the way to it answered instead of a reply, and what that means.

Foreign exceptions end here: a request that failed is `VenueRefusal` (the venue answered with an error) or `VenueSilence`.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import Literal

from binance.exceptions import BinanceAPIException, BinanceRequestException
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError

from trader.core.ports import Again

UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007})
KEY_CODES = frozenset({-1002, -1022, -2008, -2014, -2015})
LIMIT_CODES = frozenset({-1003, -1015})
# A quantity that the filters do not accept, and one with more digits than they have.
FILTER_CODES = frozenset({-1013, -1111})
BUSY = -1008
NOT_THERE = -2013
OUT_OF_WINDOW = -1021
NOT_SENT_STATUS = frozenset({403, 418, 429, 451})  # the edge answered, the order never came to the engine

LONGEST_BAN_S = 3 * 86_400.0
# The wait after these answers where they do not say how long. A firewall's 403 ends after minutes.
DEFAULT_WAIT_S = {403: 120.0, 418: 120.0, 429: 60.0}

# What the client, urllib3, http.client and json are known to raise for what a server sends.
FOREIGN = (
    BinanceAPIException,
    BinanceRequestException,
    HTTPError,
    HTTPException,
    OSError,
    ValueError,  # an unknown charset, an integer of 5,000 digits
    AttributeError,  # an error whose body is JSON but no object
    TypeError,
    LookupError,
    RecursionError,  # brackets nested ten thousand deep
)
# Raised before anything is sent: no connection was made, or the address is none of this host's.
NEVER_SENT = (ConnectTimeoutError, NewConnectionError, LocationValueError)


class VenueRefusal(Exception):
    """The venue answered with an error. `code` is 0 where the answer has none."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{status}, code {code}: {message}")
        self.status = status
        self.code = code

    @property
    def is_limit(self) -> bool:
        """True where the venue wants to hear nothing more for a while."""
        by_firewall = self.status == 403 and not self.code
        return self.status in (418, 429) or self.code in LIMIT_CODES or by_firewall

    @property
    def is_final(self) -> bool:
        """True where the venue refuses such a request for good, and the key is not the reason."""
        passing = UNKNOWN_CODES | LIMIT_CODES | KEY_CODES | {BUSY, OUT_OF_WINDOW, NOT_THERE}
        return 400 <= self.status < 500 and self.code < 0 and self.code not in passing


class VenueSilence(Exception):
    """There is no reply that could be used. `sent` is False where the request certainly never left."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def way_out(answer: VenueRefusal) -> str:
    """What a person can do about a refusal; "" where trying again later is right."""
    if answer.code in KEY_CODES or (answer.status == 401 and not answer.code):
        return "Check TRADER_API_KEY and TRADER_API_SECRET: they must belong to this venue and may trade"
    if answer.status == 451:
        return "Run the bot from a region that Binance serves"
    if answer.status == 404 and not answer.code:
        return "Check the address: no exchange answers there"
    return "The venue refuses such a request for good: check symbol and account" if answer.is_final else ""


def fate(refused: VenueRefusal) -> Literal["refused", "unknown"]:
    """An error answer to an order: where code and HTTP status disagree the code is believed; in doubt, unknown."""
    if refused.code in UNKNOWN_CODES or "Duplicate order sent" in str(refused):
        return "unknown"
    if refused.code == BUSY or refused.status in NOT_SENT_STATUS:
        return "refused"
    if refused.status == 408 or refused.status >= 500:
        return "unknown"
    return "refused" if refused.code < 0 else "unknown"


def again(refused: VenueRefusal) -> Again:
    """Whether another attempt at a refused order may go through."""
    if refused.code == OUT_OF_WINDOW:
        return "now"
    if refused.code in FILTER_CODES:
        return "filters"
    return "later" if refused.is_limit or refused.code == BUSY else ""


def never_sent(error: Exception) -> bool:
    """True where no connection was made, so that nothing can have been executed."""
    return isinstance(error, NEVER_SENT)
