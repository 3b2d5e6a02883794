"""Is the bot alive: one question to its journal, cheap enough for every few minutes."""

from __future__ import annotations

from trader.app.journal import Journal
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS, floor_hour

# The hour's last try by cron-job is at minute 10; it gets five minutes.
WITHIN_MINUTES = 75


def alive_hour(journal: Journal, now_ms: int, within_minutes: int = WITHIN_MINUTES) -> HourRecord | None:
    """The newest record whose hour is at most `within_minutes` before `now_ms`, None without one.

    Reads one object per hour looked at and lists nothing: on S3 that is a request or two.
    """
    oldest = now_ms - within_minutes * 60_000
    for hour in range(floor_hour(now_ms), oldest - 1, -HOUR_MS):
        if (record := journal.record(hour)) is not None:
            return record
    return None
