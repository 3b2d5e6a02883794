"""Request weight, order counts, and the bans that follow: Binance's windows, on the virtual clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trader.core.types import DAY_MS
from trader.exchange.replies import ApiError

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
FIRST_BAN_S = 120
LONGEST_BAN_S = 3 * 86_400
TAKER_CREDIT = 1
MAKER_CREDIT = 5


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The exchange's limits; the defaults are the live ones. `ban_after` is how many requests over the weight limit
    turn 429 into 418."""

    weight_per_minute: int = 6_000
    orders_per_10s: int = 100
    orders_per_day: int = 200_000
    raw_requests_per_5m: int = 300_000
    ban_after: int = 10

    def as_json(self) -> list[dict[str, Any]]:
        """The `rateLimits` of exchangeInfo."""
        return [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute),
            *self.orders_json(),
            _limit("RAW_REQUESTS", "MINUTE", 5, self.raw_requests_per_5m),
        ]

    def orders_json(self) -> list[dict[str, Any]]:
        """The two order limits alone."""
        return [
            _limit("ORDERS", "SECOND", 10, self.orders_per_10s),
            _limit("ORDERS", "DAY", 1, self.orders_per_day),
        ]


def _limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


class Window:
    """A counter that starts anew at every clock-aligned window."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._index = -1
        self._used = 0

    def used(self, now_ms: int) -> int:
        """What has been counted in the window that holds `now_ms`."""
        index = now_ms // self._length_ms
        if index != self._index:
            self._index, self._used = index, 0
        return self._used

    def add(self, now_ms: int, amount: int) -> int:
        """Count; a credit never brings the window below zero."""
        self._used = max(0, self.used(now_ms) + amount)
        return self._used

    def left_s(self, now_ms: int) -> int:
        """Whole seconds until the window ends."""
        return -(-(self._length_ms - now_ms % self._length_ms) // 1000)


class Limiter:
    """Counts what this one client uses, and refuses it when it is too much."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits = limits
        self._weight = Window(MINUTE_MS)
        self._raw = Window(5 * MINUTE_MS)
        self._orders_10s = Window(TEN_SECONDS_MS)
        self._orders_day = Window(DAY_MS)
        self._violations = 0
        self._blocked_until = 0
        self._banned_until = 0
        self._ban_s = FIRST_BAN_S

    def weight_headers(self, now_ms: int) -> dict[str, str]:
        """The headers that every answer of `/api` carries."""
        used = str(self._weight.used(now_ms))
        return {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}

    def order_headers(self, now_ms: int) -> dict[str, str]:
        """The headers of a successful order."""
        ten, day = self.order_counts(now_ms)
        return {"x-mbx-order-count-10s": str(ten), "x-mbx-order-count-1d": str(day)}

    def order_counts(self, now_ms: int) -> tuple[int, int]:
        """Unfilled orders counted in these ten seconds and this UTC day."""
        return self._orders_10s.used(now_ms), self._orders_day.used(now_ms)

    def ban(self, now_ms: int, seconds: int) -> ApiError:
        """Ban the client from now on; returns the refusal."""
        self._ban_s = seconds
        self._banned_until = now_ms + seconds * 1000
        return self._banned(now_ms)

    def block(self, now_ms: int, seconds: int) -> ApiError:
        """Have the client wait, as 429 does; returns the refusal."""
        self._blocked_until = now_ms + seconds * 1000
        return self._too_much(seconds)

    def admit(self, now_ms: int, weight: int) -> None:
        """Count a request; raise 429 over the limit, and 418 where the client did not stop then.

        A request during a ban doubles it, up to three days.
        """
        if now_ms < self._banned_until:
            self._ban_s = min(2 * self._ban_s, LONGEST_BAN_S)
            self._banned_until = max(self._banned_until, now_ms + self._ban_s * 1000)
            raise self._banned(now_ms)
        used, raw = self._weight.add(now_ms, weight), self._raw.add(now_ms, 1)
        if now_ms < self._blocked_until:
            wait_s = -(-(self._blocked_until - now_ms) // 1000)
        elif used > self.limits.weight_per_minute:
            wait_s = self._weight.left_s(now_ms)
        elif raw > self.limits.raw_requests_per_5m:
            wait_s = self._raw.left_s(now_ms)
        else:
            self._violations = 0
            return
        self._violations += 1
        if self._violations > self.limits.ban_after:
            self._violations = 0
            raise self.ban(now_ms, self._ban_s)
        raise self._too_much(wait_s)

    def refund(self, now_ms: int, weight: int) -> None:
        """Give weight back: a successful order costs none."""
        self._weight.add(now_ms, -weight)

    def admit_order(self, now_ms: int) -> None:
        """Count an order; raise -1015 where there are too many unfilled ones."""
        if self._orders_10s.used(now_ms) >= self.limits.orders_per_10s:
            raise _too_many_orders(self.limits.orders_per_10s, "10 SECOND", self._orders_10s.left_s(now_ms))
        if self._orders_day.used(now_ms) >= self.limits.orders_per_day:
            raise _too_many_orders(self.limits.orders_per_day, "1 DAY", self._orders_day.left_s(now_ms))
        self._orders_10s.add(now_ms, 1)
        self._orders_day.add(now_ms, 1)

    def credit_fill(self, now_ms: int, is_maker: bool) -> None:
        """The first fill of an order gives count back, more to a maker than to a taker."""
        credit = MAKER_CREDIT if is_maker else TAKER_CREDIT
        self._orders_10s.add(now_ms, -credit)
        self._orders_day.add(now_ms, -credit)

    def _too_much(self, wait_s: int) -> ApiError:
        limit = self.limits.weight_per_minute
        return ApiError(
            -1003,
            f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
            429,
            {"Retry-After": str(wait_s)},
        )

    def _banned(self, now_ms: int) -> ApiError:
        return ApiError(
            -1003,
            f"Way too much request weight used; IP banned until {self._banned_until}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
            418,
            {"Retry-After": str(-(-(self._banned_until - now_ms) // 1000))},
        )


def _too_many_orders(limit: int, window: str, wait_s: int) -> ApiError:
    return ApiError(
        -1015,
        f"Too many new orders; current limit is {limit} orders per {window}.",
        429,
        {"Retry-After": str(wait_s)},
    )
