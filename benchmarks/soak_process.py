"""What a process of the soak does: a tick or a retrain; and what befalls it at a step: SIGKILL, SIGSTOP, a store that fails, an
answer of the store that is lost.

A step is a request or an operation of the store, counted from the work's start, so that the same seed harms the same step
again. What is wrapped is the outside of the product (its store, its HTTP session), never a function of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from trader import wiring
from trader.adapters.bans import BanFile
from trader.adapters.binance_connection import Quota
from trader.adapters.clocks import SimClock
from trader.adapters.store_local import LocalStore
from trader.app.bot import Bot
from trader.app.journal import Journal
from trader.app.retrain_rules import retrain_if_due
from trader.app.tick import tick
from trader.config import Settings
from trader.core.errors import Halt, Retry, TraderError
from trader.core.ports import Store

T = TypeVar("T")

Harm = Literal["killed", "stopped", "fails", "fails from then on", "reply lost"]
Steps = Literal["request", "store", "write", "create", "read", "inside a write"]

SYMBOL, BASE, QUOTE = "BTCUSDT", "BTC", "USDT"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a process at its n-th step of a sort; `after`: once the step is done."""

    harm: Harm
    steps: Steps
    n: int
    after: bool = False

    @property
    def name(self) -> str:
        """For a table."""
        if self.harm not in ("killed", "stopped"):
            return f"{self.steps} {self.harm}"
        where = "" if self.steps == "inside a write" else "after a " if self.after else "before a "
        return f"{self.harm} {where}{self.steps}"


class Trap:
    """Counts steps of one sort and does its harm at the n-th."""

    def __init__(self) -> None:
        self.set(None)

    def set(self, trouble: Trouble | None) -> None:
        """Begin to count, for a trouble or for none."""
        self.trouble, self.sprung = trouble, False
        self.left = trouble.n if trouble else 0

    def around(self, sorts: tuple[Steps, ...], step: Callable[[], T]) -> T:
        """Do a step that is of these sorts."""
        trouble = self.trouble
        if trouble is None or trouble.steps not in sorts:
            return step()
        self.left -= 1
        due = self.left == 0 or (self.left < 0 and trouble.harm == "fails from then on")
        if not due:
            return step()
        self.sprung = True
        if trouble.harm in ("fails", "fails from then on"):
            raise Retry("store: no space left on device; nothing was lost, free the disk or try again later")
        if not trouble.after:
            self._signal(trouble.harm)
        done = step()
        if trouble.harm == "reply lost":
            raise Retry("store: the connection broke before the answer came")
        if trouble.after:
            self._signal(trouble.harm)
        return done

    def inside(self, _: str) -> None:
        """A step of a write to the folder: a file opened, written, linked."""
        self.around(("inside a write",), lambda: None)

    def request(self, send: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A step that is a request."""
        return self.around(("request",), lambda: send(*args, **kwargs))

    def _signal(self, harm: Harm) -> None:
        numbers: dict[Harm, int] = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
        if harm in numbers:
            os.kill(os.getpid(), numbers[harm])


class TrappedStore:
    """A store whose operations are steps."""

    def __init__(self, inner: Store, trap: Trap) -> None:
        self._inner, self._trap = inner, trap

    def get(self, key: str) -> bytes | None:
        """A read."""
        return self._trap.around(("store", "read"), lambda: self._inner.get(key))

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """A read."""
        return self._trap.around(("store", "read"), lambda: self._inner.list(prefix, after, limit))

    def put(self, key: str, data: bytes) -> None:
        """A write."""
        self._trap.around(("store", "write"), lambda: self._inner.put(key, data))

    def create(self, key: str, data: bytes) -> bool:
        """A write."""
        return self._trap.around(("store", "write", "create"), lambda: self._inner.create(key, data))


class SoakClock(SimClock):
    """The exchange's clock. shared: another process moves it meanwhile, so it is asked anew each time, as the wall would be."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.shared = False

    def now_ms(self) -> int:
        """The exchange's time, UTC milliseconds."""
        if self.shared:
            self.look()
        return self._now_ms

    def look(self) -> None:
        """Ask for the time, which was moved by somebody else."""
        self._now_ms = self._ask("GET", None)

    def sleep(self, seconds: float) -> None:
        """Advance the exchange by this span, unless somebody else has meanwhile."""
        if not self.shared:
            super().sleep(seconds)
            return
        with suppress(Retry):
            self.move_to(self.now_ms() + round(seconds * 1000))


@dataclass(frozen=True, slots=True)
class Job:
    """What a process does: `tick`, `retrain`, or a command line of `trader`. shared: others move the clock meanwhile. warm: as
    in `trader run`, by the bot that the process has kept from its last job."""

    work: tuple[str, ...]
    trouble: Trouble | None = None
    shared: bool = False
    warm: bool = False


@dataclass(slots=True)
class SoakedBot:
    """A bot that is open, with its steps as those of a trap."""

    bot: Bot
    settings: Settings
    clock: SoakClock
    trap: Trap

    def do(self, job: Job) -> tuple[int, bool]:
        """A job's work: the exit code that its command would give, and whether its trouble came."""
        self.trap.set(job.trouble)
        try:
            self.clock.shared = job.shared
            self.clock.look()
            code = BOTS[job.work](self.bot, self.settings)
        except TraderError as error:
            print(f"{' '.join(job.work)}: {type(error).__name__}: {error}", flush=True)
            code = error.exit_code
        return code, self.trap.sprung


@contextmanager
def opened(settings: Settings) -> Iterator[SoakedBot]:
    """A bot on the exchange's clock."""
    trap = Trap()
    with (
        closing(SoakClock(settings.exchange_url)) as clock,
        wiring.open_bot(settings, clock, durable=False) as bot,
    ):
        hosts: tuple[Any, Any] = (bot.exchange, bot.collector._market)
        # A ban is kept for the processes after this one, as it is at every venue but the embedded exchange.
        quota = Quota(BanFile(settings.bars / "bans.json", settings.exchange_url), clock.now_ms())
        for host in hosts:
            host._api.quota = quota
            session = host._api.client.session
            session.request = partial(trap.request, session.request)
        store = TrappedStore(LocalStore(Path(settings.store), durable=False, _step=trap.inside), trap)
        yield SoakedBot(replace(bot, journal=Journal(store, bot.symbol)), settings, clock, trap)


def _tick(bot: Bot, settings: Settings) -> int:
    return Halt.exit_code if tick(bot).halted else 0


def _retrain(bot: Bot, settings: Settings) -> int:
    """What `trader retrain --if-due` does with `retune_trials` 0."""
    if retrain_if_due(bot, bot.exchange.time_ms(), settings.breach_rule) is not None:
        bot.collector.save()
    return 0


BOTS: dict[tuple[str, ...], Callable[[Bot, Settings], int]] = {("tick",): _tick, ("retrain",): _retrain}
