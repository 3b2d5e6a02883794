"""`trader health`: an hour closed lately is health, whatever it decided."""

from __future__ import annotations

import pytest

from tests.support.fakes import MemoryStore
from tests.support.records_made import record_made
from trader.app.health import alive_hour
from trader.app.journal import Journal
from trader.core.types import HOUR_MS, parse_hour

HOUR = parse_hour("2022-01-01T10:00")
MINUTE_MS = 60_000


def journal_with(hour: int) -> Journal:
    """A journal whose only record is of this hour."""
    journal = Journal(MemoryStore(), "BTCUSDT")
    journal.close_hour(record_made(hour))
    return journal


@pytest.mark.parametrize(
    ("minutes", "healthy"), [(0, True), (1, True), (60, True), (75, True), (76, False), (200, False)]
)
def test_an_hour_is_recent_for_75_minutes(minutes: int, healthy: bool) -> None:
    """The newest record counts until fifteen minutes into the hour after its own."""
    assert (alive_hour(journal_with(HOUR), HOUR + minutes * MINUTE_MS) is not None) is healthy


def test_the_newest_of_several_is_found() -> None:
    """With a longer patience the newest record within it answers."""
    journal = journal_with(HOUR)
    journal.close_hour(record_made(HOUR + HOUR_MS))
    found = alive_hour(journal, HOUR + 2 * HOUR_MS, within_minutes=180)
    assert found is not None
    assert found.close_time == HOUR + HOUR_MS


def test_an_empty_journal_is_not_alive() -> None:
    """A bot that has not begun closes no hours."""
    assert alive_hour(Journal(MemoryStore(), "BTCUSDT"), HOUR) is None
