"""What `trader doctor` looks at for a book: once for its account, and for each symbol what is each symbol's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from trader.app.book import Book
from trader.app.book_status import held_back
from trader.app.bot import Bot
from trader.app.doctor import Finding
from trader.app.halts import standing_halt
from trader.app.order_ids import parse_order_id
from trader.app.retrain import deployment
from trader.core.errors import TraderError
from trader.core.params import Params
from trader.core.text import plural
from trader.core.types import DAY_MS, HOUR_MS, floor_hour, iso, plain
from trader.core.windows import refit_of, require_history

# A sleeve of fewer least orders than this is held and sold whole: sizes other than all and nothing are refused.
COMFORTABLE_ORDERS = 5
MOST_NAMED = 8
MEND = "remove the cause that the message names, then retry"


def of_each(
    check: str, symbols: Iterable[str], look: Callable[[str], Finding], well: str
) -> Iterator[Finding]:
    """A check of every symbol: one finding for all that pass, saying `well`, and one for those that do not, by what is said of
    them, with the symbols at its head."""
    fine: list[str] = []
    wrong: dict[Finding, list[str]] = {}
    for symbol in symbols:
        found = _looked(check, symbol, look)
        if found.verdict == "pass":
            fine.append(symbol)
        else:
            wrong.setdefault(replace(found, said=found.said.removeprefix(f"{symbol}: ")), []).append(symbol)
    for found, named in wrong.items():
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        yield replace(found, said=f"{', '.join(named[:MOST_NAMED])}{more}: {found.said}")
    if fine:
        yield Finding(check, "pass", f"{plural(len(fine), 'symbol')}: {well}")


def _looked(check: str, symbol: str, look: Callable[[str], Finding]) -> Finding:
    try:
        return look(symbol)
    except TraderError as error:
        return Finding(check, "fail", str(error), MEND)


def sleeve_checks(book: Book, listed: Iterable[str]) -> Iterator[Finding]:
    """Each symbol's part of the capital is enough for the venue's least order."""
    capital = book.params.capital_usdt
    hour = floor_hour(next(iter(book.sleeves.values())).exchange.time_ms())
    try:
        weights = book.shares(book.params.symbols, hour).weights
    except TraderError as error:
        yield Finding("sleeves", "fail", f"shares cannot be computed: {error}", MEND)
        return

    def look(symbol: str) -> Finding:
        bot, weight = book.sleeves[symbol], weights[symbol]
        least, gets = bot.exchange.filters(symbol).min_notional, weight * capital
        said = f"{plain(capital)} x its share {plain(weight)} is {gets:.2f}, and the least order is {plain(least)}"
        if not weight:
            return Finding("sleeves", "warn", "its share is 0 by the bars of now: it trades nothing")
        if gets < least:
            todo = f"raise capital_usdt to {least / weight:.0f} or more, take fewer symbols, or leave {symbol} out"
            return Finding("sleeves", "fail", said, todo)
        if gets < least * COMFORTABLE_ORDERS:
            return Finding(
                "sleeves", "warn", said, "a fall may leave it less than an order; raise capital_usdt"
            )
        return Finding("sleeves", "pass", said)

    yield from of_each("sleeves", listed, look, "shares of the capital are orders enough")


def history_check(bot: Bot, params: Params, share_hours: int) -> Finding:
    """The source has the bars that the first training and the first shares need; nothing once a model is trained.
    share_hours: that shares are computed from, 0 for a rule that reads no bars."""
    if deployment(bot.journal) is not None:
        return Finding("history", "pass", "trained")
    serve = floor_hour(bot.exchange.time_ms()) + params.gap_hours * HOUR_MS
    window = refit_of(params, 0, serve)
    first = min(window.train_from, serve - DAY_MS - share_hours * HOUR_MS)
    bars = bot.collector.between(first, serve)
    require_history(bars, window, params, f"the source of {bot.symbol}")
    if bars.first > first:
        return Finding(
            "history",
            "fail",
            f"its share is computed from {plural(share_hours, 'hour')}, and its bars begin at {iso(bars.first)}",
            f"begin the book later, lower share_hours, or leave {bot.symbol} out",
        )
    return Finding("history", "pass", f"bars from {iso(bars.first)} on")


def account_check(book: Book, listed: Iterable[str]) -> Finding:
    """The keys may read the account, and it covers the whole book: its own cash and every symbol's, and what each holds."""
    bots = [book.sleeves[it] for it in listed]
    free = bots[0].exchange.balances()
    quote = bots[0].exchange.assets(bots[0].symbol)[1]
    cash, held = _counted(book, bots)
    have = free.get(quote, Decimal(0))
    said = f"free: {plain(have)} {quote}; the book counts on {plain(cash)}"
    short = [
        f"{plain(qty - there)} {base}"
        for base, qty in held.items()
        if (there := free.get(base, Decimal(0))) < qty
    ]
    if have < cash:
        short.insert(0, f"{plain(cash - have)} {quote}")
    if short:
        todo = (
            "fund the account, lower capital_usdt before the book begins, or find what moved the balance: another bot or book "
            "may trade this account; the next order would halt"
        )
        return Finding("account", "fail", f"{said}; missing: {', '.join(short)}", todo)
    return Finding(
        "account", "pass", said + (f", and on what {plural(len(held), 'symbol')} hold" if held else "")
    )


def _counted(book: Book, bots: Iterable[Bot]) -> tuple[Decimal, dict[str, Decimal]]:
    """Cash in quote and positions by base asset that the book believes to have."""
    start = book.start
    hour = floor_hour(next(iter(book.sleeves.values())).exchange.time_ms())
    book_record = None if start is None else book.hours.newest(hour, start)
    if start is None or book_record is None:
        return book.params.capital_usdt, {}
    cash = book_record.hour.reserve_usdt + sum(
        (it.total_usdt for it in book_record.hour.pending.values()), Decimal(0)
    )
    held: dict[str, Decimal] = {}
    for bot in bots:
        record = bot.journal.newest_record(hour, book.first_hour(bot) or start)
        if record is None or record.close_time < book_record.hour.close_time:
            cash += book_record.hour.transfer(bot.symbol)
        if record is not None:
            cash += record.ledger.cash
            if record.ledger.position > 0:
                base = bot.exchange.assets(bot.symbol)[0]
                held[base] = held.get(base, Decimal(0)) + record.ledger.position
    return cash, held


def strangers_check(bot: Bot) -> Finding:
    """No other store's bot or book has traded the symbol on this account within a day."""
    since, own = bot.exchange.time_ms() - DAY_MS, bot.journal.own_id
    names = [parse_order_id(it.client_order_id) for it in bot.exchange.orders(bot.symbol, since)]
    others = {it.store: it.bot for it in names if it is not None and it.store != own}
    if not others:
        return Finding("others", "pass", "no order of another store")
    told = ", ".join(f"{store} (bot {name})" for store, name in sorted(others.items()))
    said = f"store {told} traded it on this account within a day; this is {own or 'no store yet'} (bot {bot.name})"
    if bot.name[:6] in others.values():
        todo = "two bots or books of one name halt on each other's orders: give each an account, or end one of them"
        return Finding("others", "fail", said, todo)
    todo = "the account must cover both; an account of its own is safer"
    return Finding("others", "warn", said, todo)


def limits_check(book: Book) -> Finding:
    """No purchase of the newest hour was held back by a limit of the whole book."""
    start, params = book.start, book.params
    hour = floor_hour(next(iter(book.sleeves.values())).exchange.time_ms())
    book_record = None if start is None else book.hours.newest(hour, start)
    if not params.limits_purchases or book_record is None:
        return Finding("limits", "pass", "no purchase is held back")
    held = {it: held_back(bot.journal, book_record.hour) for it, bot in book.sleeves.items()}
    if named := [f"{symbol} by {limit}" for symbol, limit in held.items() if limit]:
        said = f"purchases of {iso(book_record.hour.close_time)} were held back: {', '.join(named)}"
        todo = (
            "nothing, if the limits of book.toml are what you want; see: trader explain HOUR --symbol SYMBOL"
        )
        return Finding("limits", "warn", said, todo)
    return Finding("limits", "pass", f"no purchase of {iso(book_record.hour.close_time)} was held back")


def halt_check(book: Book) -> Finding:
    """The whole book is not halted."""
    found = standing_halt(book.hours.journal)
    if found is None:
        return Finding("halt", "pass", "the book is not halted")
    said = f"the book is halted since {iso(found.at_ms)}: {found.reason} {found.message}".rstrip()
    todo = "find and mend the cause (docs/runbook.md), then: trader resume --book BOOK.toml --reason ..."
    return Finding("halt", "fail", said, todo)
