"""The search that the bot retrains with: the study of `backtest`, on the hours that a model may know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trader import terminal
from trader.core.types import DAY_MS, HOUR_MS, floor_hour

if TYPE_CHECKING:
    from trader.app.tick import Bot
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
    from backtest.tune import LONGEST_LOOK_BACK_DAYS, STUDY_DAYS, Task, tune
    from trader.core.features import anchor_of

    known_at = floor_hour(serve_from - base.gap_hours * HOUR_MS)
    start = known_at - STUDY_DAYS * DAY_MS
    longest = max([LONGEST_LOOK_BACK_DAYS, *(params.look_back_days for params in warm)])
    reach = anchor_of(start - longest * DAY_MS - base.gap_hours * HOUR_MS)
    bars = bot.collector.between(reach, known_at + HOUR_MS).until(known_at)
    filters = bot.exchange.filters(bot.symbol)
    task = Task(bot.forecaster, bars, base, filters, start, known_at, f"the history of {bot.symbol}")
    with terminal.progress("trials") as update:
        found = tune(
            task,
            trials=trials,
            seed=seed,
            workers=workers,
            warm=warm,
            progress=lambda done, of, best: update(done, of, f"best net Sharpe {best:.2f}"),
        )
    return found.best.params
