"""The workers of a study: elements of Slurm's job arrays, kept at their number while there is work.

What an element is doing is learned from three sources: what its worker writes to the folder, the note of the shell that
started it, which comes at once, and Slurm's own list, every few seconds.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backtest.executors.program import program
from backtest.executors.slurm_folder import SlurmFolder, full
from backtest.executors.slurm_jobs import JobEnd, JobState, SlurmJobs
from backtest.executors.slurm_worker import EXIT_FULL
from trader.core.errors import ConfigError, Retry

# Slurm is asked no more often than this, soon after a job was submitted and then ever less; what is urgent is seen in the folder.
ASK_FIRST_S, ASK_EVERY_S = 1.0, 5.0
# A worker whose job runs has so long to say its first word, and may later be silent for so long.
REPORT_S = 180.0
SILENT_S = 180.0
# What nobody is to blame for: the element is replaced without a word from its worker.
_TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "CANCELLED", "TIMEOUT", "DEADLINE", "REVOKED")


@dataclass(slots=True, eq=False)
class _Element:
    runs_since: float | None = None
    host: str = ""
    beat: bytes = b""
    beat_at: float = field(default_factory=time.monotonic)


class Fleet:
    """One thread uses it. `tell` hears of workers that wait, and why."""

    def __init__(
        self, folder: SlurmFolder, jobs: SlurmJobs, workers: int, tell: Callable[[str], None]
    ) -> None:
        self._folder, self._jobs, self._workers, self._tell = folder, jobs, workers, tell
        self._elements: dict[str, _Element] = {}
        self._asked_at, self._ask_after_s = time.monotonic(), ASK_FIRST_S
        self._told = ""

    @property
    def names(self) -> set[str]:
        """Elements that live, as far as is known."""
        return set(self._elements)

    def adopt(self, *, same_program: bool) -> None:
        """Take over what an earlier coordinator submitted; what would compute by another program is cancelled."""
        lives = [name for name, it in self._jobs.states().items() if it.lives]
        known = self._folder.names("ended")
        mine = [name for name in lives if same_program and name not in known][: self._workers]
        self._jobs.cancel(set(lives) - set(mine))
        self._elements = {name: _Element() for name in mine}

    def fill(self) -> None:
        """Submit what is missing."""
        missing = self._workers - len(self._elements)
        if missing > 0:
            self._ask_after_s = ASK_FIRST_S
            self._elements.update({name: _Element() for name in self._jobs.submit(missing)})

    def look(self) -> dict[str, str]:
        """Elements that were lost since the last look, and how. Raises ConfigError where another one would fare no better,
        Retry where the folder is full."""
        for name, it in self._elements.items():
            if not it.host:
                self._greet(name, it)
        lost = dict(self._noted())
        if time.monotonic() - self._asked_at >= self._ask_after_s:
            lost |= self._asked()
            self._asked_at = time.monotonic()
            self._ask_after_s = min(ASK_EVERY_S, 2 * self._ask_after_s)
        return lost

    def _greet(self, name: str, element: _Element) -> None:
        said = self._folder.read_json(f"workers/{name}")
        if said is not None:
            element.host = str(said.get("host", "a node without a name"))
            differs = differences(said.get("program", {}), program())
            if differs:
                raise ConfigError(
                    f"the worker of Slurm job {name} on {element.host} is another program than this one: {differs}. "
                    f"Results would differ: give the nodes the same environment and the same sources"
                )

    def _noted(self) -> Iterable[tuple[str, str]]:
        """What the shells say."""
        for name in self._folder.names("ended"):
            code = int((self._folder.read(f"ended/{name}") or b"0").strip() or 0)
            self._folder.remove(f"ended/{name}")
            if name in self._elements:
                end = JobEnd(code=code) if code < 128 else JobEnd(signal=code - 128)
                yield name, self._ended(name, end)

    def _asked(self) -> dict[str, str]:
        """What Slurm says. One that does not answer is asked again later."""
        try:
            states = self._jobs.states()
        except Retry as error:
            self._say(f"{error}; it is asked again")
            return {}
        lost: dict[str, str] = {}
        for name, element in list(self._elements.items()):
            state = states.get(name)
            if state is None or not state.lives:
                if not (self._folder.path / "ended" / name).exists():  # it says more, in a moment
                    lost[name] = self._ended(name, self._jobs.end_of(name))
            elif not state.waits and self._is_silent(name, element):
                self._jobs.cancel([name])
                lost[name] = self._gone(name, f"was silent for {SILENT_S:.0f} s")
        self._tell_of([states[name] for name in self._elements if name in states])
        return lost

    def _is_silent(self, name: str, element: _Element) -> bool:
        now = time.monotonic()
        element.runs_since = element.runs_since or now
        if not element.host:
            element.beat_at = now
            if now - element.runs_since > REPORT_S:
                raise ConfigError(
                    f"Slurm job {name} has been running for {REPORT_S:.0f} s and its worker has written nothing to "
                    f"{self._folder.path}: nodes that do not see this folder cannot work. Choose one that all machines share, by "
                    f"--study or --slurm-folder"
                )
        beat = self._folder.read(f"tasks/.beat-{name}") or b""
        if beat != element.beat:
            element.beat, element.beat_at = beat, now
        return now - element.beat_at > SILENT_S

    def _ended(self, name: str, end: JobEnd) -> str:
        element = self._elements[name]
        if end.code == EXIT_FULL:
            raise Retry(full(self._folder.path))
        if not element.host:
            self._greet(name, element)
        if not element.host and not end.state.startswith(_TAKEN_AWAY):
            self._never_began(name, end)
        more = ", perhaps for want of memory: --slurm-memory asks for more" if end.of_memory else ""
        return self._gone(name, f"ended ({end}{more})")

    def _gone(self, name: str, how: str) -> str:
        host = self._elements.pop(name).host
        return f"Slurm job {name}{f' on {host}' if host else ''} {how}"

    def _never_began(self, name: str, end: JobEnd) -> None:
        """Its worker ended before its first word, by its own fault: so would the next one."""
        if end.of_memory:
            raise ConfigError(
                f"Slurm job {name} was killed before its worker had begun ({end}), most likely for the memory that it took. "
                f"Ask for more by --slurm-memory, for example --slurm-memory 2G"
            )
        log = self._jobs.log_of(name)
        said = f"It wrote:\n{log}" if log else f"Nothing that it wrote is in {self._folder.log}"
        raise ConfigError(
            f"Slurm job {name} ended before its worker had begun ({end}). Every node must see the folder {self._folder.path} "
            f"and run {sys.executable} with what is installed here. {said}"
        )

    def _tell_of(self, states: list[JobState]) -> None:
        reasons = Counter(it.reason for it in states if it.waits and it.reason != "None")
        waiting = ", ".join(f"{count} for {reason}" for reason, count in sorted(reasons.items()))
        self._say(
            f"Slurm: {reasons.total()} of {self._workers} workers pending ({waiting})" if waiting else ""
        )

    def _say(self, text: str) -> None:
        if text and text != self._told:
            self._tell(text)
        self._told = text

    def end(self, patience_s: float) -> None:
        """Workers are told to end; who has not begun, or does not end in time, is cancelled. Only ours are."""
        self._folder.write("end", b"")
        self._jobs.cancel([name for name, it in self._elements.items() if not it.host])
        at_work = {name for name, it in self._elements.items() if it.host}
        stop = time.monotonic() + patience_s
        while at_work - set(self._folder.names("ended")) and time.monotonic() < stop:
            time.sleep(0.02)
        self.cancel(at_work - set(self._folder.names("ended")))

    def cancel(self, names: Iterable[str] | None = None) -> None:
        """All of them, or these, whatever they are doing."""
        self._jobs.cancel(list(self._elements if names is None else names))


def differences(there: Mapping[str, Any], here: Mapping[str, str]) -> str:
    """What two programs do not have in common; empty where they are equal."""
    names = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    return "; ".join(
        f"{name} {there.get(name) or 'missing'} there, {here.get(name) or 'missing'} here" for name in names
    )
