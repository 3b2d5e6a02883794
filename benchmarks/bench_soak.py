"""The bot over thousands of virtual hours with a fault in every third: no fill in two records or in none, and an account that
equals the records to the last unit.

An embedded exchange in a process of its own, its clock moved by hand; ticks by the schedule of `cron-job`, each by a bot that
is opened anew or, every other day, by the one that `trader run` keeps. Faults are drawn from `soak_faults`. Processes are
killed and stopped at a drawn step, and two work on one hour at once (`soak_plan`, `soak_process`). A person acts where the
runbook asks for one, by its commands (`soak_person`). What must hold is in `soak_books`. A kind of fault counts once it has
met a request.

The same seed draws the same faults and steps, so that a failure can be looked at again; only two processes at once are
left to chance. Left out: the testnet's reset (`wipe`), which ends a journal, and orders that a person sends beside the bot.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.soak_books import Books, settled
from benchmarks.soak_faults import all_kinds
from benchmarks.soak_hours import Soak
from benchmarks.soak_world import world
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, Json, plain

HOURS, KINDS = 2_000, 50


@dataclass(frozen=True, slots=True)
class Size:
    """Hours, the seed of everything that is drawn, a file of bars instead of the made market; kinds that must happen."""

    hours: int = HOURS
    seed: int = 0
    bars: Path | None = None
    kinds: int = KINDS


@dataclass(frozen=True, slots=True)
class Result:
    """What happened, counted by name, and what the books say at the end."""

    size: Size
    seconds: float
    books: Books
    strikes: Counter[str]
    harms: Counter[str]
    exits: Counter[str]
    acts: dict[str, int]
    together: int
    problems: list[str]

    @property
    def kills(self) -> int:
        """Processes that were killed."""
        return sum(times for name, times in self.harms.items() if name.startswith("killed"))

    def as_json(self) -> Json:
        """For a machine."""
        return {
            "hours": self.books.hours,
            "seed": self.size.seed,
            "seconds": round(self.seconds, 1),
            "hours_per_second": round(self.books.hours / self.seconds, 2),
            "fills": self.books.fills,
            "double": self.books.double,
            "lost": self.books.lost,
            "invented": self.books.invented,
            "balances_off": plain(self.books.off),
            "kinds": len(self.strikes),
            "faults": dict(sorted(self.strikes.items())),
            "kills": self.kills,
            "harms": dict(sorted(self.harms.items())),
            "two_at_once": self.together,
            "exits": dict(sorted(self.exits.items())),
            "acts": dict(sorted(self.acts.items())),
            "problems": self.problems,
        }


def run() -> list[Figure]:
    """2,000 hours."""
    return figures(Size())


def run_small() -> list[Figure]:
    """A week."""
    return figures(Size(hours=150, kinds=20))


def asked(hours: int = HOURS, seed: int = 0, bars: Path | None = None, as_json: bool = False) -> list[Figure]:
    """As long, with the seed and on the bars that were asked for. Kinds are counted in whole soaks only."""
    size = Size(hours, seed, bars, kinds=KINDS if hours >= HOURS else 0)
    return figures(size, as_json=as_json)


def figures(size: Size, *, as_json: bool = False) -> list[Figure]:
    """Soak, say what happened, and judge."""
    result = soak(size)
    if as_json:
        terminal.emit(result.as_json())
    else:
        tell(result)
    return judged(result)


def soak(size: Size) -> Result:
    """Live the hours, and compare everything at their end. The folder is kept where something is wrong. Raises ConfigError for
    a file of bars that cannot be read, or is too short."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        lived, seconds, books = _lived(folder, size)
    except ConfigError:
        shutil.rmtree(folder)  # nothing happened in it
        raise
    problems = [*lived.all_problems(), *books.problems]
    if problems or books.double or books.lost or books.invented or books.off:
        problems.append(f"the store and the log of the processes are kept in {folder}")
    else:
        shutil.rmtree(folder)
    strikes, acts = lived.faults.strikes, lived.person.acts
    return Result(size, seconds, books, strikes, lived.harms, lived.exits, acts, lived.together, problems)


def _lived(folder: Path, size: Size) -> tuple[Soak, float, Books]:
    """The soak at its end, the seconds that it took, and its books."""
    with world(folder, size.hours, size.bars) as made:
        began = time.perf_counter()
        lived = Soak(made, size.seed)
        hours = live(lived, size.hours)
        seconds = time.perf_counter() - began
        return lived, seconds, settled(made, made.start + hours * HOUR_MS)


def live(lived: Soak, hours: int) -> int:
    """So many hours, the last without new faults, and those after it that it takes to close it; how many there were."""
    try:
        number = 0
        while number < hours - 1 and not lived.failed():
            lived.live(number)
            number += 1
        while True:
            lived.live(number, quiet=True)
            number += 1
            if lived.closed(lived.world.start + (number - 1) * HOUR_MS) or lived.failed():
                return number
    finally:
        lived.end()


def tell(result: Result) -> None:
    """Every kind that happened, what befell processes, what a person did, and every problem."""
    kinds = [kind.title for kind in all_kinds()]
    rows = [(name, str(result.strikes[name])) for name in kinds if result.strikes[name]]
    print(terminal.table(f"faults: {len(rows)} kinds of {len(kinds)}", rows, ("kind", "times")))
    print(
        terminal.table("processes", [(n, str(t)) for n, t in sorted(result.harms.items())], ("harm", "times"))
    )
    print(
        terminal.table("exits", [(n, str(t)) for n, t in sorted(result.exits.items())], ("process", "times"))
    )
    print(terminal.table("a person", [(n, str(t)) for n, t in sorted(result.acts.items())], ("act", "times")))
    for problem in result.problems:
        print(f"  PROBLEM {problem}")


def judged(result: Result) -> list[Figure]:
    """The figures: every one but the speed is a result."""
    books, size = result.books, result.size
    note = f"{sum(result.strikes.values()):,} faults, {result.together:,} times two processes at once"
    return [
        Figure("hours", books.hours, "at least", size.hours, is_result=True),
        Figure("hours a second", books.hours / result.seconds, note=note),
        Figure("kinds of faults that happened", len(result.strikes), "at least", size.kinds, is_result=True),
        Figure("processes killed", result.kills, "at least", 1, is_result=True),
        Figure("fills at the venue", books.fills, "at least", 1, is_result=True),
        Figure("fills in two records", books.double, "exactly", 0, is_result=True),
        Figure("fills in no record", books.lost, "exactly", 0, is_result=True),
        Figure("fills that never were", books.invented, "exactly", 0, is_result=True),
        Figure("account beyond the records", float(books.off), "exactly", 0, is_result=True),
        Figure("acts of a person", sum(result.acts.values())),
        Figure("other problems", len(result.problems), "exactly", 0, is_result=True),
    ]
