"""Processes of the soak, forked from one that has imported everything: those that may be killed or stopped are new, the others'
work is done by a process that lives until it is told to end."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.soak_process import BOTS, Job, SoakedBot, opened
from trader import cli
from trader.config import Settings

BUG = 1
HARMED = 64  # added to the exit code of a process whose store failed it
LONGEST_S = 120  # work that takes longer hangs
# What a verb imports once it needs it, imported before any fork.
PRELOADED = (
    "_strptime",
    "pyarrow.parquet",
    "talib",
    "xgboost",
    "trader.forecasters.xgboost",
    "trader.app.halts",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How work ended: the exit code it would have given a shell, None where a signal ended it; whether its trouble came.
    pid: of a process that is stopped, and goes on after SIGCONT; 0 of one that is gone."""

    code: int | None
    harmed: bool
    pid: int = 0


@dataclass
class Processes:
    """Where processes work: folder, settings, environment of commands, the file that takes what they say."""

    folder: Path
    settings: Settings
    environment: dict[str, str]
    log: Path
    _worker: Connection | None = field(default=None, init=False)
    _worker_pid: int = field(default=0, init=False)

    def run(self, *jobs: Job) -> list[Ended]:
        """Work at once, each until it ends or is stopped; how each did."""
        if len(jobs) == 1 and jobs[0].work in BOTS and not _is_fatal(jobs[0]):
            return [self._by_worker(jobs[0])]
        children = [(self._fork(job), job) for job in jobs]
        return [ended(pid, job) for pid, job in children]

    def close(self) -> None:
        """End the process that lives on."""
        if self._worker is not None:
            self._worker.close()
            os.waitpid(self._worker_pid, 0)
            self._worker = None

    def _by_worker(self, job: Job) -> Ended:
        if self._worker is None:
            self._worker, self._worker_pid = self._employ()
        try:
            self._worker.send(job)
            code, harmed = self._worker.recv()
        except (EOFError, OSError):  # the alarm ended it
            self.close()
            return Ended(BUG, harmed=False)
        return Ended(code, harmed)

    def _employ(self) -> tuple[Connection, int]:
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._prepare()
            leave_by(lambda: _serve(theirs, self.settings))
        theirs.close()
        return ours, pid

    def _fork(self, job: Job) -> int:
        pid = os.fork()
        if pid == 0:
            self._prepare()
            leave_by(lambda: _alone(job, self.settings))
        return pid

    def _prepare(self) -> None:
        """What every child does first."""
        out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)


def preload() -> None:
    """Import before the first fork what processes will need."""
    for name in PRELOADED:
        importlib.import_module(name)


def call(work: Callable[[], int]) -> None:
    """Work that must not happen here, since it would start threads. Raises RuntimeError where it fails."""
    pid = os.fork()
    if pid == 0:
        leave_by(work)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise RuntimeError("a process of the soak failed; its traceback is above")


def ended(pid: int, job: Job) -> Ended:
    """Wait until a process has ended or stopped."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return Ended(None, harmed=True, pid=pid)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ended(code % HARMED, harmed=code >= HARMED)
    if code != -signal.SIGKILL or job.trouble is None or job.trouble.harm != "killed":
        return Ended(BUG, harmed=False)  # by SIGALRM: it hangs; or by another signal: nobody here sent it
    return Ended(None, harmed=True)


def leave_by(work: Callable[[], int]) -> None:
    """End this forked process with what `work` returns. Whatever it raises must not reach the stack of the parent, whose
    copy lies below."""
    code = BUG
    try:
        code = work()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else BUG if left.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _is_fatal(job: Job) -> bool:
    """Whether a job may end or stop its process."""
    return job.trouble is not None and job.trouble.harm in ("killed", "stopped")


def _alone(job: Job, settings: Settings) -> int:
    signal.alarm(LONGEST_S)
    if job.work not in BOTS:
        sys.argv = ["trader", *job.work]
        cli.main()
        return 0
    with opened(settings) as made:
        code, harmed = made.do(job)
    return code + HARMED * harmed


def _serve(jobs: Connection, settings: Settings) -> int:
    """Do jobs until nobody gives any; a bot is kept for those that are warm."""
    with ExitStack() as stack:
        kept: SoakedBot | None = None
        while True:
            try:
                job = jobs.recv()
            except EOFError:
                return 0
            signal.alarm(LONGEST_S)
            if job.warm and kept is None:
                kept = stack.enter_context(opened(settings))
            with _bot_for(job, kept, settings) as made:
                jobs.send(_done(made, job))
            signal.alarm(0)


@contextmanager
def _bot_for(job: Job, kept: SoakedBot | None, settings: Settings) -> Iterator[SoakedBot]:
    """The bot that was kept, or a new one."""
    if job.warm and kept is not None:
        yield kept
        return
    with opened(settings) as made:
        yield made


def _done(made: SoakedBot, job: Job) -> tuple[int, bool]:
    """A job's end; a bug is said, and is the exit code 1."""
    try:
        return made.do(job)
    except Exception:  # whatever it is, the child ends with its traceback and the code of a bug
        traceback.print_exc()
        return BUG, False
