"""`backtest lifecycle`: which rule of retraining would have served better, told in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.counting import of_rule
from backtest.commands.inputs import Given, on_hours
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir
from backtest.evidence.looks import ledger_in
from backtest.study.counted import of_trial
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.lifecycle import MEASURES, BreachRule, DriftRule, Measure
from trader.core.text import plural
from trader.core.types import DAY_MS, HOUR_MS, iso

if TYPE_CHECKING:
    from backtest.evidence.ledger import EvidenceLedger
    from backtest.executors.protocol import Executor
    from backtest.lifecycle.market import LifecycleMarket
    from backtest.lifecycle.rules import LifecycleRule, Search

Trials = Annotated[
    int, typer.Option(min=0, max=1000, help="configurations a breach searches over; 0 only refits")
]
Seed = Annotated[int, typer.Option(min=0, help="random seed of the searches")]
LossHours = Annotated[int, typer.Option(min=2, help="window of the rule on losses; hours")]
LossBelow = Annotated[float, typer.Option(max=0, min=-1, help="net return that breaches it")]
Cooldown = Annotated[int, typer.Option(min=1, help="least span between two breaches")]
Budget = Annotated[int, typer.Option(min=1, help="most breaches answered in 30 days")]

NOTE = (
    "Every rule refits by the calendar; a breach is answered by {answer}, {cooldown} h apart and {budget} in 30 days at most. "
    "The rules are the bot's own (breach_* and drift of its settings). To choose one here is to choose by these very "
    "hours: {looks} more looks at them are counted in {ledger}."
)


@on_hours
@computed
def lifecycle(
    given: Given,
    computing: Computing,
    trials: Trials = 20,
    seed: Seed = 0,
    loss_hours: LossHours = 168,
    loss_below: LossBelow = -0.05,
    cooldown_hours: Cooldown = 168,
    budget: Budget = 3,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Trade the same hours under each rule of retraining: the calendar alone, on losses, on drift.

    Example: backtest lifecycle --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2023-01-01 --trials 0
    """
    from backtest.lifecycle.rules import simulate_rule

    market = _market(given, searches=trials > 0)
    ledger = ledger_in(evidence, given.bars)
    compared = _compared(BreachRule(loss_hours, loss_below, None, cooldown_hours, budget))
    rows = []
    with computing.opened() as executor, terminal.progress("rules", quiet=as_json) as update:
        search = _search(market, ledger, trials, seed, executor) if trials else None
        for rule in compared:
            result = simulate_rule(market, rule, search)
            ledger.append(of_rule(result, market))
            rows.append(result.row(market))
            update(len(rows), len(compared), rule.name)
    if as_json:
        span = {"from": iso(given.start), "to": iso(given.stop)}
        terminal.emit({"symbol": given.bars.symbol, **span, "rules": rows})
        return
    terminal.show(lifecycle_table(f"{given.title}, out of sample", rows))
    answer = f"a search over {plural(trials, 'trial')} and a refit" if trials else "a refit"
    told = {"answer": answer, "cooldown": cooldown_hours, "budget": budget}
    terminal.show(terminal.paragraph(NOTE.format(**told, looks=len(rows), ledger=ledger.path)))


def _market(given: Given, *, searches: bool) -> LifecycleMarket:
    from backtest.lifecycle.market import LifecycleMarket
    from backtest.study.tune import LONGEST_LOOK_BACK_DAYS
    from trader.forecasters.registry import forecaster_of

    longest = max(given.rules.params.look_back_days, LONGEST_LOOK_BACK_DAYS if searches else 0)
    return LifecycleMarket(
        forecaster_of(given.rules.params.model.family),
        given.bars,
        given.rules,
        given.start,
        given.stop,
        given.source,
        longest,
        given.others,
    )


def _compared(on_loss: BreachRule) -> list[LifecycleRule]:
    """The rows of the table; drift is answered as seldom as losses are."""
    from backtest.lifecycle.rules import LifecycleRule

    def on_drift(name: str, *measures: Measure) -> LifecycleRule:
        rule = DriftRule(measures, on_loss.cooldown_hours, on_loss.budget)
        return LifecycleRule(f"on drift: {name}", drift=rule)

    return [
        LifecycleRule("calendar"),
        LifecycleRule("on loss", breach=on_loss),
        on_drift("PSI", "psi"),
        on_drift("KS", "ks"),
        on_drift("calibration", "calibration"),
        on_drift("any", *MEASURES),
    ]


def _search(
    market: LifecycleMarket, ledger: EvidenceLedger, trials: int, seed: int, executor: Executor
) -> Search:
    """What the bot's `retrain --if-due` does: a study over the half year that is known, the serving parameters first.
    Raises DataError where the bars begin after the first one's would."""
    from backtest.study.trials import Study
    from backtest.study.tune import LONGEST_LOOK_BACK_DAYS, STUDY_DAYS, SearchTask, tune
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
        bars, others = market.bars.until(known_at), tuple(it.until(known_at) for it in market.others)
        task = SearchTask(market.forecaster, bars, serving, filters, begun, known_at, market.source, others)
        return tune(
            task,
            trials=trials,
            seed=seed + number,
            executor=executor,
            warm=(serving,),
            on_trial=lambda trial: ledger.append(
                of_trial(trial, begun, known_at, f"backtest lifecycle, seed {seed + number}")
            ),
        )

    return search


def lifecycle_table(title: str, rows: list[dict[str, Any]]) -> str:
    """A row a rule; the columns that matter least are left out where they do not fit."""
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
    columns, fitting = terminal.narrowed(head, told, ("s", "configurations", "searches", "refits"))
    return terminal.table(title, fitting, columns)
