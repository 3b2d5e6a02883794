"""A report from bars to its files: what `backtest report` and `backtest.api` share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest.evidence.looks import ledger_in, of_run
from trader import terminal
from trader.core.errors import DataError
from trader.core.hours import Rules
from trader.core.types import Bars, Progress

if TYPE_CHECKING:
    from backtest.engine.simulate import Run
    from backtest.evidence.judgement import Evidence
    from backtest.evidence.ledger import Count, EvidenceLedger
    from backtest.executors.protocol import Executor
    from backtest.report.study import StudyEvidence
    from trader.core.ports import Forecaster

# Shows the progress of a stage: its name -> what is told "so many of so many".
Showing = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedSpan:
    """What is evaluated: hours start <= T < stop (UTC ms) of bars, by rules. source: where the bars came from, for messages.
    others: bars of the further symbols that a fit sees."""

    bars: Bars
    rules: Rules
    start: int
    stop: int
    source: str
    others: tuple[Bars, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MadeReport:
    """report: what the page and its figures hold. summary: of the run. evidence: what the verdict rests on."""

    report: dict[str, Any]
    summary: dict[str, Any]
    evidence: Evidence


def _unseen(stage: str) -> AbstractContextManager[Progress]:
    """Nobody watches."""
    return nullcontext(lambda done, of: None)


def made_report(
    span: EvaluatedSpan,
    executor: Executor,
    folder: Path,
    *,
    by: str,
    chosen_by: StudyEvidence | None = None,
    certificate: dict[str, Any] | None = None,
    showing: Showing = _unseen,
    began: float | None = None,
) -> MadeReport:
    """Walk forward, count the look in the evidence `folder`, judge, and say all of it. certificate: of a model with the span's
    parameters, as `certificate_part` gives it. Raises ConfigError or DataError."""
    from backtest.engine.outcome import run_backtest
    from backtest.report.data import report_of
    from trader.forecasters.registry import forecaster_of

    ledger = ledger_in(folder, span.bars)
    forecaster, hours = forecaster_of(span.rules.params.model.family), (span.start, span.stop)
    with showing("windows") as update:
        outcome = run_backtest(
            forecaster, span.bars, span.rules, *hours,
            source=span.source, others=span.others, executor=executor, progress=update, began=began,
        )  # fmt: skip  # what is traded, then how it is computed
    tried = _counted(span, outcome.run, ledger, by)
    with showing("seeds") as update:
        told = _judged(forecaster, span, outcome.run, tried, chosen_by, executor, update)
    weights = _weighed(forecaster, span, executor, showing)
    made = report_of(
        span.bars, span.rules, outcome.run, outcome.summary, told, *hours,
        source=Path(span.source).name, versions=_versions(), study=chosen_by.part if chosen_by else None,
        weights=weights, certificate=certificate,
    )  # fmt: skip  # what is told, then what it is of
    return MadeReport(made, outcome.summary, told)


def _weighed(
    forecaster: Forecaster, span: EvaluatedSpan, executor: Executor, showing: Showing
) -> dict[str, Any] | None:
    """What the newest model looked at; None for a family that does not say so, and where it can say nothing of these hours."""
    from backtest.engine.weighing import weighed
    from backtest.report.weight_charts import weights_part

    if not forecaster.traits.weighs:
        return None
    with showing("what the newest model looks at") as update:
        update(0, 1)
        try:
            found = weighed(
                forecaster, span.bars, span.rules.params, span.start, span.stop,
                source=span.source, others=span.others, executor=executor,
            )  # fmt: skip  # what is weighed, then how it is computed
        except DataError:
            return None
    return None if found is None else weights_part(found)


def written(report: dict[str, Any], out: Path) -> Path:
    """Write the page to `out`, and its figures beside it; the figures' path. Raises ConfigError."""
    from backtest.report.page import page_of

    figures = out.with_suffix(".json")
    terminal.write_lines(out, iter([page_of(report)]))
    terminal.write_lines(figures, iter([json.dumps(report)]))
    return figures


def _counted(span: EvaluatedSpan, run: Run, ledger: EvidenceLedger, by: str) -> Count:
    """Writes this look into the ledger. What was tried before, and this configuration; earlier looks only."""
    from backtest.evidence.ledger import count

    before = ledger.entries()
    entries = of_run(span.rules.params, span.start, span.stop, run.equity, by)
    ledger.append(entries)
    return count([*before, entries[0]], span.start, span.stop)


def _judged(
    forecaster: Forecaster,
    span: EvaluatedSpan,
    run: Run,
    tried: Count,
    chosen_by: StudyEvidence | None,
    executor: Executor,
    progress: Progress,
) -> Evidence:
    from backtest.evidence.judgement import assess
    from trader.core.model_params import NAIVE
    from trader.forecasters.registry import forecaster_of

    return assess(
        forecaster, span.bars, run.track.p_up.astype("float32"), span.rules, span.start, span.stop,
        naive=forecaster_of(NAIVE), trials=tried,
        effective=chosen_by.effective if chosen_by else None, fitted=chosen_by.fitted if chosen_by else None,
        source=span.source, others=span.others, executor=executor, progress=progress,
    )  # fmt: skip  # the strategy, what it is held against, how it is computed


def _versions() -> dict[str, str]:
    """Of whatever decides a figure."""
    return {"hourly-trader": version("hourly-trader"), "python": sys.version.split()[0]} | {
        name: version(name) for name in ("numpy", "TA-Lib", "optuna")
    }
