"""What a run of a book is given: book.toml, the P.json of every symbol, their bars, and what makes a book that cannot trade."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_UP, Decimal
from pathlib import Path

from backtest.commands.inputs import s3_access
from backtest.study.book_context import BookSearchTask
from backtest.study.trial_context import SearchTask
from trader import terminal
from trader.adapters.bar_folder import BarSources
from trader.adapters.book_file import read_book
from trader.adapters.exchange_info import filters_of, info_row_of, read_info_rows
from trader.core.book import BookRules, book_hour
from trader.core.book_limits import CENT, SleeveStanding
from trader.core.book_params import BookParams
from trader.core.costs import exact, fill_price, quote_at
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.jumps import require_no_jump
from trader.core.params import Params
from trader.core.pooled_rows import require_pools
from trader.core.shares import shares_at
from trader.core.text import plural
from trader.core.training import train_symbols_of
from trader.core.types import HOUR_MS, Bars, Filters, iso, parse_hour, plain
from trader.core.windows import refit_of, require_history, require_span
from trader.forecasters.registry import forecaster_of, traits_of


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
    time.perf_counter. untraded: symbols with bars among those given that the book does not name."""

    params: BookParams
    symbols: tuple[GivenSymbol, ...]
    start: int
    stop: int
    began: float
    untraded: tuple[str, ...] = ()

    @property
    def rules(self) -> BookRules:
        """What decides for the whole book."""
        return BookRules(self.params, self.start)

    @property
    def title(self) -> str:
        """For the head of a table."""
        first, stop = terminal.minute(iso(self.start)), terminal.minute(iso(self.stop))
        return f"book of {plural(len(self.symbols), 'symbol')}, {self.params.shares}, {first} to {stop}"


def given_book(
    book: Path, bars: Sequence[str | Path], start: str, stop: str, filters: Path | None = None
) -> GivenBook:
    """Read the files of a book. Raises ConfigError or DataError for one that cannot be read, for bars that do not reach over the
    hours, and for a book that could not trade. filters: exchangeInfo's rows of its symbols."""
    began = time.perf_counter()
    read = read_book(book)
    first, last = parse_hour(start), parse_hour(stop)
    if last <= first:
        raise ConfigError(f"--to {stop} must be later than --from {start}")
    sources = BarSources.of(bars, read.params.symbols[0], access=s3_access)
    _require_files(sources, read.params.symbols)
    if read.params.is_pooled:
        family = next(iter(read.strategies.values())).model.family
        require_pools(family, traits_of(family))
    files = _Files(sources, filters, first, last, young=read.params.is_pooled)
    symbols = tuple(files.symbol(it, read.strategies[it]) for it in read.params.symbols)
    untraded = tuple(sorted(sources.files.keys() - set(read.params.symbols)))
    given = GivenBook(read.params, symbols, first, last, began, untraded)
    if not read.is_one:
        require_tradable(given)
    return given


def _require_files(sources: BarSources, symbols: Sequence[str]) -> None:
    """Raises ConfigError that names every symbol without bars: a book without its delisted symbols would look better than it
    was."""
    missing = [it for it in symbols if it not in sources.files]
    if len(missing) == 1:
        sources.path(missing[0])
    if missing:
        raise ConfigError(
            f"{sources.said}: there are no bars of {', '.join(missing)}. Give a folder that holds them, delisted symbols too, or "
            f"leave them out of the book. To get them: trader collect --symbols {','.join(missing)} --from 2021-01-01"
        )


class _Files:
    """What the files hold of each symbol over the hours first <= T < last. Bars are read once, however many fits see them.
    young: a symbol may be younger than its first fit, which others are old enough for."""

    def __init__(
        self, sources: BarSources, filters: Path | None, first: int, last: int, *, young: bool = False
    ) -> None:
        self._sources, self._first, self._last, self._young = sources, first, last, young
        self._filters = filters
        self._rows = [] if filters is None else read_info_rows(filters)
        self._read: dict[str, Bars] = {}

    def symbol(self, symbol: str, params: Params) -> GivenSymbol:
        """Raises ConfigError or DataError where its bars do not suit the hours."""
        seen: Sequence[str] = ()
        if params.train_symbols is not None and not self._young:
            seen = train_symbols_of(params, symbol, traits_of(params.model.family))
        bars, source = self._bars(symbol, params), str(self._sources.path(symbol))
        # A symbol that was delisted within the hours is part of what was traded.
        last = min(self._last, bars.last) if bars.last > self._first else self._last
        require_span(bars, self._first, last, source)
        if not self._young:
            require_history(bars, refit_of(params, 0, self._first), params, source)
        others = tuple(self._bars(it, params) for it in seen if it != symbol)
        return GivenSymbol(bars, Rules(params, self._filters_of(bars)), source, others)

    def _bars(self, symbol: str, params: Params) -> Bars:
        if symbol not in self._read:
            self._read[symbol] = self._sources.read(symbol, terminal.say)
        bars = self._read[symbol]
        read = bars.span(refit_of(params, 0, self._first).train_from, self._last + HOUR_MS)
        require_no_jump(read, str(self._sources.path(symbol)))
        return bars

    def _filters_of(self, bars: Bars) -> Filters:
        """The file's, else those that suit the price at the first hour."""
        if self._filters is None:
            return Filters.derived(float(bars.close[bars.row(self._first)]))
        return filters_of(info_row_of(self._rows, bars.symbol, self._filters), str(self._filters))


def search_of(given: GivenBook, source: str) -> BookSearchTask:
    """A search of one P.json for all symbols. Raises ConfigError for a book of one symbol, or one that names several P.json."""
    if len(given.symbols) == 1:
        raise ConfigError(
            f"{source} holds one symbol, {given.params.symbols[0]}, and a search of a book is of several. Use backtest tune "
            "--bars with its file, and --params with its P.json"
        )
    if given.params.params_by_symbol:
        raise ConfigError(
            f"{source}: tune --book searches one P.json for all symbols, and params_by_symbol names others for "
            f"{', '.join(given.params.params_by_symbol)}. Leave it out, or search each symbol by itself"
        )
    tasks = [
        SearchTask(
            forecaster_of(it.rules.params.model.family),
            it.bars,
            it.rules.params,
            it.rules.filters,
            given.start,
            min(given.stop, it.bars.last + HOUR_MS),
            it.source,
            it.others,
        )
        for it in given.symbols
    ]
    return BookSearchTask(tuple(tasks), given.rules, given.start, given.stop)


def require_tradable(book: GivenBook) -> None:
    """Raises ConfigError where the first share of a symbol is less than the smallest order, and DataError where bars do not reach
    over the window that shares are computed from."""
    rules, settings = book.rules, book.params.share_settings
    bars = [it.bars.extended_to(book.stop) for it in book.symbols]
    first_hour = book_hour(
        rules,
        book.start,
        rules.before_first(),
        [SleeveStanding(it.symbol) for it in bars],
        lambda _: shares_at(bars, book.start, settings),
    )
    for it in book.symbols:
        symbol, amount = it.bars.symbol, first_hour.transfer(it.bars.symbol)
        least = least_allocation(it.rules, float(it.bars.close[it.bars.row(book.start)]))
        if amount < least and first_hour.weights[symbol]:
            raise ConfigError(
                f"{symbol}: its share of {plain(first_hour.weights[symbol])} is {plain(amount)} USDT at {iso(book.start)}, and "
                f"the smallest order needs {plain(least)}. Raise capital_usdt ({plain(book.params.capital_usdt)}), or name fewer "
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
