"""`trader run`: what is in a long-lived process's lanes, and what a signal may interrupt."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from apscheduler.triggers.interval import IntervalTrigger

from tests.support.venue_kit import AT, running
from trader.adapters.clocks import ExchangeClock
from trader.adapters.scheduler import NOW, FollowingTrigger, crontab, crontab_of, run_schedule
from trader.app.run import CronJob, parse_cron_jobs
from trader.commands import service
from trader.config import load_settings
from trader.core.errors import ConfigError

PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The schedule takes the signals of its process; they are given back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def often(when: str) -> IntervalTrigger:
    """A trigger for tests: every so many seconds."""
    return IntervalTrigger(seconds=float(when))


def end() -> None:
    """SIGTERM to this process, as `docker stop` sends it."""
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_retrain_never_delays_a_tick() -> None:
    """A retrain that ends only when three more ticks have run sees them run; in one lane it would wait in vain."""
    ticks = threading.Semaphore(0)
    seen: list[bool] = []

    def retrain() -> None:
        if seen:
            return
        while ticks.acquire(blocking=False):
            pass  # those from before do not count
        seen.append(all(ticks.acquire(timeout=PATIENCE_S) for _ in range(3)))
        end()

    why = run_schedule([("0.05", "ticks", ticks.release), ("0.1", "beside", retrain)], often)
    assert (why, seen) == ("", [True])


def test_sigterm_lets_a_running_tick_end() -> None:
    """The signal comes in the middle of a tick: the tick goes on to its end, and the schedule ends without a failure."""
    done: list[str] = []

    def tick() -> None:
        if done:
            return
        done.append("begun")
        end()
        threading.Event().wait(0.3)
        done.append("ended")

    assert run_schedule([("0.05", "ticks", tick)], often) == ""
    assert done == ["begun", "ended"]


def test_sigterm_lets_the_first_tick_end_too() -> None:
    """What runs once, when the schedule starts, runs at once and is no less safe."""
    done: list[str] = []

    def tick() -> None:
        end()
        threading.Event().wait(0.3)
        done.append("ended")

    assert run_schedule([(NOW, "ticks", tick), ("0 0 1 1 *", "ticks", tick)]) == ""
    assert done == ["ended"]


def test_an_action_that_fails_ends_the_schedule_with_its_traceback() -> None:
    """A bug is loud: whoever supervises the process starts it anew."""

    def tick() -> None:
        raise ZeroDivisionError("a bug")

    assert "ZeroDivisionError: a bug" in run_schedule([("0.05", "ticks", tick)], often)


def test_ticks_have_a_lane_of_their_own_and_the_rest_a_process() -> None:
    """`trader tick` runs warm in this process; every other line of the file starts a process in the other lane."""
    jobs = parse_cron_jobs("0,1,3,10 * * * *  trader tick\n15 * * * *  trader retrain --if-due\n", "cron-job")
    lanes = [service._scheduled(job, None, print)[:2] for job in jobs]  # type: ignore[arg-type]  # not called
    assert lanes == [("0,1,3,10 * * * *", "ticks"), ("15 * * * *", "others")]


def test_what_runs_beside_says_how_it_ended(capfd: pytest.CaptureFixture[str], tmp_path: object) -> None:
    """A retrain that fails is told with its exit code, and the schedule goes on."""
    settings = load_settings(store=str(tmp_path), venue_url="http://127.0.0.1:9")
    job = CronJob("15 * * * *", ("retrain", "--if-due"))
    partial(service._start_other, settings)(job)
    assert "trader retrain --if-due ended with" in capfd.readouterr().err


def test_a_schedule_follows_the_exchanges_clock() -> None:
    """With 5 times the wall's speed, minute 0 of the next hour is a fifth of the exchange's minutes away; once it has come,
    minute 1 is the next, and an hour that the clock jumped over is one firing."""
    speed = 5.0
    with running(speed=speed, at_ms=AT) as sim:
        clock = ExchangeClock(sim.exchange.url)
        follows = FollowingTrigger(crontab("0,1,3,10 * * * *"), clock)

        def wait_s() -> float:
            now = datetime.now(UTC)
            due = follows.get_next_fire_time(None, now)
            assert due is not None
            return (due - now).total_seconds()

        def minutes_left(minute: int) -> float:
            return (minute * 60_000 - (sim.now() - AT)) / 60_000

        for moved_to, due in ((50, 60), (60, 61), (62, 63), (240, 241)):
            sim.to(AT + moved_to * 60_000 + 5_000)
            assert wait_s() * speed == pytest.approx(minutes_left(due) * 60, abs=0.5 * speed)


def test_a_schedule_is_the_walls_where_the_exchanges_clock_stands() -> None:
    """A clock that nobody moves would never let a tick run."""
    with running() as sim:
        follows = FollowingTrigger(crontab("* * * * *"), ExchangeClock(sim.exchange.url))
        now = datetime.now(UTC)
        due = follows.get_next_fire_time(None, now)
        assert due == crontab("* * * * *").get_next_fire_time(None, now)


def test_ticks_run_by_the_exchanges_minutes() -> None:
    """At 1,000 times the wall's speed a job of every minute runs within fractions of a second, the first one at once."""
    runs: list[int] = []

    def tick() -> None:
        runs.append(1)
        if len(runs) == 4:
            end()

    with running(speed=1000.0) as sim:
        keeps = crontab_of(ExchangeClock(sim.exchange.url))
        assert run_schedule([(NOW, "ticks", tick), ("* * * * *", "ticks", tick)], keeps) == ""
    assert len(runs) >= 4


def test_a_crontab_that_is_none_is_refused() -> None:
    """Before anything runs, naming it."""
    with pytest.raises(ConfigError, match=r"'99 \* \* \* \*' is not a crontab expression"):
        run_schedule([("99 * * * *", "ticks", end)])
