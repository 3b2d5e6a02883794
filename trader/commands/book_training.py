"""What `trader retrain` does for a book: a model for every symbol, or one for all, and another list of symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader import terminal, wiring
from trader.adapters.book_file import BookFile
from trader.app import book_symbols
from trader.app.journal import Journal
from trader.app.layout import BOOK, birth_of
from trader.app.pool import retrain_pool, retrain_pool_if_due
from trader.app.retrain import deployment, newest_readable_params, next_serve_hour, retrain
from trader.app.retrain_rules import Tuner, retrain_if_due
from trader.commands.book import opened
from trader.commands.check import certifier_of
from trader.commands.common import answer
from trader.core.errors import ConfigError, TraderError, Uncertified
from trader.core.text import plural
from trader.core.types import iso, parse_hour
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.bot import Bot
    from trader.app.certificates import Certifier
    from trader.config import Settings
    from trader.core.model import ModelCard
    from trader.core.params import Params


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
