"""A book on disk: `book.toml`, and beside it the P.json of its symbols; or a list of symbols in the settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from trader.core.book_params import BookParams, book_params_of, parse_book
from trader.core.errors import ConfigError
from trader.core.params import DEFAULT_PARAMS, Params, params_of, parse_params
from trader.core.quote_assets import quote_asset_of
from trader.core.types import plain
from trader.plain_file import read_text


@dataclass(frozen=True, slots=True)
class BookFile:
    """What a book trades, and each symbol's parameters; the book's capital takes the place of their allocations. path: of its
    book.toml, None for a list of symbols in the settings."""

    path: Path | None
    params: BookParams
    strategies: Mapping[str, Params]

    @property
    def name(self) -> str:
        """What a person calls it: the path of its book.toml, or its symbols."""
        return ", ".join(self.params.symbols) if self.path is None else str(self.path)

    @property
    def option(self) -> str:
        """How a command line names it."""
        if self.path is None:
            return f"--symbols {','.join(self.params.symbols)}"
        return f"--book {shlex.quote(str(self.path))}"

    @property
    def is_one(self) -> bool:
        """Whether it has one symbol, which is traded as it would be without a book."""
        return len(self.params.symbols) == 1


def read_book(path: Path) -> BookFile:
    """The book of a file. Raises ConfigError for a file that cannot be read, and for symbols that cannot share one account."""
    params = parse_book(read_text(path, "the book"), str(path))
    book = BookFile(path, params, {symbol: _strategy(params, symbol, path) for symbol in params.symbols})
    _require_one_quote(book)
    _require_one_account(book)
    return book


def book_of_symbols(symbols: Sequence[str], capital_usdt: Decimal | None, path: Path | None) -> BookFile:
    """The book of a list of symbols: equal shares, everything else by default. capital_usdt: None for the sum of the
    allocations. path: the P.json of every symbol, None for the documented defaults. Raises ConfigError."""
    chosen = params_of(DEFAULT_PARAMS, "the defaults")
    if path is not None:
        chosen = parse_params(read_text(path, "parameters"), str(path))
    asked = capital_usdt or chosen.allocation_usdt * len(symbols)
    params = book_params_of({"symbols": list(symbols), "capital_usdt": asked}, "symbols")
    others = params_of(DEFAULT_PARAMS, "the defaults").allocation_usdt * len(symbols)
    if capital_usdt is None and asked != others and len(symbols) > 1:
        raise ConfigError(
            f"{path} allocates {plain(chosen.allocation_usdt)} USDT to each of {len(symbols)} symbols, {plain(asked)} together, "
            f"and without capital_usdt every other command counts on {plain(others)}. Set capital_usdt = {plain(asked)} in "
            f"trader.toml, or TRADER_CAPITAL_USDT={plain(asked)}"
        )
    given = chosen.model_copy(update={"allocation_usdt": params.capital_usdt})
    book = BookFile(None, params, dict.fromkeys(params.symbols, given))
    for symbol in params.symbols:
        _require_long_flat(chosen, params, symbol, str(path))
    _require_one_quote(book)
    return book


def _strategy(params: BookParams, symbol: str, book: Path) -> Params:
    """The P.json of a symbol, with the book's capital; its path is read beside book.toml."""
    named = params.params_path(symbol)
    if named is None:
        chosen = params_of(DEFAULT_PARAMS, "the defaults")
    else:
        place = book.parent / named
        chosen = parse_params(read_text(place, f"the parameters of {symbol}"), str(place))
    _require_long_flat(chosen, params, symbol, str(named))
    return in_book(chosen, params, str(named or "the defaults"))


def _require_long_flat(chosen: Params, params: BookParams, whose: str, source: str) -> None:
    """Raises ConfigError for parameters that go short, where cash would move that a short owes."""
    if chosen.exposure != "long_flat" and len(params.symbols) > 1:
        raise ConfigError(
            f"{whose}: exposure is {chosen.exposure!r} in {source}, and a book trades long_flat only: it moves cash among its "
            "symbols, and a short owes what it sold. Set exposure to long_flat"
        )


def in_book(chosen: Params, params: BookParams, source: str) -> Params:
    """Parameters as a symbol of the book is traded by them: with the book's capital and, where its symbols share a model, all of
    them as those that a fit sees. Raises ConfigError for other `train_symbols`."""
    capital = {"allocation_usdt": params.capital_usdt}
    if not params.is_pooled:
        return chosen.model_copy(update=capital)
    if chosen.train_symbols not in (None, params.symbols):
        raise ConfigError(
            f"{source}: train_symbols names {', '.join(chosen.train_symbols or ())}, and with pool = true a fit sees the book's "
            f"own symbols, {', '.join(params.symbols)}. Leave train_symbols out"
        )
    return chosen.model_copy(update={**capital, "train_symbols": params.symbols})


def with_params(book: BookFile, text: str, source: str) -> BookFile:
    """The book with one P.json for all symbols in place of what book.toml names. Raises ConfigError for a wrong one."""
    chosen = parse_params(text, source)
    _require_long_flat(chosen, book.params, "the book", source)
    strategy = in_book(chosen, book.params, source)
    return replace(book, strategies=dict.fromkeys(book.params.symbols, strategy))


def _require_one_quote(book: BookFile) -> None:
    """Raises ConfigError where symbols are quoted in several assets."""
    quotes = {symbol: quote_asset_of(symbol) for symbol in book.params.symbols}
    if len(set(quotes.values())) > 1:
        said = ", ".join(
            f"{symbol} in {quote or 'an asset unknown here'}" for symbol, quote in quotes.items()
        )
        raise ConfigError(
            f"a book's symbols share one cash, so they are quoted in one asset; these are not: {said}. Make a book of each"
        )


def _require_one_account(book: BookFile) -> None:
    """Raises ConfigError where two symbols' parameters disagree about what trading costs."""
    (symbol, first), *others = book.strategies.items()
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
