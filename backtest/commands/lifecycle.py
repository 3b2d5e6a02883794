"""`backtest lifecycle`: which rule of retraining would have served better, told in one table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.inputs import (
    CORES,
    AsJson,
    BarsFile,
    EvidenceDir,
    FiltersFile,
    From,
    ParamsFile,
    Symbol,
    To,
    Workers,
    filters_of,
    load,
)
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.lifecycle import MEASURES, BreachRule, DriftRule, Measure
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.types import DAY_MS, HOUR_MS, iso

if TYPE_CHECKING:
    from backtest.evidence.ledger import Entry, EvidenceLedger
    from backtest.lifecycle.market import Market
    from backtest.lifecycle.rules import LifecycleRule, Lived, Search

NOTE = (
    "Every rule refits by the calendar; a breach is answered by {answer}, {cooldown} h apart and {budget} in 30 days at most.\n"
    "The rules are the bot's own (breach_* and drift of its settings). To choose one here is to choose by these very\n"
    "hours: {looks} more looks at them are counted in {ledger}."
)


def lifecycle(
    bars: BarsFile,
    start: From,
    stop: To,
    params: ParamsFile = None,
    trials: Annotated[
        int, typer.Option(min=0, max=1000, help="configurations a breach searches over; 0 only refits")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, help="of the searches")] = 0,
    loss_hours: Annotated[int, typer.Option(min=2, help="window of the rule on losses; hours")] = 168,
    loss_below: Annotated[float, typer.Option(max=0, min=-1, help="net return that breaches it")] = -0.05,
    cooldown_hours: Annotated[int, typer.Option(min=1, help="least span between two breaches")] = 168,
    budget: Annotated[int, typer.Option(min=1, help="most breaches answered in 30 days")] = 3,
    evidence: EvidenceDir = Path("evidence"),
    symbol: Symbol = None,
    filters: FiltersFile = None,
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Trade the same hours under each rule of retraining: the calendar alone, on losses, on drift.

    Example: backtest lifecycle --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2023-01-01 --trials 0
    """
    from backtest.evidence.ledger import EvidenceLedger, data_hash
    from backtest.lifecycle.market import Market
    from backtest.lifecycle.rules import LifecycleRule, live
    from backtest.study.tune import LONGEST_LOOK_BACK_DAYS
    from trader.core.hours import Rules
    from trader.core.windows import require_span
    from trader.forecasters.xgboost import XGBoostForecaster

    series, chosen, first, last = load(bars, symbol, params, start, stop)
    require_span(series, first, last, str(bars))
    longest = max(chosen.look_back_days, LONGEST_LOOK_BACK_DAYS if trials else 0)
    rules = Rules(chosen, filters_of(filters, series, first))
    market = Market(XGBoostForecaster(), series, rules, first, last, str(bars), longest)
    ledger = EvidenceLedger(evidence, data_hash(series))
    search = _search(market, ledger, trials, seed, workers) if trials else None

    def on_drift(name: str, *measures: Measure) -> LifecycleRule:
        return LifecycleRule(name, drift=DriftRule(measures, cooldown_hours, budget))

    compared = (
        LifecycleRule("calendar"),
        LifecycleRule("on loss", breach=BreachRule(loss_hours, loss_below, None, cooldown_hours, budget)),
        on_drift("on drift: PSI", "psi"),
        on_drift("on drift: KS", "ks"),
        on_drift("on drift: calibration", "calibration"),
        on_drift("on drift: any", *MEASURES),
    )
    rows = []
    with terminal.progress("rules", quiet=as_json) as update:
        for rule in compared:
            lived = live(market, rule, search)
            ledger.append(list(_looked_at(lived, market)))
            rows.append(lived.row(market))
            update(len(rows), len(compared), rule.name)
    if as_json:
        terminal.emit({"symbol": series.symbol, "from": iso(first), "to": iso(last), "rules": rows})
        return
    print(_table(f"{series.symbol}, {iso(first)} to {iso(last)}, out of sample", rows))
    answer = f"a search over {trials} trials and a refit" if trials else "a refit"
    print(
        NOTE.format(
            answer=answer, cooldown=cooldown_hours, budget=budget, looks=len(rows), ledger=ledger.path
        )
    )


def _search(market: Market, ledger: EvidenceLedger, trials: int, seed: int, workers: int) -> Search:
    """What the bot's `retrain --if-due` does: a study over the half year that is known, the serving parameters first.
    Raises DataError where the bars begin after the first one's would."""
    from backtest.commands.tune import entries_of
    from backtest.study.tune import LONGEST_LOOK_BACK_DAYS, STUDY_DAYS, Study, Task, tune
    from trader.core.params import Params
    from trader.core.windows import refit_of, require_history

    base, filters = market.rules.params, market.rules.filters
    widest = base.model_copy(update={"look_back_days": max(base.look_back_days, LONGEST_LOOK_BACK_DAYS)})
    earliest = market.start - STUDY_DAYS * DAY_MS
    try:
        require_history(market.bars, refit_of(widest, 0, earliest), widest, market.source)
    except ConfigError as error:
        raise type(error)(f"{error}; or do not search: --trials 0") from None

    def search(serving: Params, serves_from: int, number: int) -> Study:
        known_at = serves_from - serving.gap_hours * HOUR_MS
        begun = known_at - STUDY_DAYS * DAY_MS
        bars = market.bars.until(known_at)
        task = Task(market.forecaster, bars, serving, filters, begun, known_at, market.source)
        return tune(
            task,
            trials=trials,
            seed=seed + number,
            workers=workers,
            warm=(serving,),
            on_trial=lambda trial: ledger.append(
                entries_of(trial, begun, known_at, f"backtest lifecycle, seed {seed + number}")
            ),
        )

    return search


def _looked_at(lived: Lived, market: Market) -> Iterator[Entry]:
    """A rule on these hours is one more configuration, and one more look at them."""
    import hashlib
    from dataclasses import asdict

    from backtest.evidence.ledger import Entry, config_hash

    text = json.dumps([config_hash(market.rules.params), asdict(lived.rule)], sort_keys=True)
    config, now = hashlib.sha256(text.encode()).hexdigest()[:16], round(time.time() * 1000)
    by = f"backtest lifecycle, {lived.rule.name}"
    sharpe = lived.row(market)["sharpe"] / HOURS_PER_YEAR**0.5
    yield Entry("run", config, market.start, market.stop, sharpe, by, now)
    yield Entry("look", config, market.start, market.stop, None, by, now)


def _table(title: str, rows: list[dict[str, Any]]) -> str:
    head = (
        "",
        "refits",
        "searches",
        "configurations",
        "net return",
        "Sharpe, a year",
        "drawdown",
        "orders",
        "s",
    )
    told = [
        (
            row["rule"],
            f"{row['refits']:,}",
            f"{row['searches']:,}",
            f"{row['configurations']:,}",
            terminal.percent(row["net_return"]),
            f"{row['sharpe']:.2f}",
            f"{row['max_drawdown'] * 100:.1f} %",
            f"{row['orders']:,}",
            f"{row['seconds']:.1f}",
        )
        for row in rows
    ]
    return terminal.table(title, told, head)
