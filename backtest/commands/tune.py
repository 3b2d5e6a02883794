"""`backtest tune`: a study from the command line."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest.commands.inputs import (
    AsJson,
    BarsFile,
    EvidenceDir,
    FiltersFile,
    From,
    ParamsFile,
    Symbol,
    To,
    filters_of,
    load,
)
from backtest.evidence.ledger import Entry, EvidenceLedger, config_hash, data_hash
from backtest.study.objectives import MEANING, Objective
from trader import terminal
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.types import iso

if TYPE_CHECKING:
    from backtest.study.tune import Study, Trial  # Optuna is imported by the one command that needs it

CORES = os.cpu_count() or 1


def tune(
    bars: BarsFile,
    start: From,
    stop: To,
    trials: Annotated[int, typer.Option(min=1, help="fits of every window to look at")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="of the search")] = 0,
    batch: Annotated[
        int, typer.Option(min=1, help="trials asked for together; part of what a seed means")
    ] = 4,
    workers: Annotated[int, typer.Option(min=1, help="processes; changes the time and nothing else")] = CORES,
    study: Annotated[
        Path | None, typer.Option(help="folder of the study; the same command goes on with it")
    ] = None,
    objective: Annotated[Objective, typer.Option(help="what the best one has most of")] = "net_sharpe",
    exact: Annotated[
        bool, typer.Option("--exact", help="every trial to its end: none is pruned on early windows")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="folder of fitted folds, shared by studies; default: in the study's")
    ] = None,
    trials_out: Annotated[
        Path | None, typer.Option("--trials-out", help="write a line a trial here, as JSON Lines")
    ] = None,
    evidence: EvidenceDir = Path("evidence"),
    params: ParamsFile = None,
    symbol: Symbol = None,
    filters: FiltersFile = None,
    as_json: AsJson = False,
) -> None:
    """Search trees, look-back and thresholds, costs included. In-sample: report on later hours with `run`.

    Example: backtest tune --bars BTCUSDT-1h.parquet --from 2021-01-01 --to 2022-01-01 --trials 20 --study study
    """
    from backtest.study.tune import Task, tune
    from trader.core.windows import require_span
    from trader.forecasters.xgboost import XGBoostForecaster

    began = time.perf_counter()
    series, base, first, last = load(bars, symbol, params, start, stop)
    require_span(series, first, last, str(bars))
    if trials_out:
        terminal.write_lines(trials_out, iter(()))  # a folder that cannot be written is found before the work
    task = Task(XGBoostForecaster(), series, base, filters_of(filters, series, first), first, last, str(bars))
    ledger = EvidenceLedger(evidence, data_hash(series))
    ledger.append([])
    ended = 0
    try:
        with terminal.progress("trials", quiet=as_json) as update:

            def report(done: int, of: int, best: float) -> None:
                nonlocal ended
                ended = done
                update(done, of, "" if math.isnan(best) else f"best {MEANING[objective]}: {best:.4g}")

            found = tune(
                task,
                trials=trials,
                seed=seed,
                workers=workers,
                batch=batch,
                progress=report,
                objective=objective,
                prune=not exact,
                folder=study,
                cache=cache,
                on_trial=lambda trial: ledger.append(
                    entries_of(trial, first, last, f"backtest tune, seed {seed}")
                ),
            )
    except KeyboardInterrupt:
        kept = (
            f"are kept in {study}, and so is every window already fitted; the same command goes on from there"
            if study
            else "are lost, for there was no --study folder to keep them in"
        )
        terminal.say(f"interrupted: {ended} trials have ended and {kept}")
        raise SystemExit(terminal.EXIT_INTERRUPTED) from None
    best = found.best
    if trials_out:
        terminal.write_lines(trials_out, (json.dumps(trial.row()) for trial in found.trials))
    seconds = round(time.perf_counter() - began, 3)
    if as_json:
        states = Counter(trial.state for trial in found.trials)
        terminal.emit(
            {
                "best": best.row(),
                "objective": objective,
                "trials": len(found.trials),
                "states": dict(sorted(states.items())),
                "configurations": found.looked,
                "seconds": seconds,
            }
        )
        return
    title = f"{series.symbol}, {iso(first)} to {iso(last)}, in sample: {found.looked:,} configurations"
    print(_table(title, found.trials, objective))
    print(_conclusion(found, objective, study))


def entries_of(trial: Trial, start: int, stop: int, by: str) -> list[Entry]:
    """Everything that a trial looked at, for the ledger; Sharpe ratios per hour."""
    now = round(time.time() * 1000)
    return [
        Entry(
            kind,
            config_hash(params),
            start,
            stop,
            None if sharpe is None else sharpe / HOURS_PER_YEAR**0.5,
            by,
            now,
        )
        for kind, params, sharpe in trial.configurations()
    ]


def _table(title: str, trials: Sequence[Trial], objective: Objective) -> str:
    rows = [
        (
            f"trial {t.number}",
            t.state,
            f"{t.windows_run:,}",
            "-" if t.traded_value is None else f"{t.traded_value:.4g}",
            terminal.percent(t.net_return),
            f"{t.orders:,}" if t.state == "complete" else "-",
        )
        for t in trials
    ]
    head = ("", "state", "windows", f"{MEANING[objective]}, if traded", "net return, compounded", "orders")
    return terminal.table(title, rows, head)


def _conclusion(found: Study, objective: Objective, study: Path | None) -> str:
    best = found.best
    where = f"; its parameters are in {study / 'P.json'}" if study else ""
    if best.orders == 0:
        return f"best: do not trade. Nothing that trades is worth more than standing aside{where}"
    return f"best: trial {best.number}, {MEANING[objective]} {best.value:.4g}{where}"
