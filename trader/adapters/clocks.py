"""Time as a port: the wall for production, the embedded exchange's own clock for replay."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from trader.core.errors import Retry


class WallClock:
    """The machine's clock. What an hour is, the exchange's clock decides; this one only measures spans."""

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def market_served(url: str, timeout_s: float = 15.0) -> str:
    """What an embedded exchange says that it serves, such as "synthetic market, seed 7"; "" for the bars of a file. Raises Retry
    where it does not answer."""
    clock = SimClock(url, timeout_s)
    clock.close()
    return clock.market


class SimClock:
    """The clock of an embedded exchange that stands still until it is moved. Sleeping moves it and returns at once.

    Between its own moves it knows the time without asking. Where somebody else moved the exchange meanwhile it runs behind by
    that much, as a machine's clock may: a sleep advances both by the same span.
    """

    def __init__(self, url: str, timeout_s: float = 15.0) -> None:
        parts = urlsplit(url)
        self._http = HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=timeout_s)
        self.market = ""  # what is served where it is no real market
        self._now_ms = self._ask("GET", None)

    def now_ms(self) -> int:
        """The exchange's time when it was last moved, UTC milliseconds."""
        return self._now_ms

    def close(self) -> None:
        """Give back the connection."""
        self._http.close()

    def sleep(self, seconds: float) -> None:
        """Advance the exchange by this span."""
        span_ms = round(seconds * 1000)
        self._ask("POST", json.dumps({"to": self._ask("GET", None) + span_ms}).encode())
        self._now_ms += span_ms

    def move_to(self, time_ms: int) -> None:
        """Advance the exchange to a time; moving to the past does nothing."""
        if time_ms > self._now_ms:
            self._now_ms = self._ask("POST", json.dumps({"to": time_ms}).encode())

    def _ask(self, method: str, body: bytes | None) -> int:
        try:
            self._http.request(method, "/sim/clock", body=body, headers={"Content-Type": "application/json"})
            reply = self._http.getresponse()
            text = reply.read()
        except (OSError, HTTPException) as error:
            self.close()
            raise Retry(f"the embedded exchange's clock does not answer: {error}") from None
        try:
            if reply.status == HTTPStatus.OK:
                told = json.loads(text)
                self.market = str(told.get("market", ""))
                return int(told["now"])
        except (ValueError, TypeError, KeyError, AttributeError):
            self.close()
            raise Retry(f"what answers there is no embedded exchange: {text[:200]!r}") from None
        self.close()
        raise Retry(f"the embedded exchange refused to move its clock: {text[:200]!r}")
