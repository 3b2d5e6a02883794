"""The stages that make predictions: collect, features, tune, predict. What they give follows from their inputs and settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.engine.walkforward import fit_and_predict
from backtest.executors.futures import in_order
from backtest.executors.protocol import Arrays, Placement, SharedArrays, Task, TaskSettings, task_function
from backtest.pipeline.cached_tasks import CachedTasks
from backtest.pipeline.output_names import FEATURES, MODEL_PARAMS, features_of_other
from backtest.pipeline.stage_inputs import Given, Made, Work, json_bytes
from backtest.pipeline.tables import bars_bytes, columns_of, parquet_of
from trader.core.errors import DataError
from trader.core.families import own_family
from trader.core.features import features, preset_named
from trader.core.jumps import require_no_jump
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.pooled_rows import require_listed
from trader.core.training import labels_between, train_bars
from trader.core.types import HOUR_MS, Bars, Filters, Floats, Matrix, iso
from trader.core.windows import Refit, refit_of, refits, require_history, require_span


def collected(file: Path, settings: TaskSettings) -> Made:
    """The bars of a file up to the one that opens at the last hour. Raises ConfigError or DataError where they do not hold the
    hours from `from` to `to`, or where a price jumps. A symbol that fits only learn from may end before (each fit says what it
    needs of it), but has a bar by then. Not where a market is asked: it may have more the next time, and nobody would ask."""
    from trader.adapters.files import read_bars

    given = Given({}, settings)
    bars = read_bars(file, given.symbol)
    start, stop = given.hour("from"), given.hour("to")
    if settings.get("learned_from") and settings.get("source") != "market":
        require_listed(bars, stop)
    else:
        require_span(bars, start, stop, str(file))
    kept = bars.until(stop)
    require_no_jump(kept.span(start, stop + HOUR_MS), str(file))
    return Made({"bars.parquet": bars_bytes(kept)})


@task_function
def features_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The preset's columns of every hour of the bars, float32, NaN where one is undefined."""
    from trader.adapters.talib_features import register_shipped

    register_shipped()  # in a process that is no command
    given = Given(arrays, settings)
    bars, preset = given.bars(), preset_named(str(settings["preset"]))
    rows = features(bars, preset, bars.first, bars.last + HOUR_MS)
    times = np.arange(bars.first, bars.last + HOUR_MS, HOUR_MS, dtype=np.int64)
    columns = {name: np.ascontiguousarray(rows[:, i]) for i, name in enumerate(preset.columns)}
    return Made({FEATURES: parquet_of({"close_time": times, **columns})}).packed()


def tune_stage(given: Given, work: Work) -> Made:
    """The parameters that a study chose on the hours before the backtest, and its trials; without trials the base parameters.

    model.json holds what a model is made by; what only decides on its predictions has its default there.
    """
    from trader.core.params import params_of

    settings = given.settings
    base = params_of(settings["params"], "the pipeline's parameters")
    if not settings["trials"]:
        return _chosen(base, settings, b"")
    found = _study(given, base, work)
    lines = "".join(json.dumps(trial.row()) + "\n" for trial in found.trials)
    return _chosen(found.best.params, settings, lines.encode())


def _study(given: Given, base: Params, work: Work) -> Any:
    from backtest.evidence.ledger import EvidenceLedger, data_hash
    from backtest.pipeline.counted import BY
    from backtest.study.counted import of_trial
    from backtest.study.space import space_of
    from backtest.study.tune import SearchTask, tune
    from trader.forecasters.registry import forecaster_of

    settings, bars = given.settings, given.bars()
    start, stop = given.hour("from"), given.hour("to")
    _require_bars_of_a_search(bars, base, start, given.source)
    filters = Filters.derived(float(bars.close[bars.row(start)]))
    forecaster = forecaster_of(base.model.family)
    task = SearchTask(forecaster, bars, base, filters, start, stop, given.source, given.others())
    ledger = EvidenceLedger(work.evidence, data_hash(bars))
    return tune(
        task,
        # A family of which nothing is searched has one configuration of its model; its thresholds are swept all the same.
        trials=settings["trials"] if space_of(base).points() else 1,
        seed=settings["seed"],
        objective=settings["objective"],
        executor=work.executor,
        folder=work.folder / "study",
        on_trial=lambda it: ledger.append(of_trial(it, start, stop, f"{BY}, seed {settings['seed']}")),
    )


def _require_bars_of_a_search(bars: Bars, base: Params, start: int, source: str) -> None:
    """Raises DataError, with the ways out, where the bars begin after the longest look-back that a trial may have."""
    from backtest.study.space import LONGEST_LOOK_BACK_DAYS

    first = refit_of(base.model_copy(update={"look_back_days": LONGEST_LOOK_BACK_DAYS}), 0, start).train_from
    if len(bars) and bars.first <= first:
        return
    begins = f"begins at {iso(bars.first)}" if len(bars) else "is empty"
    raise DataError(
        f"a search tries look_back_days up to {LONGEST_LOOK_BACK_DAYS}, whatever [params] says, so it needs bars from "
        f"{iso(first)} on; {source} {begins}. Give older bars, begin later ([pipeline] from), or search nothing: "
        "[tune] trials = 0"
    )


def _chosen(params: Params, settings: TaskSettings, trials: bytes) -> Made:
    told = params.as_json()
    reset = {name: settings["params"][name] for name in settings["decisions"] if name in settings["params"]}
    kept = {name: value for name, value in told.items() if name not in settings["decisions"]}
    return Made(
        {"P.json": json_bytes(told), MODEL_PARAMS: json_bytes({**kept, **reset}), "trials.jsonl": trials}
    )


def predict_stage(given: Given, work: Work) -> Made:
    """P(up) of every hour, each by the model that served it: out of sample."""
    params = given.params(MODEL_PARAMS)
    start, stop = given.hour("from"), given.hour("to")
    windows = refits(params, start, stop)
    history = _history(given, params, windows[0], stop)
    history.require_trainable(windows, params, given.source)
    executor = CachedTasks(work.executor, work.folder / "windows")
    parts = in_order(executor, _tasks(history, params, windows, stop))
    p_up = np.concatenate([np.frombuffer(it, np.float32) for it in parts])
    times = np.arange(start, stop, HOUR_MS, dtype=np.int64)
    return Made({"predictions.parquet": parquet_of({"close_time": times, "p_up": p_up})})


def _history(given: Given, params: Params, first: Refit, stop: int) -> History:
    """As `History.of`, with the features that their stage has computed."""
    from trader.forecasters.registry import forecaster_of

    bars, forecaster = given.bars(), forecaster_of(params.model.family)
    require_history(bars, first, params, given.source)
    traits = forecaster.traits
    chosen = train_bars(bars, given.others(), params, traits)
    begin = first.train_from
    if traits.reads == "series":
        begin = max(bars.first, begin - traits.context_hours * HOUR_MS)
    X: list[Matrix] = []
    if traits.reads == "rows":
        files = [FEATURES, *(features_of_other(it.symbol) for it in chosen)]
        X = [
            _rows(given.file(name), it, begin, stop) for name, it in zip(files, (bars, *chosen), strict=True)
        ]
    y: Floats = np.stack([labels_between(it, params, begin, stop) for it in (bars, *chosen)])
    beside = tuple(it.span(begin, stop) for it in chosen)
    return History(forecaster, Panel.of([bars.span(begin, stop)], X[:1]), y, beside, tuple(X[1:]))


def _rows(file: bytes, bars: Bars, begin: int, stop: int) -> Matrix:
    """Features of the hours begin <= T < stop (UTC ms), (n, k) float32, NaN where the symbol has no bar. Raises DataError for a
    file that is not of these bars."""
    columns = columns_of(file, FEATURES)
    times = columns.pop("close_time")
    if int(times[0]) != bars.first or len(times) != len(bars):
        raise DataError(f"{FEATURES} of {bars.symbol} is not of its bars; remove it, and it is made again")
    rows: Matrix = np.full(((stop - begin) // HOUR_MS, len(columns)), np.nan, np.float32)
    first, last = max(begin, bars.first), min(stop, bars.last + HOUR_MS)
    if first < last:
        there = slice((first - bars.first) // HOUR_MS, (last - bars.first) // HOUR_MS)
        known = np.column_stack([column[there] for column in columns.values()])
        rows[(first - begin) // HOUR_MS : (last - begin) // HOUR_MS] = known
    return rows


def _tasks(history: History, params: Params, windows: list[Refit], stop: int) -> list[Task]:
    """One a window. Processes of their own compute them, since a stage beside this one computes too; a user's own family is
    known to this process alone."""
    shared, text = SharedArrays(history.arrays()), params.model_dump_json()
    placement: Placement = "process" if own_family(params.model.family) is None else "thread"
    settings = {**history.settings(), "params": text}
    task = Task(fit_and_predict, settings, shared, placement=placement)
    return [
        replace(
            task,
            settings={
                **settings,
                "window": window.numbers(),
                "serve_until": min(window.serve_until, stop),
                "seen_from": window.train_until + HOUR_MS,  # nothing in sample
            },
            label=f"window {window.k} of {history.panel.symbols[0]} by {params.model.family}",
        )
        for window in windows
    ]
