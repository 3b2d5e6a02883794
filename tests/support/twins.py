"""The two hosts of one strategy: `backtest run` in this process, and a replay through HTTP and the real client."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from backtest.engine.simulate import simulate
from backtest.engine.walkforward import walk_forward
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, load_settings
from trader.core.hours import Rules
from trader.core.params import MOST_USDT
from trader.core.types import HOUR_MS, Bars
from trader.exchange.matching import FeeAsset
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol
from trader.forecasters.registry import forecaster_of
from trader.simulation import rehearsal
from trader.simulation.markets import assets_of, listed_of


@dataclass(frozen=True)
class Twins:
    """A market, the rules of one strategy on it, and the hours start <= T < stop (UTC ms). others: symbols that are quoted
    beside it, for the fits of a global family."""

    bars: Bars
    rules: Rules
    start: int
    stop: int
    others: tuple[Bars, ...] = ()

    def backtest(self) -> list[str]:
        """The hours file of `backtest run`."""
        bars, params = self.bars, self.rules.params
        p_up = walk_forward(
            forecaster_of(params.model.family), bars, params, self.start, self.stop,
            source="twins", others=self.others,
        )  # fmt: skip  # what is walked, then what it is called
        return list(simulate(bars, p_up, self.rules, self.start, self.stop).track.texts())

    def replay(self, store: Path) -> list[str]:
        """The hours file of `trader replay`; the account ends with what the last line says."""
        params, (base, quote) = self.rules.params, assets_of(self.bars.symbol)
        discount = params.fee_discount
        served = EmbeddedExchange(
            ExchangeConfig(
                traded=(TradedSymbol(self.bars, base, quote, self.rules.filters),),
                costs=params.costs,
                at_ms=self.start - params.gap_hours * HOUR_MS,
                balances={quote: params.allocation_usdt, "BNB": MOST_USDT},
                api_key=EMBEDDED_KEY,
                api_secret=EMBEDDED_SECRET,
                others=[listed_of(it, self.start) for it in self.others],
                fee_asset=None if discount is None else FeeAsset("BNB", discount),
            )
        )
        served.start()
        try:
            settings = load_settings(
                venue="embedded",
                venue_url=served.url,
                data_url=served.url,
                api_key=EMBEDDED_KEY,
                api_secret=EMBEDDED_SECRET,
                symbol=self.bars.symbol,
                store=store,
                halt_policy="freeze" if self.rules.freeze_on_halt else "flatten",
            )
            _, lines = rehearsal.replay_hours(
                settings, self.bars, self.rules, self.start, self.stop, quiet=True
            )
            held = served.venue.account.free
            assert held[base] == Decimal(json.loads(lines[-1])["position"])
        finally:
            served.stop()
        return lines


def told(lines: list[str]) -> Counter[str]:
    """How many hours there were of each reason, and how many had an order."""
    rows = [json.loads(line) for line in lines]
    return Counter(row["reason"] for row in rows) + Counter("orders" for row in rows if row["order_side"])
