"""What the hours tell: replayed ones, the journal, the status."""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.adapters.sources import local_file
from trader.commands.common import (
    AsJson,
    BookFile,
    ParamsFile,
    StoreDir,
    Symbol,
    Symbols,
    hour_clock,
    params_from,
    traded,
)
from trader.commands.stream_parts import stream_said
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, load_settings
from trader.core.errors import ConfigError
from trader.core.types import iso, parse_hour
from trader.simulation import markets

if TYPE_CHECKING:
    from trader.adapters.bar_folder import BarSources
    from trader.app.journal import Journal
    from trader.core.params import Params
    from trader.core.types import Json


def replay(
    bars: Annotated[
        list[str],
        typer.Option(
            help="hourly bars of the market: a file, an address (docs/sources.md), for several symbols a folder of "
            "<SYMBOL>-1h.parquet, or repeated"
        ),
    ],
    start: Annotated[str, typer.Option("--from", help="first hour, UTC")],
    stop: Annotated[str, typer.Option("--to", help="end of the hours, exclusive, UTC")],
    params: ParamsFile = None,
    symbol: Symbol = None,
    filters: Annotated[
        Path | None,
        typer.Option(
            help="a JSON file of one symbol as exchangeInfo gives it; default: tick and step from the price at --from"
        ),
    ] = None,
    hours_out: Annotated[
        Path | None,
        typer.Option(
            "--hours-out", "--out", help="write every hour here, as JSON Lines; with --book a folder"
        ),
    ] = None,
    book: Annotated[
        Path | None, typer.Option("--book", help="book.toml: trade its symbols on one account")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", help="keep the journal here; default: a temporary folder")
    ] = None,
    venue_url: Annotated[
        str | None, typer.Option(help="an embedded exchange that runs elsewhere, on loopback")
    ] = None,
    api_key: Annotated[str, typer.Option(help="its key")] = EMBEDDED_KEY,
    api_secret: Annotated[str, typer.Option(help="its secret")] = EMBEDDED_SECRET,
    as_json: AsJson = False,
) -> None:
    """Run the live bot over stored hours, through HTTP and the real client, on an embedded exchange of its own.

    Example: trader replay --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --hours-out hours.jsonl
    """
    if book is not None:
        options = {"--params": params, "--symbol": symbol, "--filters": filters, "--venue-url": venue_url}
        if named := [name for name, value in options.items() if value is not None]:
            raise ConfigError(f"{named[0]} is of one symbol; {book} says it for every symbol of the book")
        from trader.commands.book_replay import replay_book

        replay_book(book, bars, start, stop, hours_out, store, as_json)
        return
    sources, span = markets.sources_of(bars, symbol), (parse_hour(start), parse_hour(stop))
    elsewhere = {"url": venue_url, "api_key": api_key, "api_secret": api_secret} if venue_url else None
    summary, lines = _replayed(sources, span, params_from(params, None), filters, store, elsewhere, as_json)
    if hours_out:
        terminal.write_lines(hours_out, iter(lines))
    title = f"{sources.traded}, {iso(span[0])} to {iso(span[1])}, replayed through HTTP"
    _show_summary(summary, title, as_json)


def _replayed(
    sources: BarSources,
    span: tuple[int, int],
    params: Params,
    filters: Path | None,
    store: str | None,
    elsewhere: Json | None,
    quiet: bool,
) -> tuple[Json, list[str]]:
    """The summary and the lines of one symbol's hours first <= T < last (UTC ms). store: a temporary folder without one.
    elsewhere: the address and keys of an embedded exchange that runs already, None to start one."""
    from trader import wiring
    from trader.core.hours import Rules
    from trader.simulation import rehearsal

    (first, last), market = span, sources.read(sources.traded, terminal.say)
    rehearsal.require_replayable(market, first, last, params, sources.path(sources.traded))
    read = {it: sources.read(it, terminal.say) for it in sources.beside(params.train_symbols or ())}
    row, accepted = markets.rules_for(filters, market, first)
    with tempfile.TemporaryDirectory(prefix="trader-replay-") as folder:
        markets.write_info_row(Path(folder) / "filters.json", row, accepted, market.symbol)
        served = ["--symbol", market.symbol, "--filters", str(Path(folder) / "filters.json")]
        for name, found in {market.symbol: market, **read}.items():
            served += ["--bars", str(local_file(sources.path(name), found, Path(folder)))]
        started = nullcontext(elsewhere) if elsewhere else wiring.embedded_exchange(served, params, first)
        with started as venue:
            settings = rehearsal.embedded_settings(venue, market.symbol, store or Path(folder) / "store")
            return rehearsal.replay_hours(settings, market, Rules(params, accepted), first, last, quiet)


def journal(
    start: Annotated[str | None, typer.Option("--from", help="first hour, UTC")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="end of the hours, exclusive, UTC")] = None,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl", "--json", help="hours as JSON Lines, byte for byte as backtest run writes them"
        ),
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="hours as CSV, for a spreadsheet")] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="every column; default: those that fit into 80 columns")
    ] = False,
    parquet: Annotated[
        Path | None, typer.Option(help="write a table here: times UTC, amounts as decimals")
    ] = None,
) -> None:
    """What happened, oldest first: each closed hour, and between them models, breaches and halts. Of a book the hours of the
    whole: equity, cash, what is held, drawdown, cash that moved.

    Example: trader journal --from 2022-01-01T00:00 --to 2022-01-02
    """
    from trader import wiring
    from trader.core.hours import line_text

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
    since, until = parse_hour(start) if start else None, parse_hour(stop) if stop else None
    if symbol is None:
        whole = traded(settings)
        settings = whole.settings
        if whole.book is not None:
            from trader.commands.book_hours import journal_book, tables_of_book

            if csv or parquet:
                tables_of_book(settings, whole.book, since, until, csv, parquet)
            else:
                journal_book(settings, whole.book, since, until, jsonl, wide)
            return
    kept = wiring.make_journal(settings)
    if not (jsonl or csv or parquet):
        _print_story(kept, since, until, settings.store, wide)
        return
    lines = [record.line for record in kept.records(since, until)]
    if jsonl:
        for line in lines:
            terminal.show(line_text(line))
        return
    from trader.adapters.tables import write_csv, write_parquet

    if csv:
        write_csv(sys.stdout, lines)
    if parquet:
        write_parquet(parquet, lines)


def _print_story(journal: Journal, since: int | None, until: int | None, store: str, wide: bool) -> None:
    from trader.app.models import family_of
    from trader.app.story import HOUR_HEAD, NARROW_WITHOUT, hour_row, tell

    told = list(tell(journal, since, until))
    used = {part.record.model_id for part in told if part.record}
    families = {model_id: family_of(journal, model_id) for model_id in used}
    rows = [hour_row(part.record, families[part.record.model_id]) for part in told if part.record]
    if not rows:
        terminal.say(f"{journal.symbol}: no hour is closed in {store} within this span")
    columns, rows = (HOUR_HEAD, rows) if wide else terminal.narrowed(HOUR_HEAD, rows, NARROW_WITHOUT)
    head, *hours = terminal.table("", rows, columns).splitlines()
    if rows:
        terminal.show(head)
    lines = iter(hours)
    for part in told:
        event = f"{terminal.minute(iso(part.at))}  {part.kind}: {part.words}"
        terminal.show(next(lines) if part.record else event if wide else terminal.paragraph(event, 19))


def status(
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """How the bot stands, why, what it holds, which model serves, whether hours drift, what comes next.

    Reads the store, and an embedded exchange's clock where there is one. Example: trader status
    """
    from trader import wiring
    from trader.app.status import status as look
    from trader.observers.names import meant
    from trader.observers.status_words import screen

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
    if symbol is None:
        whole = traded(settings)
        settings = whole.settings
        if whole.book is not None:
            from trader.commands import book_state

            book_state.status(settings, whole.book, as_json)
            return
    journal = wiring.make_journal(settings)
    clock = hour_clock(settings)
    # Without an answer nobody knows how late the bot is: the exchange's hours may be those of another year than this machine's.
    now_ms = clock.now_ms if clock.answered else None
    report = look(journal, settings.breach_rule, now_ms, settings.drift_rule, meant(settings, journal))
    if (stream := stream_said(settings)) is not None:
        report["stream"] = stream
    if as_json:
        told = {"symbol": settings.symbol, "store": settings.store, "clock": clock.words, **report}
        terminal.emit(told)
        return
    unknown = "" if clock.answered else ", so whether hours are missing is not known"
    terminal.show(screen(f"{settings.symbol} in {settings.store}", report, f"{clock.words}{unknown}"))


def _show_summary(summary: dict[str, Any], title: str, as_json: bool) -> None:
    if as_json:
        terminal.emit(summary)
        return
    terminal.show(terminal.table(title, terminal.summary_rows(summary)))
    terminal.show(f"{summary['ticks_per_second']:.0f} hours a second, {summary['seconds']:.1f} s")
