"""Slurm's own commands: a job array is submitted (by submitit), its elements are looked at and cancelled.

Nothing here needs Slurm's accounting: squeue and scontrol answer for what runs, and for some minutes for what has ended
(MinJobAge of the cluster).
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.executors.slurm_settings import SlurmSettings
from trader.core.errors import ConfigError, Retry

_COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")
# More elements than this at the same time would be held back by submitit's own default.
_MOST = 1_000
_PATIENCE_S = 60
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_ALIVE = ("RUNNING", "CONFIGURING", "STAGE_OUT", "SIGNALING", "RESIZING")
_AWAY = (
    "unable to contact",
    "socket timed out",
    "connection refused",
    "temporarily",
    "try again",
    "zero bytes",
)
_ELEMENT = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"  # as the job's shell knows itself
# The worker's interpreter imports what the coordinator's does; the folder says what that is.
_START = (
    "import json, sys; at = sys.argv[1]; sys.path[:] = json.load(open(at + '/coordinator.json'))['path']; "
    "from backtest.executors.slurm_worker import main; sys.exit(main(*sys.argv[1:]))"
)


@dataclass(frozen=True, slots=True)
class JobState:
    """An element of an array as Slurm lists it. reason: why it waits, or how it ended."""

    state: str
    reason: str

    @property
    def waits(self) -> bool:
        """It has not been started."""
        return self.state in _WAITING

    @property
    def lives(self) -> bool:
        """It runs or will."""
        return self.waits or self.state in _ALIVE


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How an element ended, as far as Slurm still knows."""

    state: str = ""
    reason: str = ""
    code: int = 0
    signal: int = 0

    @property
    def of_memory(self) -> bool:
        """It was killed for what it took, or by the signal that most often means this."""
        return self.state == "OUT_OF_MEMORY" or self.signal == signal.SIGKILL

    def __str__(self) -> str:
        said = [it for it in (self.state, self.reason) if it not in ("", "None", "NonZeroExitCode")]
        if self.signal:
            said.append(f"signal {self.signal}")
        elif self.code:
            said.append(f"exit code {self.code}")
        return ", ".join(said) or "Slurm knows nothing of it any more"


def require_commands() -> None:
    """Raises ConfigError on a machine without them."""
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"--executor slurm needs Slurm's commands, and {', '.join(missing)} cannot be found here. Run this on a login "
            f"node of the cluster, or choose --executor local"
        )


class SlurmJobs:
    """The jobs of one folder, found again by their name."""

    def __init__(self, name: str, folder: Path, settings: SlurmSettings) -> None:
        self._name, self._folder, self._settings = name, folder, settings

    def submit(self, count: int) -> list[str]:
        """One more array; the ids of its elements. Raises ConfigError for what Slurm refuses, Retry where it does not
        answer."""
        from submitit import SlurmExecutor as Submitter
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        submitter = Submitter(self._folder / "log")
        # submitit's limit of five minutes must not hold; what a person gave, or the partition's own default, does.
        more: dict[str, Any] = {"no-requeue": True, **self._settings.as_sbatch()}
        submitter.parameters = {
            "job_name": self._name,
            "time": None,
            "wckey": None,
            "use_srun": False,
            "array_parallelism": _MOST,
            "map_count": count,
            "additional_parameters": more,
            "teardown": self._teardown(),
        }
        words = [sys.executable, "-c", _START, str(self._folder)]
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # what it prints is told below
                # `submit` would pickle a function, for a worker to load: a command line says the same.
                job = submitter._submit_command(f"{shlex.join(words)} {_ELEMENT}")
        except (FailedJobError, FailedSubmissionError) as error:
            raise self._refused(str(error)) from None
        return [f"{job.job_id}_{index}" for index in range(count)]

    def states(self) -> dict[str, JobState]:
        """Every element that Slurm knows. Raises Retry where it does not answer."""
        said = _asked(
            "squeue", "--noheader", "--array", "--states=all", f"--name={self._name}", "--format=%i|%T|%r"
        )
        rows = (line.split("|") for line in said.splitlines() if line.count("|") >= 2)
        return {row[0].strip(): JobState(row[1].strip(), row[2].strip()) for row in rows}

    def end_of(self, element: str) -> JobEnd:
        """How it ended. Slurm forgets it after some minutes."""
        try:
            said = _asked("scontrol", "--oneliner", "show", "job", element)
        except Retry:
            return JobEnd()
        found = dict(re.findall(r"\b(JobState|Reason|ExitCode)=(\S+)", said))
        code, _, by = found.get("ExitCode", "0:0").partition(":")
        return JobEnd(found.get("JobState", ""), found.get("Reason", ""), int(code), int(by or 0))

    def cancel(self, elements: Collection[str]) -> None:
        """Only these. What has ended already is no error."""
        if elements:
            with contextlib.suppress(Retry):
                _asked("scancel", "--quiet", *elements)

    def log_of(self, element: str) -> str:
        """The last lines that a job wrote to its standard error."""
        file = self._folder / "log" / f"{element}_0_log.err"
        try:
            return "\n".join(file.read_text(errors="replace").strip().splitlines()[-8:])
        except OSError:
            return ""

    def _teardown(self) -> list[str]:
        """The shell outlives the worker's process, and says at once how that ended."""
        note = f"{shlex.quote(str(self._folder / 'ended'))}/"
        return [
            "code=$?",
            f"echo $code > {note}.{_ELEMENT} && mv {note}.{_ELEMENT} {note}{_ELEMENT}",
            "exit $code",
        ]

    def _refused(self, said: str) -> ConfigError | Retry:
        said = " ".join(said.split()) or "sbatch failed without a word"
        if any(it in said.lower() for it in _AWAY):
            return Retry(f"Slurm does not answer: {said}. The same command goes on later")
        if "partition" in said.lower():
            with contextlib.suppress(Retry):
                known = ", ".join(sorted(set(_asked("sinfo", "--noheader", "--format=%R").split())))
                return ConfigError(
                    f"Slurm refuses the job: {said}. --slurm-partition is {self._settings.partition}; the cluster has {known}"
                )
        return ConfigError(
            f"Slurm refuses the job: {said}. Look at --slurm-partition, --slurm-time, --slurm-memory and --slurm-account, "
            f"here and in backtest.toml"
        )


def _asked(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # Slurm's own commands, found on the path as a person finds them
            words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Retry(f"{words[0]} does not answer: {error}") from None
    if done.returncode:
        raise Retry(f"{words[0]} failed: {' '.join(done.stderr.split())}")
    return done.stdout
