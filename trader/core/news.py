"""What an observer is told, and what an observer is. Everything in it was written to the store before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trader.core.events import AnyEvent, Event
from trader.core.records import HourRecord


class Reader(Protocol):
    """The reading half of a store."""

    def get(self, key: str) -> bytes | None:
        """The object, or None."""

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Keys that begin with `prefix` and sort after `after`, at most `limit`, sorted."""


@dataclass(frozen=True, slots=True)
class News:
    """Closed hours and events that an observer has not heard of yet.

    began: the deployment's first hour, UTC ms. records: consecutive closed hours, oldest first, perhaps none.
    past(n): up to n records right before the first of `records`. edition: 1, and one more for each rebuilding from the
    beginning; a new edition goes to a fresh place.
    """

    symbol: str
    store_id: str
    began: int
    records: Sequence[HourRecord]
    past: Callable[[int], Sequence[HourRecord]]
    events: Sequence[Event[AnyEvent]]
    store: Reader
    edition: int = 1


class Observer(Protocol):
    """Somebody who is told what the journal says, in order, at least once: each step must be safe to repeat."""

    name: str

    def observe(self, news: News) -> None:
        """Take the news in. Whatever is raised means "not heard": the same news come again with the next tick."""
