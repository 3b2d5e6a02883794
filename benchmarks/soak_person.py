"""What a person does in the soak, by the runbook and by its commands: the one place that knows it.

A halt waits for a person. ACTS says what the runbook tells them to do; a halt for another reason, or one that nothing here
rightly caused, is a failure of the bot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from benchmarks.soak_armed import ArmedFaults
from benchmarks.soak_process import QUOTE, Job
from benchmarks.soak_world import World
from trader.app.halts import standing_halt
from trader.core.events import HaltEvent
from trader.core.types import iso

# Reasons that need no fault: a loss reaches the limit, a person stops trading.
OWN_REASONS = ("cumulative_return", "drawdown", "person")


@dataclass
class Person:
    """Counts what was done."""

    world: World
    faults: ArmedFaults
    acts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def halt(self, hour: int) -> None:
        """Stop trading, as before an announced maintenance."""
        self._command("trader halt", "halt", "--reason", f"maintenance announced for {iso(hour)}")

    def resume(self, halt: HaltEvent) -> None:
        """Lift a halt by what the runbook says about its reason."""
        act = ACTS.get(halt.reason)
        if act is None:
            self.problems.append(f"{iso(halt.at_ms)}: no act of the runbook leaves the halt {halt.reason}")
            return
        act(self, halt)

    def put_back(self) -> None:
        """Return to the account what was withdrawn."""
        if self.faults.owed:
            self.world.move(QUOTE, self.faults.owed)
            self.faults.owed = Decimal(0)
            self._count("put a withdrawal back")

    def _lift(self, halt: HaltEvent) -> None:
        self._command(f"trader resume after {halt.reason}", "resume", "--reason", "the cause is gone")

    def _reconcile(self, halt: HaltEvent) -> None:
        """What is missing was put back. Where the halt names an order, look at the venue's own page of orders first."""
        for order in self.world.sim("/sim/ledger?all=true"):
            if order["clientOrderId"] in halt.message:
                self.problems.append(
                    f"{iso(halt.at_ms)}: reconcile says that {order['clientOrderId']} is not there, and it is"
                )
        self._lift(halt)

    def _command(self, act: str, *words: str) -> None:
        (told,) = self.world.processes.run(Job(words))
        if told.code != 0:
            self.problems.append(f"{act}: exit {told.code}")
        self._count(act)

    def _count(self, act: str) -> None:
        self.acts[act] = self.acts.get(act, 0) + 1


ACTS: dict[str, Callable[[Person, HaltEvent], None]] = {
    "cumulative_return": Person._lift,
    "drawdown": Person._lift,
    "person": Person._lift,
    "symbol_status": Person._lift,
    "permission": Person._lift,
    "reconcile": Person._reconcile,
}


def halted(world: World) -> HaltEvent | None:
    """The halt that stands, as `trader status` tells it."""
    return standing_halt(world.journal())
