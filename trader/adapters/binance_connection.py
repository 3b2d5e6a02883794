"""Asking a Binance host: its clock, its limits, and what a failed request means.

Foreign exceptions stop here. A request ends with its reply, with `VenueRefusal` (the venue answered something else) or with
`VenueSilence`; reads turn the two into the errors of this project, orders into an outcome. Neither leaves the adapters,
and no message holds a key, a secret or a signature.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from trader.adapters.bans import BanFile
from trader.adapters.binance_client import MOST_WINDOW_MS, RECV_WINDOW_MS, VenueAddress, signing_client
from trader.adapters.binance_errors import (
    DEFAULT_WAIT_S,
    FOREIGN,
    LONGEST_BAN_S,
    OUT_OF_WINDOW,
    VenueRefusal,
    VenueSilence,
    never_sent,
    way_out,
)
from trader.adapters.binance_replies import UNREADABLE, moment
from trader.adapters.clocks import rate_of
from trader.adapters.http_deadline import Reply
from trader.core.errors import ConfigError, Retry
from trader.core.ports import Clock
from trader.core.types import iso

T = TypeVar("T")

# What a read may try again at once, and how often: connections that broke, servers that were busy.
READ_TRIES = 3
READ_PAUSE_S = 0.5
# A wait that the venue asks for is waited out if it is this short; else the caller comes again.
SHORT_WAIT_S = 10.0
# Weight of a minute that pages of history leave to everybody else behind the same address.
WEIGHT_LIMIT_1M = 6_000
PAUSE_AT_WEIGHT = WEIGHT_LIMIT_1M * 8 // 10
# A round trip this short tells the venue's clock well enough; else the best of a few samples does.
GOOD_ROUND_TRIP_MS = 300
CLOCK_SAMPLES = 3


class Quota:
    """What a host allows this machine: how much weight the minute has seen, and until when it forbade everything.

    Share one between the connections to one host: a ban meets them all, and with a file the processes after this one.
    """

    def __init__(self, file: BanFile | None = None, now_ms: int = 0) -> None:
        self._file = file
        self.blocked_until_ms = file.until_ms(now_ms) if file else 0
        self.used_weight = 0

    def block(self, until_ms: int) -> None:
        """Nothing may be sent before `until_ms`."""
        if until_ms > self.blocked_until_ms:
            self.blocked_until_ms = until_ms
            if self._file:
                self._file.keep(until_ms)

    def note(self, headers: Any) -> None:
        """Remember the weight that an answer tells."""
        text = str(headers.get("X-MBX-USED-WEIGHT-1M", ""))
        self.used_weight = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


class VenueApi:
    """One client, its clock offset, and the rules for asking. For one thread at a time."""

    def __init__(self, connection: VenueAddress, clock: Clock, quota: Quota | None = None) -> None:
        self.client = signing_client(connection, self.stamp, self.window_ms)
        self.url = connection.url
        self.clock = clock
        self.quota = quota or Quota()
        self.offset_ms = 0
        self._secrets = [text for text in (connection.api_key, connection.api_secret) if text]

    def close(self) -> None:
        """Give back the connections."""
        self.client.session.close()

    def stamp(self) -> int:
        """The venue's time now, by the last measured offset, UTC ms."""
        return self.clock.now_ms() + self.offset_ms

    def window_ms(self) -> int:
        """How long from now on a request is good, on the venue's clock: as long as the wall's 5 s where that clock runs faster,
        up to what Binance takes."""
        return min(round(RECV_WINDOW_MS * max(1.0, rate_of(self.clock))), MOST_WINDOW_MS)

    def measure(self) -> int:
        """Ask the venue's time and remember the offset from the midpoint of the round trip; UTC ms on its clock.

        A slow round trip is measured again, and the fastest of a few samples counts: its midpoint errs by at most
        half of it.
        """
        fastest = None
        before = 0

        def ask() -> Any:
            nonlocal before
            before = self.clock.now_ms()  # of the try that is answered
            return self.client.get_server_time()

        for _ in range(CLOCK_SAMPLES):
            server = self.read(ask, lambda reply: moment(reply["serverTime"]))
            after = self.clock.now_ms()
            if fastest is None or after - before < fastest:
                fastest, self.offset_ms = after - before, server - (before + after) // 2
            if fastest <= GOOD_ROUND_TRIP_MS:
                break
        return server

    def _unreached(self, why: object) -> str:
        """The venue gave no usable answer; where it is this machine's own, how it is started."""
        here = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        start = (
            "; start it with: trader exchange --bars FILE (or --synthetic SEED), then retry" if here else ""
        )
        return f"cannot reach the exchange at {self.url}: {why}{start}"

    def blocked_s(self) -> float:
        """Seconds during which the venue forbade every request."""
        return max(0.0, (self.quota.blocked_until_ms - self.clock.now_ms()) / 1000)

    def require_leave(self, why: str = "") -> None:
        """Wait out a short ban. Raises Retry, which says until when (and `why`), for a longer one."""
        wait_s = self.blocked_s()
        if wait_s > SHORT_WAIT_S:
            until_ms = self.quota.blocked_until_ms
            said = f"{self.url} forbids every request until {iso(until_ms)}"
            raise Retry(f"{said}: {why}" if why else said, until_ms)
        if wait_s > 0:
            self.clock.sleep(wait_s)

    def ease(self) -> None:
        """Wait for the next minute if this one has seen most of the weight it may: for what can wait."""
        if self.quota.used_weight >= PAUSE_AT_WEIGHT:
            self.clock.sleep(60.0 - self.stamp() % 60_000 / 1000)
            self.quota.used_weight = 0

    def call(self, method: Callable[..., Any], **params: Any) -> Any:
        """One request, sent once. Raises VenueRefusal or VenueSilence."""
        client = self.client
        client.response = None
        try:
            reply = method(**params)
        except FOREIGN as error:
            problem = self._translated(error, client.response)
        else:
            self.quota.note(client.response.headers)
            return reply
        # Raised here, outside of the handler: what the client raised holds the request with its key.
        raise problem

    def _translated(self, error: Exception, response: Reply | None) -> VenueRefusal | VenueSilence:
        if response is None:
            return VenueSilence(type(error).__name__, sent=not never_sent(error))
        self.quota.note(response.headers)
        if 200 <= response.status_code < 300:
            return VenueSilence(
                f"{type(error).__name__} on a reply of {len(response.content)} bytes", sent=True
            )
        code, message = getattr(error, "code", 0), getattr(error, "message", "")
        known = code if type(code) is int else 0
        refused = VenueRefusal(
            response.status_code, known, self._masked(str(message)) or "an answer that is no object"
        )
        if refused.is_limit:
            self._block(refused, response.headers.get("Retry-After", ""))
        return refused

    def _masked(self, text: str) -> str:
        """A stranger's words on one short line, without anything that they might have repeated of ours."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"(?i)\b[0-9a-f]{64}\b", "***", text)
        text = re.sub(r"[^ -~]+", " ", text)
        return " ".join(text.split())[:200]

    def _block(self, refused: VenueRefusal, retry_after: str) -> None:
        """Remember until when nothing may be sent: by Retry-After, else by the words, else by custom."""
        now_ms = self.clock.now_ms()
        until = re.search(r"until (\d{13})\b", str(refused))
        seconds = DEFAULT_WAIT_S.get(refused.status, 60.0)
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", retry_after):
            seconds = float(retry_after)
        elif until:
            seconds = max(seconds, (int(until[1]) - self.stamp()) / 1000)
        until_ms = now_ms + round(min(seconds, LONGEST_BAN_S) * 1000)
        self.quota.block(until_ms)

    def read(
        self,
        method: Callable[..., Any],
        parse: Callable[[Any], T],
        meaning: Callable[[VenueRefusal], T | None] = lambda refused: None,
        **params: Any,
    ) -> T:
        """A request that changes nothing: tried again a few times where that is safe and useful, its reply parsed.

        `meaning` gives the answer that a refusal is ("Order does not exist."), None where it is none. Raises
        ConfigError where a person must act, Retry for everything else.
        """
        problem = ""
        for attempt in range(READ_TRIES):
            if attempt:
                self.clock.sleep(READ_PAUSE_S)
            self.require_leave(problem)
            try:
                return parse(self.call(method, **params))
            except VenueRefusal as refused:
                answer = refused
            except VenueSilence as nothing:
                problem = self._unreached(nothing)
                continue
            except UNREADABLE as error:
                problem = f"{self.url} answered something that cannot be read: {self._masked(repr(error))}"
                continue
            if (meant := meaning(answer)) is not None:
                return meant
            problem = f"{self.url} answered {answer}"
            if mend := way_out(answer):
                raise ConfigError(f"{problem}. {mend}")
            if answer.code == OUT_OF_WINDOW and not attempt:
                self.measure()
        raise Retry(problem, self.quota.blocked_until_ms if self.blocked_s() else None)
