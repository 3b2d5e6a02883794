"""How a command has its observers told: after the record, by a process of its own, for a limited time.

A command that ends leaves that process behind and waits for nothing, unless its own end would be that process's end as well:
then it waits (ADR 21). `trader run`, which goes on, supervises it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal
from trader.app.cursors import begin, behind
from trader.config import environment_without_keys
from trader.core.errors import TraderError
from trader.observers.names import names_of
from trader.observers.supervisor import GRACE_S, Delivery, ObserverProcess

if TYPE_CHECKING:
    from trader.app.journal import Journal
    from trader.config import Settings

# What a process that was left behind has to say to a person; begun anew when it is longer.
LOG, LONGEST_LOG_BYTES = "observers.log", 1_000_000
# A service that is told to stop while observers are being told: one process that tells, one that waits for its turn.
MOST_AT_ONCE = 2


def waits(settings: Settings) -> bool:
    """Whether a command waits until its observers were told: as the settings say, else where process 1 is this one or its
    parent. That is the first process of a container or of a systemd unit, whose end ends whatever it left behind."""
    if settings.wait_for_observers is not None:
        return settings.wait_for_observers
    return os.getpid() == 1 or os.getppid() <= 1


def tell_after_tick(settings: Settings, journal: Journal, hour: int, closed: bool) -> None:
    """Have observers told if they have not heard of `hour`. `closed`: this tick closed it, so they cannot have. Raises
    nothing: the hour is done whatever observers do."""
    if _is_news(settings, journal, hour, closed):
        if not waits(settings):
            _say_overdue(settings, journal, hour)
        tell_observers(settings)


def tell_observers(settings: Settings) -> None:
    """Start `trader observe` under supervision, and leave it behind or wait for it. Raises nothing."""
    if not names_of(settings):
        return
    if not waits(settings):
        _leave_behind(settings)
        return
    process = ObserverProcess(_delivery(settings), environment_without_keys())
    try:
        process.run()
    except KeyboardInterrupt:
        terminal.say("observers: interrupted; the next tick goes on with them")
    finally:
        process.drop()


class BackgroundObservers:
    """Has observers told in the background of a service that goes on: none of them is waited for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: list[tuple[ObserverProcess, threading.Thread]] = []

    def __enter__(self) -> BackgroundObservers:
        return self

    def tell(self, journal: Journal, hour: int, closed: bool) -> None:
        """Start telling, unless there is nothing new. While the last telling runs the next one waits for its turn; a third
        would have nothing to add to it."""
        self._running = [(process, thread) for process, thread in self._running if thread.is_alive()]
        if len(self._running) < MOST_AT_ONCE and _is_news(self._settings, journal, hour, closed):
            process = ObserverProcess(_delivery(self._settings), environment_without_keys())
            thread = threading.Thread(target=process.run, name="observers", daemon=True)
            self._running.append((process, thread))
            thread.start()

    def __exit__(self, *_: object) -> None:
        for _process, thread in self._running[:1]:
            thread.join(GRACE_S)
        for process, _thread in reversed(self._running):
            process.drop()
        for _process, thread in self._running:
            thread.join()


class Steps:
    """What the child writes for its supervisor: a line before each observer and one after it."""

    def __init__(self, descriptor: int | None, symbol: str = "") -> None:
        self._descriptor = descriptor
        self._symbol = symbol

    def __call__(self, telling: str) -> None:
        """About to tell this observer, of this symbol where there are several; "" between two. A supervisor that is gone needs
        no word."""
        if self._descriptor is not None:
            said = f"{self._symbol} {telling}".strip() if telling else ""
            with contextlib.suppress(OSError):
                os.write(self._descriptor, json.dumps({"telling": said}).encode() + b"\n")


def limit_life(seconds: float) -> None:
    """End this process after so many seconds, whatever it does then: its supervisor, who should, may be gone."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _delivery(settings: Settings) -> Delivery:
    return Delivery(
        symbol=settings.symbol,
        store=settings.store,
        bars=str(settings.bars),
        tracker_dir=str(settings.tracker_dir),
        patience_s=settings.observer_patience_s,
        book="" if settings.book is None else str(settings.book),
        symbols=",".join(settings.symbols or ()),
    )


def _is_news(settings: Settings, journal: Journal, hour: int, closed: bool) -> bool:
    names = names_of(settings)
    try:
        return bool(names) and (closed or behind(journal, names, hour))
    except TraderError as error:
        terminal.say(f"observers: {error}")
        return False


def _say_overdue(settings: Settings, journal: Journal, hour: int) -> None:
    """What became of earlier tellings, which nobody waited for; and note that these observers are meant to be told."""
    try:
        for words in begin(journal, names_of(settings), hour):
            log = settings.tracker_dir / LOG
            terminal.say(f"observer {words}; it is tried again now, details are in {log}")
    except TraderError as error:
        terminal.say(f"observers: {error}")


def _leave_behind(settings: Settings) -> None:
    """Start a supervisor in a session of its own, which outlives this process. It holds none of this one's streams: who
    reads a tick's output sees its end when the tick ends."""
    arguments = [sys.executable, "-m", "trader.observers.supervisor", _delivery(settings).as_argument()]
    try:
        log = _log(settings.tracker_dir)
        try:
            os.posix_spawn(
                sys.executable,
                arguments,
                environment_without_keys(),
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
            )
        finally:
            os.close(log)
    except OSError as error:
        terminal.say(f"observers: a process for them cannot be started ({error.strerror})")


def _log(folder: Path) -> int:
    """A descriptor of the log, or of nothing where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOG
        anew = os.O_TRUNC if path.exists() and path.stat().st_size > LONGEST_LOG_BYTES else 0
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | anew, 0o644)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
