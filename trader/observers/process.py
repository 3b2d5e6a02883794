"""How observers are told: in a process of their own, after the record, for a limited time, whatever becomes of them.

That process says whom it is about to tell. If it has to be stopped, or dies, its parent counts that against the observer
it was telling: an observer cannot count its own end.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trader import terminal
from trader.app.cursors import behind, stopped
from trader.config import environment_without_keys
from trader.core.errors import Retry, TraderError
from trader.observers.names import names_of

if TYPE_CHECKING:
    from trader.app.journal import Journal
    from trader.config import Settings

# How long a service that is stopped lets its observers finish, and how much longer than its parent's patience a telling
# lives that nobody stops.
LAST_WORDS_S = 5.0
MOST_STEPS_BYTES = 65_536


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[bool]:
    """Whether this process is the only one here that tells observers, for as long as the context lasts."""
    try:
        settings.tracker_dir.mkdir(parents=True, exist_ok=True)
        lock = (settings.tracker_dir / ".lock").open("w")
    except OSError:  # a folder that cannot be written is each tracker's own trouble
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def tell_after_tick(settings: Settings, journal: Journal, hour: int, closed: bool) -> None:
    """Tell observers if they have not heard of `hour`. `closed`: this tick closed it, so they cannot have. Raises
    nothing: the hour is done whatever observers do."""
    if _is_news(settings, journal, hour, closed):
        tell_observers(settings)


def tell_observers(settings: Settings) -> None:
    """Run `trader observe` as a child, at most `observer_patience_s`. Raises nothing."""
    telling = _start(settings) if names_of(settings) else None
    if telling is None:
        return
    try:
        telling.wait()
    except KeyboardInterrupt:
        terminal.say("observers: interrupted; the next tick goes on with them")
    finally:
        telling.drop()


class BackgroundObservers:
    """Tells observers in the background of a service: one telling at a time, none of them waited for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._telling: ObserverProcess | None = None
        self._waiting: threading.Thread | None = None

    def __enter__(self) -> BackgroundObservers:
        return self

    def tell(self, journal: Journal, hour: int, closed: bool) -> None:
        """Start telling, unless there is nothing new or the last telling still runs."""
        if self._waiting is not None and self._waiting.is_alive():
            return
        if _is_news(self._settings, journal, hour, closed) and (telling := _start(self._settings)):
            self._telling = telling
            self._waiting = threading.Thread(target=telling.wait, name="observers", daemon=True)
            self._waiting.start()

    def __exit__(self, *_: object) -> None:
        if self._telling is not None and self._waiting is not None:
            self._waiting.join(LAST_WORDS_S)
            self._telling.drop()
            self._waiting.join()


class ObserverProcess:
    """One run of `trader observe`."""

    def __init__(self, settings: Settings) -> None:
        """Raises OSError where no process can be started."""
        self._settings = settings
        self._dropped = False
        self._steps, to_child = os.pipe()
        os.set_blocking(self._steps, False)
        options = ["--symbol", settings.symbol, "--store", settings.store, "--bars", str(settings.bars)]
        command = [sys.executable, "-m", "trader.cli", "observe", *options, "--steps", str(to_child)]
        try:
            self.child = subprocess.Popen(  # noqa: S603 - this very program
                command,
                env=environment_without_keys(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(to_child,),
            )
        except OSError:
            os.close(self._steps)
            raise
        finally:
            os.close(to_child)

    def wait(self) -> None:
        """Until it ends, at most the settings' patience, then stop it. What was not told to its end is said and counted."""
        patience_s = self._settings.observer_patience_s
        try:
            why = _end_in_words(self.child.wait(patience_s))
        except subprocess.TimeoutExpired:
            self._kill()
            why = f"stopped after {patience_s:g} s"
        name = self._interrupted()
        if why and not self._dropped:
            _count(self._settings, name, why)

    def drop(self) -> None:
        """Stop it if it still runs, and count nothing: it is not at fault."""
        self._dropped = True
        self._kill()

    def _kill(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    def _interrupted(self) -> str:
        """The observer that was being told when the process ended, "" for none."""
        try:
            with os.fdopen(self._steps, "rb", buffering=0) as steps:
                lines = (steps.read(MOST_STEPS_BYTES) or b"").splitlines()
        except OSError:
            return ""
        name = ""
        for line in lines:
            with contextlib.suppress(ValueError):
                name = str(json.loads(line).get("telling", ""))
        return name


class Steps:
    """What the child writes for its parent: a line before each observer and one after it."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, telling: str) -> None:
        """About to tell this observer, "" between two. A parent that is gone needs no word."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, json.dumps({"telling": telling}).encode() + b"\n")


def limit_life(seconds: float) -> None:
    """End this process after so many seconds, whatever it does then: its parent, who should, may be gone."""
    import signal

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _is_news(settings: Settings, journal: Journal, hour: int, closed: bool) -> bool:
    names = names_of(settings)
    try:
        return bool(names) and (closed or behind(journal, names, hour))
    except TraderError as error:
        terminal.say(f"observers: {error}")
        return False


def _start(settings: Settings) -> ObserverProcess | None:
    try:
        return ObserverProcess(settings)
    except OSError as error:
        terminal.say(f"observers: a process for them cannot be started ({error.strerror})")
        return None


def _end_in_words(code: int) -> str:
    """How a process ended by itself; "" where it did what it should: trouble of an observer is counted in there."""
    if code < 0:
        return f"the observer process was ended by signal {-code}"
    expected = (0, Retry.exit_code, terminal.EXIT_INTERRUPTED)
    return "" if code in expected else f"the observer process ended with exit code {code}"


def _count(settings: Settings, name: str, why: str) -> None:
    """Say it, and note it where a status finds it, unless somebody else tells observers by now."""
    if not name:
        terminal.say(f"observers: {why}; the next tick goes on with them")
        return
    from trader import wiring

    try:
        with alone(settings) as nobody_else:
            behind_since = stopped(wiring.make_journal(settings), name, why, count=nobody_else)
    except TraderError as error:
        terminal.say(f"observer {name}: {why}; it could not be counted ({error})")
        return
    since = f"behind since {behind_since}; " if behind_since else ""
    terminal.say(f"observer {name}: {why}; {since}it is told again with the next tick, after the others")
