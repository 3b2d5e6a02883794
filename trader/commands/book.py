"""The verbs of production for a book of symbols: what `tick`, `retrain`, `halt`, `resume` and `status` do with `--book`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from trader import terminal, wiring
from trader.adapters.book_file import BookFile
from trader.app import book_halts, book_symbols
from trader.app.book_status import BookStatus, SleeveStatus, book_status
from trader.app.book_tick import BookTicked, tick_book
from trader.app.dry import dry_tick
from trader.app.journal import Journal
from trader.app.layout import BOOK, birth_of
from trader.app.pool import retrain_pool, retrain_pool_if_due
from trader.app.retrain import deployment, newest_readable_params, next_serve_hour, retrain
from trader.app.retrain_rules import Tuner, retrain_if_due
from trader.app.trouble import failed
from trader.commands.check import certifier_of
from trader.commands.common import answer, hour_clock
from trader.commands.stream_parts import stream_said
from trader.core.errors import ConfigError, Halt, Retry, TraderError, Uncertified
from trader.core.hours import line_json
from trader.core.text import plural
from trader.core.types import iso, parse_hour, plain
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.book import Book
    from trader.app.bot import Bot
    from trader.app.certificates import Certifier
    from trader.config import Settings
    from trader.core.model import ModelCard
    from trader.core.params import Params
    from trader.core.ports import Clock

# Connections to a venue over the network; the embedded exchange answers faster than threads change places.
LANES = 8


def opened(settings: Settings, book: BookFile, clock: Clock | None = None) -> AbstractContextManager[Book]:
    """The book with its connections."""
    lanes = 1 if settings.venue == "embedded" else LANES
    return wiring.open_book(settings, book.params, clock, lanes=lanes, say=terminal.say)


def tick(settings: Settings, book: BookFile, dry: bool, as_json: bool) -> None:
    """One tick of every symbol. Exit 4 where something is halted, else that of the gravest failure. dry: decide only."""
    with opened(settings, book) as there:
        if dry:
            seen = {symbol: dry_tick(bot) for symbol, bot in there.sleeves.items()}
            said = {symbol: it.as_json() for symbol, it in seen.items()}
            answer(said, "\n".join(it.message for it in seen.values()), as_json)
            return
        ticked = tick_book(there)
        told = any(note_failure(there.sleeves[it], error) for it, error in ticked.failed.items())
    show_ticked(ticked, as_json)
    if told or any(it.lines for it in ticked.ticked.values()):
        process.tell_observers(settings)
    end_as(ticked)


def note_failure(bot: Bot, error: TraderError) -> bool:
    """Whether a symbol's failure is news, which is in the store then."""
    return failed(bot.journal, bot.exchange, bot.clock, error) or isinstance(error, Halt)


def show_ticked(ticked: BookTicked, as_json: bool) -> None:
    """What a tick did, a line a symbol."""
    if as_json:
        terminal.emit(ticked_json(ticked))
        return
    lines = [it.message for it in ticked.ticked.values()]
    lines += [f"{symbol}: {type(error).__name__}: {error}" for symbol, error in ticked.failed.items()]
    terminal.show("\n".join([*sorted(lines), ticked.message]))


def ticked_json(ticked: BookTicked) -> dict[str, Any]:
    """The same for machines."""
    return {
        "outcome": ticked.outcome,
        "hour": iso(ticked.hour),
        "halted": ticked.halted,
        "symbols": {
            symbol: {
                "outcome": it.outcome,
                "halted": it.halted,
                "lines": [line_json(line) for line in it.lines],
            }
            for symbol, it in ticked.ticked.items()
        },
        "failed": {
            symbol: {"error": type(error).__name__, "message": str(error)}
            for symbol, error in ticked.failed.items()
        },
    }


def end_as(ticked: BookTicked) -> None:
    """Raises SystemExit unless every symbol is closed and none is halted."""
    errors: Sequence[type[TraderError]] = (Halt, ConfigError, Retry)
    kinds = [kind for kind in errors if any(isinstance(it, kind) for it in ticked.failed.values())]
    if ticked.halted or Halt in kinds:
        terminal.say("trading is halted; see: trader status")
        raise SystemExit(Halt.exit_code)
    if kinds:
        raise SystemExit(kinds[0].exit_code)


def train(
    settings: Settings,
    book: BookFile,
    serve_from: str | None,
    if_due: bool,
    search: Tuner | None,
    tuner: Tuner | None,
    as_json: bool,
    *,
    chosen: bool = False,
    added_only: bool = False,
    check: bool | None = None,
) -> None:
    """Train a model for every symbol, or where one is due. search: finds the parameters first; tuner: the same after a breach.
    Symbols whose turn fails are told at the end; the others have theirs. chosen: a person has just named the parameters.
    added_only: train those that have no model yet, and no other. check: whether models must pass their certificates, None for
    what the settings say."""
    if book.params.is_pooled:
        _train_pool(settings, book, serve_from, if_due, search, as_json, check)
        return
    trained: dict[str, str] = {}
    errors: dict[str, TraderError] = {}
    with opened(settings, book) as there:
        now_ms = next(iter(there.sleeves.values())).exchange.time_ms()
        gap = max(it.gap_hours for it in book.strategies.values())
        first = parse_hour(serve_from) if serve_from else next_serve_hour(now_ms, gap)
        with terminal.progress("symbols", quiet=as_json) as update:
            for done, (symbol, bot) in enumerate(there.sleeves.items(), start=1):
                if added_only and deployment(bot.journal) is not None:
                    continue
                certifier = certifier_of(settings, bot, check)
                try:
                    card = (
                        retrain_if_due(
                            bot, now_ms, settings.breach_rule, tuner, settings.drift_rule, certifier
                        )
                        if if_due
                        else _trained(bot, strategy_of(bot, book, chosen), first, search, certifier)
                    )
                except TraderError as error:
                    errors[symbol] = error
                    continue
                if card is not None:
                    trained[symbol] = card.model_id
                    bot.collector.save()
                update(done, len(there.sleeves))
    told = {
        "retrained": trained,
        "failed": {symbol: str(error) for symbol, error in errors.items()},
        "serve_from": iso(first),
    }
    words = [f"{symbol}: model {model_id}" for symbol, model_id in trained.items()]
    words += [f"{symbol}: {error}" for symbol, error in errors.items()]
    summed = f"{plural(len(trained), 'model')} of {len(book.params.symbols)}"
    answer(told, "\n".join([*words, f"{summed} trained" if trained else "no retrain is due"]), as_json)
    if trained or any(isinstance(error, Uncertified) for error in errors.values()):
        process.tell_observers(settings)
    if errors:
        raise next(iter(errors.values()))


def change_symbols(settings: Settings, book: BookFile, reason: str, write_off: bool) -> None:
    """Change the symbols of the running book to those of its file, if they are others. Raises ConfigError."""
    store = wiring.make_store(settings)
    birth = birth_of(store, BOOK)
    if birth is None:
        raise ConfigError(
            f"{settings.store} holds no book yet, so there is no list to change: leave out --reason"
        )
    journal, now_ms = Journal(store, BOOK, birth.symbols), wiring.make_clock(settings).now_ms()
    changed = book_symbols.change_symbols(journal, book.params.symbols, now_ms, reason, write_off=write_off)
    if changed is not None:
        lost = f"; {changed.written_off_usdt:.2f} USDT written off" if changed.written_off_usdt else ""
        terminal.say(f"the book is of {', '.join(changed.symbols)} from now on{lost}; start trader run again")


def _train_pool(
    settings: Settings,
    book: BookFile,
    serve_from: str | None,
    if_due: bool,
    search: Tuner | None,
    as_json: bool,
    check: bool | None,
) -> None:
    """One model for all symbols. Raises ConfigError for a search, which would be of one symbol."""
    if search is not None:
        raise ConfigError(
            f"--trials searches the parameters of one symbol, and {book.name} shares a model among all. Search for the book with "
            "backtest tune --book, then train with --params"
        )
    params = next(iter(book.strategies.values()))
    with opened(settings, book) as there:
        now_ms = next(iter(there.sleeves.values())).exchange.time_ms()
        first = parse_hour(serve_from) if serve_from else next_serve_hour(now_ms, params.gap_hours)
        certifiers = {symbol: certifier_of(settings, bot, check) for symbol, bot in there.sleeves.items()}
        card = (
            retrain_pool_if_due(there.sleeves, now_ms, settings.breach_rule, settings.drift_rule, certifiers)
            if if_due
            else retrain_pool(there.sleeves, params, first, certifiers=certifiers)
        )
        if card is not None:
            for bot in there.sleeves.values():
                bot.collector.save()
    trained = {} if card is None else dict.fromkeys(card.symbols, card.model_id)
    told = {"retrained": trained, "failed": {}, "serve_from": iso(first)}
    words = "no retrain is due"
    if card is not None:
        words = (
            f"model {card.model_id} on {plural(card.rows, 'row')} of {plural(len(card.symbols), 'symbol')} serves all of them "
            f"from {iso(card.valid_from)}"
        )
    answer(told, words, as_json)
    if trained:
        process.tell_observers(settings)


def strategy_of(bot: Bot, book: BookFile, chosen: bool) -> Params:
    """What a symbol is trained with: what book.toml or a person names; for a list of symbols the parameters of the model that
    serves, as for a single symbol."""
    serving = None if chosen or book.path is not None else newest_readable_params(bot.journal)
    return serving or book.strategies[bot.symbol]


def _trained(
    bot: Bot, params: Params, first: int, search: Tuner | None, certifier: Certifier | None
) -> ModelCard:
    chosen = search(bot, params, first) if search else params
    return retrain(
        bot.journal, bot.collector, bot.forecaster_of, chosen, first, bot.version, certifier=certifier
    )


def book_journal_of(settings: Settings, book: BookFile) -> Journal:
    """The journal of what the whole book says. Raises WrongStore where the store is not this book's."""
    journal = Journal(wiring.make_store(settings), BOOK, book.params.symbols)
    journal.require_own()
    return journal


def halt(settings: Settings, book: BookFile, reason: str, freeze: bool, as_json: bool) -> None:
    """Halt the whole book."""
    journal = book_journal_of(settings, book)
    number = book_halts.halt_book(
        journal, wiring.make_clock(settings).now_ms(), freeze=freeze, message=reason
    )
    kept = "keeps" if freeze else "sells"
    words = (
        f"the book is halted; the next tick {kept} what its {plural(len(book.params.symbols), 'symbol')} hold"
    )
    answer({"halted": True, "event": number, "freeze": freeze}, words, as_json)
    process.tell_observers(settings)


def resume(settings: Settings, book: BookFile, reason: str, as_json: bool) -> None:
    """Lift the halt of the whole book, and those that it put on its symbols."""
    journal = book_journal_of(settings, book)
    sleeves = [Journal(wiring.make_store(settings), it, book.params.symbols) for it in book.params.symbols]
    resumed = book_halts.resume_book(journal, sleeves, wiring.make_clock(settings).now_ms(), reason)
    words = f"the book is resumed; limits count anew from the next hour's equity ({', '.join(resumed) or 'no symbol was halted'})"
    answer({"halted": False, "symbols": resumed}, words, as_json)
    process.tell_observers(settings)


def release(settings: Settings, book: BookFile, symbol: str, reason: str, as_json: bool) -> None:
    """Give all cash of a halted symbol back to the book."""
    if symbol not in book.params.symbols:
        raise ConfigError(
            f"{symbol} is no symbol of the book {book.name}; it names {', '.join(book.params.symbols)}"
        )
    sleeve = Journal(wiring.make_store(settings), symbol, book.params.symbols)
    number = book_halts.release(
        book_journal_of(settings, book), sleeve, wiring.make_clock(settings).now_ms(), reason
    )
    words = f"{symbol}: its cash returns to the book with the next hour; what it holds stays where it is"
    answer({"released": symbol, "event": number}, words, as_json)
    process.tell_observers(settings)


def status(settings: Settings, book: BookFile, as_json: bool) -> None:
    """How the book and each of its symbols stand."""
    store, names = wiring.make_store(settings), book.params.symbols
    clock = hour_clock(settings)
    now_ms = clock.now_ms if clock.answered else None
    journals = {it: Journal(store, it, names) for it in names}
    report = book_status(book_journal_of(settings, book), journals, book.params, now_ms)
    stream = stream_said(settings)
    if as_json:
        told = {"book": book.name, "store": settings.store, "clock": clock.words}
        if stream is not None:
            told["stream"] = stream
        terminal.emit({**told, **status_json(report)})
        return
    market = next((event.market for it in journals.values() if (event := deployment(it)) is not None), "")
    title = f"{book.name} in {settings.store}" + (f" ({market})" if market else "")
    heading = terminal.paragraph(title)
    terminal.show(heading, "-" * max(map(len, heading.splitlines())))
    streamed = [] if stream is None else [("stream", stream)]
    terminal.show(terminal.labelled([*_rows(report, clock.words), *streamed]), "")
    head = ("symbol", "state", "hour closed", "equity USDT", "return", "holds")
    terminal.show(terminal.table("", [_row(it) for it in report.sleeves], head))


def status_json(report: BookStatus) -> dict[str, Any]:
    """The report for machines."""
    newest_hour = report.newest_hour
    return {
        "state": report.state,
        "halt": None if report.halt is None else report.halt.reason,
        "hour": None if newest_hour is None else iso(newest_hour.close_time),
        "behind_hours": report.behind_hours,
        "equity_usdt": plain(report.equity_usdt),
        "net_return": report.net_return,
        "drawdown": report.drawdown,
        "next_rebalance": None if report.next_rebalance is None else iso(report.next_rebalance),
        "late": [] if newest_hour is None else list(newest_hour.late),
        "symbols": {
            it.symbol: {
                "state": it.state,
                "halt": it.halt_reason or None,
                "hour": None if it.hour is None else iso(it.hour),
                "equity_usdt": plain(it.equity_usdt),
                "net_return": it.net_return,
                "position": plain(it.position),
                "model_id": it.model_id,
                "held_back": it.held_back or None,
            }
            for it in report.sleeves
        },
    }


def _rows(report: BookStatus, clock: str) -> list[tuple[str, str]]:
    newest_hour, halt = report.newest_hour, report.halt
    state = report.state if halt is None else f"{report.state}: {halt.reason} {halt.message}".strip()
    rows = [("state", state), ("clock", clock)] if clock else [("state", state)]
    if newest_hour is None:
        first = "no model yet; train with: trader retrain --book BOOK.toml"
        return [
            *rows,
            ("next", first if report.next_rebalance is None else f"first hour {iso(report.next_rebalance)}"),
        ]
    behind = report.behind_hours
    return [
        *rows,
        ("newest hour", f"{terminal.minute(iso(newest_hour.close_time))}{_behind(behind)}"),
        ("equity", f"{float(report.equity_usdt):,.2f} USDT"),
        ("cash of the book, in no symbol", f"{float(newest_hour.reserve_usdt):,.2f} USDT"),
        ("net return, compounded", terminal.percent(report.net_return)),
        ("drawdown", f"{(report.drawdown or 0.0) * 100:.2f} %"),
        ("next rebalance", terminal.minute(iso(report.next_rebalance or 0))),
        ("late symbols", ", ".join(newest_hour.late) or "none"),
        *([("purchases held back", held)] if (held := _held_back(report)) else []),
    ]


def _held_back(report: BookStatus) -> str:
    """Which limits of the book held back whose purchase of the newest hour."""
    limits: dict[str, list[str]] = {}
    for it in report.sleeves:
        if it.held_back:
            limits.setdefault(it.held_back, []).append(it.symbol)
    return "; ".join(f"{', '.join(symbols)} by {limit}" for limit, symbols in limits.items())


def _behind(hours: int | None) -> str:
    return "" if not hours else f" ({plural(hours, 'hour')} behind)"


def _row(it: SleeveStatus) -> tuple[str, ...]:
    state = f"{it.state}: {it.halt_reason}" if it.halt_reason else it.state
    hour = "-" if it.hour is None else terminal.minute(iso(it.hour))
    gained = "-" if it.net_return is None else terminal.percent(it.net_return)
    return it.symbol, state, hour, f"{float(it.equity_usdt):,.2f}", gained, plain(it.position)
