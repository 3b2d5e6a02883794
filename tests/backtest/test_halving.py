"""Successive halving of trials that learn in epochs: the same study whoever finishes first, and nothing is learnt twice."""

from __future__ import annotations

import json
import math
import shutil
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from backtest.commands.tune_screen import show_trials
from backtest.executors.futures import at_once
from backtest.executors.protocol import Executor, Task
from backtest.executors.registry import Setup, open_executor
from backtest.report.study import study_evidence
from backtest.study.counted import of_trial
from backtest.study.halving import RungProgress, goes_on, planned, rungs_of_epochs, share_kept
from backtest.study.trials import Study
from backtest.study.tune import SearchTask, tune
from tests.support.bars_made import bars_made
from tests.support.quick_epochs import EPOCHS, QuickEpochs
from trader.core.errors import ConfigError
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.text import plural
from trader.core.types import Filters, parse_hour

START, STOP = parse_hour("2021-07-12"), parse_hour("2021-07-20")
WINDOWS = 4


@pytest.fixture(scope="module")
def task() -> SearchTask:
    """Eight days of four windows, by a family that learns in epochs."""
    bars, params = bars_made(5_200, 4), params_of({**DEFAULT_PARAMS, "step_days": 2}, "a test")
    filters = Filters.derived(float(bars.close[bars.row(START)]))
    return SearchTask(QuickEpochs(), bars, params, filters, START, STOP, "made bars")


def run(task: SearchTask, folder: Path, executor: Executor | None = None, **how: Any) -> Study:
    """Nine trials: a batch of six, and three more that are judged beside them."""
    return tune(task, **{"trials": 9, "seed": 5, "folder": folder, "executor": executor, **how})


@pytest.fixture(scope="module")
def whole(task: SearchTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """By one worker, uninterrupted."""
    folder = tmp_path_factory.mktemp("study") / "whole"
    return folder, run(task, folder)


def files(folder: Path) -> dict[str, bytes]:
    """All of a study but its cache."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "folds" not in file.parts and file.name != "lock"
    }


class Newest:
    """Computes the newest of the tasks that wait, in a thread: trials overtake each other."""

    capacity = 4

    def __init__(self) -> None:
        self._waiting: list[tuple[Task, Future[bytes]]] = []
        self._more = threading.Semaphore(0)
        self.order: list[str] = []
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, task: Task) -> Future[bytes]:
        """Waits until everything newer is done."""
        future: Future[bytes] = Future()
        self._waiting.append((task, future))
        self._more.release()
        return future

    def _work(self) -> None:
        while True:
            self._more.acquire()
            task, future = self._waiting.pop()
            if future.set_running_or_notify_cancel():
                self.order.append(task.label)
                done = at_once(task)
                future.set_result(done.result()) if not done.exception() else future.set_exception(
                    done.exception()
                )

    def close(self) -> None:
        """Its thread ends with the process."""


def test_the_same_study_by_two_workers_and_in_another_order(
    task: SearchTask, whole: tuple[Path, Study], tmp_path: Path
) -> None:
    """study.json, journal, trials, P.json and returns are equal bytes, though windows and trials overtook each other."""
    with open_executor("local", Setup(2)) as executor:
        run(task, tmp_path / "2", executor)
    newest = Newest()
    run(task, tmp_path / "newest", newest)
    assert newest.order != sorted(newest.order)
    assert files(whole[0]) == files(tmp_path / "2") == files(tmp_path / "newest")
    assert "P.json" in files(whole[0])


def test_at_every_rung_the_better_half_of_all_that_reached_it_goes_on(whole: tuple[Path, Study]) -> None:
    """Recomputed from the kept losses, batch after batch; a pruned trial says where it stood, and has no value."""
    trials = {trial.number: trial for trial in whole[1].trials}
    rungs = rungs_of_epochs(EPOCHS)
    assert rungs == (1, 2, 4)
    assert {"complete", "pruned"} <= {trial.state for trial in trials.values()}
    for first, after in ((0, 6), (6, 9)):
        alive = [number for number in range(first, after) if trials[number].state != "failed"]
        for i, rung in enumerate(rungs):
            known = [t.losses[i] for t in trials.values() if t.number < after and len(t.losses) > i]
            least = sorted(known)[share_kept(len(known)) - 1]
            left = [number for number in alive if trials[number].losses[i] <= least]
            for number in set(alive) - set(left):
                it = trials[number]
                assert (it.state, it.epochs, it.value, len(it.losses)) == ("pruned", rung, None, i + 1)
                assert f"after {rung} epoch" in it.reason
                assert f"the best {share_kept(len(known))} of {len(known)} trials" in it.reason
            alive = left
        for number in alive:
            it = trials[number]
            assert (it.state, it.epochs, it.windows_run) == ("complete", EPOCHS, WINDOWS)
            assert it.value is not None


def test_optunas_rule_is_asked_once_all_losses_are_there() -> None:
    """Of six the least three go on, of two the least one, equal ones together; the order of the others says nothing."""
    losses = [0.6, 0.1, 0.5, 0.2, 0.4, 0.3]
    for rung in (1, 2, 4):
        found = [goes_on(loss, [other for other in losses if other != loss], rung) for loss in losses]
        assert found == [loss <= 0.3 for loss in losses]
    assert goes_on(0.3, losses[::-1][1:], 1)
    assert goes_on(9.0, [], 1)
    assert [goes_on(0.1, [0.2], 1), goes_on(0.2, [0.1], 1)] == [True, False]
    assert goes_on(0.1, [0.1, 0.1], 1)


def test_a_study_goes_on_where_it_was_cut_and_learns_nothing_twice(
    task: SearchTask, whole: tuple[Path, Study], tmp_path: Path
) -> None:
    """After each line of its journal, states and folds kept: not an epoch is learnt again, and every file is equal. Without the
    folds too, where all is learnt anew."""
    lines = (whole[0] / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        cut = tmp_path / str(kept)
        shutil.copytree(whole[0], cut)
        (cut / "journal.jsonl").write_bytes(b"".join(lines[:kept]) + lines[kept][:30])
        before = QuickEpochs.epochs
        run(task, cut)
        assert QuickEpochs.epochs == before
        assert files(cut) == files(whole[0])
    shutil.rmtree(cut / "folds")
    (cut / "journal.jsonl").write_bytes(b"".join(lines[:4]))
    run(task, cut)
    assert files(cut) == files(whole[0])


class Killed(BaseException):
    """The process is no more."""


def test_a_study_that_was_killed_within_a_rung_goes_on_from_the_states(
    task: SearchTask, whole: tuple[Path, Study], tmp_path: Path
) -> None:
    """Killed when a window of the third rung had learnt: all in all as many epochs are learnt as without the kill; when all
    trials have ended, no state is left in the folder."""

    def kill(at: RungProgress) -> None:
        if at.rung == 3:
            raise Killed

    before = QuickEpochs.epochs
    with pytest.raises(Killed):
        run(task, tmp_path / "s", epochs=kill)
    assert list((tmp_path / "s" / "folds").rglob("*.state"))
    run(task, tmp_path / "s")
    killed = QuickEpochs.epochs - before
    run(task, tmp_path / "without")
    assert killed == QuickEpochs.epochs - before - killed
    assert files(tmp_path / "s") == files(whole[0])
    assert not list((tmp_path / "s" / "folds").rglob("*.state"))


def test_states_need_no_folder(task: SearchTask, whole: tuple[Path, Study]) -> None:
    """A study that is kept nowhere goes on from states in memory: the same trials, and no epoch twice."""
    before = QuickEpochs.epochs
    found = tune(task, trials=9, seed=5)
    learnt = sum(
        WINDOWS * (trial.epochs if trial.state == "pruned" else EPOCHS)
        for trial in found.trials
        if trial.state != "failed"
    )
    assert QuickEpochs.epochs - before == learnt
    assert found.trials == whole[1].trials


def test_its_progress_names_rungs_and_counts_epochs(task: SearchTask) -> None:
    """It never goes back, and ends at what was planned."""
    told: list[RungProgress] = []
    tune(task, trials=6, seed=5, epochs=told.append)
    assert [at.rung for at in told] == sorted(at.rung for at in told)
    assert {(at.rung, at.rungs, at.epoch) for at in told} == {(1, 4, 1), (2, 4, 2), (3, 4, 4), (4, 4, EPOCHS)}
    assert [at.done for at in told] == sorted(at.done for at in told)
    assert told[-1].of == planned(6, WINDOWS, EPOCHS) == WINDOWS * (6 * 1 + 3 * 1 + 1 * 2 + 1 * 2)


def test_every_trial_is_counted_with_its_epochs_and_reason(whole: tuple[Path, Study]) -> None:
    """In the evidence ledger pruned ones are pruned, not failed; trials.jsonl says epochs, losses and reason."""
    for trial in whole[1].trials:
        entry = of_trial(trial, START, STOP, "a study")[0]
        if trial.state == "pruned":
            assert entry.kind == "pruned"
            assert (
                entry.by
                == f"a study, trial {trial.number}, {trial.epochs} epochs: {trial.reason}".replace(
                    " 1 epochs", " 1 epoch"
                )
            )
    rows = [json.loads(line) for line in (whole[0] / "trials.jsonl").read_text().splitlines()]
    assert [row.get("losses", []) for row in rows] == [list(trial.losses) for trial in whole[1].trials]
    assert all(row["reason"] for row in rows if row["state"] == "pruned")


def test_a_report_holds_the_rungs(whole: tuple[Path, Study]) -> None:
    """What the page draws: the losses of every trial, and the epochs of the rungs."""
    part = study_evidence(whole[0]).part
    assert part["rungs"] == [1, 2, 4, EPOCHS]
    assert [it.get("losses", []) for it in part["trials"]] == [
        list(trial.losses) for trial in whole[1].trials
    ]


def test_without_pruning_every_trial_learns_to_its_end(task: SearchTask, tmp_path: Path) -> None:
    """`--exact`: fits as of any family; and a folder of the one is refused to the other, by name."""

    found = tune(task, trials=3, seed=5, prune=False, folder=tmp_path)
    assert {trial.epochs for trial in found.trials} == {0}
    assert "halving" not in json.loads((tmp_path / "study.json").read_text())
    with pytest.raises(ConfigError, match="halving"):
        tune(task, trials=3, seed=5, folder=tmp_path, batch=6)


def test_losses_that_are_equal_prune_nobody() -> None:
    """Three alike: all go on, for none is worse than another; a loss that is no number does not."""
    losses = (0.5, 0.5, 0.5)
    assert all(goes_on(loss, losses[1:], 1) for loss in losses)
    assert not goes_on(math.nan, losses, 1)


def test_the_terminal_says_after_how_many_epochs_trials_ended(
    whole: tuple[Path, Study], capsys: pytest.CaptureFixture[str]
) -> None:
    """Pruned ones by their epochs; the failed one, which learnt none, by its windows."""
    show_trials("title", whole[1], "net_sharpe", whole[0])
    said = " ".join(capsys.readouterr().out.split())
    epochs = sorted(trial.epochs for trial in whole[1].trials if trial.state == "pruned")
    pruned = plural(len(epochs), "trial")
    assert (
        f"{pruned} pruned after {epochs[0]} to {plural(epochs[-1], 'epoch')}, 1 trial failed after 0 windows"
        in said
    )
