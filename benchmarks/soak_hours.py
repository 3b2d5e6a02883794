"""The soak's hours, one after the other: faults are armed, processes tick by the schedule and die, a person acts, the books
are compared."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

from benchmarks.soak_armed import ArmedFaults
from benchmarks.soak_books import off
from benchmarks.soak_fork import BUG, Ended, ended
from benchmarks.soak_person import OWN_REASONS, Person, halted
from benchmarks.soak_plan import MINUTES, HourPlan, plan_of
from benchmarks.soak_process import BASE, QUOTE, Job, Trouble
from benchmarks.soak_world import World
from trader.core.errors import ConfigError
from trader.core.events import HaltEvent
from trader.core.types import HOUR_MS, iso, plain

MINUTE_MS = 60_000
RETRAIN_MINUTE, PERSON_MINUTE = 30, 40
# Hours in a row that may stay open while the venue is, the faults that hold them and their aftermath included.
MOST_OPEN = 8
MOST_PROBLEMS = 20


@dataclass
class Soak:
    """A world, and what has happened in it so far. Counters are by name: harms by trouble, exits by code."""

    world: World
    seed: int
    faults: ArmedFaults = field(init=False)
    person: Person = field(init=False)
    harms: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    together: int = 0
    halted_since: int | None = None
    open_hours: int = 0
    known_off: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    sleepers: list[tuple[Job, Ended]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.faults = ArmedFaults(self.world, self.seed)
        self.person = Person(self.world, self.faults)

    def live(self, number: int, quiet: bool = False) -> None:
        """One hour. quiet: nothing new befalls it."""
        hour, plan = self.world.start + number * HOUR_MS, plan_of(self.seed, number)
        self.world.move_to(hour)
        if not quiet:
            self.faults.arm(number, plan)
        self.faults.post(0)
        self._ticks(number, plan, quiet)
        self._retrain(number, plan, quiet)
        self.faults.note(number)
        self.faults.disarm(number)
        if plan.person_halts and not quiet and halted(self.world) is None:
            self.person.halt(hour)
        self._compare(hour)
        self._person(number, plan)

    def failed(self) -> bool:
        """Whether there are so many problems that more say nothing, or no hour comes to its end any more."""
        return len(self.all_problems()) >= MOST_PROBLEMS or self.open_hours >= MOST_OPEN

    def all_problems(self) -> list[str]:
        """The soak's and the person's."""
        return self.problems + self.person.problems

    # Processes

    def _ticks(self, number: int, plan: HourPlan, quiet: bool) -> None:
        """By the schedule: at minutes 0 and 1, and later while the hour is not closed."""
        hour = self.world.start + number * HOUR_MS
        for at, minute in enumerate(MINUTES[: None if quiet else plan.down_from]):
            self.world.move_to(hour + minute * MINUTE_MS)
            self.faults.pass_by(minute, number)
            self._wake(quiet or at >= plan.wakes_at)
            if minute >= 3 and not self.sleepers and self.closed(hour):
                return
            trouble = None if quiet else self._trouble(at, plan)
            job = Job(("tick",), trouble, warm=self._is_warm(number))
            self._tick(job, number, plan if at == 0 and not quiet else None)

    def _tick(self, job: Job, number: int, plan: HourPlan | None) -> None:
        """One tick; by the plan of the hour's first with another at once, or while another has stopped at some step."""
        if plan is not None and plan.between:
            self.together += 1
            self._run(Job(("tick",), plan.between), number=number)
            self._run(job, number=number)
            self._wake(True)
        else:
            self._run(job, *([Job(("tick",))] if plan is not None and plan.together else []), number=number)

    def _retrain(self, number: int, plan: HourPlan, quiet: bool) -> None:
        """Retrain if it is due; the schedule asks every hour, here every sixth."""
        if number % 6 == 5:
            self.world.move_to(self.world.start + number * HOUR_MS + RETRAIN_MINUTE * MINUTE_MS)
            trouble = None if quiet else plan.troubles[-1]
            self._run(Job(("retrain",), trouble, warm=self._is_warm(number)), number=number)

    def _is_warm(self, number: int) -> bool:
        """Every other day the bot is that of `trader run`, on the others that of a host's cron."""
        return number // 24 % 2 == 1

    def _trouble(self, at: int, plan: HourPlan) -> Trouble | None:
        """What befalls the tick at one of MINUTES: a store's kind the first, else by the plan."""
        return (self.faults.trouble(plan.store_step) if at == 0 else None) or plan.troubles[at]

    def _run(self, *jobs: Job, number: int) -> None:
        """Processes at once. One that may be stopped, and two at once, know that others move the clock."""
        shared = len(jobs) > 1 or any(job.trouble and job.trouble.harm == "stopped" for job in jobs)
        jobs = tuple(replace(job, shared=shared) for job in jobs)
        self.together += len(jobs) > 1
        for job, told in zip(jobs, self.world.processes.run(*jobs), strict=True):
            self._note(job, told, number)

    def _note(self, job: Job, told: Ended, number: int) -> None:
        if told.pid:
            self.sleepers.append((job, told))
        if told.harmed and job.trouble is not None:
            self.harms[job.trouble.name] += 1
            self.faults.note_trouble(job.trouble, number)
        if told.code is not None:
            self._judge(job, told.code, number)

    def _judge(self, job: Job, code: int, number: int) -> None:
        """Whether a process may have ended so."""
        self.exits[f"{job.work[0]}: {code}"] += 1
        hour = self.world.start + number * HOUR_MS
        if code == BUG:
            said = self.world.processes.log.read_text()[-2_000:]
            self.problems.append(
                f"{iso(hour)}: {job} ended with 1 or was ended by the alarm. Its log ends: {said}"
            )
        if code == ConfigError.exit_code and not any(kind.a_person for kind in self.faults.causes(number)):
            said = self.world.processes.log.read_text().strip().splitlines()[-1]
            self.problems.append(f"{iso(hour)}: exit 2 without a cause: {said}")

    def _wake(self, now: bool) -> None:
        """Let stopped processes go on."""
        sleepers, self.sleepers = (self.sleepers, []) if now else ([], self.sleepers)
        for job, told in sleepers:
            os.kill(told.pid, signal.SIGCONT)
            after = ended(told.pid, job)
            if after.code is not None:
                number = (self.world.now_ms() - self.world.start) // HOUR_MS
                self._judge(job, after.code, number)

    def end(self) -> None:
        """Leave no stopped process behind, whatever ended the soak."""
        for _, told in self.sleepers:
            os.kill(told.pid, signal.SIGKILL)
            os.waitpid(told.pid, 0)
        self.sleepers = []

    # Judgement

    def closed(self, hour: int) -> bool:
        """Whether the hour has its record."""
        return self.world.journal().record(hour) is not None

    def _compare(self, hour: int) -> None:
        """The account with the hour's record, to the last unit. An hour may stay open while its faults last, or the venue is
        shut."""
        record = self.world.journal().record(hour)
        if record is None:
            self.open_hours += self.world.is_open()
            if self.open_hours == MOST_OPEN:
                self.problems.append(f"{iso(hour)}: no hour was closed for {MOST_OPEN} hours")
            return
        self.open_hours = 0
        found = off(self.world, record)
        if found != self.known_off:
            base, quote = (plain(a - b) for a, b in zip(found, self.known_off, strict=True))
            self.problems.append(
                f"{iso(hour)}: the account has {base} {BASE} and {quote} {QUOTE} more than the records say"
            )
            self.known_off = found

    def _person(self, number: int, plan: HourPlan) -> None:
        """A person comes some hours after a halt, once its cause is gone, and acts by the runbook."""
        halt = halted(self.world)
        if halt is None:
            self.halted_since = None
        elif self.halted_since is None:
            self.halted_since = number
            self._judge_halt(halt, number)
        if self._cause_lasts() or not self.world.is_open():
            return
        self.person.put_back()
        if halt is not None and self.halted_since is not None and number - self.halted_since >= plan.patience:
            self.world.move_to(self.world.start + number * HOUR_MS + PERSON_MINUTE * MINUTE_MS)
            self.person.resume(halt)

    def _judge_halt(self, halt: HaltEvent, number: int) -> None:
        """Whether something rightly caused a halt."""
        causes = {reason for kind in self.faults.causes(number) for reason in kind.halts}
        if halt.reason not in causes | set(OWN_REASONS):
            hour = iso(self.world.start + number * HOUR_MS)
            self.problems.append(f"{hour}: a halt that nothing caused: {halt.reason}: {halt.message}")

    def _cause_lasts(self) -> bool:
        """Whether something is armed that a person would see and wait for."""
        return any(
            active.struck and (active.kind.halts or active.kind.a_person) for active in self.faults.active
        )
