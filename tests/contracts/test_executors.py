"""The executors' contract over every registered executor, and what they share: order, names, options."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from backtest.commands.computing import Computing, computed
from backtest.executors import fork_server, local_process, registry
from backtest.executors.fork_server import HAS_FORKS, ForkServer
from backtest.executors.futures import InFlight, InProcess, in_order
from backtest.executors.protocol import Executor, Expecting, Task, TaskFailed, WorkerLost
from backtest.executors.registry import EXECUTORS, Option, Registered, Setup, open_executor
from tests.contracts.executor_contract import (
    SHARED,
    ExecutorContract,
    Opened,
    killed,
    product,
    until,
    waiting,
)
from tests.support import executor_tasks as tasks
from trader.core.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]


class TestRegistered(ExecutorContract):
    """Each by its name, as `--executor` opens it."""

    # Engines need their libraries and servers: tests/system/test_ray.py and test_slurm.py run it over them.
    @pytest.fixture(params=sorted(name for name, it in EXECUTORS.items() if not it.needs))
    def opened(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
        """With a folder of its own."""

        def by_name(workers: int) -> AbstractContextManager[Executor]:
            return open_executor(request.param, Setup(workers, tmp_path_factory.mktemp("executor")))

        return by_name


def children() -> set[int]:
    """Processes that this one has started and that live."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    threads = [
        Path(f"/proc/self/task/{it.name}/children").read_text() for it in Path("/proc/self/task").iterdir()
    ]
    return {int(pid) for text in [listed, *threads] for pid in text.split()}


def test_a_worker_process_does_without_what_draws() -> None:
    """Prophet would import it for charts that no worker makes, and each worker would wait for that."""
    task = Task(tasks.drawing, {"names": ["matplotlib", "plotly", "numpy"]})
    with open_executor("local", Setup(2)) as executor:
        assert json.loads(executor.submit(task).result()) == ["numpy"]


@pytest.fixture
def never_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A module whose import outlasts every test."""
    (tmp_path / "never_imported.py").write_text("import time\ntime.sleep(100)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "never_imported"


def handed(placement: str = "process") -> Task:
    """A task that says which process computes it."""
    return Task(tasks.handed, {"seconds": 0}, SHARED, placement=placement)  # type: ignore[arg-type]  # one of them


def computed_by(executor: Executor, placement: str = "process") -> int:
    """The process that computes the next task."""
    pid: int = json.loads(executor.submit(handed(placement)).result())[0]
    return pid


def test_local_starts_a_process_only_for_what_needs_one() -> None:
    """None for tasks of the caller or of threads, none with one worker, one for one task, the second for the second."""
    before = children()
    with open_executor("local", Setup(1)) as alone:
        assert computed_by(alone) == os.getpid()
        assert children() == before
    with open_executor("local", Setup(2)) as executor:
        for placement in ("caller", "thread"):
            assert computed_by(executor, placement) == os.getpid()
        assert children() == before
        first = computed_by(executor)
        assert first != os.getpid()
        time.sleep(0.3)  # its thread has handed over the result, and is about to wait for the next task
        assert computed_by(executor) == first, "it was idle"
        assert computed_by(executor, "caller") == first, "now that there is one, it spares the caller"
    assert children() == before


@pytest.mark.skipif(not HAS_FORKS, reason="workers of this system are fresh interpreters")
def test_workers_are_forked_by_a_process_that_has_imported_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So none of them imports it again; while it does, the caller computes what takes less time."""
    slow = tmp_path / "slow_to_import.py"
    slow.write_text(
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "(folder / f'imported-by-{os.getpid()}').touch()\n"
        "while not (folder / 'go').exists():\n"
        "    time.sleep(0.01)\n"
    )
    (tmp_path / "cannot_be_loaded.py").write_text("raise OSError('libgomp.so.1 is not there')\n")
    (tmp_path / "ends_at_once.py").write_text("raise SystemExit('no')\n")
    before = children()
    monkeypatch.syspath_prepend(str(tmp_path))
    with open_executor("local", Setup(2)) as executor:
        assert isinstance(executor, Expecting)
        executor.expect(["slow_to_import", "no.such.module", "cannot_be_loaded", "ends_at_once"])
        until(lambda: list(tmp_path.glob("imported-by-*")), "nothing is imported")
        (server,) = children() - before
        assert computed_by(executor, "caller") == os.getpid()
        waits = executor.submit(waiting(tmp_path, "a")), executor.submit(waiting(tmp_path, "b"))
        (tmp_path / "go").touch()
        assert [json.loads(it.result()) for it in waits] == ["a", "b"]
        workers = {int((tmp_path / name).read_text()) for name in "ab"}
        assert len(workers) == 2
        assert [it.name for it in tmp_path.glob("imported-by-*")] == [f"imported-by-{server}"]
        assert computed_by(executor, "caller") in workers
    assert children() == before


@pytest.mark.skipif(not HAS_FORKS, reason="workers of this system are fresh interpreters")
def test_nobody_waits_for_imports_that_are_not_needed(never_imported: str) -> None:
    """The executor is closed in the middle of them."""
    before = children()
    with open_executor("local", Setup(2)) as executor:
        assert isinstance(executor, Expecting)
        executor.expect([never_imported])
    assert children() == before


@pytest.mark.skipif(not HAS_FORKS, reason="workers of this system are fresh interpreters")
def test_another_process_forks_when_the_first_is_lost(tmp_path: Path) -> None:
    """Its workers go on, and the next worker that is needed begins."""
    before = children()
    with open_executor("local", Setup(2)) as executor:
        first = computed_by(executor)
        (server,) = children() - before
        os.kill(server, signal.SIGKILL)
        both = [executor.submit(waiting(tmp_path, name)) for name in "ab"]
        until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), "no second worker")
        (tmp_path / "go").touch()
        assert [json.loads(it.result()) for it in both] == ["a", "b"]
        assert first in {int((tmp_path / name).read_text()) for name in "ab"}
        assert len(children() - before) == 1
    assert children() == before


@pytest.mark.skipif(not HAS_FORKS, reason="workers of this system are fresh interpreters")
def test_a_task_is_given_again_where_no_worker_could_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server was killed, and the next one too, as by a system that has no memory left; the third lives."""
    started: list[ForkServer] = []

    def short_lived(modules: Sequence[str]) -> ForkServer:
        started.append(ForkServer(modules))
        if len(started) < 3:
            started[-1].kill()
        return started[-1]

    monkeypatch.setattr(local_process, "early_or_new_server", short_lived)
    said: list[str] = []
    with open_executor("local", Setup(2), said.append) as executor:
        assert executor.submit(product(1)).result() == product(1).result()
    assert len(started) == 3
    (line,) = said
    assert "the process that starts workers ended twice; it is given again" in line


@pytest.mark.skipif(not HAS_FORKS, reason="workers of this system are fresh interpreters")
def test_a_second_interrupt_waits_for_no_import(monkeypatch: pytest.MonkeyPatch, never_imported: str) -> None:
    """A task that waits for its worker is lost at once, and none is started for it."""
    before = children()
    processes = local_process.WorkerProcesses(2, [never_imported])
    waits = processes.submit(product(1))
    until(lambda: children() - before, "no server")

    def pressed(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(processes._pool, "shutdown", pressed)
        with pytest.raises(KeyboardInterrupt):
            processes.close()
    with pytest.raises(WorkerLost):
        waits.result(60)
    processes.close()
    assert children() == before


def test_a_python_without_descriptors_of_processes_forks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was built for an older Linux, or runs under a filter of calls."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert not fork_server._has_forks()


def test_workers_are_fresh_interpreters_where_a_system_forks_badly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their results and what is told of a lost one are the same."""
    monkeypatch.setattr(local_process, "HAS_FORKS", False)
    said: list[str] = []
    with open_executor("local", Setup(2), said.append) as executor:
        assert isinstance(executor, Expecting)
        executor.expect(["json"])
        assert executor.submit(product(1)).result() == product(1).result()
        executor.submit(killed(tmp_path, 1)).result()
    assert ["ended by SIGKILL; it is given again" in it for it in said] == [True]


def test_local_workers_outlive_no_coordinator(tmp_path: Path) -> None:
    """Killed with SIGKILL while its workers compute, it leaves no process behind."""
    code = (
        "from backtest.executors.registry import Setup, open_executor\n"
        "from tests.contracts.executor_contract import waiting\n"
        "from pathlib import Path\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "with open_executor('local', Setup(2)) as executor:\n"
        "    [f.result() for f in [executor.submit(waiting(folder, n)) for n in 'ab']]\n"
    )
    # No `if __name__ == '__main__'`: a worker imports what its tasks name, not the script that uses them.
    (tmp_path / "script.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")], env={"PYTHONPATH": str(ROOT), "PATH": os.defpath}
    )
    try:
        until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), "no worker")
        workers = [int((tmp_path / name).read_text()) for name in "ab"]
        assert len({process.pid, *workers}) == 3
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "a worker lives on")


def test_whoever_watches_is_told_of_lost_workers(tmp_path: Path) -> None:
    """Once for each, with the task, the process and its signal."""
    said: list[str] = []
    with open_executor("local", Setup(2), said.append) as executor:
        executor.submit(killed(tmp_path, 2)).result()
    assert len(said) == 2
    assert all(
        "(window 3): worker process" in it and "ended by SIGKILL; it is given again" in it for it in said
    )


def test_results_come_in_order_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """Also where a later task is done first; after an error what was not begun is cancelled."""
    with open_executor("local", Setup(2)) as executor:
        many = [product(n) for n in range(6)]
        assert list(in_order(executor, many)) == [task.result() for task in many]
        wrong = Task(tasks.refuse, {"message": "no"})
        (tmp_path / "go").touch()
        rest = [waiting(tmp_path, str(n)) for n in range(50)]
        with pytest.raises(DataError, match="no"):
            list(in_order(executor, [wrong, *rest]))
    assert len(list(tmp_path.iterdir())) < 50


def test_one_worker_gives_each_result_before_the_next_is_begun(tmp_path: Path) -> None:
    """So that progress is shown, and an error ends the work, as it goes."""
    (tmp_path / "go").touch()
    results = in_order(InProcess(), (waiting(tmp_path, name) for name in "abc"))
    for begun, name in enumerate("abc", start=2):
        assert json.loads(next(results)) == name
        assert len(list(tmp_path.iterdir())) == begun


def test_a_bug_in_a_worker_comes_with_its_traceback() -> None:
    """The file and the line of the task's function."""
    with open_executor("local", Setup(2)) as executor, pytest.raises(TaskFailed) as told:
        executor.submit(Task(tasks.fail, {}, label="window 9")).result()
    assert "(window 9) failed in its worker" in str(told.value)
    assert "executor_tasks.py" in str(told.value)


def test_an_unknown_executor_is_named_with_the_known_ones() -> None:
    """A person's mistake: exit 2."""
    with pytest.raises(ConfigError, match=r"--executor slrum is not known\. Choose one of: local"):
        open_executor("slrum", Setup(1)).__enter__()


def test_an_executor_without_its_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's mistake: exit 2, with the command."""
    monkeypatch.setitem(EXECUTORS, "cray", Registered("nowhere", "of an extra", needs="no_such_library"))
    told = r"--executor cray needs no_such_library, which is not installed: in the checkout, .* install '\.\[cray\]'"
    with pytest.raises(ConfigError, match=told):
        open_executor("cray", Setup(1)).__enter__()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The executor of docs/executors.md, as a file and a line; the folder that it is handed."""
    page = (ROOT / "docs" / "executors.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "fresh.py" in block)
    (tmp_path / "fresh.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = (Option("fresh_place", "where"), Option("fresh_air", "open the windows", bool))
    monkeypatch.setitem(registry.EXECUTORS, "fresh", Registered("fresh", "as the page shows it", options))
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def test_the_executor_of_the_page_keeps_the_contract(fresh: Path, tmp_path: Path) -> None:
    """Equal bytes, a refusal as itself, killed workers replaced, arrays written once."""
    (tmp_path / "kills").mkdir()
    with open_executor("fresh", Setup(2, fresh)) as executor:
        many = [product(n) for n in range(3)]
        assert [it.result() for it in [executor.submit(task) for task in many]] == [
            it.result() for it in many
        ]
        with pytest.raises(DataError, match="row 7"):
            executor.submit(Task(tasks.refuse, {"message": "row 7"})).result()
        task = killed(tmp_path / "kills", 1)
        assert executor.submit(task).result() == tasks.product(
            {**SHARED.arrays, **task.arrays}, task.settings
        )
    assert len(list((tmp_path / "kills").iterdir())) == 2
    assert len(list(fresh.iterdir())) == 2  # with the one that holds nothing, of the refusal


def test_options_of_an_executor_are_on_every_verb_that_computes(fresh: Path) -> None:
    """By its name on the command line it is opened with them and with the verb's folder; others leave them alone."""
    seen: list[Computing] = []
    app = typer.Typer()

    @app.command()
    @computed
    def verb(first: str, computing: Computing, seed: int = 0) -> None:
        """A verb that computes."""
        seen.append(computing)
        with computing.opened(fresh) as executor:
            print(first, seed, executor.submit(product(1)).result() == product(1).result())

    words = [
        "--executor",
        "fresh",
        "--workers",
        "3",
        "--fresh-place",
        "here",
        "--fresh-air",
        "x",
        "--seed",
        "5",
    ]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert (done.exit_code, done.output) == (0, "x 5 True\n")
    assert (fresh / SHARED.name).exists()
    assert CliRunner().invoke(app, ["x"], catch_exceptions=False).output == "x 0 True\n"
    own = [{name: it.setup.options[name] for name in ("fresh_place", "fresh_air")} for it in seen]
    assert own == [{"fresh_place": "here", "fresh_air": True}, {"fresh_place": None, "fresh_air": False}]
    assert [(it.name, it.setup.workers) for it in seen] == [("fresh", 3), ("local", os.cpu_count() or 1)]


def test_what_is_in_flight_is_given_once_and_what_is_not_wanted_never() -> None:
    """Done before it was added, done while others wait, and forgotten between two that were done together."""
    waited: InFlight[str] = InFlight()
    assert list(waited.done()) == []
    futures = {name: Future[bytes]() for name in "abcd"}
    futures["a"].set_result(b"1")
    for name, future in futures.items():
        waited.add(future, name)
    assert [name for _, name in waited.done()] == ["a"]
    for name in "bc":
        futures[name].set_result(b"2")
    given = []
    for _, name in waited.done():
        given.append(name)
        assert [it for _, it in waited.cancel(lambda it: it == "c")] == ["c"]
    assert given == ["b"]
    assert len(waited) == 1
    assert waited.cancel() == []
    assert futures["d"].cancelled()
