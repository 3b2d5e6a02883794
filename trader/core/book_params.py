"""A book's own parameters (`book.toml`): validated once, unknown keys refused, money as Decimal."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trader.core.errors import ConfigError
from trader.core.params import MOST_USDT
from trader.core.policy import LossLimits
from trader.core.shares import ShareRule, ShareSettings
from trader.core.text import visible
from trader.core.types import plain

SymbolName = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
Cap = Annotated[Decimal, Field(gt=0, le=1)]


class BookParams(BaseModel):
    """What a book trades and how its capital is shared. Shares and returns are fractions, `_hours` are spans of time.

    `capital_usdt` takes the place of every `allocation_usdt`. `params` is the P.json of every symbol, by its path beside
    book.toml, and `params_by_symbol` that of single ones; without either the documented defaults hold. The limits are those of
    the whole book, beside those of each symbol's P.json. `pool` fits one model on the rows of all symbols, so that there is one
    P.json.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[SymbolName, ...] = Field(min_length=1, max_length=200, description="what is traded")
    capital_usdt: Decimal = Field(gt=0, le=MOST_USDT, description="capital of the whole book, USDT")
    shares: ShareRule = Field(
        "equal", description="how it is shared: equal, inverse_volatility, volatility_target or hrp"
    )
    rebalance_hours: int = Field(
        168, ge=1, le=24 * 365, description="hours from one move of cash among symbols to the next"
    )
    params: str | None = Field(None, description="P.json of every symbol; without it the documented defaults")
    halt_cumulative_return: Decimal | None = Field(
        Decimal("-0.2"), gt=-1, lt=0, description="the book halts at this return"
    )
    halt_drawdown: Decimal | None = Field(
        None, gt=0, lt=1, description="the book halts at this fall from its peak; without it never"
    )
    largest_exposure: Decimal | None = Field(
        None, gt=0, le=1, description="most of the book's equity that may be held after purchases, a share"
    )
    largest_order_usdt: Decimal | None = Field(
        None, gt=0, le=MOST_USDT, description="most that one purchase may cost, USDT"
    )
    orders_a_day: int | None = Field(
        None,
        ge=0,
        le=24 * 200,
        description="most orders of all symbols in 24 hours; exits are never held back",
    )
    share_hours: int = Field(
        720, ge=48, le=24 * 365, description="hours of returns that shares are computed from"
    )
    target_volatility: float = Field(
        0.4, gt=0, le=10, description="annualised volatility that volatility_target does not exceed, a share"
    )
    cap: dict[SymbolName, Cap] = Field(default_factory=dict, description="most that a symbol gets, a share")
    params_by_symbol: dict[SymbolName, str] = Field(
        default_factory=dict, description="P.json of single symbols, by symbol"
    )

    pool: bool = Field(
        False, description="one model on the rows of all symbols, which symbol being one of its columns"
    )

    @field_validator("symbols", mode="after")
    @classmethod
    def _sorted_once(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({it for it in symbols if symbols.count(it) > 1}):
            raise ValueError(f"names {', '.join(twice)} more than once; a symbol is one sleeve of the book")
        return tuple(sorted(symbols))

    @model_validator(mode="after")
    def _of_its_symbols(self) -> Self:
        for key, named in (("cap", self.cap), ("params_by_symbol", self.params_by_symbol)):
            if others := sorted(named.keys() - set(self.symbols)):
                raise ValueError(
                    f"{key} names {', '.join(others)}, which symbols does not; add it there, or leave it out"
                )
        if self.pool and self.params_by_symbol:
            raise ValueError(
                "pool fits one model for all symbols, which has one P.json: name it as params, and leave params_by_symbol out"
            )
        most = sum((self.cap.get(symbol, Decimal(1)) for symbol in self.symbols), Decimal(0))
        if most < 1:
            raise ValueError(
                f"cap: the shares add up to {plain(most)}, so that {plain(1 - most)} of capital_usdt would never be traded; "
                f"raise a cap, or lower capital_usdt"
            )
        return self

    @property
    def is_pooled(self) -> bool:
        """Whether its symbols share a model; one symbol alone has its own."""
        return self.pool and len(self.symbols) > 1

    @property
    def share_settings(self) -> ShareSettings:
        """The part that shares capital."""
        return ShareSettings(self.shares, self.share_hours, self.target_volatility, self.cap)

    @property
    def limits_purchases(self) -> bool:
        """Whether a limit of the whole book may hold back a purchase."""
        named = self.largest_exposure, self.largest_order_usdt, self.orders_a_day
        return any(it is not None for it in named)

    def limits(self, *, freeze: bool) -> LossLimits:
        """The losses of the whole book that halt it, and whether its symbols keep what they hold then."""
        return LossLimits(self.halt_cumulative_return, self.halt_drawdown, freeze)

    def params_path(self, symbol: str) -> str | None:
        """The P.json of a symbol, None for the documented defaults."""
        return self.params_by_symbol.get(symbol, self.params)


def parse_book(text: str, source: str) -> BookParams:
    """BookParams from the text of a `book.toml`. `source` names the file in the error. Raises ConfigError that names every key
    that is wrong."""
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source} is not valid TOML: {visible(str(error))}") from None
    return book_params_of(values, source)


def book_params_of(values: Mapping[str, Any], source: str) -> BookParams:
    """BookParams from their keys. `source` names where they stand in the error. Raises ConfigError that names every key that is
    wrong."""
    try:
        return BookParams.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)[:8]
        raise ConfigError(f"{source}: {'; '.join(_problem(item) for item in found)}") from None


def _problem(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {visible(name)!r}; the keys are {', '.join(BookParams.model_fields)}"
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if item["type"] == "value_error":
        return f"{name} {item['ctx']['error']}".strip()
    return f"{name!r}: {item['msg'][0].lower()}{item['msg'][1:]}, not {visible(str(item['input']))!r}"
