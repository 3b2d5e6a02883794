"""The account covers the sum of all sleeves of a book, or the book halts before an order of the hour leaves.

Compared is what the account must hold at least: what cannot be known now, since an order or a sale at once of a symbol is still
on its way, is not counted. A book that halts sells what its symbols hold, as far as it is there.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from trader.app.adoption import with_account
from trader.app.book import Book
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT
from trader.app.halts import announce, standing_halt
from trader.core.book import BookHour
from trader.core.events import FlattenEvent
from trader.core.ledger import Ledger
from trader.core.quote_assets import quote_asset_of
from trader.core.types import HOUR_MS, plain

RECHECK_DELAY_S = 2.0
WAYS = (
    "What the symbols hold is sold as far as it is there. Put back what is missing, or book the order that moved it (trader "
    "adopt ID); then trader resume --book BOOK.toml"
)


def halt_uncovered(book: Book, hour: int) -> None:
    """Halt the book at `hour` (UTC ms) where the account does not cover what its journals count on.

    Compared only while there is no book record of the hour: until then no symbol has decided it, so no order of it has left.
    Every symbol was caught up before, as far as it could be. Raises Retry where the venue does not tell its balances.
    """
    start = book.start
    if start is None or standing_halt(book.hours.journal) is not None or not _missing(book, hour, start):
        return
    # Balances may lag, and a person may be selling at once.
    next(iter(book.sleeves.values())).clock.sleep(RECHECK_DELAY_S)
    for bot in book.sleeves.values():
        bot.journal.new_events(ACCOUNT, len(bot.journal.events(ACCOUNT)))
    if missing := _missing(book, hour, start):
        message = f"the account does not cover the book: {'; '.join(missing)}. {WAYS}"
        announce(book.hours.journal, hour, "reconcile", freeze=book.freeze_on_halt, message=message)


def _missing(book: Book, hour: int, start: int) -> list[str]:
    """What the account lacks, in words; nothing once there is a book record of the hour."""
    if book.hours.hour(hour) is not None:
        return []
    before, needed = book.before(hour, start), defaultdict[str, Decimal](Decimal)
    for bot in book.sleeves.values():
        # By the names: a venue tells the assets of no symbol that it does not trade now.
        quote = quote_asset_of(bot.symbol)
        first = book.first_hour(bot)
        if first is None or first > hour:
            continue  # added, and not begun: it has nothing
        cash, position = _least(bot, hour, first, before)
        needed[quote] += cash
        needed[bot.symbol.removesuffix(quote)] += position
    needed[quote] += before.reserve_usdt
    free = bot.exchange.balances()
    if book.hours.hour(hour) is not None:
        return []  # another process was faster, and its orders may have left
    return [
        f"the journals count on {plain(count)} {asset}, the account has {plain(there)} free: {plain(count - there)} {asset} "
        f"missing"
        for asset, count in needed.items()
        if (there := free.get(asset, Decimal(0))) < count
    ]


def _least(bot: Bot, hour: int, start: int, before: BookHour) -> tuple[Decimal, Decimal]:
    """What the account must hold for a symbol at least, in quote and in base."""
    newest = bot.journal.newest_record(hour - HOUR_MS, start)
    closed = start - HOUR_MS if newest is None else newest.close_time
    ledger = (
        Ledger(Decimal(0)) if newest is None else with_account(bot.journal, newest.totals)[0].state.ledger
    )
    cash, position = ledger.cash + _coming(bot.symbol, closed, before), max(ledger.position, Decimal(0))
    account = bot.journal.events(ACCOUNT)
    selling = bool(account) and isinstance(account[-1].content, FlattenEvent)
    decision = bot.journal.decision(closed + HOUR_MS) if closed < hour - HOUR_MS else None
    if decision is not None and decision.order is not None:  # it may have been executed
        buys = decision.order.side == "BUY"
        cash, selling = (min(cash, Decimal(0)) if buys else cash), selling or not buys
    return cash, Decimal(0) if selling else position


def _coming(symbol: str, closed: int, before: BookHour) -> Decimal:
    """What the book has given a symbol after its newest record, of the hour `closed` (UTC ms)."""
    earlier = before.pending.get(symbol)
    coming = before.transfer(symbol) if closed < before.close_time else Decimal(0)
    on_its_way = () if earlier is None else earlier.each
    return coming + sum((it.amount_usdt for it in on_its_way if closed < it.hour), Decimal(0))
