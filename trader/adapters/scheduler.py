"""Jobs on a crontab, by APScheduler: one tick at a time, one of the others at a time, SIGTERM lets both end. The crontab is kept
by the wall's clock, or by that of an embedded exchange."""

from __future__ import annotations

import logging
import re
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from queue import SimpleQueue

from apscheduler.events import EVENT_JOB_ERROR, EVENT_SCHEDULER_STARTED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from trader.adapters.clocks import ExchangeClock
from trader.core.errors import ConfigError

# A tick that comes this late is still worth running: it closes the hour as missed, or mends it.
LATE_S = 300
NOW = "now"  # once, when the schedule starts

_FIELDS = 5
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY = "[0-7]|" + "|".join(_DAYS)
_WEEKDAYS = re.compile(rf"(?:(?P<all>\*)|(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?)(?:/(?P<step>\d+))?")

Lane = str
Scheduled = tuple[str, Lane, Callable[[], object]]
# Runs an action at once in a lane, after what runs there; may be called from any thread.
RunNow = Callable[[Lane, Callable[[], object]], object]
# What may run actions between those of the schedule, from its beginning until its end.
Waking = Callable[[RunNow], AbstractContextManager[object]]


def crontab(when: str) -> BaseTrigger:
    """Five crontab fields, UTC, or NOW, read as cron reads them: 0 and 7 are Sunday, and where both the day of the month and that
    of the week are named, either suffices. Raises ConfigError for a text that is neither, or that never comes."""
    if when == NOW:
        return DateTrigger(timezone=UTC)
    try:
        trigger = _trigger(when)
    except ValueError as error:
        raise ConfigError(f"{when!r} is not a crontab expression: {error}") from None
    if trigger.get_next_fire_time(None, datetime.now(UTC)) is None:
        raise ConfigError(f"{when!r} never comes: no month has such a day")
    return trigger


def _trigger(when: str) -> BaseTrigger:
    """Raises ValueError."""
    fields = when.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"it has {len(fields)} fields instead of {_FIELDS}")
    minute, hour, day, month, weekday = fields
    named = _weekdays(weekday.lower())

    def at(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=UTC)

    if day.startswith("*") or weekday.startswith("*"):
        return at(day, named)
    return OrTrigger([at(day, "*"), at("*", named)])


def _weekdays(field: str) -> str:
    """A field of cron's by names: the scheduler counts from Monday, cron from Sunday. Raises ValueError."""
    if field == "*":
        return field
    chosen: set[int] = set()
    for item in field.split(","):
        match = _WEEKDAYS.fullmatch(item)
        if match is None:
            raise ValueError(
                f"{item!r} is no day of the week; write 0 to 7 (0 and 7 are Sunday) or sun to sat"
            )
        if match["all"]:
            first, last = 0, 6
        else:
            first = _weekday(match["first"])
            last = _weekday(match["last"]) if match["last"] else 6 if match["step"] else first
        last += 7 if last < first else 0  # fri-sun, 5-0
        step = int(match["step"] or 1)
        if not step:
            raise ValueError(f"{item!r} has a step of 0")
        chosen.update(day % 7 for day in range(first, last + 1, step))
    return ",".join(_DAYS[day] for day in sorted(chosen))


def _weekday(text: str) -> int:
    return int(text) if text.isdigit() else _DAYS.index(text[:3])


class FollowingTrigger(BaseTrigger):  # type: ignore[misc]  # the library ships no types
    """Fires when an embedded exchange's clock reaches the next time of another trigger. The clock is asked anew with every
    firing. While it stands still, or nobody answers, the wall's clock counts."""

    def __init__(self, trigger: BaseTrigger, clock: ExchangeClock) -> None:
        self._trigger, self._clock = trigger, clock
        self._last: datetime | None = None  # on the exchange's clock

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The wall's time of the next firing. What the exchange's clock has jumped over is one firing."""
        self._clock.follow()
        wall = there = datetime.now(UTC)
        if self._clock.speed:
            there = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        fired = self._last if self._last and self._last >= there else None
        self._last = self._trigger.get_next_fire_time(fired, there)
        return None if self._last is None else wall + (self._last - there) / self._clock.rate


def crontab_of(clock: ExchangeClock) -> Callable[[str], BaseTrigger]:
    """How a crontab is kept by an embedded exchange's clock."""
    # Where an hour takes seconds, the next minute of the schedule may come before a tick has ended: it is left out.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    return lambda when: crontab(when) if when == NOW else FollowingTrigger(crontab(when), clock)


def run_schedule(
    jobs: Sequence[Scheduled],
    trigger_of: Callable[[str], BaseTrigger] = crontab,
    waking: Waking = nullcontext,
) -> str:
    """Run (crontab, lane, action) until SIGTERM or SIGINT; actions of one lane never overlap, lanes do not wait for
    each other. waking: is given a way to run an action at once.

    Returns why it ended: "" after a signal, else the traceback of an action that failed, which ends the process so
    that whoever supervises it starts it anew. Raises ConfigError for a crontab that is none.
    """
    lanes = {lane for _, lane, _ in jobs}
    scheduler = BlockingScheduler(
        timezone=UTC,
        executors={lane: ThreadPoolExecutor(1) for lane in lanes},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": LATE_S},
    )
    for when, lane, action in jobs:
        scheduler.add_job(action, trigger_of(when), executor=lane)
    failures: list[str] = []
    # A handler interrupts the main thread wherever it is, with the scheduler's locks in its hands; so it only leaves a
    # word (put may be called from a handler), and another thread ends the schedule. True: let running actions end.
    words: SimpleQueue[bool] = SimpleQueue()

    def end_when_told() -> None:
        let_end = words.get()
        scheduler.pause()
        scheduler.shutdown(wait=let_end)

    def failed(event: JobExecutionEvent) -> None:
        failures.append("".join(traceback.format_exception(event.exception)))
        words.put(False)

    ending = threading.Thread(target=end_when_told, name="ending", daemon=True)
    scheduler.add_listener(failed, EVENT_JOB_ERROR)
    scheduler.add_listener(lambda _: ending.start(), EVENT_SCHEDULER_STARTED)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: words.put(True))
    with waking(lambda lane, action: scheduler.add_job(action, executor=lane)):
        scheduler.start()
    ending.join()
    return failures[0] if failures else ""
