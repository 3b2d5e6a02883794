"""What must hold after every hour of the soak, and at its end: the venue's ledger and the journal tell the same, to the last
unit. Every problem is a sentence that names its hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from benchmarks.soak_process import BASE, QUOTE
from benchmarks.soak_world import World
from trader.app.journal import Journal
from trader.app.orders import MAX_ATTEMPTS
from trader.app.store_check import check
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS, Json, iso, parse_time, plain

# How late an order may be executed after its attempt expired: a clock that is off by 20 s, an engine that is late by 8.
LATEST_MS = 30_000


@dataclass(frozen=True, slots=True)
class Books:
    """What came out. double: fills in more than one record; lost: in none; invented: in a record, and not at the venue.
    off: what the account has beyond what the records say, summed over both assets without their signs."""

    hours: int
    fills: int
    double: int
    lost: int
    invented: int
    off: Decimal
    problems: tuple[str, ...]


def off(world: World, record: HourRecord) -> tuple[Decimal, Decimal]:
    """What the account has of base and quote beyond what the records up to this one say."""
    ledger, moved = record.ledger, world.moved
    # The allocation lies in the account from the start on, and the ledger's cash began with it.
    return world.balance(BASE) - moved[BASE] - ledger.position, world.balance(QUOTE) - moved[
        QUOTE
    ] - ledger.cash


def settled(world: World, stop: int) -> Books:
    """Everything, over the hours from the bot's first on, before `stop` (UTC ms)."""
    journal = world.journal()
    records = list(journal.records())
    orders = world.sim("/sim/ledger")
    recorded = Counter(fill.trade_id for record in records for fill in record.fills)
    executed = {int(fill["tradeId"]) for order in orders for fill in order["fills"]}
    base, quote = off(world, records[-1])
    problems = [
        *_hours(world.start, stop, records),
        *_orders(journal, orders),
        *check(journal).problems,
    ]
    return Books(
        hours=len(records),
        fills=len(executed),
        double=sum(times - 1 for times in recorded.values()),
        lost=len(executed - recorded.keys()),
        invented=len(recorded.keys() - executed),
        off=abs(base) + abs(quote),
        problems=tuple(problems),
    )


def _hours(start: int, stop: int, records: list[HourRecord]) -> Iterator[str]:
    """Every hour has exactly one record."""
    times = Counter(record.close_time for record in records)
    missing = [hour for hour in range(start, stop, HOUR_MS) if not times[hour]]
    if missing:
        yield f"{iso(missing[0])}: no record, and {len(missing)} hours in all have none"
    yield from (f"{iso(hour)}: {number} records" for hour, number in times.items() if number > 1)
    yield from (f"{iso(hour)}: a record beyond the soak" for hour in times if not start <= hour < stop)


def _orders(journal: Journal, orders: list[Json]) -> Iterator[str]:
    """At most one executed order an hour, none beyond what was decided, none decided or sent after the deadline."""
    by_hour: dict[int, list[Json]] = {}
    for order in orders:
        by_hour.setdefault(_hour_of(order), []).append(order)
    for hour, there in sorted(by_hour.items()):
        if len(there) > 1:
            yield f"{iso(hour)}: {len(there)} executed orders: {', '.join(o['clientOrderId'] for o in there)}"
        decision = journal.decision(hour)
        if decision is None or decision.order is None:
            yield f"{iso(hour)}: an executed order, and no decision of one"
            continue
        done = sum((Decimal(order["executedQty"]) for order in there), Decimal(0))
        if done > decision.order.qty:
            yield f"{iso(hour)}: {plain(done)} executed, {plain(decision.order.qty)} decided"
        attempts = [journal.attempt(hour, n) for n in range(1, MAX_ATTEMPTS + 1)]
        expires = {a.client_order_id: a for a in attempts if a is not None}
        for order in there:
            attempt = expires.get(order["clientOrderId"])
            if attempt is None:
                yield f"{iso(hour)}: {order['clientOrderId']} was executed, and no attempt has its id"
            elif (
                attempt.timestamp_ms > decision.deadline_ms
                or order["time"] > attempt.expires_at_ms + LATEST_MS
            ):
                yield f"{iso(hour)}: {order['clientOrderId']} was signed or executed too late, at {iso(order['time'])}"


def _hour_of(order: Json) -> int:
    """The hour that an order's client id names: `<bot>-<store>-<symbol>-<yymmddhh>-<kind><n>`."""
    stamp = order["clientOrderId"].split("-")[3]
    return parse_time(f"20{stamp[:2]}-{stamp[2:4]}-{stamp[4:6]}T{stamp[6:8]}:00:00Z")
