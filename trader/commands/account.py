"""The verbs of the account: adopt, ignore, close-attempt, flatten, epoch, release. Each is an event with a reason."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from trader.commands.common import AsJson, BookFile, StoreDir, Symbol, Symbols, answer, traded
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.types import parse_hour
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.account_care import VerbResult
    from trader.app.bot import Bot

OrderId = Annotated[
    str, typer.Argument(metavar="CLIENT_ORDER_ID", help="as the venue's page of orders names it")
]
Reason = Annotated[str, typer.Option(help="what was found, for whoever reads it later")]


def adopt(
    client_order_id: OrderId,
    reason: Reason,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Book what an unknown order executed as this bot's, with the next hour. Lifts the halt that names the order.

    Example: trader adopt hourly-1aa5-BTCUSDT-26112709-d1 --reason "the store was restored from Monday's copy"
    """
    from trader.app import order_care

    _do(lambda bot: order_care.adopt(bot, client_order_id, reason), symbol, store, as_json)


def ignore(
    client_order_id: OrderId,
    reason: Reason,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Mark an unknown order, and earlier ones of the same other store, as not this bot's. Lifts the halt that names it.

    Example: trader ignore hourly-77c0-BTCUSDT-26112709-d1 --reason "the old bot's; its coins were sold by hand"
    """
    from trader.app import order_care

    _do(lambda bot: order_care.ignore(bot, client_order_id, reason), symbol, store, as_json)


def close_attempt(
    hour: Annotated[str, typer.Argument(help="the hour that the attempt belongs to, UTC")],
    n: Annotated[int, typer.Argument(min=1, max=9, metavar="N", help="the attempt's number")],
    reason: Reason,
    at_once: Annotated[
        bool,
        typer.Option("--flatten", help="the attempt is one of trader flatten, not of the hour's own order"),
    ] = False,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Close an attempt whose final status the venue never reports, by what it has executed so far.

    Example: trader close-attempt 2026-11-27T09 1 --reason "the venue's support cancelled it"
    """
    from trader.app import order_care

    close_time, series = parse_hour(hour), order_care.series_of(at_once)
    _do(lambda bot: order_care.close_attempt(bot, close_time, n, reason, series), symbol, store, as_json)


def flatten(reason: Reason, symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False) -> None:
    """Halt, and sell at once what is held. Safe to repeat; what is left to sell is sold by the next ticks.

    Example: trader flatten --reason "news; back on Monday"
    """
    from trader.app import account_care

    _do(lambda bot: account_care.flatten(bot, reason), symbol, store, as_json)


def epoch(
    reason: Reason,
    allocation_usdt: Annotated[
        str | None, typer.Option(help="what it begins with; default: the serving parameters' allocation")
    ] = None,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Begin a new epoch, flat with the allocation: after the venue wiped the account, or where lost records cannot be restored.

    The equity curve begins anew, nothing counts as a loss, earlier records stay. Lifts a halt. Refused while the account
    holds what the bot believes to hold. Example: trader epoch --reason "testnet reset of 2 December"
    """
    from trader.app import account_care

    amount = None if allocation_usdt is None else _amount(allocation_usdt)
    _do(lambda bot: account_care.epoch(bot, reason, amount), symbol, store, as_json)


def release(
    symbol: Annotated[str, typer.Argument(help="a halted symbol of the book")],
    reason: Reason,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Give all cash of a symbol that trades no more back to its book: it was delisted or renamed, or you have given it up.

    The symbol must be halted. Example: trader release LUNAUSDT --book book.toml --reason "delisted on 13 May"
    """
    whole = traded(load_settings(book=book, symbols=symbols, store=store))
    if whole.book is None:
        raise ConfigError(
            "a symbol's cash is released to its book; name the book: --book book.toml, or TRADER_BOOK"
        )
    from trader.commands import book as books

    books.release(whole.settings, whole.book, symbol, reason, as_json)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise ConfigError(f"--allocation-usdt must be an amount above 0, not {text!r}")
    return amount


def _do(act: Callable[[Bot], VerbResult], symbol: str | None, store: str | None, as_json: bool) -> None:
    from trader import wiring

    settings = load_settings(symbol=symbol, store=store)
    with wiring.open_bot(settings) as bot:
        done = act(bot)
    answer({"done": done.words, "halt_lifted": done.lifted}, done.words, as_json)
    process.tell_observers(settings)
