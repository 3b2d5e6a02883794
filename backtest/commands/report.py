"""`backtest report`: what a strategy is worth, on paper."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.book import or_book
from backtest.commands.book_report import report_of_book
from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import Given, on_hours, writable
from backtest.commands.model_folder import STORE, OptionalStore
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir
from trader import terminal
from trader.core.errors import ConfigError

if TYPE_CHECKING:
    from backtest.evidence.judgement import Evidence

Page = Annotated[Path, typer.Option("--out", help="the page; its figures lie beside it as .json")]
StudyDir = Annotated[
    Path | None, typer.Option("--study", help="folder of the study that chose the parameters")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="champion, or a model's id in --store, the beginning of it, or its folder: the report shows its newest "
        "certificate, and the model must have the report's parameters; default: none"
    ),
]


@or_book(
    report_of_book, "model", "store", help_text="book.toml: say what its symbols on one capital are worth"
)
@on_hours
@computed
def report(
    given: Given,
    computing: Computing,
    out: Page = Path("report.html"),
    study: StudyDir = None,
    evidence: EvidenceDir = EVIDENCE,
    model: Model = None,
    store: OptionalStore = None,
    as_json: AsJson = False,
) -> None:
    """Say what a strategy is worth on hours that did not choose it: baselines, costs, ten seeds, everything tried, a verdict.

    Looking is counted: each report on the same hours is one more look at them.
    Example: backtest report --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2023-01-01 --params study/P.json --study study
    """
    from backtest.report.make import EvaluatedSpan, made_report, written
    from backtest.report.study import study_evidence

    chosen_by = study_evidence(study) if study else None
    certificate = _certificate(model, store, given)
    writable(out)
    span = EvaluatedSpan(given.bars, given.rules, given.start, given.stop, given.source, given.others)
    with computing.opened(study) as executor:
        made = made_report(
            span, executor, evidence, by="backtest report", chosen_by=chosen_by, certificate=certificate,
            showing=partial(terminal.progress, quiet=as_json), began=given.began,
        )  # fmt: skip  # what is evaluated, then how it is told
    figures = written(made.report, out)
    if as_json:
        terminal.emit(made.report)
        return
    _show(given.title, made.evidence, made.summary, made.report["notes"])
    if certificate is not None:
        from backtest.report.certificate import certificate_rows

        terminal.show("", terminal.labelled(certificate_rows(certificate)))
    seconds = time.perf_counter() - given.began
    terminal.show(terminal.paragraph(f"the page: {out}; its figures: {figures}; {seconds:.0f} s"))


def _certificate(model: str | None, store: Path | None, given: Given) -> dict[str, Any] | None:
    """The certificate of the model that a person named, for the report. Raises ConfigError for a model of other parameters,
    DataError for a model or a certificate that is damaged."""
    if model is None:
        if store is not None:
            raise ConfigError("--store names where --model lies; give --model, or leave --store out")
        return None
    from backtest.commands.model_folder import model_folder, newest_certificate_in, read_model
    from backtest.report.certificate import certificate_part, require_same_params

    symbol = given.bars.symbol
    folder = model_folder(model, store or STORE, symbol)
    card, _ = read_model(folder)
    require_same_params(card, given.rules.params, symbol)
    return certificate_part(card, newest_certificate_in(folder, card, symbol))


def _show(title: str, told: Evidence, summary: dict[str, Any], notes: list[str]) -> None:
    from backtest.evidence.baselines import break_even_words

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
        ("break-even cost of one side", break_even_words(told.break_even_bps, told.strategy.orders)),
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
