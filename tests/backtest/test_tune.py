"""A study: the same whoever works on it and however often it is killed; every look counted; bad input a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from backtest.engine.simulate import simulate
from backtest.engine.walkforward import walk_forward
from backtest.executors.protocol import WorkerLost
from backtest.executors.registry import Setup, open_executor
from backtest.study.folder import StudyFolder
from backtest.study.objectives import Objective, min_completed_trials
from backtest.study.rounds import Batch, Completed, batches, pruning_thresholds, rungs_of
from backtest.study.sampler import STARTUP_TRIALS, Suggestion, TrialSampler
from backtest.study.space import Space, TrialPlan, cost, suggest
from backtest.study.sweep import CandidateScore, RungScore, TrialResult
from backtest.study.trials import Study, Trial
from backtest.study.tune import SearchTask, tune
from tests.support.bars_made import bars_made
from tests.support.quick_forecaster import QuickForecaster
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.features import features, preset_named
from trader.core.hours import Rules
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.summary import net_sharpe
from trader.core.training import labels_between
from trader.core.types import HOUR_MS, Bars, Filters, parse_hour
from trader.forecasters.xgboost import XGBoostForecaster

START, STOP = parse_hour("2021-07-12"), parse_hour("2021-08-01")
WINDOWS = 10
# Four pairs of thresholds a candidate instead of 26: each is looked at in every round, which is most of what these studies cost.
FEW = Space(enter_quantiles=(0.5, 0.9), exit_quantiles=(0.5, 0.1))


def base(**changes: Any) -> Params:
    """The documented defaults with two days to a window."""
    return params_of({**DEFAULT_PARAMS, "step_days": 2, **changes}, "a test")


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Seven months with a gap."""
    return bars_made(5_200, 4, missing=(4_700, 4_701))


@pytest.fixture
def task(bars: Bars) -> SearchTask:
    """Twenty days of ten windows, by the quick forecaster."""
    filters = Filters.derived(float(bars.close[bars.row(START)]))
    return SearchTask(QuickForecaster(), bars, base(), filters, START, STOP, "made bars")


def files(folder: Path) -> dict[str, bytes]:
    """What a person reads of a study, and the returns it keeps."""
    names = ["trials.jsonl", "P.json", *(f"returns/{f.name}" for f in sorted((folder / "returns").iterdir()))]
    return {name: (folder / name).read_bytes() for name in names}


def run(task: SearchTask, folder: Path, trials: int = 9, workers: int = 1, **how: Any) -> Study:
    """Nine trials, three at a time."""
    with open_executor("local", Setup(workers)) as executor:
        return tune(
            task,
            **{
                "trials": trials,
                "seed": 5,
                "batch": 3,
                "folder": folder,
                "executor": executor,
                "space": FEW,
                **how,
            },
        )


def test_the_same_study_by_one_two_and_four_workers(task: SearchTask, tmp_path: Path) -> None:
    """Every file of it is equal, byte for byte, and something in it was pruned."""
    for workers in (1, 2, 4):
        found = run(task, tmp_path / str(workers), workers=workers)
    assert {"complete", "pruned"} <= {trial.state for trial in found.trials}
    assert files(tmp_path / "1") == files(tmp_path / "2") == files(tmp_path / "4")


def test_a_study_goes_on_where_it_was_cut(task: SearchTask, tmp_path: Path) -> None:
    """After any trial and with a torn last line; also one that is asked for more trials than at first."""
    whole = run(task, tmp_path / "whole")
    journal = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (1, 4, 8):
        cut = tmp_path / f"cut{kept}"
        shutil.copytree(tmp_path / "whole", cut)
        shutil.rmtree(cut / "folds")
        (cut / "journal.jsonl").write_bytes(b"".join(journal[:kept]) + journal[kept][:40])
        assert run(task, cut).trials == whole.trials
        assert files(cut) == files(tmp_path / "whole")
    run(task, tmp_path / "longer", trials=4)
    assert run(task, tmp_path / "longer").trials == whole.trials
    fits = QuickForecaster.fits
    assert run(task, tmp_path / "whole").trials == whole.trials
    assert QuickForecaster.fits == fits


def test_folds_come_from_the_cache_and_are_the_same(task: SearchTask, tmp_path: Path) -> None:
    """A second study on one cache fits nothing and is equal; a damaged fold is fitted again."""
    first = run(task, tmp_path / "a", cache=tmp_path / "folds")
    fits = QuickForecaster.fits
    assert run(task, tmp_path / "b", cache=tmp_path / "folds") == first
    assert QuickForecaster.fits == fits
    damaged = sorted((tmp_path / "folds").rglob("*/*"))[:3]
    damaged[0].write_bytes(b"")
    damaged[1].write_bytes(damaged[1].read_bytes()[:-5])
    damaged[2].write_bytes(damaged[2].read_bytes()[:-1] + b"\x01")
    assert run(task, tmp_path / "c", cache=tmp_path / "folds") == first
    assert QuickForecaster.fits == fits + 3


def test_other_content_has_another_name(task: SearchTask, tmp_path: Path) -> None:
    """Another seed of the trees, another column, another hour: each is fitted."""
    cache = tmp_path / "folds"
    run(task, tmp_path / "0", cache=cache, trials=1)
    closes = task.bars.close.copy()
    closes[task.bars.row(STOP) - 30] *= 1.001
    others = (
        replace(task, base=base(seed=8)),
        replace(task, base=base(features="seed_code")),
        replace(task, bars=replace(task.bars, close=closes)),
    )
    for number, other in enumerate(others, start=1):
        fits = QuickForecaster.fits
        run(other, tmp_path / str(number), cache=cache, trials=1)
        assert QuickForecaster.fits > fits


def test_fewer_trees_of_a_fit_are_a_fit_of_fewer_trees(bars: Bars) -> None:
    """To the bit, so a swept configuration is the one that would be deployed."""
    params = base(model={**DEFAULT_PARAMS["model"], "n_estimators": 60, "gamma": 0.5})
    begin, end = START - 60 * 24 * HOUR_MS, START
    X = features(bars, preset_named("reference"), begin, end)
    y = labels_between(bars, params, begin, end)
    X, y = X[~np.isnan(y)], y[~np.isnan(y)]
    forecaster = XGBoostForecaster()
    large = forecaster.predictor(forecaster.train(X, y, params, 7, ()))
    stages = (1, 25, 59, 60)
    for trees, scores in zip(stages, large.staged_scores(X, stages), strict=True):
        few = params.model.model_copy(update={"n_estimators": trees})
        small = forecaster.train(X, y, params.model_copy(update={"model": few}), 7, ())
        assert scores.tobytes() == forecaster.predictor(small).scores(X).tobytes()


def test_the_best_is_worth_what_a_run_of_it_is_worth(task: SearchTask, tmp_path: Path) -> None:
    """P.json, walked forward and simulated by the code of `backtest run`, gives the value and the kept returns."""
    xgb = replace(task, forecaster=XGBoostForecaster(), stop=parse_hour("2021-07-16"))
    found = tune(xgb, trials=2, seed=1, batch=2, folder=tmp_path, objective="net_sharpe")
    for trial in found.trials:
        p_up = walk_forward(xgb.forecaster, xgb.bars, trial.params, xgb.start, xgb.stop, source="bars")
        done = simulate(xgb.bars, p_up, Rules(trial.params, xgb.filters), xgb.start, xgb.stop)
        assert net_sharpe(done.equity, trial.params.allocation_usdt) == trial.value
        kept = StudyFolder(tmp_path).returns(trial.number)
        assert np.allclose(np.cumprod(1 + kept) * 10_000, done.equity, rtol=1e-12)
    assert json.loads((tmp_path / "P.json").read_text()) == found.best.params.as_json()


def test_a_pruning_threshold_is_the_least_of_the_best() -> None:
    """By what they were worth in the end: of the better half, of four at most, of fewer for a trial that costs more; none
    while too few are completed."""
    earlier = [Completed((float(i), 9.0 - i), float(i), cost=1.0) for i in range(10)]
    assert pruning_thresholds(earlier, 1.0, 1) == pruning_thresholds(earlier, 1.0, 4) == (6.0, 0.0)
    assert pruning_thresholds(earlier[:5], 1.0, 1) == (2.0, 5.0)
    assert pruning_thresholds(earlier[:5], 1.0, 4) == (1.0, 5.0)
    assert pruning_thresholds(earlier, 2.0, 4) == (8.0, 0.0)
    assert pruning_thresholds(earlier, 100.0, 4) == (9.0, 0.0)
    assert pruning_thresholds(earlier[:3], 0.5, 1) == (0.0, 7.0)
    assert pruning_thresholds(earlier[:1], 1.0, 1) == (0.0, 9.0)
    assert pruning_thresholds([], 1.0, 1) == pruning_thresholds(earlier[:3], 1.0, 4) == ()


@pytest.mark.parametrize(
    ("objective", "always", "first_batch"),
    [("sum_of_returns", True, 1), ("sum_of_returns", False, 3), ("net_sharpe", False, 3)],
)
def test_pruning_looks_at_completed_trials_of_earlier_batches_only(
    task: SearchTask, tmp_path: Path, objective: Objective, always: bool, first_batch: int
) -> None:
    """A trial ends early exactly where its value is below the threshold that those set; the first batch runs to its end."""
    sides = replace(task, base=base(exposure="long_short", enter_edge=0.0, exit_edge=0.0))
    task, space = (sides, Space(enter_quantiles=(), exit_quantiles=())) if always else (task, FEW)
    needed = min_completed_trials(objective, task.base, swept=not always)
    found = run(task, tmp_path, trials=15, objective=objective, space=space)
    rungs, together = rungs_of(WINDOWS), list(batches(15, 3, needed))
    assert [len(batch) for batch in together][:3] == [first_batch, 3, 3]
    assert {trial.state for trial in found.trials} == {"complete", "pruned"}
    costs = {t.number: TrialPlan(t.number, deepest(t), ()).cost for t in found.trials}
    for trial in found.trials:
        first = next(batch.start for batch in together if trial.number in batch)
        earlier = [
            Completed(t.rungs, t.traded_value or 0.0, costs[t.number])
            for t in found.trials[:first]
            if t.state == "complete"
        ]
        thresholds = pruning_thresholds(earlier, costs[trial.number], needed)
        low = [at for at, value in enumerate(trial.rungs) if thresholds and value < thresholds[at]]
        if trial.state == "pruned":
            assert low == [len(trial.rungs) - 1]
            assert trial.windows_run == rungs[low[0]]
        else:
            assert (low, trial.windows_run) == ([], WINDOWS)
    first = next(trial.number for trial in found.trials if trial.state == "pruned")
    exact = run(task, tmp_path / "exact", prune=False, objective=objective, space=space, trials=first + 1)
    assert all(trial.state == "complete" for trial in exact.trials)


def deepest(trial: Trial) -> Params:
    """With the largest number of trees that was looked at."""
    most = max(it.stages for it in trial.candidates)
    return trial.params.model_copy(
        update={"model": trial.params.model.model_copy(update={"n_estimators": most})}
    )


def test_what_is_drawn_at_random_is_looked_at_by_its_cost() -> None:
    """The first ten, ascending; warm ones before them."""
    assert [it.number for it in first_asked(TrialSampler(5, base(), ()), 3)] == [0, 1, 2]
    costs = [cost(it.suggestion, base()) for it in first_asked(TrialSampler(5, base(), ()), STARTUP_TRIALS)]
    assert costs == sorted(costs)
    assert len(set(costs)) == STARTUP_TRIALS
    warm = base(model={**DEFAULT_PARAMS["model"], "n_estimators": 1000, "gamma": 0}, look_back_days=180)
    dear, *others = [
        cost(it.suggestion, base()) for it in first_asked(TrialSampler(5, base(), (warm,)), STARTUP_TRIALS)
    ]
    assert dear > max(others)
    assert others == sorted(others)


def first_asked(questions: TrialSampler, count: int) -> list[Suggestion]:
    """So many of them."""
    return [questions.ask() for _ in range(count)]


def test_of_several_suggestions_the_cheapest_is_taken() -> None:
    """Once TPE has begun; a study that knows the same asks the same."""
    twice = []
    for _ in range(2):
        questions = TrialSampler(1, base(), ())
        for it in first_asked(questions, STARTUP_TRIALS):
            questions.tell(it, -float(it.suggestion["look_back_days"]), 10, "complete")
        later = []
        for _ in range(30):
            later.append(questions.ask())
            questions.tell(later[-1], -float(later[-1].suggestion["look_back_days"]), 10, "complete")
        twice.append([it.suggestion for it in later])
    assert twice[0] == twice[1]
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=STARTUP_TRIALS)
    alone = optuna.create_study(direction="maximize", sampler=sampler)
    costs = []
    for _ in range(STARTUP_TRIALS + 30):
        trial = alone.ask()
        costs.append(cost(suggest(trial, base()), base()))
        alone.tell(trial, -float(trial.params["look_back_days"]))
    mean = np.mean([cost(suggestion, base()) for suggestion in twice[0]])
    assert mean < 0.95 * np.mean(costs[STARTUP_TRIALS:])


def test_a_cost_is_that_of_the_fits() -> None:
    """Linear in trees; more days and splits that cost nothing are dearer."""
    point = {"n_estimators": 400, "look_back_days": 60, "gamma": 10}
    assert cost({**point, "n_estimators": 800}, base()) == pytest.approx(2 * cost(point, base()))
    assert cost({**point, "look_back_days": 240}, base()) == pytest.approx(2 * cost(point, base()))
    assert (
        cost({**point, "gamma": 0}, base())
        > 5 * cost(point, base())
        > 5 * cost({**point, "gamma": 20}, base())
    )


def test_every_configuration_is_counted(task: SearchTask, tmp_path: Path) -> None:
    """Swept, pruned and complete ones alike, each as parameters; exactly one of a trial that trades is its winner."""
    told: list[Trial] = []
    found = run(task, tmp_path, on_trial=told.append)
    assert sorted(told, key=lambda t: t.number) == found.trials
    kinds: list[str] = []
    for trial in found.trials:
        met = list(trial.configurations())
        assert len({p.model_dump_json() for _, p, _ in met}) == len(met) == len(trial.candidates)
        kinds += [kind for kind, _, _ in met]
        if trial.state == "complete":
            assert sum(kind == "complete" for kind, _, _ in met) == (trial.orders > 0)
            assert all(sharpe is not None for _, _, sharpe in met)
    assert len(kinds) == found.configurations
    assert {"swept", "pruned"} <= set(kinds)


def test_standing_aside_may_win(task: SearchTask, tmp_path: Path) -> None:
    """Where every trade loses, the best one trades nothing and is worth 0; the search is still told who loses least."""
    dear = replace(task, base=base(fee_rate=0.05))
    best = run(dear, tmp_path, trials=3).best
    assert (best.value, best.orders) == (0.0, 0)
    assert best.traded_value is not None
    assert best.traded_value < 0


def test_a_warm_configuration_is_looked_at_first_and_as_it_is(task: SearchTask, tmp_path: Path) -> None:
    """Also one outside the space; its trial is among what can win."""
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 40, "max_depth": 12}
    warm = base(model=trees, look_back_days=20, enter_edge=0.003, exit_edge=0.001)
    first = run(task, tmp_path, trials=3, warm=(warm,)).trials[0]
    looked = [params for _, params, _ in first.configurations()]
    assert warm in looked
    assert all(params.look_back_days == 20 and params.model == warm.model for params in looked)


def test_other_bars_are_refused_with_both_hashes(task: SearchTask, tmp_path: Path) -> None:
    """And so are other settings, each named; more trials or workers are not."""
    run(task, tmp_path, trials=1)
    begun = json.loads((tmp_path / "study.json").read_text())["data"]
    closes = task.bars.close.copy()
    closes[-40] *= 1.01
    other = replace(task, bars=replace(task.bars, close=closes), stop=task.stop)
    changed = replace(task, bars=replace(task.bars, close=np.round(task.bars.close * 1.01, 2)))
    with pytest.raises(ConfigError, match=f"the hash {begun}; the given bars have (?!{begun})[0-9a-f]{{16}}"):
        run(changed, tmp_path)
    assert run(other, tmp_path, trials=1).trials, "a bar later than the study is no part of it"
    with pytest.raises(ConfigError, match="begun with seed 5, now 6"):
        run(task, tmp_path, seed=6)
    with pytest.raises(ConfigError, match="begun with objective"):
        run(task, tmp_path, objective="calmar")


def test_two_processes_on_one_study(task: SearchTask, tmp_path: Path) -> None:
    """The second is told who holds it, and nothing is written."""
    folder = StudyFolder(tmp_path / "study")
    with folder.held(), pytest.raises(Retry, match=r"is being run by process \d+. Wait"):
        run(task, tmp_path / "study")
    assert not (tmp_path / "study" / "study.json").exists()
    assert run(task, tmp_path / "study", trials=1).trials


def test_a_damaged_line_is_named(task: SearchTask, tmp_path: Path) -> None:
    """Within the journal; the torn last one is only a trial that has not ended."""
    run(task, tmp_path, trials=3)
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"{not a trial}\n" + lines[2])
    with pytest.raises(DataError, match="line 2 is damaged"):
        run(task, tmp_path)


def test_constant_prices_fail_every_trial_and_leave_the_study(task: SearchTask, tmp_path: Path) -> None:
    """The reason is said once; the failed trials stay on record."""
    flat = np.full(len(task.bars), 30_000.0)
    still = replace(task.bars, open=flat, high=flat, low=flat, close=flat)
    with pytest.raises(
        DataError, match=r"none of 2 trials could be completed: .*a model needs both outcomes"
    ):
        _ = run(replace(task, bars=still), tmp_path, trials=2).best
    rows = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert [(row["state"], row["value"]) for row in rows] == [("failed", None)] * 2
    assert not (tmp_path / "P.json").exists()


def test_too_few_bars_are_said_with_the_numbers(task: SearchTask) -> None:
    """Before anything is fitted."""
    with pytest.raises(DataError, match=r"look_back 180 d .* needs 4,321 bars"):
        tune(replace(task, start=parse_hour("2021-06-01")), trials=1, seed=1)


def answered(result: Any = None, error: Exception | None = None) -> Future[Any]:
    """A future that is done."""
    future: Future[Any] = Future()
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future


def verdict(value: float) -> RungScore:
    """Of one configuration."""
    looked = CandidateScore(350, 0.0, 0.0, value, value)
    return RungScore([looked], looked)


class Answers:
    """An evaluator whose scores have these values, rung by rung, and whose ends are worth the last."""

    capacity = 1

    def __init__(self, values: Sequence[float]) -> None:
        self._values = iter(values)

    def fit(self, plan: TrialPlan, k: int) -> Future[Any]:
        """A day that says nothing."""
        return answered(np.zeros((1, 24), np.float32))

    def score(self, plan: TrialPlan, parts: Sequence[Any]) -> Future[Any]:
        """The next value."""
        return answered(verdict(next(self._values)))

    def finish(self, plan: TrialPlan, parts: Sequence[Any]) -> Future[Any]:
        """The last value."""
        value = next(self._values)
        return answered((verdict(value), TrialResult(value, value, plan.params, 0.0, 1, np.zeros(24))))


@pytest.mark.parametrize(
    ("values", "state", "windows"),
    [
        ((1.0, 1.0, 1.0), "complete", 16),
        ((1.0, 0.4, 1.0), "pruned", 8),
        ((float("nan"),), "failed", 4),
        ((1.0, 1.0, float("nan")), "failed", 16),
        ((1.0, 1.0, float("inf")), "failed", 16),
    ],
)
def test_an_objective_that_is_no_number_fails_its_trial(
    values: tuple[float, ...], state: str, windows: int
) -> None:
    """And only that one: the study goes on."""
    plan = TrialPlan(0, base(), (350,))
    (outcome,) = Batch(Answers(values), 16, (4, 8), {0: (0.5, 0.5)}).run([plan])
    assert (outcome.state, outcome.windows_run) == (state, windows)


class SlowScores(Answers):
    """Its windows up to the third are done at once; the verdict on them only when another window was begun, which never
    ends."""

    capacity = 2

    def __init__(self) -> None:
        super().__init__([])
        self.begun: list[int] = []
        self.scores: Future[Any] = Future()
        self.last: Future[Any] = Future()

    def fit(self, plan: TrialPlan, k: int) -> Future[Any]:
        """Windows 0 to 3 at once, window 4 never."""
        self.begun.append(k)
        if k < 4:
            return super().fit(plan, k)
        self.scores.set_result(verdict(0.4))
        return self.last

    def score(self, plan: TrialPlan, parts: Sequence[Any]) -> Future[Any]:
        """Not yet."""
        return self.scores


def test_no_worker_waits_for_a_verdict() -> None:
    """While a stage is scored the next window is begun, and cancelled where the verdict ends its trial."""
    evaluator = SlowScores()
    (outcome,) = Batch(evaluator, 16, (4, 8), {0: (0.5, 0.5)}).run([TrialPlan(0, base(), (350,))])
    assert evaluator.begun == [0, 1, 2, 3, 4]
    assert (outcome.state, outcome.windows_run) == ("pruned", 4)
    assert evaluator.last.cancelled()


class LosesWorkers(Answers):
    """Its window 3 is lost for good; windows after it are never begun to an end."""

    capacity = 2

    def __init__(self) -> None:
        super().__init__([])
        self.open: list[Future[Any]] = []

    def fit(self, plan: TrialPlan, k: int) -> Future[Any]:
        """Lost, open, or nothing."""
        if k == 3:
            return answered(error=WorkerLost("task 12ab: worker process 7 ended by SIGKILL"))
        if k < 3:
            return super().fit(plan, k)
        self.open.append(Future())
        return self.open[-1]


def test_a_task_whose_workers_are_lost_for_good_ends_the_batch() -> None:
    """With the executor's own words; what was begun beside it is cancelled."""
    evaluator = LosesWorkers()
    with pytest.raises(WorkerLost, match="task 12ab: worker process 7 ended by SIGKILL"):
        list(Batch(evaluator, 16, (8,), {}).run([TrialPlan(0, base(), (350,))]))
    assert [future.cancelled() for future in evaluator.open] == [True] * 4


def test_rungs_are_early_windows() -> None:
    """From an eighth to three quarters; never fewer than three windows, none for a study of three."""
    assert rungs_of(48) == (6, 10, 16, 24, 36)
    assert rungs_of(10) == (3, 5, 8)
    assert rungs_of(3) == ()


def test_the_space_sweeps_smaller_numbers_of_trees() -> None:
    """Every 150 from 350, and the trial's own."""
    for trees, swept in ((900, (350, 500, 650, 800, 900)), (350, (350,))):
        model = {**DEFAULT_PARAMS["model"], "n_estimators": trees}
        assert Space().stages(base(model=model)) == swept
    assert Space().stages(base(model={"family": "naive"})) == (1,)
