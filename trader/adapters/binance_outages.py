"""Known holes in Binance's spot bars: hours in which nobody could trade, so that no source has a bar of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from trader.core.bars import Gap
from trader.core.types import HOUR_MS, floor_hour, iso, parse_time


@dataclass(frozen=True, slots=True)
class Outage:
    """A known hole: no trades from `start` to `stop` (UTC milliseconds, by the exchange's clock, minutes and all).

    symbols: the pairs it concerns; empty means every pair of the exchange.
    """

    start: int
    stop: int
    reason: str
    symbols: tuple[str, ...] = ()


def outage_of(gap: Gap) -> Outage | None:
    """The known hole that a gap lies in as a whole, None where no listed one explains it."""
    start = gap.close_time - HOUR_MS
    stop = start + gap.hours * HOUR_MS
    for outage in known_outages():
        inside = floor_hour(outage.start) <= start and stop <= floor_hour(outage.stop + HOUR_MS - 1)
        if inside and (not outage.symbols or gap.symbol in outage.symbols):
            return outage
    return None


def explain_gap(gap: Gap) -> str:
    """`exchange outage 2021-04-25, listed` (or `delisted 2022-09-29, listed`) for a known hole, else `unlisted`."""
    outage = outage_of(gap)
    return f"{outage.reason} {iso(outage.start)[:10]}, listed" if outage else "unlisted"


@lru_cache(maxsize=1)
def known_outages() -> tuple[Outage, ...]:
    """The registry of holes in Binance's spot bars, oldest first."""
    outages = [Outage(parse_time(start), parse_time(stop), "exchange outage") for start, stop in _OUTAGES]
    outages += [
        Outage(parse_time(start), parse_time(stop), "delisted", symbols)
        for start, stop, symbols in _DELISTINGS
    ]
    return tuple(sorted(outages, key=lambda outage: outage.start))


# Maintenance windows as reported with the public archive (its issues 365, 368 and 169), in UTC. Those marked "bars"
# were not reported there: every copy of the bars lacks exactly these hours.
_OUTAGES = (
    ("2017-09-06T16:00", "2017-09-06T23:00"),
    ("2018-01-04T03:00", "2018-01-04T05:06"),
    ("2018-02-08T00:28", "2018-02-09T10:00"),
    ("2018-02-11T04:00", "2018-02-11T04:35"),
    ("2018-06-26T02:00", "2018-06-26T12:00"),
    ("2018-06-27T13:00", "2018-06-27T14:45"),
    ("2018-07-04T00:22", "2018-07-04T08:00"),
    ("2018-10-19T06:00", "2018-10-19T09:30"),
    ("2018-11-14T02:00", "2018-11-14T09:00"),
    ("2019-03-12T02:00", "2019-03-12T08:00"),
    ("2019-05-15T03:00", "2019-05-15T13:00"),
    ("2019-06-07T21:13", "2019-06-07T22:15"),
    ("2019-08-15T02:00", "2019-08-15T10:00"),  # bars
    ("2019-11-13T02:00", "2019-11-13T04:00"),  # bars
    ("2019-11-25T02:00", "2019-11-25T04:00"),  # bars
    ("2020-02-09T02:00", "2020-02-09T03:00"),
    ("2020-02-19T11:35", "2020-02-19T17:30"),
    ("2020-03-04T09:21", "2020-03-04T11:30"),
    ("2020-04-25T02:00", "2020-04-25T04:30"),
    ("2020-06-28T02:00", "2020-06-28T05:30"),
    ("2020-11-30T06:00", "2020-11-30T07:00"),  # bars
    ("2020-12-21T13:47", "2020-12-21T18:00"),
    ("2020-12-25T02:00", "2020-12-25T03:00"),
    ("2021-02-11T03:40", "2021-02-11T05:00"),
    ("2021-03-06T02:00", "2021-03-06T03:30"),
    ("2021-04-20T02:00", "2021-04-20T04:30"),
    ("2021-04-25T04:00", "2021-04-25T08:45"),
    ("2021-08-13T02:00", "2021-08-13T06:30"),
    ("2021-09-29T07:00", "2021-09-29T09:00"),
    ("2023-03-24T12:40", "2023-03-24T14:00"),
)
_DELISTINGS = (("2022-09-29", "2023-03-13", ("USDCUSDT", "ETHUSDC")),)
