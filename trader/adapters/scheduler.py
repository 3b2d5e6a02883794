"""Jobs on a crontab, by APScheduler: one tick at a time, one of the others at a time, SIGTERM lets both end."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC
from types import FrameType

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from trader.core.errors import ConfigError

# A tick that comes this late is still worth running: it closes the hour as missed, or mends it.
LATE_S = 300

Lane = str
Scheduled = tuple[str, Lane, Callable[[], None]]


def run_schedule(jobs: Sequence[Scheduled]) -> str:
    """Run (crontab, lane, action) until SIGTERM or SIGINT; actions of one lane never overlap.

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
        try:
            trigger = CronTrigger.from_crontab(when, timezone=UTC)
        except ValueError as error:
            raise ConfigError(f"{when!r} is not a crontab expression: {error}") from None
        scheduler.add_job(action, trigger, executor=lane)
    failures: list[str] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        scheduler.shutdown(wait=True)

    def failed(event: JobExecutionEvent) -> None:
        failures.append("".join(traceback.format_exception(event.exception)))
        scheduler.shutdown(wait=False)

    scheduler.add_listener(failed, EVENT_JOB_ERROR)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    scheduler.start()
    return failures[0] if failures else ""
