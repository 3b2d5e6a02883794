"""What befalls each hour of the soak: drawn from the seed and the hour's number alone, so that an hour can be looked at again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from benchmarks.soak_faults import all_kinds
from benchmarks.soak_kind import Kind
from benchmarks.soak_process import Harm, Steps, Trouble

# When the schedule ticks (`cron-job`), minutes after the hour; and by hand, past the deadline, while the hour is not closed.
MINUTES = (0, 1, 3, 10, 25)
FAULT_EVERY = 3
# Shares of processes that are killed or stopped, and of hours in which something else happens.
KILLED, STOPPED = 0.15, 0.03
TOGETHER, BETWEEN, DOWN, PERSON_HALTS = 0.04, 0.08, 0.05, 0.004
# Steps of a tick: about a dozen requests, and as many operations of the store with about as many writes within.
MOST_STEPS: dict[Steps, int] = {"request": 14, "store": 20, "write": 4, "inside a write": 24}


@dataclass(frozen=True, slots=True)
class HourPlan:
    """troubles: of the processes at each minute of the schedule, in order, the retrain's last. together: two tick at once.
    between: where another process has stopped while the hour's first ticks, to go on right after it.
    down_from: from which of MINUTES on the host is down for the rest of the hour, len(MINUTES): it is not.
    nth: at which request a passing fault strikes once; None: it lasts until the minute `clear_at`, 60 being the next hour's
    beginning. patience: hours that a person leaves a halt alone. wakes_at: before which of MINUTES a stopped process goes
    on, len(MINUTES): within the next hour."""

    troubles: tuple[Trouble | None, ...]
    together: bool
    between: Trouble | None
    down_from: int
    person_halts: bool
    nth: int | None
    clear_at: int
    patience: int
    wakes_at: int
    store_step: int


def plan_of(seed: int, number: int) -> HourPlan:
    """The plan of the hour with this number."""
    random = Random(f"{seed}/{number}")
    return HourPlan(
        troubles=tuple(_trouble(random) for _ in (*MINUTES, "the retrain")),
        together=random.random() < TOGETHER,
        between=_somewhere(random, "stopped") if random.random() < BETWEEN else None,
        down_from=random.randrange(len(MINUTES)) if random.random() < DOWN else len(MINUTES),
        person_halts=random.random() < PERSON_HALTS,
        nth=random.choice((1, 1, 2, None, None)),
        clear_at=random.choice((3, 3, 10, 60)),
        patience=random.randrange(3),
        wakes_at=random.randrange(1, len(MINUTES) + 1),
        store_step=random.randrange(1, 9),
    )


def _trouble(random: Random) -> Trouble | None:
    luck = random.random()
    if luck < KILLED:
        return _somewhere(random, "killed")
    return _somewhere(random, "stopped") if luck < KILLED + STOPPED else None


def _somewhere(random: Random, harm: Harm) -> Trouble:
    steps: Steps = random.choice(("request", "request", "store", "write", "inside a write"))
    return Trouble(harm, steps, random.randrange(1, MOST_STEPS[steps] + 1), random.random() < 0.5)


class Deck:
    """All kinds that wait for an order, or all others, in an order of the seed's; drawn one by one, over and over. One that met
    nothing comes back at the end."""

    def __init__(self, seed: int, *, for_order: bool) -> None:
        self.kinds = [kind for kind in all_kinds() if kind.for_order == for_order]
        self._random = Random(f"{seed}/deck/{for_order}")
        self._left: deque[Kind] = deque()

    def draw(self) -> Kind:
        """The next kind."""
        if not self._left:
            self._left.extend(self._random.sample(self.kinds, len(self.kinds)))
        return self._left.popleft()

    def put_back(self, kind: Kind) -> None:
        """It met nothing."""
        self._left.append(kind)
