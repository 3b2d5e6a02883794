"""`trader run`: one long-lived process that ticks by a schedule, and starts everything else beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from trader import terminal, wiring
from trader.adapters.clocks import ExchangeClock
from trader.adapters.scheduler import NOW, Scheduled, Waking, crontab, crontab_of, run_schedule
from trader.app.bot import Bot
from trader.app.run import CronJob
from trader.app.tick import tick
from trader.app.trouble import failed
from trader.commands.common import Traded, say_ticked, traded
from trader.config import Settings
from trader.core.errors import Halt, TraderError
from trader.core.ports import Clock
from trader.core.text import plural
from trader.core.types import iso
from trader.observers import builders, process

if TYPE_CHECKING:
    from trader.app.book import Book
    from trader.observers.book_metrics import BookMetrics
    from trader.observers.metrics import Metrics, Served

TICKS, OTHERS = "ticks", "others"


@dataclass(frozen=True, slots=True)
class Ticking:
    """One tick, which gives the hour that it reached (UTC ms), 0 where it failed; the bots that it ticks; where their metrics
    are served."""

    tick: Callable[[], int]
    bots: Mapping[str, Bot]
    metrics: Served | None


def run(jobs: list[CronJob], path: str, settings: Settings) -> None:
    """Tick now, then run the jobs of the schedule at `path` until SIGTERM, which lets a tick end, the first one too. A
    retrain runs in a process of its own and never delays a tick."""
    builders.require_installed(settings)
    if note := builders.note_of(settings):
        terminal.say(note)
    terminal.say(f"the schedule is {path}, after a first tick now", schedule=path)
    whole = traded(settings)
    clock = wiring.make_clock(whole.settings)
    with _ticking(whole, clock) as ticking:
        first: Scheduled = NOW, TICKS, ticking.tick
        others = partial(_start_other, settings)
        schedule = [first, *(_scheduled(job, ticking.tick, others) for job in jobs)]
        waking = _waking(whole.settings, ticking)
        if isinstance(clock, ExchangeClock):
            terminal.say(_followed(clock))
            why = run_schedule(schedule, crontab_of(clock), waking)
        else:
            why = run_schedule(schedule, crontab, waking)
    if why:
        raise RuntimeError(f"a job failed:\n{why}")
    terminal.say("stopped by a signal; the running tick was let end")


def _waking(settings: Settings, ticking: Ticking) -> Waking:
    """What wakes ticks beside the schedule: a stream, if the settings want one. Raises ConfigError where there is none."""
    if not settings.stream:
        return nullcontext
    from trader.commands.service_stream import StreamWaking

    return StreamWaking(settings, ticking.bots, ticking.tick, ticking.metrics).awake


@contextmanager
def _ticking(whole: Traded, clock: Clock) -> Iterator[Ticking]:
    """One tick of the bot, or of every symbol of a book, with connections that stay open."""
    settings = whole.settings
    with process.BackgroundObservers(settings) as observers:
        if whole.book is None:
            with wiring.open_bot(settings, clock, say=terminal.say) as bot:
                metrics = _metrics(settings, bot)
                yield Ticking(partial(_tick, bot, observers, metrics), {bot.symbol: bot}, metrics)
            return
        from trader.commands import book as books

        with books.opened(settings, whole.book, clock) as there:
            of_book = _book_metrics(settings, there)
            yield Ticking(partial(_tick_book, there, observers, of_book), there.sleeves, of_book)


def _book_metrics(settings: Settings, book: Book) -> BookMetrics | None:
    """Metrics of a book and each of its symbols on one port, if the settings name one."""
    if settings.metrics_port is None:
        return None
    from trader.observers.book_metrics import BookMetrics
    from trader.observers.metrics import serve

    metrics = BookMetrics(book)
    server = serve(metrics, settings.metrics_host, settings.metrics_port)
    terminal.say(f"metrics on http://{settings.metrics_host}:{server.server_port}/metrics")
    return metrics


def _tick_book(book: Book, observers: process.BackgroundObservers, metrics: BookMetrics | None = None) -> int:
    """One tick of every symbol; what fails is said, symbol by symbol, and the schedule goes on."""
    from trader.app.book_tick import tick_book
    from trader.commands import book as books

    with terminal.about(book=plural(len(book.sleeves), "symbol")):
        try:
            ticked = tick_book(book)
        except TraderError as error:
            terminal.say(f"{type(error).__name__}: {error}", "error", error=type(error).__name__)
            if metrics:
                metrics.failed(error)
            return 0
    if metrics:
        metrics.tell(ticked)
    for symbol, done in ticked.ticked.items():
        with terminal.about(symbol=symbol):
            if done.lines:
                say_ticked(book.sleeves[symbol].journal, done)
    told = False
    for symbol, failure in ticked.failed.items():
        with terminal.about(symbol=symbol):
            terminal.say(f"{type(failure).__name__}: {failure}", "error", error=type(failure).__name__)
        told = books.note_failure(book.sleeves[symbol], failure) or told
    terminal.say(ticked.message, hour=iso(ticked.hour), halted=ticked.halted)
    if told or any(it.lines for it in ticked.ticked.values()):
        observers.tell(next(iter(book.sleeves.values())).journal, ticked.hour, closed=True)
    return ticked.hour


def _followed(clock: ExchangeClock) -> str:
    """What the schedule means where the exchange's clock is not the wall's."""
    if clock.speed:
        return f"the schedule follows the embedded exchange's clock: {clock.words}"
    if clock.speed is None:
        return "the embedded exchange does not answer yet; until it does the schedule follows this machine's clock"
    return (
        f"the embedded exchange's clock stands still at {iso(clock.now_ms())}: no hour closes until POST /sim/clock moves it; "
        f"trader exchange --speed 60 lets an hour pass in a minute"
    )


def _scheduled(job: CronJob, ticking: Callable[[], object], others: Callable[[CronJob], None]) -> Scheduled:
    if job.is_tick:
        return job.when, TICKS, ticking
    return job.when, OTHERS, partial(others, job)


def _metrics(settings: Settings, bot: Bot) -> Metrics | None:
    """Metrics on their port, if the settings name one. What they tell is the store's, so they begin with its newest."""
    if settings.metrics_port is None:
        return None
    from trader.observers.metrics import Metrics, serve

    metrics = Metrics(settings.symbol, bot.clock.now_ms)
    server = serve(metrics, settings.metrics_host, settings.metrics_port)
    terminal.say(f"metrics on http://{settings.metrics_host}:{server.server_port}/metrics")
    return metrics


def _tick(bot: Bot, observers: process.BackgroundObservers, metrics: Metrics | None = None) -> int:
    """One tick; what a later tick can mend, or only a person can, is said and the schedule goes on. Observers are told
    beside it."""
    with terminal.about(symbol=bot.symbol):
        try:
            ticked = tick(bot)
        except TraderError as error:
            terminal.say(f"{type(error).__name__}: {error}", "error", error=type(error).__name__)
            if metrics:
                metrics.ticked(type(error).__name__)
            if failed(bot.journal, bot.exchange, bot.clock, error) or isinstance(error, Halt):
                observers.tell(bot.journal, 0, closed=True)
            return 0
        say_ticked(bot.journal, ticked)
        if metrics:
            metrics.ticked(ticked.outcome)
            metrics.tell(bot.journal.record(ticked.hour))
        if ticked.outcome != "not_begun":
            observers.tell(bot.journal, ticked.hour, closed=bool(ticked.lines))
        return ticked.hour


def _start_other(settings: Settings, job: CronJob) -> None:
    command = [sys.executable, "-m", "trader.cli", *job.arguments]
    whose = {"--symbol": settings.symbol}
    if settings.has_book:
        many = {"--symbols": ",".join(settings.symbols or ())}
        whose = many if settings.book is None else {"--book": str(settings.book)}
    options = {**whose, "--store": settings.store, "--bars": str(settings.bars)}
    own = {word.partition("=")[0] for word in job.arguments}
    given = [word for name, value in options.items() if name not in own for word in (name, value)]
    done = subprocess.run([*command, *given], check=False)  # noqa: S603 - this very program
    if done.returncode:
        terminal.say(f"trader {' '.join(job.arguments)} ended with {done.returncode}")
