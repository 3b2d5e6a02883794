"""Time as a port: the wall's in production, an embedded exchange's own where the venue is one, moved by us in a replay."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from trader.core.errors import Retry
from trader.core.ports import Clock
from trader.core.types import iso

# An exchange on this machine answers in a millisecond; one that does not is looked for again with the next tick.
ANSWER_S = 2.0


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


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the exchange's clock said: `now_ms` (UTC ms) at `read_s` of this machine's monotonic clock, running `speed` times as
    fast as it; None where nobody has answered yet, and the time is this machine's."""

    now_ms: int
    read_s: float
    speed: float | None


class ExchangeClock:
    """The clock of an embedded exchange, which runs beside this process at a speed of its own (`--speed`).

    An hour of the exchange is an hour of its bot, and so are shorter spans: a sleep of 60 s takes a second here where the
    exchange's clock runs 60 times as fast. Where that clock stands still, spans are the wall's. Until the exchange has
    answered once, the time is the wall's. Several threads may ask.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 80
        self._reading = _Reading(time.time_ns() // 1_000_000, time.monotonic(), None)
        self.follow()

    @property
    def speed(self) -> float | None:
        """Seconds of the exchange in a second of the wall, 0 where its clock stands still, None where it never answered."""
        return self._reading.speed

    @property
    def rate(self) -> float:
        """The same for spans: 1 where the exchange's clock stands still or is not known."""
        return self._reading.speed or 1.0

    def now_ms(self) -> int:
        """The exchange's time, UTC milliseconds, counted on from its last answer: behind it by a round trip, never ahead."""
        reading = self._reading
        return reading.now_ms + int((time.monotonic() - reading.read_s) * 1000 * (reading.speed or 1.0))

    @property
    def words(self) -> str:
        """Where it stands, and how fast it runs, for a person."""
        if not self.speed:
            return f"{iso(self.now_ms())}, standing still"
        pace = "as fast as" if self.speed == 1 else f"{self.speed:g} times as fast as"
        return f"{iso(self.now_ms())}, {pace} the wall's"

    def sleep(self, seconds: float) -> None:
        """Wait for a span of the exchange's time."""
        time.sleep(seconds / self.rate)

    def follow(self) -> bool:
        """Ask the exchange anew where its clock stands and how fast it runs; False, and nothing changed, where it does not
        answer. Somebody may have moved it, or started another exchange."""
        http = HTTPConnection(*self._address, timeout=ANSWER_S)
        try:
            http.request("GET", "/sim/clock")
            said = json.loads(http.getresponse().read())
            self._reading = _Reading(int(said["now"]), time.monotonic(), float(said.get("speed", 0)))
        except (OSError, HTTPException, ValueError, TypeError, KeyError):
            return False
        finally:
            http.close()
        return True


def rate_of(clock: Clock) -> float:
    """How many seconds of a clock pass in a second of the wall."""
    return clock.rate if isinstance(clock, ExchangeClock) else 1.0


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
