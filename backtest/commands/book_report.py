"""`backtest report --book`: a book of symbols on paper."""

from __future__ import annotations

import json
from pathlib import Path

from backtest.commands.book import outcome_of, show_book
from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import writable
from backtest.evidence.looks import ledger_in
from trader import terminal
from trader.core.errors import ConfigError


@computed
def report_of_book(
    book: Path,
    computing: Computing,
    bars: list[str],
    start: str,
    stop: str,
    out: Path,
    evidence: Path,
    as_json: bool,
    filters: Path | None,
) -> None:
    """Trade a book and write a page of it, its figures beside it. A look is counted at the hours of every symbol."""
    from backtest.commands.book_inputs import given_book
    from backtest.report.book_page import page_of, report_of

    given = given_book(book, bars, start, stop, filters)
    if len(given.symbols) == 1:
        raise ConfigError(
            f"{book} holds one symbol, {given.params.symbols[0]}, and a book of one is a run of that symbol. Use backtest report "
            "--bars with its file, and --params with its P.json"
        )
    ledgers = [ledger_in(evidence, it.bars) for it in given.symbols]
    writable(out)
    with computing.opened() as executor, terminal.progress("windows", quiet=as_json) as update:
        outcome = outcome_of(given, ledgers, executor, update, "backtest report --book")
    report = report_of(outcome, given.start, given.stop)
    figures = out.with_suffix(".json")
    terminal.write_lines(out, iter([page_of(report)]))
    terminal.write_lines(figures, iter([json.dumps(report)]))
    if as_json:
        terminal.emit(report)
        return
    show_book(outcome.summary, given.title)
    terminal.show(terminal.paragraph(f"the page: {out}; its figures: {figures}"))
