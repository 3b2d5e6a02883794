"""One run as a person reads it: what was traded out of sample, and beside it the same in sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import localcontext
from typing import Any

from backtest.engine.no_order import why_no_order
from backtest.engine.simulate import Run, simulate
from backtest.engine.walkforward import walk
from backtest.executors.protocol import Executor
from trader.core.hours import Rules
from trader.core.ports import Forecaster
from trader.core.summary import Columns, summary_of
from trader.core.trades import trades_of
from trader.core.types import HOUR_MS, Bars, Matrix, Progress, iso

IN_SAMPLE_DIGITS = 400

NOTE = (
    "Returns are compounded. In sample is {first} to {last}: each hour scored by a model that was trained on "
    "it (the newest step of every window's training span), traded by the same rules. It is evidence of fitting only."
)


@dataclass(frozen=True, slots=True, eq=False)
class BacktestOutcome:
    """run: the hours out of sample. summary: theirs, with `filters`, `why_no_order` (None where one was placed) and, under
    `in_sample`, the other sample's."""

    run: Run
    summary: dict[str, Any]


def run_backtest(
    forecaster: Forecaster,
    bars: Bars,
    rules: Rules,
    start: int,
    stop: int,
    *,
    source: str,
    others: Sequence[Bars] = (),
    executor: Executor | None = None,
    progress: Progress | None = None,
    now: Callable[[], float] = time.perf_counter,
    began: float | None = None,
) -> BacktestOutcome:
    """Walk forward over the hours start <= T < stop (UTC ms), trade them, and sum up both samples. others: bars of the further
    symbols that a fit sees.

    `seconds` of the summary is counted from `began`, on the clock `now`. Raises DataError where the bars begin too
    late.
    """
    began = now() if began is None else began
    walked = walk(
        forecaster, bars, rules.params, start, stop,
        source=source, others=others, executor=executor, progress=progress,
    )  # fmt: skip  # what is walked, then how it is computed
    run = simulate(bars, walked.p_up, rules, start, stop)
    seen = _summary(bars, walked.p_seen, rules, walked.seen_from)
    summary = summary_of_run(run, bars, rules, seconds=now() - began)
    summary["filters"] = rules.filters.as_json()
    summary["in_sample"] = seen
    summary["why_no_order"] = why_no_order(run, rules)
    return BacktestOutcome(run, summary)


def summary_of_run(run: Run, bars: Bars, rules: Rules, *, seconds: float) -> dict[str, Any]:
    """The figures of a simulated run, from its columns."""
    halted, ledger = run.state.risk.halted_at, run.state.ledger
    return summary_of(
        Columns.of_track(run.track, run.equity),
        bars,
        rules,
        orders=ledger.orders,
        fills=ledger.fills,
        trades=trades_of(run.track.fills(), rules.filters.min_notional),
        halted_at=None if halted is None else iso(halted),
        seconds=seconds,
    )


def _summary(bars: Bars, p_up: Matrix, rules: Rules, start: int) -> dict[str, Any]:
    """The summary of scores from hour `start` on, with the span in front and no seconds: they were not its own."""
    stop = start + len(p_up) * HOUR_MS
    # Trees that know the answers compound beyond all money there is, and Decimal refuses what it cannot keep exactly.
    with localcontext() as context:
        context.prec = IN_SAMPLE_DIGITS
        summary = summary_of_run(simulate(bars, p_up, rules, start, stop), bars, rules, seconds=0.0)
    del summary["seconds"]
    return {"from": iso(start), "to": iso(stop), **summary}


def note(summary: dict[str, Any]) -> str:
    """What must be said below the table of both samples."""
    seen = summary["in_sample"]
    first, last = (f"{seen[end][:16]}Z" for end in ("from", "to"))
    return NOTE.format(first=first, last=last)
