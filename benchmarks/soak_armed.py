"""The faults that are armed in an hour: one of any time in every third, and beside it one that waits for the next order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

from benchmarks.soak_faults import armed
from benchmarks.soak_kind import Kind
from benchmarks.soak_plan import FAULT_EVERY, Deck, HourPlan
from benchmarks.soak_process import QUOTE, Trouble
from benchmarks.soak_world import World
from trader.core.types import Json

# How long a cause may lie back, hours: what it left is found by the next tick that looks.
AFTERMATH = 3
WHOLE_HOUR = 60


@dataclass
class Active:
    """A kind that is armed: since which hour's number, with which faults, until which minute; whether it has met a request."""

    kind: Kind
    since: int
    faults: list[Json]
    clear_at: int
    struck: bool = False

    def applies(self, minute: int) -> bool:
        """Whether its faults belong to the exchange now: what strikes once has struck, and what passes has passed."""
        if not self.faults or minute >= self.clear_at:
            return False
        once = len(self.faults) > 1 or "nth" in self.faults[-1]
        return not (once and self.struck)


@dataclass
class ArmedFaults:
    """What is armed at the exchange, and how often each kind has struck."""

    world: World
    seed: int
    active: list[Active] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)
    owed: Decimal = Decimal(0)  # quote that a withdrawal took and that a person is to put back
    _lately: list[tuple[int, Kind]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._any_time, self._of_orders = Deck(self.seed, for_order=False), Deck(self.seed, for_order=True)

    def arm(self, number: int, plan: HourPlan) -> None:
        """Draw what is due in the hour with this number; nothing while the venue is shut, where no fault would say anything."""
        if not self.world.is_open():
            return
        if number % FAULT_EVERY == 0 and all(active.kind.for_order for active in self.active):
            self._begin(self._any_time.draw(), number, plan)
        if number % FAULT_EVERY == 1 and not any(active.kind.for_order for active in self.active):
            self._begin(self._of_orders.draw(), number, plan)

    def post(self, minute: int) -> None:
        """Give the exchange what applies at a minute of the hour. A shut one answers every request before it looks at most
        faults, so that they would seem to have struck."""
        due = [active for active in self.active if active.applies(minute)] if self.world.is_open() else []
        self.world.sim("/sim/faults", [fault for active in due for fault in active.faults])

    def pass_by(self, minute: int, number: int) -> None:
        """Take back what is over at a minute of the hour, if anything is."""
        if any(active.faults and active.clear_at == minute for active in self.active):
            self.note(number)
            self.post(minute)

    def note(self, number: int) -> None:
        """Count kinds that have met a request by now."""
        seen = {row["name"]: row["seen"] for row in self.world.sim("/sim/faults")}
        for active in self.active:
            if active.faults and not active.struck:
                nth = active.faults[-1].get("nth", 1)
                if seen.get(active.kind.title, 0) >= nth:
                    self._strike(active, number)

    def trouble(self, step: int) -> Trouble | None:
        """The trouble of a store's kind, for the hour's first process."""
        for active in self.active:
            if active.kind.trouble is not None:
                return replace(active.kind.trouble, n=step)
        return None

    def note_trouble(self, trouble: Trouble, number: int) -> None:
        """A process met its trouble: a strike where it was a kind's."""
        for active in self.active:
            if not active.struck and active.kind.trouble == replace(trouble, n=1):
                self._strike(active, number)

    def disarm(self, number: int) -> None:
        """End those whose last hour this was; of those that wait for an order the ones that met one."""
        self.world.sim("/sim/faults", [])
        for active in list(self.active):
            last = number - active.since + 1 >= active.kind.hours
            if last or (active.kind.for_order and active.struck):
                self.active.remove(active)
                if not active.struck:
                    (self._of_orders if active.kind.for_order else self._any_time).put_back(active.kind)

    def causes(self, number: int) -> list[Kind]:
        """Kinds that may be the reason of what is seen in an hour."""
        self._lately = [
            (at, kind)
            for at, kind in self._lately
            if number - at <= AFTERMATH or (kind.put_back and self.owed > 0)
        ]
        return [kind for _, kind in self._lately] + [active.kind for active in self.active]

    def _begin(self, kind: Kind, number: int, plan: HourPlan) -> None:
        faults = []
        if kind.faults:
            faults = armed(kind, plan.nth, Decimal(self.world.sim("/sim/balances")[QUOTE]["free"]))
        clear_at = plan.clear_at if kind.passes and plan.nth is None else WHOLE_HOUR
        self.active.append(Active(kind, number, faults, clear_at))

    def _strike(self, active: Active, number: int) -> None:
        active.struck = True
        self.strikes[active.kind.title] += 1
        self._lately.append((number, active.kind))
        if active.kind.amount:
            amount = Decimal(active.faults[-1]["amount"])
            self.world.note_move(QUOTE, amount)
            self.owed -= amount if active.kind.put_back else 0
