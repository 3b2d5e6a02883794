"""Observers hear everything, in order, after the record; what they do to themselves reaches nobody else."""

from __future__ import annotations

import pytest

from tests.observers.conftest import HOURS, START, Told
from trader.app.cursors import OFTEN, behind, cursor_key, read_cursor, standing, standing_in_words, stopped
from trader.core.news import News
from trader.core.types import HOUR_MS, iso
from trader.observers.delivery import CHUNK_HOURS, tell, tell_all


class Diary:
    """An observer that remembers what it heard, and fails when told to."""

    name = "diary"

    def __init__(self, fails: Exception | None = None) -> None:
        self.hours: list[int] = []
        self.events: list[tuple[str, int]] = []
        self.past: list[list[int]] = []
        self.parts: list[int] = []
        self.fails = fails

    def observe(self, news: News) -> None:
        """Remember, or fail."""
        if self.fails:
            raise self.fails
        self.hours += [record.close_time for record in news.records]
        self.parts.append(len(news.records))
        self.events += [(event.name, event.number) for event in news.events]
        self.past.append([record.close_time for record in news.past(200)])


class Rival(Diary):
    """Another one."""

    name = "rival"


ALL = [START + i * HOUR_MS for i in range(HOURS)]


def test_an_observer_hears_every_hour_and_event_once_and_in_order(told: Told) -> None:
    """A backlog comes in parts, each with the hours before it at hand; a second telling has nothing to say."""
    diary = Diary()
    assert HOURS > CHUNK_HOURS
    assert told.tell(diary) == HOURS
    assert diary.hours == ALL
    assert diary.events == [("deployment", 1), ("study", 1), ("champion", 1)]
    assert diary.past == [[], ALL[:CHUNK_HOURS]]
    assert told.tell(diary) == 0


def test_a_crash_between_record_and_observer_delays_the_message(told: Told) -> None:
    """Killed after the observer took a part in and before its cursor moved: the part comes again, nothing is left out."""
    diary = Diary()
    telling = tell(told.journal, diary)
    next(telling)
    before = told.journal.store.get(cursor_key("diary", "BTCUSDT"))
    next(telling)
    assert before is not None
    told.journal.store.put(cursor_key("diary", "BTCUSDT"), before)
    told.tell(diary)
    assert diary.hours == ALL + ALL[CHUNK_HOURS:]


def test_a_broken_observer_is_said_once_counted_and_keeps_nothing_from_the_others(told: Told) -> None:
    """Its cursor stays, so that it hears the same when it is well again."""
    said: list[str] = []
    broken, well = Diary(RuntimeError("no route to host\nand a long traceback")), Rival()
    for _ in range(2):
        tell_all(told.journal, [broken, well], said.append)
    assert well.hours == ALL
    assert (
        said
        == [
            "observer diary: RuntimeError: no route to host; nothing is lost, it is told again with the next tick"
        ]
        * 2
    )
    cursor = read_cursor(told.journal, "diary")
    assert (cursor.hour_ms, cursor.failures, cursor.trouble) == (None, 2, "RuntimeError: no route to host")
    broken.fails = None
    tell_all(told.journal, [broken], said.append)
    assert broken.hours == ALL
    assert read_cursor(told.journal, "diary").failures == 0


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"hours": 3}', b'{"schema": "cursor/9", "hour": 3}'])
def test_a_damaged_cursor_begins_anew(told: Told, damage: bytes) -> None:
    """A cursor is a note: without it everything is told again."""
    told.journal.store.put(cursor_key("diary", "BTCUSDT"), damage)
    diary = Diary()
    told.tell(diary)
    assert diary.hours == ALL


def test_behind_says_whether_anybody_has_to_be_told(told: Told) -> None:
    """One small read for each observer, and no more."""
    last = ALL[-1]
    assert behind(told.journal, ["diary"], last)
    told.tell(Diary())
    assert not behind(told.journal, ["diary"], last)
    assert behind(told.journal, ["diary"], last + HOUR_MS)
    assert behind(told.journal, ["diary", "rival"], last)


def test_nothing_is_told_before_the_bot_has_begun(told: Told) -> None:
    """An empty store has no news."""
    from trader.adapters.store_local import LocalStore
    from trader.app.journal import Journal

    empty = Journal(LocalStore(told.tracking / "empty", durable=False), "BTCUSDT")
    assert list(tell(empty, Diary())) == []


def test_who_was_stopped_comes_after_the_others_and_in_smaller_parts(told: Told) -> None:
    """A slow one gets less at a time until it fits, and then more again; nothing is left out, nothing comes twice."""
    order: list[str] = []
    slow, well = Diary(), Rival()
    for _ in range(4):
        stopped(told.journal, "diary", "stopped after 60 s")
    tell_all(told.journal, [slow, well], lambda words: None, order.append)
    assert order == ["rival", "", "diary", ""]
    assert (slow.parts, well.parts) == ([3, 6, 12, 24, 5], [48, 2])
    assert slow.hours == well.hours == ALL
    assert read_cursor(told.journal, "diary").failures == 0
    order.clear()
    tell_all(told.journal, [slow, well], lambda words: None, order.append)
    assert order == ["diary", "", "rival", ""]


def test_who_is_stopped_over_and_over_is_tried_once_an_hour(told: Told) -> None:
    """The later ticks of the hour are no reason to wait for it again; one that is only behind is one."""
    last = ALL[-1]
    for _ in range(OFTEN):
        assert behind(told.journal, ["diary"], last)
        stopped(told.journal, "diary", "stopped after 60 s")
    assert not behind(told.journal, ["diary"], last)
    assert behind(told.journal, ["diary", "rival"], last)


def test_how_observers_stand_is_told_with_the_hour_since_when(told: Told) -> None:
    """One that has heard nothing, one that was stopped on its way, one that has heard everything."""
    slow = Diary()
    next(tell(told.journal, slow))
    assert stopped(told.journal, "diary", "stopped after 60 s") == iso(ALL[CHUNK_HOURS])
    told.tell(Rival())
    never, halfway, well = standing(told.journal, ["never", "diary", "rival"], ALL[-1], START)
    assert (never["behind_hours"], never["behind_since"], never["failures"]) == (HOURS, iso(START), 0)
    assert halfway == {
        "name": "diary",
        "behind_hours": HOURS - CHUNK_HOURS,
        "behind_since": iso(ALL[CHUNK_HOURS]),
        "failures": 1,
        "trouble": "stopped after 60 s",
    }
    assert (well["behind_hours"], well["behind_since"]) == (0, None)
    since = f"behind since {iso(ALL[CHUNK_HOURS])} ({HOURS - CHUNK_HOURS} h)"
    assert standing_in_words(halfway) == f"diary: stopped after 60 s; {since}"
    assert stopped(told.journal, "rival", "stopped after 60 s") == "", "every closed hour was heard"
