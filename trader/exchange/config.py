"""What the embedded exchange starts from: the symbols it trades, the account, its clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.core.costs import CostModel
from trader.core.errors import ConfigError
from trader.core.types import Bars, Filters
from trader.exchange.limits import RequestLimits
from trader.exchange.listings import ListedSymbol
from trader.exchange.matching import FeeAsset


@dataclass(frozen=True, slots=True)
class TradedSymbol:
    """A symbol that orders are taken in. exchange_info_row: a real exchangeInfo row, which then rules instead of `filters`."""

    bars: Bars
    base: str
    quote: str
    filters: Filters
    exchange_info_row: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The symbol as requests name it."""
        return self.bars.symbol


@dataclass(frozen=True)
class ExchangeConfig:
    """What the embedded exchange starts from. Raises ConfigError for symbols that one account cannot trade together.

    traded: the symbols that the account trades, at least one, all in one quote asset. balances: asset -> amount. at_ms:
    virtual time at the start, UTC ms. speed: virtual seconds per wall second, 0 stands still. port 0 takes a free one.
    state_path: a file that survives restarts. faults: see `faults.py`. fee_asset: what commission is taken in while the
    account holds some, None takes it from what is received. market: what the bars are where they are no real market's, else
    "". others: symbols that are quoted beside the traded ones.
    """

    traded: tuple[TradedSymbol, ...]
    costs: CostModel
    at_ms: int
    balances: Mapping[str, Decimal]
    api_key: str
    api_secret: str
    port: int = 0
    speed: Decimal | float = 0
    state_path: Path | None = None
    faults: Sequence[Mapping[str, Any]] = ()
    limits: RequestLimits = field(default_factory=RequestLimits)
    fee_asset: FeeAsset | None = None
    market: str = ""
    others: Sequence[ListedSymbol] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError for no symbol, one that is named twice, or several quote assets."""
        twice = [name for name, count in Counter(self.symbols).items() if count > 1]
        if twice or not self.traded:
            raise ConfigError(f"an exchange trades each symbol once: {', '.join(twice) or 'none'} was named")
        if len({it.quote for it in self.traded}) > 1:
            named = ", ".join(f"{it.name} in {it.quote}" for it in self.traded)
            raise ConfigError(f"one account trades symbols of one quote asset; {named} were named")

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of the traded symbols, in their order."""
        return tuple(it.name for it in self.traded)

    @property
    def quote(self) -> str:
        """The asset that every traded symbol is paid in."""
        return self.traded[0].quote
