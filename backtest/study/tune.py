"""A study: what Optuna asks, walk-forwards with costs answer.

Trials are asked for in batches and told in the order of their numbers, and a trial is pruned against completed trials
of earlier batches only; of a family that learns in epochs, when all trials of its batch have learnt as many (halving.py). So
the same seed and batch size give the same study, whatever the number of workers, and a study that was killed goes on as if it
had not been: what is on disk is told again, what is not is evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from backtest.executors.futures import InProcess
from backtest.executors.protocol import Executor
from backtest.study.book_context import BookContext, BookSearchTask
from backtest.study.book_evaluation import BookEvaluation
from backtest.study.evaluation import Evaluation
from backtest.study.folder import StudyFolder
from backtest.study.halving import HalvingBatch, RungProgress, planned, rungs_of_epochs
from backtest.study.objectives import FIRST_NAMES, Objective, min_completed_trials
from backtest.study.rounds import Batch, Completed, TrialOutcome, batches, pruning_thresholds, rungs_of
from backtest.study.sampler import Suggestion, TrialSampler
from backtest.study.space import LONGEST_LOOK_BACK_DAYS, Space, TrialPlan, plan_of
from backtest.study.trial_context import SearchTask, TrialContext
from backtest.study.trials import Study, Trial, number_of, row_of, trial_of
from trader.core.errors import ConfigError
from trader.core.features import preset_named
from trader.core.long_training import LearnsInEpochs
from trader.core.params import Params
from trader.core.types import iso

__all__ = ["LONGEST_LOOK_BACK_DAYS", "STUDY_DAYS", "SearchTask", "tune"]

# Part of what a seed means: a change of how trials are judged gives another study.
ENGINE = 4
# What a bot's own search trades over: the most recent half year.
STUDY_DAYS = 180

AnyTask = SearchTask | BookSearchTask
AnyContext = TrialContext | BookContext
TrialProgress = Callable[[int, int, float], None]
EpochProgress = Callable[[RungProgress], None]
# Trials per batch. Of a family that learns in epochs six are judged together: of six three go on, of these one.
BATCH, BATCH_OF_EPOCHS = 4, 6


def halving_of(task: AnyTask, *, prune: bool = True) -> tuple[int, ...]:
    """The epochs at which a study prunes trials, and the last one; () where it does not prune, or prunes between windows because
    its family does not learn in epochs, or many symbols do."""
    if not prune or isinstance(task, BookSearchTask) or not isinstance(task.forecaster, LearnsInEpochs):
        return ()
    most = task.forecaster.most_epochs(task.base)
    return (*rungs_of_epochs(most), most) if most > 1 else ()


@dataclass(frozen=True, slots=True)
class StudySettings:
    """What a study is, beside its task: all of it decides what is found."""

    seed: int
    batch: int = 4
    objective: Objective = "net_sharpe"
    space: Space = field(default_factory=Space)
    prune: bool = True
    warm: tuple[Params, ...] = ()

    def identity(self, task: AnyTask, context: AnyContext) -> dict[str, Any]:
        """What must be equal for a study to go on."""
        return {
            **context.bars_identity(),
            "from": iso(task.start),
            "to": iso(task.stop),
            "seed": self.seed,
            "batch": self.batch,
            "objective": FIRST_NAMES.get(self.objective, self.objective),
            "space": self.space.as_json(),
            "prune": self.prune,
            "warm": [params.identity() for params in self.warm],
            "params": task.base.identity(),
            "filters": context.filters_identity(),
            "features": preset_named(task.base.features).code_hash,
            "code": context.code,
            "engine": ENGINE,
            "optuna": optuna.__version__,
            **({"halving": list(rungs)} if (rungs := halving_of(task, prune=self.prune)) else {}),
        }


def tune(
    task: AnyTask,
    *,
    trials: int,
    seed: int,
    executor: Executor | None = None,
    batch: int | None = None,
    progress: TrialProgress | None = None,
    epochs: EpochProgress | None = None,
    warm: Sequence[Params] = (),
    objective: Objective = "net_sharpe",
    space: Space | None = None,
    prune: bool = True,
    folder: Path | None = None,
    cache: Path | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> Study:
    """Run a study of a symbol or of a book, or go on with the one in `folder`.

    batch: trials per batch, by default 4, or 6 of a family that learns in epochs. `warm` configurations are looked at first, as
    they are. `progress(done, of, best value)` and `on_trial` are called whenever a trial has ended, `on_trial` with those of this
    call only and before they are kept; `epochs` whenever a window has learnt up to a rung, with the epochs of the whole study.
    Folds are kept in `cache`, or in the folder. The executor, by default this process alone, changes the time and nothing else.
    Raises ConfigError, DataError, WorkerLost, or Retry while another process runs the same study.
    """
    if batch is None:
        batch = BATCH_OF_EPOCHS if halving_of(task, prune=prune) else BATCH
    if trials < 1 or batch < 1:
        raise ConfigError(
            f"a study needs at least one trial and a batch of at least one, not {trials} and {batch}"
        )
    settings = StudySettings(seed, batch, objective, space or Space(), prune, _on_base(warm, task.base))
    kept = StudyFolder(folder) if folder else None
    folds = cache or (folder / "folds" if folder else None)
    kind = BookContext if isinstance(task, BookSearchTask) else TrialContext
    context: AnyContext = kind.of(task, settings.space, objective, folds, settings.warm)  # type: ignore[arg-type]  # its own kind
    with ExitStack() as stack:
        if kept:
            stack.enter_context(kept.held())
            kept.begin(settings.identity(task, context))
        run = _Run(context, settings, kept, trials, progress, epochs, on_trial)
        try:
            run.to_the_end(_evaluation(context, executor or InProcess()))
        finally:
            run.publish()
    return run.study()


def _evaluation(context: AnyContext, executor: Executor) -> Evaluation | BookEvaluation:
    if isinstance(context, BookContext):
        return BookEvaluation(context, executor)
    return Evaluation(context, executor)


def _on_base(warm: Sequence[Params], base: Params) -> tuple[Params, ...]:
    """What a study searches, taken from each; everything else is the base's."""
    searched = ("model", "look_back_days", "enter_edge", "exit_edge")
    return tuple(base.model_copy(update={name: getattr(it, name) for name in searched}) for it in warm)


class _Run:
    """One call of `tune`: what has ended, on disk or now, by number."""

    def __init__(
        self,
        context: AnyContext,
        settings: StudySettings,
        kept: StudyFolder | None,
        trials: int,
        progress: TrialProgress | None,
        epochs: EpochProgress | None,
        on_trial: Callable[[Trial], None] | None,
    ) -> None:
        self._shop, self._settings, self._kept, self._trials = context, settings, kept, trials
        self._progress, self._epochs, self._on_trial = progress, epochs, on_trial
        rows = kept.rows() if kept else {}
        self.done = {number: trial_of(row) for number, row in rows.items() if number < trials}
        self._asked = {number: row["suggestion"] for number, row in rows.items()}

    def study(self) -> Study:
        """What has ended, in the order of the numbers."""
        return Study([self.done[number] for number in sorted(self.done)])

    def to_the_end(self, evaluation: Evaluation | BookEvaluation) -> None:
        """Batch by batch: ask, evaluate what has not ended yet, tell in order."""
        rungs = halving_of(self._shop.task, prune=self._settings.prune)
        if rungs and isinstance(evaluation, Evaluation):
            self._halving(evaluation, rungs[-1])
            return
        questions = TrialSampler(self._settings.seed, self._shop.task.base, self._settings.warm)
        given, base = self._settings, self._shop.task.base
        swept = bool(given.space.enter_quantiles)
        needed = min_completed_trials(given.objective, base, swept=swept) if given.prune else None
        rungs = rungs_of(self._shop.windows) if needed else ()
        completed: list[Completed] = []
        for batch in batches(self._trials, self._settings.batch, needed):
            asked = [questions.ask() for _ in batch]
            plans = [self._plan(it) for it in asked]
            thresholds = {it.number: pruning_thresholds(completed, it.cost, needed) for it in plans if needed}
            todo = [plan for plan in plans if plan.number not in self.done]
            for outcome in Batch(evaluation, self._shop.windows, rungs, thresholds).run(todo):
                self._keep(outcome)
            for it, plan in zip(asked, plans, strict=True):
                trial = self.done[plan.number]
                if trial.state == "complete":
                    completed.append(Completed(trial.rungs, number_of(trial.traded_value), plan.cost))
                questions.tell(it, number_of(trial.traded_value), trial.windows_run, trial.state)

    def _halving(self, evaluation: Evaluation, most: int) -> None:
        """The same, where of each batch the better half goes on at every rung of at most so many epochs."""
        windows = self._shop.windows
        questions = TrialSampler(self._settings.seed, self._shop.task.base, self._settings.warm)
        numbers = list(batches(self._trials, self._settings.batch, None))
        work = [planned(len(batch), windows, most) for batch in numbers]
        for i, batch in enumerate(numbers):
            asked = [questions.ask() for _ in batch]
            plans = [self._plan(it) for it in asked]
            todo = [plan for plan in plans if plan.number not in self.done]
            ended = {number: trial.losses for number, trial in self.done.items() if number < batch.stop}
            halving = HalvingBatch(
                evaluation, windows, most, ended, partial(self._learnt, sum(work[:i]), sum(work))
            )
            for outcome in halving.run(todo):
                self._keep(outcome)
            for it in asked:
                trial = self.done[it.number]
                # A trial that was pruned is worth more the further it came, and the less it lost there.
                value = -trial.losses[-1] if trial.state == "pruned" else number_of(trial.traded_value)
                questions.tell(it, value, trial.epochs, trial.state)

    def _learnt(self, before: int, of: int, told: RungProgress) -> None:
        if self._epochs:
            self._epochs(replace(told, done=before + told.done, of=of))

    def _plan(self, asked: Suggestion) -> TrialPlan:
        number, suggestion, warm = asked.number, asked.suggestion, self._settings.warm
        if self._asked.setdefault(number, suggestion) != suggestion:
            raise ConfigError(
                f"trial {number} of this study was asked as {self._asked[number]}, now as {suggestion}: its journal was "
                f"edited. Choose another --study folder"
            )
        exactly = warm[number] if number < len(warm) else None
        return plan_of(number, suggestion, self._shop.task.base, self._settings.space, exactly)

    def _keep(self, outcome: TrialOutcome) -> None:
        row = row_of(outcome, self._asked[outcome.plan.number])
        trial = trial_of(row)
        if self._on_trial:
            # First: who counts trials may hear of one twice after a kill, and must not miss one.
            self._on_trial(trial)
        if self._kept:
            self._kept.append(row, outcome.result.returns if outcome.result else None)
        self.done[trial.number] = trial
        if self._progress:
            values = [t.value for t in self.done.values() if t.state == "complete" and t.value is not None]
            self._progress(len(self.done), self._trials, max(values, default=math.nan))

    def publish(self) -> None:
        """The views of what has ended so far."""
        if self._kept and self.done:
            found = self.study()
            complete = any(trial.state == "complete" for trial in found.trials)
            best = found.best.params.as_json() if complete else None
            self._kept.publish([trial.row() for trial in found.trials], best)
