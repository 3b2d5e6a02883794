"""The nouns of the house: bars, sides, filters, orders' fills. No behaviour that needs a clock or a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from trader.core.errors import ConfigError, DataError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FAR_FUTURE_MS = 4_102_444_800_000  # 2100-01-01: every bar and every hour lies before it

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # the names of this machine

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# What a long work calls as it goes on: how much is done, of how much.
Progress = Callable[[int, int], None]
# What JSON holds: output for machines. Within the program values are typed.
Json = dict[str, Any]

Side = Literal["BUY", "SELL"]
Target = Literal["long", "flat", "short"]
PaidIn = Literal["base", "quote", "other"]

OPTIONAL_COLUMNS = ("quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
REQUIRED_COLUMNS = ("open", "high", "low", "close", "volume")


def iso(time_ms: int) -> str:
    """UTC milliseconds as `2022-01-01T00:00:00Z` (milliseconds are shown only where there are any)."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{time_ms % 1000:03d}Z" if time_ms % 1000 else f"{text}Z"


def parse_time(text: str) -> int:
    """UTC milliseconds of an ISO date or time; a text without a zone is UTC. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a date or a time; write 2022-01-01 or 2022-01-01T09:00Z (UTC)"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def parse_hour(text: str) -> int:
    """As `parse_time`, but the time must lie on the full hour."""
    time_ms = parse_time(text)
    if time_ms % HOUR_MS:
        raise ConfigError(f"{text!r} is not on the full hour; bars close on the hour")
    return time_ms


def floor_hour(time_ms: int) -> int:
    """The last full hour at or before a time, both in UTC milliseconds."""
    return time_ms - time_ms % HOUR_MS


def plain(value: Decimal) -> str:
    """A Decimal in plain notation without trailing zeros: `0`, `0.0021`, `10000`. Never an exponent."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Hourly bars of one symbol on a contiguous grid, stamped by their close.

    close_time: (n,) int64, UTC milliseconds, on the hour, every hour once. Row T is known at T.
    open, high, low, close, volume: (n,) float64, finite. Prices in quote per base, volume in base.
    flagged: (n,) bool; true where the exchange had no bar and the row was filled flat at the last close with
    volume 0. A flagged row keeps the indicators' grid; it is never a label, never trained on, never traded on.
    The optional columns are None where the source has none and NaN where it lacks single values.
    """

    symbol: str
    close_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    flagged: Bools
    quote_volume: Floats | None = field(default=None)
    trades: Floats | None = field(default=None)
    taker_buy_base: Floats | None = field(default=None)
    taker_buy_quote: Floats | None = field(default=None)

    def __len__(self) -> int:
        return len(self.close_time)

    @property
    def first(self) -> int:
        """Close time of the first row, UTC milliseconds. Raises DataError without rows."""
        if not len(self.close_time):
            raise DataError(f"{self.symbol}: there are no bars")
        return int(self.close_time[0])

    @property
    def last(self) -> int:
        """Close time of the last row, UTC milliseconds. Raises DataError without rows."""
        if not len(self.close_time):
            raise DataError(f"{self.symbol}: there are no bars")
        return int(self.close_time[-1])

    def row(self, close_time: int) -> int:
        """Index of the row that closed at `close_time`; it may lie outside 0..n-1."""
        return (close_time - self.first) // HOUR_MS

    def has(self, close_time: int) -> bool:
        """True where a genuine (unflagged) bar closed at `close_time`."""
        row = self.row(close_time) if len(self) else -1
        return 0 <= row < len(self) and not self.flagged[row]

    def rows(self, start: int, stop: int) -> Bars:
        """The rows start <= i < stop, by index, sharing memory."""
        cut: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[start:stop] for name in _COLUMNS
        }
        return Bars(self.symbol, **cut)

    def until(self, close_time: int) -> Bars:
        """The rows known at `close_time`: those that closed at or before it."""
        return self.rows(0, max(0, self.row(close_time) + 1)) if len(self) else self

    def span(self, start: int, stop: int) -> Bars:
        """The rows with start <= close_time < stop."""
        if not len(self):
            return self
        return self.rows(max(0, self.row(start + HOUR_MS - 1)), max(0, self.row(stop + HOUR_MS - 1)))

    def extended_to(self, close_time: int) -> Bars:
        """With flat, flagged rows up to `close_time`: hours that are over and for which the exchange had no bar."""
        missing = (close_time - self.last) // HOUR_MS
        if missing <= 0:
            return self
        return self.then(flat_bars(self.symbol, float(self.close[-1]), self.last + HOUR_MS, missing))

    def then(self, later: Bars) -> Bars:
        """These rows followed by `later`, which must begin one hour after the last. Raises DataError on a hole."""
        if not len(self) or not len(later):
            return later if not len(self) else self
        if later.first != self.last + HOUR_MS:
            raise DataError(
                f"{self.symbol}: bars to {iso(self.last)} cannot be followed by {iso(later.first)}"
            )
        joined: dict[str, Any] = {}
        for name in _COLUMNS:
            mine, theirs = getattr(self, name), getattr(later, name)
            joined[name] = None if mine is None or theirs is None else np.concatenate([mine, theirs])
        return Bars(self.symbol, **joined)


_COLUMNS = tuple(column.name for column in fields(Bars) if column.name != "symbol")


def flat_bars(symbol: str, close: float, first: int, hours: int) -> Bars:
    """`hours` flagged rows from close_time `first`: every price the last close, every amount 0."""
    price, zero = np.full(hours, close), np.zeros(hours)
    times = first + np.arange(hours, dtype=np.int64) * HOUR_MS
    return Bars(
        symbol, times, price, price, price, price, zero, np.ones(hours, np.bool_), zero, zero, zero, zero
    )


def no_bars(symbol: str) -> Bars:
    """A series without rows."""
    none = np.zeros(0)
    return Bars(symbol, np.zeros(0, np.int64), none, none, none, none, none, np.zeros(0, np.bool_))


@dataclass(frozen=True, slots=True)
class Filters:
    """What an exchange accepts for a symbol. Units: tick_size in quote per base, step_size and min_qty in base,
    min_notional in quote."""

    tick_size: Decimal
    step_size: Decimal
    min_notional: Decimal
    min_qty: Decimal = Decimal(0)
    max_qty: Decimal | None = None

    @staticmethod
    def derived(price: float) -> Filters:
        """Filters that suit a symbol priced around `price`: six digits of price beyond the leading one (tick within
        1e-8..0.01), quantities worth about 0.1 to 1 quote unit a step, a minimum notional of 5."""
        if not price > 0:
            raise DataError(f"filters cannot be derived from a price of {price}")
        exact = Decimal(repr(float(price)))
        magnitude = exact.adjusted()
        tick = min(max(Decimal(10) ** (magnitude - 6), Decimal("1e-8")), Decimal("0.01"))
        is_power_of_ten = exact == Decimal(10) ** magnitude
        step = Decimal(10) ** -(magnitude if is_power_of_ten else magnitude + 1)
        return Filters(tick_size=tick, step_size=step, min_notional=Decimal(5), min_qty=step)

    def as_json(self) -> dict[str, str]:
        """Plain decimal strings, for summaries and the journal."""
        return {
            "tick_size": plain(self.tick_size),
            "step_size": plain(self.step_size),
            "min_notional": plain(self.min_notional),
            "min_qty": plain(self.min_qty),
            "max_qty": "" if self.max_qty is None else plain(self.max_qty),
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask, in quote per base."""

    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. price in quote per base, qty in base, commission in the unit of `commission_in`.

    "other": the venue took `other_amount` of `other_asset`, which is neither base nor quote, and commission is its value in
    quote. other_price: what that value was computed with, in quote per unit; None where the venue quotes no such price
    and the value follows from the account's rate.
    """

    side: Side
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_in: PaidIn
    trade_id: int = 0
    other_asset: str = ""
    other_amount: Decimal = Decimal(0)
    other_price: Decimal | None = None
