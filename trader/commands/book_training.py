"""What `trader retrain` does for a book: a model for every symbol, or one for all, and another list of symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trader import terminal, wiring
from trader.adapters.book_file import BookFile, with_params
from trader.app import book_symbols
from trader.app.journal import Journal
from trader.app.layout import BOOK, birth_of
from trader.app.pool import require_seen, retrain_pool, retrain_pool_if_due
from trader.app.retrain import deployment, newest_readable_params, next_serve_hour, retrain
from trader.app.retrain_rules import retrain_if_due
from trader.commands.book import opened
from trader.commands.check import certifier_of, told_if_refused
from trader.commands.common import answer
from trader.core.errors import ConfigError, TraderError, Uncertified
from trader.core.text import plural
from trader.core.types import iso, parse_hour
from trader.forecasters.registry import forecaster_of
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.bot import Bot
    from trader.commands.training import TrainingRequest
    from trader.config import Settings
    from trader.core.model import ModelCard
    from trader.core.params import Params


def retrain_book(
    settings: Settings,
    book: BookFile,
    request: TrainingRequest,
    reason: str | None,
    write_off: bool,
    as_json: bool,
) -> None:
    """What `trader retrain` does for a book. reason: why its list of symbols changes to the one that its file names now; the
    added ones alone are trained then, in a pooled book all. write_off: give up what a removed symbol still holds."""
    given = book
    if request.params is not None and settings.book is not None:
        given = with_params(book, terminal.read_text(request.params, "parameters"), str(request.params))
    if reason is not None:
        _change_symbols(settings, given, request, reason, write_off)
    if book.params.is_pooled:
        _train_pool(settings, given, request, as_json)
    else:
        _train_each(settings, given, request, as_json, added_only=reason is not None)


def _train_each(
    settings: Settings, book: BookFile, request: TrainingRequest, as_json: bool, *, added_only: bool
) -> None:
    """Train a model for every symbol, or where one is due. Symbols whose turn fails are told at the end; the others have theirs.
    added_only: train those that have no model yet, and no other."""
    trained: dict[str, str] = {}
    errors: dict[str, TraderError] = {}
    with opened(settings, book) as there:
        now_ms = next(iter(there.sleeves.values())).exchange.time_ms()
        gap = max(it.gap_hours for it in book.strategies.values())
        first = parse_hour(request.serve_from) if request.serve_from else next_serve_hour(now_ms, gap)
        with terminal.progress("symbols", quiet=as_json) as update:
            for done, (symbol, bot) in enumerate(there.sleeves.items(), start=1):
                if added_only and deployment(bot.journal) is not None:
                    continue
                try:
                    card = _train_one(settings, book, bot, request, now_ms, first)
                except TraderError as error:
                    errors[symbol] = error
                    continue
                if card is not None:
                    trained[symbol] = card.model_id
                    bot.collector.save()
                update(done, len(there.sleeves))
    fields = {
        "retrained": trained,
        "failed": {symbol: str(error) for symbol, error in errors.items()},
        "serve_from": iso(first),
    }
    words = [f"{symbol}: model {model_id}" for symbol, model_id in trained.items()]
    words += [f"{symbol}: {error}" for symbol, error in errors.items()]
    summed = f"{plural(len(trained), 'model')} of {len(book.params.symbols)}"
    answer(fields, "\n".join([*words, f"{summed} trained" if trained else "no retrain is due"]), as_json)
    if trained or any(isinstance(error, Uncertified) for error in errors.values()):
        process.tell_observers(settings)
    if errors:
        raise next(iter(errors.values()))


def _change_symbols(
    settings: Settings, book: BookFile, request: TrainingRequest, reason: str, write_off: bool
) -> None:
    """Change the symbols of the running book to those of its file, if they are others. Raises ConfigError, and for a pooled book
    whose next fit would not see an added symbol DataError: then nothing is changed."""
    store = wiring.make_store(settings)
    birth = birth_of(store, BOOK)
    if birth is None:
        raise ConfigError(
            f"{settings.store} holds no book yet, so there is no list to change: leave out --reason"
        )
    journal, now_ms = Journal(store, BOOK, birth.symbols), wiring.make_clock(settings).now_ms()
    added = sorted(set(book.params.symbols) - {*birth.symbols, *birth.former})
    if added and book.params.is_pooled:
        _require_seen(settings, book, request, added)
    changed = book_symbols.change_symbols(journal, book.params.symbols, now_ms, reason, write_off=write_off)
    if changed is not None:
        lost = f"; {changed.written_off_usdt:.2f} USDT written off" if changed.written_off_usdt else ""
        terminal.say(f"the book is of {', '.join(changed.symbols)} from now on{lost}; start trader run again")


def _require_seen(settings: Settings, book: BookFile, request: TrainingRequest, added: Sequence[str]) -> None:
    """`require_seen` of the next fit. Before the list is changed: afterwards an unseen symbol would hold up every training."""
    params = next(iter(book.strategies.values()))
    market = wiring.make_market(settings, wiring.make_clock(settings))
    try:
        main = wiring.make_collector(settings, market, say=terminal.say)
        asked, now_ms = request.serve_from, market.time_ms()
        first = parse_hour(asked) if asked else next_serve_hour(now_ms, params.gap_hours)
        collectors = {it: main.of(it) for it in book.params.symbols}
        require_seen(collectors, params, first, forecaster_of(params.model.family).traits, now_ms, added)
    finally:
        market.close()


def _train_one(
    settings: Settings, book: BookFile, bot: Bot, request: TrainingRequest, now_ms: int, first: int
) -> ModelCard | None:
    """Train a symbol's model, for the hours from `first` (UTC ms) on; None where none is due."""
    certifier, search = certifier_of(settings, bot, request.check), request.search
    if request.if_due:
        rule, drift = settings.breach_rule, settings.drift_rule
        return retrain_if_due(bot, now_ms, rule, search.tuner(settings), drift, certifier)
    params = strategy_of(bot, book, chosen=request.params is not None)
    if search.asked:
        params = search.asked(bot, params, first)
    return retrain(
        bot.journal, bot.collector, bot.forecaster_of, params, first, bot.version,
        certifier=certifier, now_ms=now_ms,
    )  # fmt: skip  # what is trained, then by whom it is examined and when


def _train_pool(settings: Settings, book: BookFile, request: TrainingRequest, as_json: bool) -> None:
    """One model for all symbols. Raises ConfigError for a search, which would be of one symbol."""
    if request.search.asked is not None:
        raise ConfigError(
            f"--trials searches the parameters of one symbol, and {book.name} shares a model among all. Search for the book with "
            "backtest tune --book, then train with --params"
        )
    params = next(iter(book.strategies.values()))
    with told_if_refused(settings), opened(settings, book) as there:
        now_ms = next(iter(there.sleeves.values())).exchange.time_ms()
        asked = request.serve_from
        first = parse_hour(asked) if asked else next_serve_hour(now_ms, params.gap_hours)
        certifiers = {it: certifier_of(settings, bot, request.check) for it, bot in there.sleeves.items()}
        card = (
            retrain_pool_if_due(there.sleeves, now_ms, settings.breach_rule, settings.drift_rule, certifiers)
            if request.if_due
            else retrain_pool(there.sleeves, params, first, certifiers=certifiers)
        )
        if card is not None:
            for bot in there.sleeves.values():
                bot.collector.save()
    trained = {} if card is None else dict.fromkeys(card.symbols, card.model_id)
    fields = {"retrained": trained, "failed": {}, "serve_from": iso(first)}
    words = "no retrain is due"
    if card is not None:
        words = (
            f"model {card.model_id} on {card.rows_in_words} serves all of them from {iso(card.valid_from)}"
        )
    answer(fields, words, as_json)
    if trained:
        process.tell_observers(settings)


def strategy_of(bot: Bot, book: BookFile, chosen: bool) -> Params:
    """What a symbol is trained with: what book.toml or a person names; for a list of symbols the parameters of the model that
    serves, as for a single symbol."""
    serving = None if chosen or book.path is not None else newest_readable_params(bot.journal)
    return serving or book.strategies[bot.symbol]
