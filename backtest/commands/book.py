"""`backtest run --book`: many symbols on one capital, traded hour by hour."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import writable
from backtest.commands.run_screen import show_run
from backtest.evidence.ledger import Entry, EvidenceLedger, config_hash
from backtest.evidence.looks import ledger_in, looked_at, of_run
from backtest.evidence.significance import Moments
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.metrics import hourly_returns
from trader.core.types import HOUR_MS

if TYPE_CHECKING:
    from backtest.commands.book_inputs import GivenBook, GivenSymbol
    from backtest.engine.book import BookRun
    from backtest.engine.book_outcome import BookOutcome, SymbolInBook
    from backtest.executors.protocol import Executor
    from trader.core.types import Progress

BOOK_HELP = "book.toml: trade its symbols on one capital; --out then names a folder of hours files"
# Below so much of a share, what filters take away is not worth a sentence.
NOTICEABLE_REGRET = 0.02
BY = "backtest run --book"
# Options of one symbol, which book.toml says by symbol or which have no meaning for several.
OF_ONE_SYMBOL = ("params", "symbol", "features", "horizon_hours", "label")


def or_book(
    of_book: Callable[..., None], *excluded: str, help_text: str = BOOK_HELP
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A verb of one symbol with a further option --book, which does `of_book` instead. excluded: options that this one does not
    take, besides OF_ONE_SYMBOL."""

    def with_book(verb: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(verb).parameters.values()
        annotation = Annotated[Path | None, typer.Option("--book", help=help_text)]
        book = inspect.Parameter("book", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

        @wraps(verb)
        def asked(**values: Any) -> None:
            given = values.pop("book")
            if given is None:
                verb(**values)
                return
            for name in (*OF_ONE_SYMBOL, *excluded):
                if values.pop(name) is not None:
                    raise ConfigError(
                        f"--{name.replace('_', '-')} is an option of one symbol, and --book trades those of {given}; book.toml "
                        "names its symbols and the P.json of each. Leave one of the two options out"
                    )
            of_book(given, **values)

        options = [*own, book]
        # What the command line reads a verb's options from.
        asked.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # inspect's own name for it
        asked.__annotations__ = {it.name: it.annotation for it in options}
        return asked

    return with_book


@computed
def run_of_book(
    book: Path,
    computing: Computing,
    bars: list[str],
    start: str,
    stop: str,
    hours_out: Path | None,
    evidence: Path,
    as_json: bool,
    filters: Path | None,
) -> None:
    """Walk every symbol of a book forward and trade them on one capital. A look is counted at the hours of every symbol."""
    from backtest.commands.book_inputs import given_book

    given = given_book(book, bars, start, stop, filters)
    ledgers = [ledger_in(evidence, it.bars) for it in given.symbols]
    if hours_out is not None:
        writable(hours_out / f"{given.params.symbols[0]}.jsonl")
    with computing.opened() as executor, terminal.progress("windows", quiet=as_json) as update:
        if len(given.symbols) == 1:
            _run_alone(given, ledgers[0], executor, update, hours_out, as_json)
        else:
            _run_together(given, ledgers, executor, update, hours_out, as_json)


def _run_alone(
    given: GivenBook,
    ledger: EvidenceLedger,
    executor: Executor,
    update: Progress,
    hours_out: Path | None,
    as_json: bool,
) -> None:
    """A book of one symbol is a run of that symbol with the whole capital, and writes nothing else."""
    from backtest.engine.outcome import note, run_backtest
    from trader.forecasters.registry import forecaster_of

    (it,) = given.symbols
    outcome = run_backtest(
        forecaster_of(it.rules.params.model.family), it.bars, it.rules, given.start, given.stop,
        source=it.source, others=it.others, executor=executor, progress=update, began=given.began,
    )  # fmt: skip  # what is walked, then how it is computed
    ledger.append(of_run(it.rules.params, given.start, given.stop, outcome.run.equity, BY))
    if hours_out:
        _write(hours_out, it.bars.symbol, outcome.run.track.texts())
    if as_json:
        terminal.emit(outcome.summary)
    else:
        show_run(outcome.summary, given.title, note(outcome.summary))


def _run_together(
    given: GivenBook,
    ledgers: list[EvidenceLedger],
    executor: Executor,
    update: Progress,
    hours_out: Path | None,
    as_json: bool,
) -> None:
    outcome = outcome_of(given, ledgers, executor, update, BY)
    if hours_out:
        _write_all(hours_out, outcome.run)
    if as_json:
        terminal.emit(outcome.summary)
    else:
        show_book(outcome.summary, given.title)


def outcome_of(
    given: GivenBook, ledgers: list[EvidenceLedger], executor: Executor, update: Progress, by: str
) -> BookOutcome:
    """Trade a book of two symbols or more, and count the look in the ledger of each."""
    from backtest.engine.book_outcome import run_book

    outcome = run_book(
        [in_book(it, given) for it in given.symbols], given.rules, given.stop,
        executor=executor, progress=update, began=given.began,
    )  # fmt: skip  # what is traded, then how it is computed
    for entries, ledger in zip(looks_of(given, outcome, by), ledgers, strict=True):
        ledger.append(entries)
    return outcome


def looks_of(given: GivenBook, outcome: BookOutcome, by: str) -> Iterator[list[Entry]]:
    """What the ledger of each symbol is told: its hours have been looked at, and its own parameters were tried on them."""
    for it, sleeve in zip(given.symbols, outcome.run.sleeves, strict=True):
        per_hour = Moments.of(hourly_returns(sleeve.index, 1.0)).sharpe
        yield looked_at(config_hash(it.rules.params), given.start, given.stop, per_hour, by)


def in_book(it: GivenSymbol, given: GivenBook) -> SymbolInBook:
    """A symbol as it is walked forward and traded."""
    from backtest.engine.book_outcome import SymbolInBook
    from backtest.engine.walkforward import SymbolToWalk
    from trader.forecasters.registry import forecaster_of

    params, stop = it.rules.params, min(given.stop, it.bars.last + HOUR_MS)
    forecaster = forecaster_of(params.model.family)
    walked = SymbolToWalk(forecaster, it.bars, params, given.start, stop, it.source, it.others)
    return SymbolInBook(walked, it.bars.extended_to(given.stop), it.rules)


def _write_all(folder: Path, run: BookRun) -> None:
    """A file of hours of every symbol, then the book's, which is whole only where all are."""
    from trader.core.book_line import book_line_text

    for it in run.sleeves:
        _write(folder, it.symbol, it.run.track.texts())
    _write(folder, "book", map(book_line_text, run.lines))


def _write(folder: Path, name: str, lines: Iterable[str]) -> None:
    terminal.write_lines(folder / f"{name}.jsonl", iter(lines))


def show_book(summary: dict[str, Any], title: str) -> None:
    """The figures of the whole, then a row a symbol."""
    rows = [
        ("hours", f"{summary['hours']:,}"),
        ("orders, fills", f"{summary['orders']:,}, {summary['fills']:,}"),
        ("net return, compounded", terminal.percent(summary["net_return"])),
        ("fees", f"{float(summary['fees_usdt']):,.2f} USDT"),
        ("largest drawdown", f"{summary['max_drawdown'] * 100:.2f} %"),
        ("Sharpe ratio, a year", f"{summary['sharpe']:.2f}"),
        ("transfers of cash", f"{summary['transfers']:,}"),
        ("turnover, of the mean equity", f"{summary['turnover']:,.1f} times"),
        ("final equity", f"{float(summary['final_equity_usdt']):,.2f} USDT"),
        ("halted", terminal.minute(summary["halted_at"]) if summary["halted_at"] else "no"),
        ("capacity, at 1 % of volume", capacity_words(summary["capacity_usdt"])),
    ]
    terminal.show(terminal.table(title, rows), "")
    columns = (
        "symbol",
        "net return",
        "mean share",
        "orders",
        "fees, USDT",
        "drawdown",
        "halted",
        "with book",
    )
    told = [_row(symbol, of) for symbol, of in summary["symbols"].items()]
    head, told = terminal.narrowed(columns, told, ("with book", "fees, USDT"))
    terminal.show(terminal.table("", told, head), "")
    said = "Returns of a symbol are compounded and linked over transfers, which are no gain and no loss."
    if "with book" in head:
        said += " with book: correlation of its hourly returns with those of the whole book."
    if ended := [
        f"{symbol} end at {terminal.minute(it)}" for symbol, it in summary["bars_end_early"].items()
    ]:
        said += f" Bars of {', of '.join(ended)}: traded until then, the exchange is closed afterwards."
    said += regret_words(summary)
    terminal.show(terminal.paragraph(said), f"{summary['seconds']:.1f} s")


def capacity_words(capital_usdt: float | None) -> str:
    """The capital at which the orders of the symbol that carries least stay within 1 % of an hour's volume."""
    return "not known" if capital_usdt is None else f"{capital_usdt:,.0f} USDT"


def regret_words(summary: dict[str, Any]) -> str:
    """Of the symbols whose share the least order and the step of quantity cut noticeably; nothing where they cut none."""
    cut = {symbol: of["regret"] for symbol, of in summary["symbols"].items()}
    told = [
        f"{symbol} {it['taken_away']:.1%}"
        + (f" (too small {it['too_small']} times)" if it["too_small"] else "")
        for symbol, it in cut.items()
        if it["taken_away"] >= NOTICEABLE_REGRET or it["too_small"]
    ]
    if not told:
        return ""
    return f" Of their shares the least order and the step of quantity take away: {', '.join(told)}."


def _row(symbol: str, of: dict[str, Any]) -> tuple[str, ...]:
    beside = of["correlation_with_book"]
    return (
        symbol,
        terminal.percent(of["net_return"]),
        f"{of['mean_share'] * 100:.1f} %",
        f"{of['orders']:,}",
        f"{float(of['fees_usdt']):,.2f}",
        f"{of['max_drawdown'] * 100:.1f} %",
        of["halted_at"][:10] if of["halted_at"] else "no",
        "-" if beside is None else f"{beside:.2f}",
    )
