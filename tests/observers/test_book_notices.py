"""A halt of a whole book is one notice, not one for each of its symbols."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.fakes import MemoryStore
from trader.app.halts import announce, resume
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.story import happened
from trader.core.book import BOOK_HALT
from trader.core.events import Event, HaltEvent
from trader.core.news import News
from trader.core.types import parse_hour
from trader.observers.delivery import tell_all
from trader.observers.messages import Message, messages

NOW = parse_hour("2021-03-05")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@dataclass
class Inbox:
    """An observer that keeps the messages of its news."""

    name: str = "notices"
    heard: list[Message] = field(default_factory=list)

    def observe(self, news: News) -> None:
        """Keep them."""
        self.heard += messages(news)


def test_a_halt_of_the_book_is_told_once_and_names_the_book() -> None:
    """The book's own halt is told from its own events, once however often it is asked; its resume as well."""
    journal, inbox = Journal(MemoryStore(), BOOK, SYMBOLS), Inbox()
    announce(journal, NOW, "drawdown", freeze=False)
    for _ in range(2):
        tell_all(journal, [inbox], print)
    assert [it.title for it in inbox.heard] == ["the book: trading is HALTED (drawdown)"]
    resume(journal, NOW + 1, "looked at it")
    tell_all(journal, [inbox], print)
    assert [it.title for it in inbox.heard[1:]] == ["the book: trading resumed"]
    assert [it.kind for it in happened(journal)] == ["halt", "resume"]


def test_a_symbol_that_follows_its_book_is_no_notice() -> None:
    """The halt of a symbol by the book's is told by nobody; one of its own is."""
    journal = Journal(MemoryStore(), "BTCUSDT", SYMBOLS)
    halts = [HaltEvent("BTCUSDT", NOW, reason, False, "bot") for reason in (BOOK_HALT, "reconcile")]
    events = [Event(number, event) for number, event in enumerate(halts, start=1)]
    news = News("BTCUSDT", "0a0a", NOW, [], lambda _: [], events, journal.store)
    assert [it.title for it in messages(news)] == ["BTCUSDT: trading is HALTED (reconcile)"]
