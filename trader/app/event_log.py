"""Numbered events of one symbol: created if absent, never changed, the newest wins.

    state/<symbol>/<name>/<number>

A short event carries those before it, so that a fresh process reads one object and not a history; in a bucket every object is a
request.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from trader.app.codec_events import FORMATS
from trader.app.layout import PAGE
from trader.app.stored import EventFormat
from trader.core.errors import DataError, Retry
from trader.core.events import AnyEvent, Event
from trader.core.ports import Store

E = TypeVar("E", bound=AnyEvent)

EVENT_RACES = 20
MOST_EARLIER = 65_536  # bytes: events that tell long stories are read one by one


def event_key(symbol: str, name: str, number: int) -> str:
    """Where an event lies."""
    return f"state/{symbol}/{name}/{number:06d}"


class EventLog(ABC):
    """The events of one symbol in one store. Every method is safe to repeat."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._events: dict[str, list[Event[Any]]] = {}  # events never change: what was read once is known
        self._glance: dict[str, int] = {}  # numbers of the newest events, where one look is to be enough
        self._listed: dict[str, int] = {}  # the same of every name that the look has seen

    @property
    @abstractmethod
    def store(self) -> Store:
        """Where they lie."""

    @abstractmethod
    def store_id(self) -> str:
        """The store's id, which it gets at birth."""

    def _keys(self, prefix: str, after: str = "") -> Iterator[str]:
        while True:
            page = self.store.list(prefix, after=after, limit=PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1]

    @contextmanager
    def glance(self, *forms: EventFormat[Any]) -> Iterator[None]:
        """Within it one listing is enough for the events of these: what others append meanwhile is seen after it."""
        newest: dict[str, int] = {}
        folder = f"state/{self.symbol}/"
        for key in self._keys(folder):
            name, _, number = key.removeprefix(folder).partition("/")
            if number.isdigit():
                newest[name] = max(newest.get(name, 0), int(number))
        self._listed = newest
        self._glance = {form.name: newest.get(form.name, 0) for form in forms}
        try:
            yield
        finally:
            self._glance, self._listed = {}, {}

    def listed(self, form: EventFormat[Any]) -> int:
        """The number of the newest event of a name that a glance has seen, 0 for none; the glance need not name it."""
        return self._listed.get(form.name, 0)

    def events(self, form: EventFormat[E]) -> list[Event[E]]:
        """All events of a name, oldest first. Nothing is read twice."""
        name = form.name
        if newest := self._glance[name] if name in self._glance else self._number(name):
            self._learn(form, newest)
        return list(self._events.get(name, []))

    def events_to(self, form: EventFormat[E], number: int) -> list[Event[E]]:
        """The first `number` events, the last of which others may have appended since the glance; fewer where some are lost."""
        known = self.events(form)
        if len(known) < number:
            self.new_events(form, len(known))
        return self._events.get(form.name, [])[:number]

    def new_events(self, form: EventFormat[E], after: int) -> list[Event[E]]:
        """The events above `after`, which is known to exist, asked by their very numbers: cheaper than a listing."""
        name, data = form.name, None
        number = max(after, len(self._events.get(name, [])))
        while (there := self.store.get(event_key(self.symbol, name, number + 1))) is not None:
            number, data = number + 1, there
        if number > after:
            self._learn(form, number, data)
        return self._events.get(name, [])[after:]

    def _number(self, name: str) -> int:
        """The number of the newest event, 0 before the first."""
        known = self._events.get(name, [])
        last = event_key(self.symbol, name, len(known))
        listed = [*self._keys(last.removesuffix(f"{len(known):06d}"), last)]
        return int(listed[-1].rsplit("/", 1)[1]) if listed else len(known)

    def _learn(self, form: EventFormat[Any], newest: int, data: bytes | None = None) -> None:
        """Read the newest event (or take its bytes) and, where it does not carry them, those before it."""
        known = self._events.setdefault(form.name, [])
        contents: list[AnyEvent] = []
        for number in range(newest, len(known), -1):
            key = event_key(self.symbol, form.name, number)
            data = data or self.store.get(key)
            if data is None:
                raise DataError(f"{key} is missing although a later event is there; restore it from a copy")
            event, earlier = form.decode_all(key, data, self.symbol)
            contents.insert(0, event)
            data = None
            if earlier is not None and len(earlier) == number - 1:
                contents[:0] = earlier[len(known) :]
                break
        known += [Event(number, content) for number, content in enumerate(contents, len(known) + 1)]

    def append(self, event: E, after: int | None = None) -> Event[E]:
        """Create the next numbered event. Safe against other writers; not a repeat of an equal one. The first event of all
        gives birth to the store. `after`: the number of the newest event that it was made by; Raises Retry where there is
        a later one."""
        self.store_id()
        name, form = event.name, FORMATS[event.name]
        for _ in range(EVENT_RACES):
            if newest := self._number(name):
                self._learn(form, newest)
            known = self._events.setdefault(name, [])
            if after is not None and len(known) != after:
                raise Retry(
                    f"state/{self.symbol}/{name}: another process wrote an event meanwhile; look at it, then repeat the command"
                )
            data = form.encode_after(event, secrets.token_hex(8), [before.content for before in known])
            if len(data) > MOST_EARLIER:
                data = form.encode(event, secrets.token_hex(8))
            if self.store.create(event_key(self.symbol, name, newest + 1), data):
                known.append(Event(newest + 1, event))
                return Event(newest + 1, event)
        raise Retry(
            f"state/{self.symbol}/{name}: {EVENT_RACES} other writers were faster; something writes events in a loop"
        )
