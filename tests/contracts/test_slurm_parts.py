"""What the Slurm executor is made of, without a Slurm: options, the shared folder, the queue, one worker, the fleet. The
whole runs against a real one in tests/system/test_slurm.py."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backtest.executors import registry, slurm, slurm_fleet
from backtest.executors.packing import computed, packed_task
from backtest.executors.program import program
from backtest.executors.protocol import Task, WorkerLost
from backtest.executors.registry import Registered, Setup, open_executor
from backtest.executors.slurm_fleet import Fleet
from backtest.executors.slurm_folder import SlurmFolder
from backtest.executors.slurm_jobs import JobEnd, JobState
from backtest.executors.slurm_queue import TaskQueue
from backtest.executors.slurm_settings import SlurmSettings, slurm_settings
from backtest.executors.slurm_worker import EXIT_FULL, Worker
from tests.contracts.executor_contract import SHARED, product, until
from tests.support import executor_tasks as tasks
from trader.core.errors import ConfigError, Retry


@pytest.fixture
def folder(tmp_path: Path) -> SlurmFolder:
    """An empty one."""
    made = SlurmFolder(tmp_path / "slurm")
    made.make()
    made.share(SHARED)
    return made


def test_an_option_wins_over_the_file_and_the_file_is_strict(tmp_path: Path) -> None:
    """Each key of [slurm] stands for an option; what is unknown, no text or no TOML is refused by its name."""
    file = tmp_path / "backtest.toml"
    assert slurm_settings({}, tmp_path) == SlurmSettings()
    file.write_text('[slurm]\npartition = "long"\ntime = "2:00:00"\n[other]\nx = 1\n')
    assert slurm_settings({"slurm_time": "10", "slurm_memory": None}, tmp_path) == SlurmSettings("long", "10")
    assert SlurmSettings("long", "10", "2G").as_sbatch() == {"partition": "long", "time": "10", "mem": "2G"}
    for text, told in (
        ('[slurm]\npartitoin = "long"\n', "does not know partitoin; it knows partition, time"),
        ("[slurm]\nmemory = 2\n", 'memory is 2; write it as text, memory = "2"'),
        ("slurm = 1\n", "is no table"),
        ("[slurm\n", "cannot be read"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=told):
            slurm_settings({}, tmp_path)
    with pytest.raises(ConfigError, match="--slurm-account is ' '"):
        slurm_settings({"slurm_account": " "}, tmp_path / "elsewhere")


def test_what_is_missing_here_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library with its command, Slurm's commands, and a folder for a verb that keeps nothing."""
    monkeypatch.setitem(registry.EXECUTORS, "far", Registered("no.module", "far away", needs="no_library"))
    with pytest.raises(ConfigError, match=r"--executor far needs no_library.*pip install '\.\[far\]'"):
        open_executor("far", Setup(1)).__enter__()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="sbatch, squeue, scontrol, scancel cannot be found here"):
        slurm.open_executor(Setup(1, tmp_path))
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        (tmp_path / name).touch(0o755)
    with pytest.raises(ConfigError, match="give --slurm-folder"):
        slurm.open_executor(Setup(1))


def test_one_of_many_takes_a_chunk(folder: SlurmFolder) -> None:
    """Whoever comes at the same time gets the next one, or none."""
    names = [f"{n:03d}" for n in range(20)]
    for name in names:
        folder.put_out(name, {"key": b"x"})
    taken: list[str] = []
    begin = threading.Barrier(4)

    def take(worker: str) -> None:
        begin.wait()
        while chunk := folder.claim(worker):
            taken.append(chunk)

    threads = [threading.Thread(target=take, args=(f"1_{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == names
    assert not folder.withdraw(names[0]), "a worker has it"
    assert sorted(folder.claims()) == names


def test_an_answer_that_is_not_whole_is_not_there(folder: SlurmFolder) -> None:
    """A file system may show a file before all of it."""
    folder.answer("k", 0.5, b"=result")
    assert folder.answered("k") == (0.5, b"=result")
    whole = (folder.path / "results" / "k").read_bytes()
    for size in range(len(whole)):
        (folder.path / "results" / "k").write_bytes(whole[:size])
        assert folder.answered("k") is None


def answer(folder: SlurmFolder, chunk: str, worker: str, count: int, seconds: float = 0.01) -> None:
    """What a worker does with the first tasks of what it has taken."""
    for key, task in list(folder.tasks(chunk, worker).items())[:count]:
        folder.answer(key, seconds, computed(task.data, lambda _: SHARED.arrays))


def taken(folder: SlurmFolder, worker: str = "1_0") -> str:
    """The next chunk."""
    chunk = folder.claim(worker)
    assert chunk is not None
    return chunk


def test_chunks_grow_to_a_second_of_work_and_leave_some_for_everybody(folder: SlurmFolder) -> None:
    """The first goes alone, since nobody knows what it costs; then as many as fit, and at most a worker's share."""
    queue = TaskQueue(folder, 2)
    futures = [queue.add(product(n)) for n in range(100)]
    queue.put_out()
    assert len(folder.names("tasks")) == 2, "one for each worker"
    answer(folder, first := taken(folder), "1_0", 1, seconds=0.1)
    assert len(folder.tasks(first, "1_0")) == 1
    assert queue.collect()
    assert futures[0].result() == product(0).result()
    taken(folder, "1_1")
    queue.put_out()
    assert len(folder.tasks(taken(folder), "1_0")) == 10
    folder.withdraw(*folder.names("tasks"))
    small = TaskQueue(folder, 4)
    for n in range(200, 208):
        small.add(product(n))
    small._costs[tasks.product] = 0.001
    small.put_out()
    assert len(folder.tasks(taken(folder), "1_0")) in (1, 2), "eight tasks for four workers"


def test_a_lost_worker_loses_what_it_had_in_hand_and_nothing_else(folder: SlurmFolder) -> None:
    """What it had answered counts; what lay behind is put out again before everything else."""
    queue = TaskQueue(folder, 1)
    queue._costs[tasks.product] = 0.25
    futures = [queue.add(product(n)) for n in range(6)]
    queue.put_out()
    chunk = taken(folder)
    assert len(folder.tasks(chunk, "1_0")) == 4
    answer(folder, chunk, "1_0", 2)
    queue.lose("1_0", "its node is gone")
    assert [it.done() for it in futures] == [True, True, True, False, False, False]
    with pytest.raises(WorkerLost, match="its node is gone"):
        futures[2].result()
    assert folder.claims() == {}
    queue.put_out()
    assert next(iter(folder.tasks(taken(folder, "1_1"), "1_1"))) == futures[3].key


def test_a_coordinator_that_comes_back_computes_nothing_twice(folder: SlurmFolder) -> None:
    """Answers count, a task that a worker has is waited for, what nobody has begun is put out anew; an old error is not
    believed."""
    before = TaskQueue(folder, 3)
    before._costs[tasks.product] = 1.0
    for n in range(3):
        before.add(product(n))
    before.put_out()
    answer(folder, first := taken(folder), "1_0", 1)
    folder.remove(f"claimed/{first}@1_0")
    second = taken(folder, "1_1")
    refused = Task(tasks.refuse, {"message": "of then"})
    folder.answer(refused.key, 0.1, computed(packed_task(refused), lambda _: {}))

    queue = TaskQueue(folder, 3)
    queue.begin()
    assert folder.names("tasks") == []
    futures = [queue.add(product(n)) for n in range(3)]
    again = queue.add(refused)
    queue.put_out()
    queue.collect()
    assert [it.done() for it in futures] == [True, False, False]
    assert not again.done()
    assert len(folder.names("tasks")) == 2, "the third and the refused"
    answer(folder, second, "1_1", 1)
    queue.collect()
    assert futures[1].result() == product(1).result()


def test_what_nobody_has_begun_is_taken_back(folder: SlurmFolder) -> None:
    """Waiting, put out, or put out with others, which stay; not what a worker has. Equal tasks are computed once."""
    queue = TaskQueue(folder, 1)
    queue._costs[tasks.product] = 0.2
    one, same, two, three = (queue.add(product(n)) for n in (1, 1, 2, 3))
    assert two.cancel()
    queue.put_out()
    assert one.cancel(), "the other one still waits for it"
    assert folder.names("tasks"), "so it stays where it is"
    assert three.cancel()
    queue.put_out()
    chunk = taken(folder)
    assert list(folder.tasks(chunk, "1_0")) == [same.key]
    assert not same.cancel()
    answer(folder, chunk, "1_0", 1)
    queue.collect()
    assert same.result() == product(1).result()
    assert queue.is_empty


def at_work(folder: SlurmFolder, name: str = "1_0") -> threading.Thread:
    """A worker, in a thread."""
    thread = threading.Thread(target=Worker(folder, name).work, daemon=True)
    thread.start()
    return thread


def test_a_worker_ends_when_it_is_told_to_and_computes_nothing_that_is_there(folder: SlurmFolder) -> None:
    """Its first word says which program it is; an answer that lies there is left as it is."""
    folder.write("coordinator.json", json.dumps({"silent_s": 60}).encode())
    folder.answer(product(1).key, 0.0, b"=there")
    folder.put_out("001", {product(n).key: packed_task(product(n)) for n in (1, 2)})
    thread = at_work(folder)
    until(lambda: not folder.claims() and folder.answered(product(2).key), "no answer")
    assert folder.answered(product(1).key) == (0.0, b"=there")
    kept = folder.answered(product(2).key)
    assert kept is not None
    assert kept[1] == b"=" + product(2).result()
    assert (folder.read_json("workers/1_0") or {})["program"] == program()
    folder.write("end", b"")
    thread.join(20)
    assert not thread.is_alive()


def test_a_worker_outlives_its_coordinator_for_a_while(folder: SlurmFolder) -> None:
    """While the heartbeat changes, and for `silent_s` after that."""
    folder.write("coordinator.json", json.dumps({"silent_s": 0.5}).encode())
    thread = at_work(folder)
    for beat in range(8):
        folder.beat("results/.beat", beat)
        time.sleep(0.1)
    assert thread.is_alive()
    thread.join(20)
    assert not thread.is_alive()


@dataclass
class FakeJobs:
    """A Slurm in memory: arrays by their number, states that a test sets."""

    arrays: int = 0
    listed: dict[str, JobState] = field(default_factory=dict)
    ends: dict[str, JobEnd] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    refuses: Exception | None = None

    def submit(self, count: int) -> list[str]:
        """They run at once, or are refused."""
        if self.refuses is not None:
            raise self.refuses
        self.arrays += 1
        names = [f"{self.arrays}_{n}" for n in range(count)]
        self.listed.update({name: JobState("RUNNING", "None") for name in names})
        return names

    def states(self) -> dict[str, JobState]:
        """All of them."""
        return dict(self.listed)

    def end_of(self, element: str) -> JobEnd:
        """As a test says."""
        return self.ends.get(element, JobEnd())

    def cancel(self, elements: Collection[str]) -> None:
        """They are listed as that."""
        self.cancelled += elements
        self.listed.update({name: JobState("CANCELLED", "None") for name in elements})

    def log_of(self, element: str) -> str:
        """What Python says first."""
        return f"{element}: No module named numpy"


@dataclass
class Scene:
    """A fleet of two over a Slurm in memory."""

    folder: SlurmFolder
    jobs: FakeJobs
    fleet: Fleet
    said: list[str]

    def reports(self, name: str, **program_differs: str) -> None:
        """A worker's first word."""
        told = {"host": "node7", "program": {**program(), **program_differs}}
        self.folder.write(f"workers/{name}", json.dumps(told).encode())

    def ends(self, name: str, state: str, end: JobEnd) -> None:
        """What Slurm says from now on."""
        self.jobs.listed[name] = JobState(state, "None")
        self.jobs.ends[name] = end


@pytest.fixture
def scene(folder: SlurmFolder, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Asked at every look."""
    monkeypatch.setattr(slurm_fleet, "ASK_FIRST_S", 0.0)
    jobs, said = FakeJobs(), list[str]()
    fleet = Fleet(folder, jobs, 2, said.append)  # type: ignore[arg-type]  # what it needs of Slurm
    fleet.fill()
    return Scene(folder, jobs, fleet, said)


def test_what_was_taken_away_is_replaced(scene: Scene) -> None:
    """Preempted before its first word, failed after it, no longer listed: one element each, with the reason."""
    scene.reports("1_1")
    scene.ends("1_0", "PREEMPTED", JobEnd("PREEMPTED"))
    scene.ends("1_1", "FAILED", JobEnd("FAILED", "JobLaunchFailure", signal=9))
    assert scene.fleet.look() == {
        "1_0": "Slurm job 1_0 ended (PREEMPTED)",
        "1_1": "Slurm job 1_1 on node7 ended (FAILED, JobLaunchFailure, signal 9, perhaps for want of memory: "
        "--slurm-memory asks for more)",
    }
    scene.fleet.fill()
    assert scene.fleet.names == {"2_0", "2_1"}
    scene.reports("2_0")
    scene.reports("2_1")
    del scene.jobs.listed["2_0"]
    assert scene.fleet.look() == {"2_0": "Slurm job 2_0 on node7 ended (Slurm knows nothing of it any more)"}


def test_what_slurm_refuses_while_others_work_is_told_and_no_end(scene: Scene) -> None:
    """With one worker left the study goes on; with none it ends by what Slurm said."""
    scene.jobs.refuses = ConfigError("Slurm refuses the job: QOSMaxSubmitJobPerUserLimit")
    scene.reports("1_0")
    (scene.folder.path / "ended" / "1_0").write_text("1\n")
    assert set(scene.fleet.look()) == {"1_0"}
    scene.fleet.fill()
    scene.fleet.fill()
    assert scene.said == ["Slurm refuses the job: QOSMaxSubmitJobPerUserLimit; 1 of 2 workers go on"]
    alone = Fleet(scene.folder, scene.jobs, 2, print)  # type: ignore[arg-type]  # what it needs of Slurm
    with pytest.raises(ConfigError, match="QOSMaxSubmit"):
        alone.fill()


def test_of_two_who_take_over_one_does(folder: SlurmFolder) -> None:
    """A file is taken once."""
    folder.write("coordinator.json", b"{}")
    assert [folder.take("coordinator.json", own) for own in "ab"] == [b"{}", None]


def test_the_note_of_a_jobs_shell_comes_before_slurm_knows(scene: Scene) -> None:
    """A killed process by its signal; a full folder as what it is."""
    scene.reports("1_0")
    (scene.folder.path / "ended" / "1_0").write_text("137\n")
    assert "ended (signal 9" in scene.fleet.look()["1_0"]
    scene.reports("1_1")
    (scene.folder.path / "ended" / "1_1").write_text(f"{EXIT_FULL}\n")
    with pytest.raises(Retry, match="no space is left"):
        scene.fleet.look()


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (
            JobEnd("FAILED", "NonZeroExitCode", 1),
            r"before its worker had begun \(FAILED, exit code 1\).*\n1_0: No module",
        ),
        (JobEnd("OUT_OF_MEMORY"), "for the memory that it took. Ask for more by --slurm-memory"),
    ],
)
def test_a_job_that_ends_before_its_first_word_is_not_repeated(scene: Scene, end: JobEnd, told: str) -> None:
    """The next one would end as it did: a person is told what it wrote, or what it lacks."""
    scene.ends("1_0", end.state, end)
    with pytest.raises(ConfigError, match=told):
        scene.fleet.look()


def test_a_worker_of_another_program_is_refused(scene: Scene) -> None:
    """Its results would differ: the message says what does."""
    scene.reports("1_0", numpy="1.0", sources="elsewhere")
    with pytest.raises(
        ConfigError, match=r"1_0 on node7 is another program.*numpy 1\.0 there, .* here; sources elsewhere"
    ):
        scene.fleet.look()


def test_a_worker_that_says_nothing_is_told_apart_from_one_that_waits(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queued job is no error, its reason is told once; one that runs and writes nothing does not see the folder."""
    scene.jobs.listed = {name: JobState("PENDING", "Resources") for name in scene.jobs.listed}
    assert scene.fleet.look() == {}
    assert scene.fleet.look() == {}
    assert scene.said == ["Slurm: 2 of 2 workers pending (2 for Resources)"]
    scene.jobs.listed["1_0"] = JobState("RUNNING", "None")
    monkeypatch.setattr(slurm_fleet, "REPORT_S", -1.0)
    with pytest.raises(ConfigError, match="do not see this folder cannot work"):
        scene.fleet.look()


def test_a_worker_without_a_heartbeat_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job is cancelled, so that it holds no place, and replaced."""
    scene.reports("1_0")
    scene.reports("1_1")
    assert scene.fleet.look() == {}
    monkeypatch.setattr(slurm_fleet, "SILENT_S", 0.05)
    time.sleep(0.1)
    scene.folder.beat("tasks/.beat-1_1", 5)
    assert set(scene.fleet.look()) == {"1_0"}
    assert scene.jobs.cancelled == ["1_0"]


def test_another_coordinators_workers_are_adopted_or_cancelled(scene: Scene) -> None:
    """Those of the same program up to the number that is wanted; a queued job counts."""
    scene.jobs.submit(2)
    scene.jobs.listed["1_0"] = JobState("COMPLETED", "None")
    scene.jobs.listed["2_1"] = JobState("PENDING", "Priority")
    for same, adopted, cancelled in ((True, {"1_1", "2_0"}, {"2_1"}), (False, set(), {"1_1", "2_0"})):
        again = Fleet(scene.folder, scene.jobs, 2, print)  # type: ignore[arg-type]  # what it needs of Slurm
        again.adopt(same_program=same)
        assert again.names == adopted
        assert set(scene.jobs.cancelled) >= cancelled


def test_what_a_killed_coordinator_left_ends_also_with_a_command_that_has_no_task(
    folder: SlurmFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where all folds are kept already: its workers would hold their places for minutes."""
    killed = subprocess.Popen(["/bin/true"])
    killed.wait()
    left = {"name": "backtest-left", "host": socket.gethostname(), "pid": killed.pid, "program": program()}
    folder.write("coordinator.json", json.dumps(left).encode())
    jobs = FakeJobs()
    jobs.submit(2)
    asked: list[str] = []

    def jobs_of(name: str, *_: object) -> FakeJobs:
        asked.append(name)
        return jobs

    monkeypatch.setattr(slurm, "SlurmJobs", jobs_of)
    executor = slurm.SlurmExecutor(2, folder, SlurmSettings(), print)
    executor.close()
    assert asked == ["backtest-left"]
    assert set(jobs.cancelled) == {"1_0", "1_1"}
    assert [it.name for it in folder.path.iterdir() if it.is_file()] == ["end"]


def test_a_command_that_has_no_task_leaves_a_living_coordinator_alone(folder: SlurmFolder) -> None:
    """It is in use by this very process, which beats."""
    told = json.dumps({"name": "backtest-lives", "host": "elsewhere", "pid": 1}).encode()
    folder.write("coordinator.json", told)
    over = threading.Event()

    def beats() -> None:
        count = 0
        while not over.wait(0.05):
            count += 1
            folder.beat("results/.beat", count)

    heart = threading.Thread(target=beats)
    heart.start()
    try:
        slurm.SlurmExecutor(2, folder, SlurmSettings(), print).close()
    finally:
        over.set()
        heart.join()
    assert folder.read("coordinator.json") == told
