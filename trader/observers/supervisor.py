"""`trader observe` as a child process with a time limit, and a record of an observer that failed in it.

The child writes the name of the observer that it is about to tell to a pipe. If it has to be stopped, or dies, its supervisor
counts that against the observer it was telling: an observer cannot count its own end.

    python -m trader.observers.supervisor DELIVERY

is what a tick starts and leaves behind, in a session of its own (ADR 21); DELIVERY is a `Delivery` as JSON. It imports the
standard library only, unless something went wrong: a second interpreter with every library would cost as much processor time
as the tick.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from trader.observers.turn import Turn, next_turn

# Grace in seconds: for observers when a service stops, for the lock, and for a child whose supervisor died.
GRACE_S = 5.0
MOST_STEPS_BYTES = 65_536
# Exit codes of a child that did what it should: done, trouble that it counted itself, interrupted by a person.
EXPECTED = (0, 3, 130)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a supervisor has to know: which bot's events (the options of `trader observe`), where the locks lie, and for how many
    seconds the child may run. book: the path of a book.toml, symbols: a list without one; all of these symbols are told in place
    of the one, "" without."""

    symbol: str
    store: str
    bars: str
    tracker_dir: str
    patience_s: float
    book: str = ""
    symbols: str = ""

    def as_argument(self) -> str:
        """For the command line of a supervisor."""
        return json.dumps(asdict(self))

    def command(self, steps: int) -> list[str]:
        """The child's command line; steps: the write end of the pipe of its progress."""
        many = ["--book", self.book] if self.book else ["--symbols", self.symbols] if self.symbols else []
        whose = many or ["--symbol", self.symbol]
        options = [*whose, "--store", self.store, "--bars", self.bars]
        return [sys.executable, "-m", "trader.cli", "observe", *options, "--steps", str(steps)]


class ObserverProcess:
    """One run of `trader observe`. environment: the child's; None gives it this process's."""

    def __init__(self, delivery: Delivery, environment: Mapping[str, str] | None = None) -> None:
        self._delivery, self._environment = delivery, environment
        self._dropped = threading.Event()
        self.child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Wait for this machine's turn, start the child, and wait for its end, at most the delivery's patience; then stop
        it. An interrupted delivery is said and counted as that observer's failure. Does nothing where another process waits
        for the lock already, or holds it for too long. Raises nothing."""
        delivery = self._delivery
        with next_turn(Path(delivery.tracker_dir), delivery.patience_s + GRACE_S, self._dropped) as turn:
            if turn is None or self._dropped.is_set():
                return
            try:
                why, name = self._watched(turn)
            except OSError as error:
                why, name = f"a process for them cannot be started ({error.strerror})", ""
            if why and not self._dropped.is_set():
                _record_failure(delivery, name, why)

    def drop(self) -> None:
        """Cancel the run, waiting or running, without counting a failure."""
        self._dropped.set()
        self._kill()

    def _watched(self, turn: Turn) -> tuple[str, str]:
        """Why the child did not come to its end ("" where it did), and the observer that it was telling then. Raises OSError
        where no process can be started."""
        patience_s = self._delivery.patience_s
        steps, to_child = os.pipe()
        os.set_blocking(steps, False)
        with os.fdopen(steps, "rb", buffering=0) as said:
            try:
                self.child = subprocess.Popen(  # noqa: S603 - this very program
                    self._delivery.command(to_child),
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(to_child, *turn.descriptors),
                )
            finally:
                os.close(to_child)
            if self._dropped.is_set():
                self._kill()
            try:
                why = _end_in_words(self.child.wait(patience_s))
            except subprocess.TimeoutExpired:
                self._kill()
                why = f"stopped after {patience_s:g} s"
            return why, _interrupted(said)

    def _kill(self) -> None:
        if self.child is not None:
            if self.child.poll() is None:
                self.child.kill()
            self.child.wait()


def _interrupted(said: IO[bytes]) -> str:
    """The observer that was being told when the process ended, "" for none."""
    try:
        lines = (said.read(MOST_STEPS_BYTES) or b"").splitlines()
    except OSError:
        return ""
    name = ""
    for line in lines:
        with contextlib.suppress(ValueError):
            name = str(json.loads(line).get("telling", ""))
    return name


def _end_in_words(code: int) -> str:
    """How a process ended by itself; "" where it did what it should: the child itself counts what an observer failed in."""
    if code < 0:
        return f"the observer process was ended by signal {-code}"
    return "" if code in EXPECTED else f"the observer process ended with exit code {code}"


def _record_failure(delivery: Delivery, name: str, why: str) -> None:
    """Say the failure, and store it in the observer's cursor. The lock is still held."""
    from trader import terminal, wiring
    from trader.app.cursors import stopped
    from trader.config import load_settings
    from trader.core.errors import TraderError

    if not name:
        terminal.say(f"observers: {why}; the next tick goes on with them")
        return
    try:
        # Of a book the child says whose observer it is telling.
        *symbol, name = name.split()
        own = symbol[0] if symbol else delivery.symbol
        settings = load_settings(symbol=own, store=delivery.store, bars=delivery.bars)
        behind_since = stopped(wiring.make_journal(settings), name, why)
    except TraderError as error:
        terminal.say(f"observer {name}: {why}; it could not be counted ({error})")
        return
    since = f"behind since {behind_since}; " if behind_since else ""
    terminal.say(f"observer {name}: {why}; {since}it is told again with the next tick, after the others")


if __name__ == "__main__":
    ObserverProcess(Delivery(**json.loads(sys.argv[1]))).run()
