"""Many hours at once: what `hours.py` decides and writes hour by hour, kept as columns.

Between two orders the ledger stands still, so an hour needs no object of its own: a row of codes and one multiplication
say what its line says. The lines and their bytes are the same as `line_of` and `line_text` give.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise, repeat

import numpy as np

from trader.core.costs import exact
from trader.core.hours import GAP, VENUE_CLOSED, WARM_UP, HourLine
from trader.core.ledger import Ledger, fee_usdt
from trader.core.marks import Marks
from trader.core.marks import marks as marks_of
from trader.core.policy import TARGETS, Codes
from trader.core.probability import shortest_all
from trader.core.sizing import SizedOrder
from trader.core.types import DAY_MS, HOUR_MS, Bools, Fill, Floats, Ints, Matrix, plain

# The reason of an hour without an event is its index here.
REASONS = ("hold", "halted", VENUE_CLOSED, GAP, WARM_UP)


@dataclass(frozen=True, slots=True)
class DecidedHour:
    """An hour that was decided by `decide_hour`: its order and fill, if any, and its reason."""

    order: SizedOrder | None
    fill: Fill | None
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerFrom:
    """The ledger from index `first` on, to the next one's."""

    first: int
    ledger: Ledger


@dataclass(frozen=True, eq=False)
class Track:
    """n consecutive hours. hours: (n,) int64, UTC ms. close: (n,) float64, marks the equity. predicted: (n,) float32, NaN
    without a prediction. target, reason: (n,) codes; the reason of an event is the event's own.
    """

    hours: Ints
    close: Floats
    predicted: Matrix
    target: Codes
    reason: Codes
    events: dict[int, DecidedHour]
    ledgers: list[LedgerFrom]

    def __len__(self) -> int:
        return len(self.hours)

    @cached_property
    def p_up(self) -> Floats:
        """(n,) float64: each prediction as it is written, by its shortest decimal; NaN without one."""
        return shortest_all(self.predicted)

    @property
    def gap(self) -> Bools:
        """(n,) true where the hour's own bar is missing and the venue is open."""
        missing: Bools = self.reason == REASONS.index(GAP)
        return missing

    @property
    def fees_usdt(self) -> Decimal:
        """All fees, in quote."""
        return sum((fee_usdt(event.fill) for event in self.events.values() if event.fill), Decimal(0))

    def fills(self) -> list[tuple[int, Fill]]:
        """Every fill with the close time of its hour, UTC ms, in the order of the hours."""
        return [
            (int(self.hours[i]), event.fill)
            for i, event in sorted(self.events.items())
            if event.fill is not None
        ]

    def equity(self) -> Floats:
        """(n,) float64: equity after each hour's fill, the float nearest to the exact amount."""
        return self.marks.floats()

    def cash(self) -> list[Decimal]:
        """(n,) cash after each hour's fill."""
        parts = zip(self.ledgers, self._lengths(), strict=True)
        return [it for part, n in parts for it in repeat(part.ledger.cash, n)]

    def final_equity(self) -> Decimal | None:
        """The exact equity after the last hour, None without hours."""
        if not len(self):
            return None
        return self.ledgers[-1].ledger.equity(exact(float(self.close[-1])))

    def lines(self) -> list[HourLine]:
        """A line an hour, as `line_of` makes it."""
        lines = []
        columns = zip(self.hours.tolist(), self.p_up.tolist(), self.marks.texts(), strict=True)
        positions = self._positions()
        for i, (hour, p, equity) in enumerate(columns):
            event = self.events.get(i)
            order, fill = (event.order, event.fill) if event else (None, None)
            lines.append(
                HourLine(
                    close_time=hour,
                    p_up=None if p != p else p,
                    target=TARGETS[self.target[i]],
                    order_side=order.side if order else None,
                    order_qty=order.qty if order else None,
                    fill_price=fill.price if fill else None,
                    fee=fee_usdt(fill) if fill else Decimal(0),
                    position=Decimal(positions[i]),
                    equity=Decimal(equity),
                    reason=event.reason if event else REASONS[self.reason[i]],
                )
            )
        return lines

    def texts(self) -> list[str]:
        """A row of JSON Lines an hour, without the newline: the bytes of `line_text`."""
        times, scores, equities = hour_texts(self.hours), _score_texts(self.p_up), self.marks.texts()
        positions = self._positions()
        codes = (self.target.astype(np.int64) * len(REASONS) + self.reason).tolist()
        # An hour without an event differs from its neighbours in time, P(up) and equity only.
        rows = [
            f'{{"close_time": "{time}", "p_up": {p}{_BEFORE[code]}{position}", "equity": "{equity}{_AFTER[code]}'
            for time, p, code, position, equity in zip(times, scores, codes, positions, equities, strict=True)
        ]
        for i, event in self.events.items():
            side, qty, price, fee = ("null" if x is None else f'"{x}"' for x in _trade(event))
            rows[i] = (
                f'{{"close_time": "{times[i]}", "p_up": {scores[i]}, "target": "{TARGETS[self.target[i]]}", '
                f'"order_side": {side}, "order_qty": {qty}, "fill_price": {price}, "fee": {fee}, '
                f'"position": "{positions[i]}", "equity": "{equities[i]}", "reason": "{event.reason}"}}'
            )
        return rows

    def _lengths(self) -> list[int]:
        """Hours of each ledger."""
        firsts = [it.first for it in self.ledgers]
        return [after - first for first, after in pairwise([*firsts, len(self)])]

    def _positions(self) -> list[str]:
        """The position after each hour, in plain notation."""
        parts = zip(self.ledgers, self._lengths(), strict=True)
        return [text for part, n in parts for text in repeat(plain(part.ledger.position), n)]

    @cached_property
    def marks(self) -> Marks:
        """(n,) exact equity after each hour's fill."""
        return marks_of([it.ledger for it in self.ledgers], self._lengths(), self.close)


# What stands between P(up) and the position of an hour without an event, and after its equity, by target and reason.
_BEFORE = [
    f', "target": "{target}", "order_side": null, "order_qty": null, "fill_price": null, "fee": "0", "position": "'
    for target in TARGETS
    for _ in REASONS
]
_AFTER = [f'", "reason": "{reason}"}}' for _ in TARGETS for reason in REASONS]


def _score_texts(p_up: Floats) -> list[str]:
    """Each P(up) as JSON writes it; a tree repeats itself, so every number is written once."""
    values, which = np.unique(p_up, return_inverse=True)
    texts = ["null" if value != value else repr(value) for value in values.tolist()]
    return [texts[i] for i in which.tolist()]


def hour_texts(hours: Ints) -> list[str]:
    """`iso` of full hours, (n,) UTC ms: a day is formatted once."""
    days, day = np.unique(hours // DAY_MS, return_inverse=True)
    dates = np.datetime_as_string(days.astype("datetime64[D]")).tolist()
    clock = [f"T{hour:02d}:00:00Z" for hour in range(24)]
    of_day = ((hours % DAY_MS) // HOUR_MS).tolist()
    return [dates[d] + clock[h] for d, h in zip(day.tolist(), of_day, strict=True)]


def _trade(event: DecidedHour | None) -> tuple[str | None, str | None, str | None, str]:
    if event is None or event.order is None:
        return None, None, None, "0"
    order, fill = event.order, event.fill
    if fill is None:
        return order.side, plain(order.qty), None, "0"
    return order.side, plain(order.qty), plain(fill.price), plain(fee_usdt(fill))
