"""What a run of a book is given: book.toml, the P.json of every symbol, their bars, and what makes a book that cannot trade."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_UP, Decimal
from pathlib import Path

from backtest.commands.inputs import read_params
from trader import terminal
from trader.adapters.bar_folder import BarSources
from trader.core.book import CENT, BookRules, SleeveStanding, book_hour
from trader.core.book_params import BookParams, parse_book
from trader.core.costs import exact, fill_price, quote_at
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.jumps import require_no_jump
from trader.core.params import Params
from trader.core.quote_assets import quote_asset_of
from trader.core.shares import shares_at
from trader.core.text import plural
from trader.core.training import train_symbols_of
from trader.core.types import HOUR_MS, Bars, Filters, iso, parse_hour, plain
from trader.core.windows import refit_of, require_history, require_span
from trader.forecasters.registry import traits_of


@dataclass(frozen=True, slots=True, eq=False)
class GivenSymbol:
    """A symbol of a book. bars: as its file has them; where they end within the hours, its exchange is closed from then on.
    source: that file, for messages. others: bars of the further symbols that its fits see."""

    bars: Bars
    rules: Rules
    source: str
    others: tuple[Bars, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GivenBook:
    """A book over the hours start <= T < stop (UTC ms), its symbols in alphabetical order. began: when the verb was asked, on
    time.perf_counter."""

    params: BookParams
    symbols: tuple[GivenSymbol, ...]
    start: int
    stop: int
    began: float

    @property
    def rules(self) -> BookRules:
        """What decides for the whole book."""
        return BookRules(self.params, self.start)

    @property
    def title(self) -> str:
        """For the head of a table."""
        first, stop = terminal.minute(iso(self.start)), terminal.minute(iso(self.stop))
        return f"book of {plural(len(self.symbols), 'symbol')}, {self.params.shares}, {first} to {stop}"


def given_book(book: Path, bars: Sequence[Path], start: str, stop: str) -> GivenBook:
    """Read the files of a book. Raises ConfigError or DataError for one that cannot be read, for bars that do not reach over the
    hours, and for a book that could not trade."""
    began = time.perf_counter()
    params = parse_book(terminal.read_text(book, "the book"), str(book))
    _require_one_quote(params.symbols)
    first, last = parse_hour(start), parse_hour(stop)
    if last <= first:
        raise ConfigError(f"--to {stop} must be later than --from {start}")
    strategies = {symbol: _strategy(params, symbol, book) for symbol in params.symbols}
    _require_one_account(strategies)
    sources = BarSources.of(bars, params.symbols[0])
    for symbol in params.symbols:
        sources.path(symbol)
    read: dict[str, Bars] = {}
    symbols = tuple(_symbol(it, strategies[it], sources, read, first, last) for it in params.symbols)
    given = GivenBook(params, symbols, first, last, began)
    if len(symbols) > 1:
        require_tradable(given)
    return given


def _strategy(params: BookParams, symbol: str, book: Path) -> Params:
    """The P.json of a symbol, with the book's capital; its path is read beside book.toml."""
    named = params.params_path(symbol)
    chosen = read_params(None if named is None else book.parent / named, {})
    if chosen.exposure != "long_flat" and len(params.symbols) > 1:
        raise ConfigError(
            f"{symbol}: exposure is {chosen.exposure!r} in {named}, and a book trades long_flat only: it moves cash among its "
            "symbols, and a short owes what it sold. Set exposure to long_flat"
        )
    return chosen.model_copy(update={"allocation_usdt": params.capital_usdt})


def _require_one_quote(symbols: Sequence[str]) -> None:
    """Raises ConfigError where symbols are quoted in several assets."""
    quotes = {symbol: quote_asset_of(symbol) for symbol in symbols}
    if len(set(quotes.values())) > 1:
        said = ", ".join(
            f"{symbol} in {quote or 'an asset unknown here'}" for symbol, quote in quotes.items()
        )
        raise ConfigError(
            f"a book's symbols share one cash, so they are quoted in one asset; these are not: {said}. Make a book of each"
        )


def _require_one_account(strategies: dict[str, Params]) -> None:
    """Raises ConfigError where two symbols' parameters disagree about what trading costs."""
    (symbol, first), *others = strategies.items()
    for other, params in others:
        for name in ("fee_rate", "fee_discount", "half_spread_bps", "slippage_bps"):
            one, two = getattr(first, name), getattr(params, name)
            if one != two:
                raise ConfigError(
                    f"{name} is {_said(one)} for {symbol} and {_said(two)} for {other}; all symbols of a book are traded on one "
                    "account, which has one commission. Make it the same in every P.json of the book"
                )


def _said(value: Decimal | None) -> str:
    return "null" if value is None else plain(value)


def _symbol(
    symbol: str, params: Params, sources: BarSources, read: dict[str, Bars], first: int, last: int
) -> GivenSymbol:
    """Its bars, read once however many fits see them. Raises ConfigError or DataError where they do not suit the hours."""
    seen = (
        ()
        if params.train_symbols is None
        else train_symbols_of(params, symbol, traits_of(params.model.family))
    )
    for it in (symbol, *seen):
        if it not in read:
            read[it] = sources.read(it, terminal.say)
            until = last + HOUR_MS
            require_no_jump(
                read[it].span(refit_of(params, 0, first).train_from, until), str(sources.path(it))
            )
    bars, source = read[symbol], str(sources.path(symbol))
    # A symbol that was delisted within the hours is part of what was traded.
    require_span(bars, first, min(last, bars.last) if bars.last > first else last, source)
    require_history(bars, refit_of(params, 0, first), params, source)
    filters = Filters.derived(float(bars.close[bars.row(first)]))
    others = tuple(read[it] for it in seen if it != symbol)
    return GivenSymbol(bars, Rules(params, filters), source, others)


def require_tradable(book: GivenBook) -> None:
    """Raises ConfigError where the first share of a symbol is less than the smallest order, and DataError where bars do not reach
    over the window that shares are computed from."""
    rules, settings = book.rules, book.params.share_settings
    bars = [it.bars.extended_to(book.stop) for it in book.symbols]
    said = book_hour(
        rules,
        book.start,
        rules.before_first(),
        [SleeveStanding(it.symbol) for it in bars],
        lambda: shares_at(bars, book.start, settings),
    )
    for it in book.symbols:
        symbol, amount = it.bars.symbol, said.transfer(it.bars.symbol)
        least = least_allocation(it.rules, float(it.bars.close[it.bars.row(book.start)]))
        if amount < least and said.weights[symbol]:
            raise ConfigError(
                f"{symbol}: its share of {plain(said.weights[symbol])} is {plain(amount)} USDT at {iso(book.start)}, and the "
                f"smallest order needs {plain(least)}. Raise capital_usdt ({plain(book.params.capital_usdt)}), or name fewer "
                "symbols"
            )


def least_allocation(rules: Rules, close: float) -> Decimal:
    """The least cash in USDT, rounded up to a cent, that buys the smallest order at a price of `close`."""
    filters, costs = rules.filters, rules.sizing.costs
    price = fill_price("BUY", quote_at(exact(close), costs, filters.tick_size), costs, filters.tick_size)
    least = max(filters.min_qty, filters.step_size, filters.min_notional / price)
    steps = (least / filters.step_size).to_integral_value(ROUND_CEILING)
    worth = steps * filters.step_size * price
    return (worth / (1 - rules.params.cash_buffer)).quantize(CENT, ROUND_UP)
