"""Processes that tick on a bucket and die before their n-th request to it.

Children come from a fork server that has imported everything. What is wrapped is boto3's session, never a function of
the product.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from tests.support.forked import crew
from tests.support.life import a_bot, settings_of
from trader.adapters.store_s3 import S3Store
from trader.app.tick import tick
from trader.core.errors import TraderError


def doomed_tick(url: str, store: dict[str, Any], n: int) -> None:
    """A child's work: one tick, killed before its n-th request to the bucket. Exits 0 if it never made so many."""
    left = n
    with a_bot(settings_of(url, **store)) as (bot, _):
        assert isinstance(bot.journal.store, S3Store)
        session = bot.journal.store.client._endpoint.http_session
        send = session.send

        def send_or_die(request: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return send(request)

        session.send = send_or_die
        tick(bot)
    os._exit(0)


def killed(url: str, store: dict[str, Any], n: int) -> bool:
    """Kill a ticking child before a request; False if it ended before that, so there are no more."""
    child = crew.Process(target=doomed_tick, args=(url, store, n))
    child.start()
    try:
        child.join(200)
        assert child.exitcode in (0, -signal.SIGKILL), child.exitcode
        return child.exitcode != 0
    finally:
        child.kill()
        child.join(10)


def racer(url: str, store: dict[str, Any], hours: int, barrier: Any) -> None:
    """A child's work: tick every hour at the same moment as its rivals."""
    with a_bot(settings_of(url, **store)) as (bot, _):
        for _ in range(hours):
            barrier.wait(200)
            with suppress(TraderError):
                tick(bot)
            barrier.wait(200)
    os._exit(0)
