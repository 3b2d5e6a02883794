"""`backtest report --book`: what a book of symbols is worth, on paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest.commands.book import in_book, looks_of, outcome_of, show_book
from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import writable
from backtest.evidence.ledger import Entry, count_of_all
from backtest.evidence.looks import ledger_in
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.types import Progress

if TYPE_CHECKING:
    from backtest.commands.book_inputs import GivenBook
    from backtest.engine.book_outcome import BookOutcome
    from backtest.engine.walkforward import SymbolToWalk
    from backtest.evidence.judgement import Evidence
    from backtest.evidence.ledger import Count
    from backtest.executors.protocol import Executor
    from backtest.report.study import StudyEvidence

Showing = Callable[[str], AbstractContextManager[Progress]]
BY = "backtest report --book"


@computed
def report_of_book(
    book: Path,
    computing: Computing,
    bars: list[str],
    start: str,
    stop: str,
    out: Path,
    study: Path | None,
    evidence: Path,
    as_json: bool,
    filters: Path | None,
) -> None:
    """Trade a book, judge it and write a page of it, its figures beside it. A look is counted at the hours of every symbol."""
    from backtest.commands.book_inputs import given_book
    from backtest.report.book_page import page_of, report_of
    from backtest.report.study import study_evidence

    chosen_by = study_evidence(study) if study else None
    given = given_book(book, bars, start, stop, filters)
    if len(given.symbols) == 1:
        raise ConfigError(
            f"{book} holds one symbol, {given.params.symbols[0]}, and a book of one is a run of that symbol. Use backtest report "
            "--bars with its file, and --params with its P.json"
        )
    ledgers = [ledger_in(evidence, it.bars) for it in given.symbols]
    writable(out)
    before = [it.entries() for it in ledgers]
    showing: Showing = partial(terminal.progress, quiet=as_json)
    with computing.opened(study) as executor:
        with showing("windows") as update:
            outcome = outcome_of(given, ledgers, executor, update, BY)
        tried = _tried(given, outcome, before)
        judged = _judged(given, outcome, tried, chosen_by, executor, showing)
    report = report_of(outcome, judged, given.start, given.stop, given.untraded, chosen_by)
    figures = out.with_suffix(".json")
    terminal.write_lines(out, iter([page_of(report)]))
    terminal.write_lines(figures, iter([json.dumps(report)]))
    if as_json:
        terminal.emit(report)
        return
    show_book(outcome.summary, given.title)
    show_evidence(judged)
    terminal.show(terminal.paragraph(f"the page: {out}; its figures: {figures}"))


def _tried(given: GivenBook, outcome: BookOutcome, before: list[list[Entry]]) -> Count:
    """What was tried on the hours of any symbol, this configuration among it; looks are those of before."""
    now = [[*known, entries[0]] for known, entries in zip(before, looks_of(given, outcome, BY), strict=True)]
    return count_of_all(now, given.start, given.stop)


def _judged(
    given: GivenBook,
    outcome: BookOutcome,
    tried: Count,
    chosen_by: StudyEvidence | None,
    executor: Executor,
    showing: Showing,
) -> Evidence:
    from backtest.engine.book_outcome import walks_of_book, walks_of_book_by_seed
    from backtest.evidence.book_judgement import TradedBook, assess_book
    from backtest.evidence.judgement import SEEDS
    from trader.core.model_params import NAIVE, NaiveParams
    from trader.forecasters.registry import forecaster_of

    walked = [in_book(it, given).walked for it in given.symbols]
    alone = replace(given.rules, params=given.params.model_copy(update={"pool": False}))

    def naive(it: SymbolToWalk) -> SymbolToWalk:
        params = it.params.model_copy(
            update={"model": NaiveParams(), "train_symbols": None, "look_back_days": 1}
        )
        return replace(it, forecaster=forecaster_of(NAIVE), params=params, others=())

    with showing("baselines"):
        rivals = list(walks_of_book([naive(it) for it in walked], alone, given.stop, executor))
    with showing("seeds"):
        told = walks_of_book_by_seed(walked, given.rules, given.stop, range(SEEDS), executor)
    traded = TradedBook(outcome.sleeves, given.rules, given.stop, outcome.run)
    return assess_book(
        traded, rivals, told, tried,
        effective=chosen_by.effective if chosen_by else None, fitted=chosen_by.fitted if chosen_by else None,
    )  # fmt: skip  # what is judged, then by what


def show_evidence(told: Evidence) -> None:
    """The alternatives, the chances, the verdict."""
    from backtest.evidence.baselines import break_even_words

    rows = [
        (
            it.name,
            terminal.percent(it.net_return),
            f"{it.sharpe:.2f}",
            f"{it.max_drawdown * 100:.1f} %",
            "-" if it.orders is None else f"{it.orders:,}",
        )
        for it in (told.strategy, *told.baselines, *told.stress[1:])
    ]
    head = ("", "net return", "Sharpe, a year", "drawdown", "orders")
    terminal.show("", terminal.table("the same hours otherwise", rows, head), "")
    lot = told.random_entry_test
    facts: list[tuple[Any, ...]] = [
        ("random entries that did worse", "-" if lot is None else f"{lot.share_below:.1%} of {lot.draws:,}"),
        ("break-even cost of one side", break_even_words(told.break_even_bps, told.strategy.orders)),
        ("ten seeds, median net return", terminal.percent(told.seeds.median)),
        ("probabilistic Sharpe ratio", f"{told.psr:.3f}"),
        (f"deflated; configurations tried: {told.trials.configurations}", f"{told.dsr:.3f}"),
        ("probability of overfitting", "-" if told.pbo is None else f"{told.pbo:.1%}"),
    ]
    terminal.show(terminal.table("", facts), "", terminal.paragraph(told.verdict))
