"""`backtest tune`: a study from the command line, of a symbol or of a book."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest.commands.book import or_book
from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import Given, on_hours, writable
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir
from backtest.commands.tune_screen import answer_of, show_trials, watched
from backtest.evidence.looks import ledger_in
from backtest.study.counted import of_trial
from backtest.study.objectives import MEANING, Objective, objective_named
from trader import terminal

if TYPE_CHECKING:
    from backtest.study.trials import Trial
    from backtest.study.tune import AnyTask

Trials = Annotated[
    int, typer.Option(min=1, help="number of trials; a trial fits every walk-forward window once")
]
Seed = Annotated[int, typer.Option(min=0, help="random seed of the search")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="trials per batch; results depend on seed and batch size, not on the number of workers. Default: 4; 6 for a family "
        "that is trained in epochs (tft), where of each batch the better half goes on after epoch 1, 2, 4, ...",
    ),
]
StudyDir = Annotated[
    Path | None,
    typer.Option(help="folder that keeps the study; the same command resumes it. Default: nothing is kept"),
]
Aim = Annotated[
    Objective,
    typer.Option(parser=objective_named, metavar=f"[{'|'.join(MEANING)}]", help="metric to maximise"),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact", help="disable pruning: every trial runs to its end, through all windows and epochs"
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        help="folder of fitted folds, shared by studies; default: folds/ in --study, none without it"
    ),
]
TrialsOut = Annotated[
    Path | None, typer.Option("--trials-out", help="write one line per trial to this file, as JSON Lines")
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of a study."""

    trials: int
    seed: int
    batch: int | None
    study: Path | None
    objective: Objective
    exact: bool
    cache: Path | None
    trials_out: Path | None
    as_json: bool


def search(
    task: AnyTask,
    asked: Asked,
    computing: Computing,
    title: str,
    began: float,
    count: Callable[[Trial], None],
) -> None:
    """Run the study and say what it found. count: is told of every trial that has ended. began: on time.perf_counter."""
    from backtest.study.tune import halving_of, tune

    writable(asked.trials_out)
    study = partial(
        tune,
        task,
        trials=asked.trials,
        seed=asked.seed,
        batch=asked.batch,
        objective=asked.objective,
        prune=not asked.exact,
        folder=asked.study,
        cache=asked.cache,
        on_trial=count,
    )
    halving = bool(halving_of(task, prune=not asked.exact))
    found = watched(study, computing, asked.objective, asked.study, halving=halving, quiet=asked.as_json)
    if asked.trials_out:
        terminal.write_lines(asked.trials_out, (json.dumps(trial.row()) for trial in found.trials))
    if asked.as_json:
        terminal.emit(answer_of(found, found.best, asked.objective, time.perf_counter() - began))
        return
    show_trials(title, found, asked.objective, asked.study)


@computed
def tune_of_book(
    book: Path,
    computing: Computing,
    bars: list[str],
    start: str,
    stop: str,
    filters: Path | None,
    trials: int,
    seed: int,
    batch: int | None,
    study: Path | None,
    objective: Objective,
    exact: bool,
    cache: Path | None,
    trials_out: Path | None,
    evidence: Path,
    as_json: bool,
) -> None:
    """Search one P.json for all symbols of a book. Everything tried counts on the hours of every symbol."""
    from backtest.commands.book_inputs import given_book, search_of

    given = given_book(book, bars, start, stop, filters)
    task = search_of(given, str(book))
    ledgers = [ledger_in(evidence, it.bars) for it in given.symbols]

    def count(trial: Trial) -> None:
        for ledger in ledgers:
            ledger.append(of_trial(trial, given.start, given.stop, f"backtest tune --book, seed {seed}"))

    asked = Asked(trials, seed, batch, study, objective, exact, cache, trials_out, as_json)
    search(task, asked, computing, f"{given.title}, in sample", given.began, count)


@or_book(
    tune_of_book,
    help_text="book.toml: search one P.json for all its symbols, by the whole book as it is traded",
)
@on_hours
@computed
def tune(
    given: Given,
    computing: Computing,
    trials: Trials = 20,
    seed: Seed = 0,
    batch: BatchSize = None,
    study: StudyDir = None,
    objective: Aim = "net_sharpe",
    exact: Exact = False,
    cache: CacheDir = None,
    trials_out: TrialsOut = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Search a family's parameters, look-back and thresholds, costs included. The result is in-sample: test the chosen
    parameters on later hours with `backtest run`.

    The family is the one that --params names; `trader models families` lists them.
    Example: backtest tune --bars BTCUSDT-1h.parquet --from 2021-01-01 --to 2022-01-01 --trials 20 --study study
    """
    from backtest.study.trial_context import SearchTask
    from trader.forecasters.registry import forecaster_of

    ledger, (start, stop) = ledger_in(evidence, given.bars), (given.start, given.stop)
    params = given.rules.params
    task = SearchTask(
        forecaster_of(params.model.family),
        given.bars,
        params,
        given.rules.filters,
        start,
        stop,
        given.source,
        given.others,
    )

    def count(trial: Trial) -> None:
        ledger.append(of_trial(trial, start, stop, f"backtest tune, seed {seed}"))

    asked = Asked(trials, seed, batch, study, objective, exact, cache, trials_out, as_json)
    search(task, asked, computing, f"{given.title}, in sample", given.began, count)
