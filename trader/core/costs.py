"""What a trade costs: the quote, the fill and the commission, exact to the tick.

Backtest and bot use these very formulas: the backtest fills by them, the embedded exchange quotes and fills by them,
and the bot computes its expected fill from the book ticker by them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_UP, Decimal

from trader.core.types import PaidIn, Quote, Side

BPS = Decimal("0.0001")
COMMISSION_QUANTUM = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class CostModel:
    """fee_rate is a share of the traded amount; half_spread_bps and slippage_bps are in 1/10,000 of the price.

    fee_discount: the share by which the fee is reduced because it is paid in a third asset (BNB); None where commission
    is taken from what is received.
    """

    fee_rate: Decimal
    half_spread_bps: Decimal
    slippage_bps: Decimal
    fee_discount: Decimal | None = None

    def scaled(self, factor: Decimal) -> CostModel:
        """The same model with every cost multiplied, for stress and for `zero`."""
        return replace(
            self,
            fee_rate=self.fee_rate * factor,
            half_spread_bps=self.half_spread_bps * factor,
            slippage_bps=self.slippage_bps * factor,
        )

    @property
    def paid_rate(self) -> Decimal:
        """The share that is paid in the end: the fee rate less its discount."""
        return self.fee_rate if self.fee_discount is None else self.fee_rate * (1 - self.fee_discount)

    def commission(self, side: Side, qty: Decimal, price: Decimal) -> tuple[Decimal, PaidIn]:
        """What an execution is charged, and in what: of a commission in a third asset, its value in quote."""
        if self.fee_discount is None:
            return commission(side, qty, price, self.fee_rate), "base" if side == "BUY" else "quote"
        return value_charged(qty * price, self.paid_rate), "quote"


def exact(value: float) -> Decimal:
    """The shortest decimal that reads back as this float: prices arrive as text and leave as the same text."""
    return Decimal(repr(float(value)))


def ceil_to(value: Decimal, quantum: Decimal) -> Decimal:
    """The smallest multiple of `quantum` at or above `value`."""
    return (value / quantum).to_integral_value(ROUND_CEILING) * quantum


def floor_to(value: Decimal, quantum: Decimal) -> Decimal:
    """The largest multiple of `quantum` at or below `value`."""
    return (value / quantum).to_integral_value(ROUND_FLOOR) * quantum


def quote_at(price: Decimal, costs: CostModel, tick: Decimal) -> Quote:
    """Bid and ask around a price: half a spread away, rounded to the tick away from the price."""
    half = costs.half_spread_bps * BPS
    return Quote(bid=floor_to(price * (1 - half), tick), ask=ceil_to(price * (1 + half), tick))


def fill_price(side: Side, quote: Quote, costs: CostModel, tick: Decimal) -> Decimal:
    """What a market order gets: the far side of the quote, worsened by the slippage and rounded against us."""
    slip = costs.slippage_bps * BPS
    if side == "BUY":
        return ceil_to(quote.ask * (1 + slip), tick)
    return floor_to(quote.bid * (1 - slip), tick)


def commission(side: Side, qty: Decimal, price: Decimal, fee_rate: Decimal) -> Decimal:
    """Taken from what is received, rounded up at eight decimals: base after a BUY, quote after a SELL."""
    received = qty if side == "BUY" else qty * price
    return (received * fee_rate).quantize(COMMISSION_QUANTUM, ROUND_UP)


def value_charged(notional: Decimal, rate: Decimal) -> Decimal:
    """A commission that is not taken from what is received, in quote: a share of what was traded, rounded up at eight
    decimals, the same for both sides."""
    return (notional * rate).quantize(COMMISSION_QUANTUM, ROUND_UP)


def asset_charged(value: Decimal, price: Decimal) -> Decimal:
    """What is taken of an asset for a commission worth `value`, at a price in quote: rounded up at eight decimals."""
    return (value / price).quantize(COMMISSION_QUANTUM, ROUND_UP)


def slippage_bps(side: Side, paid: Decimal, expected: Decimal) -> float:
    """How much worse a fill was than the model's price, in 1/10,000 of it; negative where it was better."""
    gap = paid - expected if side == "BUY" else expected - paid
    return round(float(gap / expected * 10_000), 4) + 0.0
