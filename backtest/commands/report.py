"""`backtest report`: what a strategy is worth, on paper."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.counting import ledger_in, of_run
from backtest.commands.inputs import EVIDENCE, AsJson, EvidenceDir, Given, on_hours, writable
from trader import terminal

if TYPE_CHECKING:
    from backtest.engine.simulate import Run
    from backtest.evidence.judgement import Evidence
    from backtest.evidence.ledger import Count, EvidenceLedger
    from backtest.executors.protocol import Executor
    from backtest.report.study import StudyEvidence
    from trader.core.ports import Forecaster

Page = Annotated[Path, typer.Option("--out", help="the page; its figures lie beside it as .json")]
StudyDir = Annotated[
    Path | None, typer.Option("--study", help="folder of the study that chose the parameters")
]


@on_hours
@computed
def report(
    given: Given,
    computing: Computing,
    out: Page = Path("report.html"),
    study: StudyDir = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Say what a strategy is worth on hours that did not choose it: baselines, costs, ten seeds, everything tried, a verdict.

    Looking is counted: each report on the same hours is one more look at them.
    Example: backtest report --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2023-01-01 --params study/P.json --study study
    """
    from backtest.engine.outcome import run_backtest
    from backtest.report.data import report_of
    from backtest.report.page import page_of
    from backtest.report.study import study_evidence
    from trader.forecasters.registry import forecaster_of

    chosen_by = study_evidence(study) if study else None
    ledger = ledger_in(evidence, given.bars)
    writable(out)
    forecaster, hours = forecaster_of(given.rules.params.model.family), (given.start, given.stop)
    with computing.opened(study) as executor:
        with terminal.progress("windows", quiet=as_json) as update:
            outcome = run_backtest(
                forecaster, given.bars, given.rules, *hours,
                source=given.source, executor=executor, progress=update, began=given.began,
            )  # fmt: skip  # what is traded, then how it is computed
        tried = _counted(given, outcome.run, ledger)
        with terminal.progress("seeds", quiet=as_json) as update:
            told = _judged(forecaster, given, outcome.run, tried, chosen_by, executor, update)
    made = report_of(
        given.bars, given.rules, outcome.run, outcome.summary, told, *hours,
        source=Path(given.source).name, versions=_versions(), study=chosen_by.part if chosen_by else None,
    )  # fmt: skip  # what is told, then what it is of
    figures = out.with_suffix(".json")
    terminal.write_lines(out, iter([page_of(made)]))
    terminal.write_lines(figures, iter([json.dumps(made)]))
    if as_json:
        terminal.emit(made)
        return
    _show(given.title, told, outcome.summary, made["notes"])
    seconds = time.perf_counter() - given.began
    terminal.show(terminal.paragraph(f"the page: {out}; its figures: {figures}; {seconds:.0f} s"))


def _counted(given: Given, run: Run, ledger: EvidenceLedger) -> Count:
    """Writes this look into the ledger. What was tried before, and this configuration; earlier looks only."""
    from backtest.evidence.ledger import count

    before = ledger.entries()
    counted = of_run(given.rules.params, given.start, given.stop, run.equity, "backtest report")
    ledger.append(counted)
    return count([*before, counted[0]], given.start, given.stop)


def _judged(
    forecaster: Forecaster,
    given: Given,
    run: Run,
    tried: Count,
    chosen_by: StudyEvidence | None,
    executor: Executor,
    progress: Callable[[int, int], None],
) -> Evidence:
    from backtest.evidence.judgement import assess
    from trader.core.model_params import NAIVE
    from trader.forecasters.registry import forecaster_of

    return assess(
        forecaster, given.bars, run.track.p_up.astype("float32"), given.rules, given.start, given.stop,
        naive=forecaster_of(NAIVE), trials=tried,
        effective=chosen_by.effective if chosen_by else None, fitted=chosen_by.fitted if chosen_by else None,
        source=given.source, executor=executor, progress=progress,
    )  # fmt: skip  # the strategy, what it is held against, how it is computed


def _versions() -> dict[str, str]:
    """Of whatever decides a figure."""
    return {"hourly-trader": version("hourly-trader"), "python": sys.version.split()[0]} | {
        name: version(name) for name in ("numpy", "TA-Lib", "optuna")
    }


def _show(title: str, told: Evidence, summary: dict[str, Any], notes: list[str]) -> None:
    rows = [
        (s.name, terminal.percent(s.net_return), f"{s.sharpe:.2f}", f"{s.max_drawdown * 100:.1f} %",
         "-" if s.orders is None else f"{s.orders:,}")
        for s in (told.strategy, *told.baselines, *told.stress[1:])
    ]  # fmt: skip  # a row of the table on two lines
    head = ("", "net return", "Sharpe, a year", "drawdown", "orders")
    terminal.show(terminal.table(f"{title}, out of sample", rows, head))
    lot = told.random_entry_test
    facts = [
        ("random entries that did worse", "-" if lot is None else f"{lot.share_below:.1%} of {lot.draws:,}"),
        (
            "break-even cost of one side",
            "-" if told.break_even_bps is None else f"{told.break_even_bps:.1f} bps",
        ),
        ("ten seeds, median net return", terminal.percent(told.seeds.median)),
        ("probabilistic Sharpe ratio", f"{told.psr:.3f}"),
        (f"deflated; configurations tried: {told.trials.configurations}", f"{told.dsr:.3f}"),
        (
            "deflated" if told.effective is None else f"deflated; independent trials: {told.effective:.1f}",
            "-" if told.dsr_effective is None else f"{told.dsr_effective:.3f}",
        ),
        ("probability of overfitting", "-" if told.pbo is None else f"{told.pbo:.1%}"),
        ("hit rate", "-" if summary["hit_rate"] is None else f"{summary['hit_rate']:.2%}"),
    ]
    terminal.show("")
    terminal.show(terminal.table("", facts))
    terminal.show("")
    terminal.show(*(terminal.paragraph(said) for said in (told.verdict, *notes)))
