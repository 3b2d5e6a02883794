"""Studies computed by a real Slurm: the executors' contract, killed workers and coordinators, jobs killed for memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backtest.executors.protocol import Executor, SharedArrays, Task, WorkerLost
from backtest.executors.registry import Setup, open_executor
from backtest.executors.slurm import open_executor as slurm_executor
from tests.contracts.executor_contract import ExecutorContract, Opened, product, until, waiting
from tests.support import executor_tasks as tasks
from tests.support.tuned import PATIENCE_S, ROOT, contents, study_of_seconds, tune_words, tuned
from tests.system.slurm_served import Served, slurm
from trader.core.errors import ConfigError, Retry


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One for the file; its folder's path is short, for the socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with slurm(folder) as up, pytest.MonkeyPatch.context() as patch:
            for name, value in up.environment.items():
                patch.setenv(name, value)
            yield up
    finally:
        shutil.rmtree(folder)


class TestContract(ExecutorContract):
    """What every executor must do, by job arrays."""

    @pytest.fixture
    def opened(self, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Opened:
        """With a folder of its own."""

        def by_name(workers: int) -> AbstractContextManager[Executor]:
            return open_executor("slurm", Setup(workers, tmp_path_factory.mktemp("executor")), print)

        return by_name


def test_its_daemons_listen_on_loopback_alone(served: Served) -> None:
    """No other machine can submit a job here while the tests run."""
    assert served.listening() == {"0100007F"}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with bars and parameters of a study of seconds."""
    return study_of_seconds(tmp_path)


def command(name: str, *more: str) -> list[str]:
    """A study that is not done when its worker is replaced, in a folder of this name."""
    return tune_words("--study", name, *more, until="2021-07-24", trials=8)


def workers_of(folder: Path) -> dict[str, int]:
    """The process of each element that has said its first word."""
    files = list((folder / "slurm" / "workers").glob("[0-9]*"))
    return {it.name: json.loads(it.read_text())["pid"] for it in files}


def test_a_study_on_slurm_is_the_study_of_one_machine(served: Served, study: Path) -> None:
    """Its worker is killed, then its coordinator; the same command finds the workers again and submits no job for them. Every
    file is equal to that of --executor local."""
    before = set(served.ask("squeue", "-h", "--states=all", "-o", "%F").split())
    cut, words = study / "cut", ("--executor", "slurm", "--workers", "2")
    first = tuned(study, command("cut", *words))
    second = whole = None
    try:
        until(lambda: len(list(cut.glob("folds/*/*"))) >= 2, "no fold")
        name, pid = next(iter(workers_of(cut).items()))
        os.kill(pid, signal.SIGKILL)
        until(lambda: name not in workers_of(cut) or len(workers_of(cut)) >= 3, "the worker was not replaced")
        folds = {it: it.stat().st_mtime_ns for it in cut.glob("folds/*/*")}
        first.kill()
        _, said = first.communicate()
        assert f"Slurm job {name} on" in said
        assert "signal 9" in said
        assert "it is given again" in said
        submitted = set(served.ask("squeue", "-h", "--states=all", "-o", "%F").split()) - before
        alive = set(served.ask("squeue", "-h", "--array", "-o", "%i").split())
        assert len(submitted) == 2, "an array for the study, one for the element that was lost"
        assert len(alive) == 2

        second = tuned(study, command("cut", *words))
        whole = tuned(study, command("whole", "--executor", "local", "--workers", "1"))
        _, said = whole.communicate(timeout=PATIENCE_S)
        assert whole.returncode == 0, said
        _, said = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 0, said
    finally:
        for process in (first, second, whole):
            if process:
                process.kill()
                process.communicate()
    assert set(served.ask("squeue", "-h", "--states=all", "-o", "%F").split()) - before == submitted
    assert not served.ask("squeue", "-h"), "its jobs ended with it"
    assert all(it.stat().st_mtime_ns == written for it, written in folds.items()), "a fold was fitted again"
    assert contents(cut) == contents(study / "whole")
    assert [it.name for it in (cut / "slurm").iterdir() if it.is_file()] == ["end"]
    assert not list((cut / "slurm" / "results").glob("[!.]*"))


def test_a_job_killed_for_memory_says_which_option_gives_more(served: Served, tmp_path: Path) -> None:
    """Slurm kills the whole job, its shell too; the task is lost, and the reason names --slurm-memory."""
    executor = slurm_executor(Setup(1, tmp_path, {"slurm_memory": "300M"}))
    try:
        assert executor.submit(product(1)).result(PATIENCE_S) == product(1).result()
        future = executor.submit(Task(tasks.fill, {"bytes": 700_000_000, "seconds": 30}))
        with pytest.raises(WorkerLost, match=r"Slurm job \S+ on \S+ ended .*signal 9.*--slurm-memory"):
            future.result(PATIENCE_S)
    finally:
        executor.close()


def test_a_partition_that_is_not_there_is_named_with_those_that_are(served: Served, tmp_path: Path) -> None:
    """Before anything waits."""
    options = {"slurm_partition": "nowhere"}
    with (
        open_executor("slurm", Setup(2, tmp_path, options)) as executor,
        pytest.raises(ConfigError, match=r"invalid partition.*nowhere.*closed, main"),
    ):
        executor.submit(product(1))


def test_whoever_waits_hears_that_jobs_are_pending_and_why(served: Served, tmp_path: Path) -> None:
    """It is no error; once nobody wants the answer the queued jobs are cancelled, and only ours."""
    other = served.ask("sbatch", "--parsable", "--partition=closed", "--wrap=true").strip()
    said: list[str] = []
    with open_executor("slurm", Setup(2, tmp_path, {"slurm_partition": "closed"}), said.append) as executor:
        future = executor.submit(product(1))
        until(lambda: said, "nobody was told")
        assert said == ["Slurm: 2 of 2 workers pending (2 for PartitionDown)"]
        assert future.cancel()
    assert served.ask("squeue", "-h", "-o", "%F").split() == [other]
    served.ask("scancel", other)


def test_a_folder_that_the_nodes_do_not_see_is_named(served: Served, tmp_path: Path) -> None:
    """Mounted on this machine alone: the job ends before its worker begins, and the message says what must be shared."""
    code = (
        "from pathlib import Path; from backtest.executors.registry import *\n"
        "from tests.contracts.executor_contract import product\n"
        f"with open_executor('slurm', Setup(1, Path({str(tmp_path)!r}))) as executor:\n"
        "    print(executor.submit(product(1)).result())\n"
    )
    mounted = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "ConfigError: Slurm job" in done.stderr
    assert f"Every node must see the folder {tmp_path}/slurm" in done.stderr


def test_a_folder_has_one_coordinator(served: Served, tmp_path: Path) -> None:
    """The second is told whose it is, and the first does not hear of it."""
    with open_executor("slurm", Setup(1, tmp_path)) as first:
        future = first.submit(waiting(tmp_path, "begun"))
        until((tmp_path / "begun").exists, "it was never begun")
        with (
            open_executor("slurm", Setup(1, tmp_path)) as second,
            pytest.raises(Retry, match=rf"is in use by process {os.getpid()} on"),
        ):
            second.submit(product(1))
        (tmp_path / "go").touch()
        assert json.loads(future.result(PATIENCE_S)) == "begun"


def test_a_full_folder_loses_nothing(served: Served, tmp_path: Path) -> None:
    """A coordinator that finds no room says so, and what fits is computed."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(tmp_path)], check=True)
    try:
        with open_executor("slurm", Setup(1, tmp_path)) as executor:
            big = Task(tasks.product, {"factor": 1}, SharedArrays({"shared": tasks.numbers(1, 400, 200)}))
            with pytest.raises(
                Retry, match=r"no space is left in the Slurm folder .*the same command goes on"
            ):
                executor.submit(big)
            assert executor.submit(product(1)).result(PATIENCE_S) == product(1).result()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
