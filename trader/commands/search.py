"""The search that the bot retrains with: the study of `backtest`, on the hours that a model may know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trader import terminal
from trader.core.types import DAY_MS, HOUR_MS, floor_hour

if TYPE_CHECKING:
    from backtest.study.trials import Study
    from trader.app.bot import Bot
    from trader.core.params import Params

CORES = os.cpu_count() or 1


def search_of(
    bot: Bot,
    base: Params,
    serve_from: int,
    trials: int,
    seed: int,
    workers: int,
    warm: Sequence[Params] = (),
) -> Params:
    """The best parameters of a study over the hours that a model serving from `serve_from` may know. `warm` are looked at
    first, as they are."""
    from backtest.executors.registry import Setup, open_executor
    from backtest.study.tune import LONGEST_LOOK_BACK_DAYS, STUDY_DAYS, SearchTask, tune
    from trader.core.features import anchor_of

    known_at = floor_hour(serve_from - base.gap_hours * HOUR_MS)
    start = known_at - STUDY_DAYS * DAY_MS
    longest = max([LONGEST_LOOK_BACK_DAYS, *(params.look_back_days for params in warm)])
    reach = anchor_of(start - longest * DAY_MS - base.gap_hours * HOUR_MS)
    bars = bot.collector.between(reach, known_at + HOUR_MS).until(known_at)
    others = [it for it in base.train_symbols or () if it != bot.symbol]
    beside = [bot.collector.of(it).between(reach, known_at + HOUR_MS).until(known_at) for it in others]
    filters = bot.exchange.filters(bot.symbol)
    task = SearchTask(
        bot.forecaster_of(base.model.family),
        bars,
        base,
        filters,
        start,
        known_at,
        f"the history of {bot.symbol}",
        tuple(beside),
    )
    local = open_executor("local", Setup(workers), terminal.say)
    with local as executor, terminal.progress("trials") as update:
        found = tune(
            task,
            trials=trials,
            seed=seed,
            executor=executor,
            warm=warm,
            progress=lambda done, of, best: update(done, of, f"best net Sharpe {best:.2f}"),
        )
    _keep(bot, found, serve_from, seed)
    return found.best.params


def _keep(bot: Bot, study: Study, serve_from: int, seed: int) -> None:
    """Write the study and its event to the store: every trial that was looked at. Safe to repeat."""
    import json

    from backtest.study.importance import importance
    from trader.app.codec_events import STUDY
    from trader.core.events import StudyEvent
    from trader.core.study import flat, study_key, study_report

    trials: list[dict[str, Any]] = [
        {
            "number": trial.number,
            "state": getattr(trial, "state", "complete"),
            "value": trial.value,
            "params": trial.params.as_json(),
        }
        for trial in study.trials
    ]
    rows = [{"value": trial["value"], "params": _numbers(flat(trial["params"]))} for trial in trials]
    shares = importance(rows)
    report = study_report(
        bot.symbol, serve_from, "net Sharpe, annualised", seed, trials, study.best.number, shares
    )
    bot.journal.store.create(study_key(report["id"]), json.dumps(report, sort_keys=True).encode())
    if report["id"] not in [event.content.study_id for event in bot.journal.events(STUDY)]:
        bot.journal.append(StudyEvent(bot.symbol, report["id"], serve_from))


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """What can be compared: numbers, and texts that are numbers."""
    result = {}
    for key, value in values.items():
        try:
            result[key] = float(value)
        except (TypeError, ValueError):
            continue
    return result
