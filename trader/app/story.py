"""The journal as a story: every closed hour, and between them what happened to the bot: models, breaches, halts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge

from trader.app.journal import Event, Journal, Json
from trader.core.costs import worse_bps
from trader.core.types import iso

# Within one time: a model that begins to serve and a halt stand before the hour that they change, a breach after the
# hour that made it.
BEFORE, HOUR, AFTER = range(3)


@dataclass(frozen=True, slots=True)
class Told:
    """A closed hour's record, or an event in words. `at` is UTC ms; `kind` is hour, champion, breach, halt or resume."""

    at: int
    rank: int
    kind: str
    words: str
    record: Json | None = None


def tell(journal: Journal, since: int | None = None, until: int | None = None) -> Iterator[Told]:
    """Hours and events with since <= time < until, oldest first."""
    within = [
        event
        for event in happened(journal)
        if (since is None or event.at >= since) and (until is None or event.at < until)
    ]
    hours = (Told(record["close_time"], HOUR, "hour", "", record) for record in journal.records(since, until))
    return merge(within, hours, key=_order)


def happened(journal: Journal) -> list[Told]:
    """The events alone, oldest first."""
    events = [
        *(_champion(event) for event in journal.events("champion")),
        *(Told(int(e.content["at"]), AFTER, "breach", e.content["why"]) for e in journal.events("breach")),
        *(_halt(event) for event in journal.events("halt")),
    ]
    return sorted(events, key=_order)


def _order(told: Told) -> tuple[int, int]:
    return told.at, told.rank


def _champion(event: Event) -> Told:
    said = event.content
    words = f"model {said['model_id']} serves: {said.get('words') or said['why']}"
    return Told(int(said["valid_from"]), BEFORE, "champion", words)


def _halt(event: Event) -> Told:
    said = event.content
    by = f"by {said['by']}" + (f": {said['words']}" if said["words"] else "")
    if said["kind"] == "resume":
        return Told(int(said["at"]), BEFORE, "resume", f"{by}; a new risk epoch begins")
    position = "what is held is kept" if said["freeze"] else "what is held is sold"
    return Told(int(said["at"]), BEFORE, "halt", f"{said['reason']}, {by}; {position}")


def hour_row(record: Json) -> tuple[str, ...]:
    """An hour in a person's columns: HOUR_HEAD. Amounts in USDT are rounded to cents, prices as they were."""
    line = record["line"]
    order = "-" if line["order_side"] is None else f"{line['order_side']} {line['order_qty']}"
    return (
        iso(record["close_time"])[:16] + "Z",
        record["model_id"],
        "-" if line["p_up"] is None else f"{line['p_up']:.4f}",
        line["target"],
        line["reason"],
        order,
        line["fill_price"] or "-",
        _worse(record),
        f"{float(line['fee']):.2f}",
        f"{float(line['equity']):,.2f}",
    )


HOUR_HEAD = ("hour", "model", "P(up)", "target", "reason", "order", "fill", "bps worse", "fee", "equity")


def _worse(record: Json) -> str:
    """How much worse the fill was than the cost model's price; nothing without one."""
    line, expected = record["line"], record["expected_price"]
    if line["fill_price"] is None or expected is None:
        return "-"
    return f"{worse_bps(line['order_side'], Decimal(line['fill_price']), Decimal(expected)):+.2f}"
