"""Cash that moves among the symbols of a book: how much, and what it does to a sleeve. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from trader.core.book_limits import CENT, SleeveStanding
from trader.core.hours import HourState
from trader.core.shares import Shares

EIGHT, TWELVE = Decimal("1e-8"), Decimal("1e-12")


def transfers(
    equity_usdt: Decimal, reserve_usdt: Decimal, moving: Sequence[SleeveStanding], shares: Shares
) -> dict[str, Decimal]:
    """The moves of cash towards these shares of `equity_usdt`, in cents rounded down, alphabetical, none of them 0. Only cash
    moves: a sleeve gives at most what it has. Where the cash does not reach for all, those that take get the same share of what
    they want. moving: the sleeves that give and take."""
    moved: dict[str, Decimal] = {}
    wanted: dict[str, Decimal] = {}
    for it in sorted(moving, key=lambda standing: standing.symbol):
        more = _cents(shares.weights.get(it.symbol, Decimal(0)) * equity_usdt) - it.equity_usdt
        if more > 0:
            wanted[it.symbol] = more
        elif given := _cents(min(-more, max(it.cash_usdt, Decimal(0)))):
            moved[it.symbol] = -given
    there = reserve_usdt - sum(moved.values(), Decimal(0))
    asked = sum(wanted.values(), Decimal(0))
    for symbol, more in wanted.items():
        if given := _cents(more if asked <= there else more * there / asked):
            moved[symbol] = given
    return dict(sorted(moved.items()))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_DOWN)


def with_transfer(state: HourState, amount: Decimal, mark: Decimal) -> HourState:
    """A sleeve's state after its cash has changed by `amount` USDT, `mark` being what marks its equity before. Base and peak of
    its limits change in proportion, so that a transfer is no gain and no loss; a halt stays what it was."""
    if not amount:
        return state
    equity, risk = state.ledger.equity(mark), state.risk
    if equity == 0:
        base = peak = amount
    else:
        # The product first: the quotient alone would be cut before it is multiplied.
        base = (risk.base_equity * (equity + amount) / equity).quantize(EIGHT, ROUND_HALF_EVEN)
        peak = (risk.peak_equity * (equity + amount) / equity).quantize(EIGHT, ROUND_HALF_EVEN)
    ledger = replace(state.ledger, cash=state.ledger.cash + amount)
    return replace(state, ledger=ledger, risk=replace(risk, base_equity=base, peak_equity=peak))


def transfer_scale(scale: Decimal, equity: Decimal, amount: Decimal) -> Decimal:
    """By how much transfers have multiplied a sleeve's equity, after one of `amount` USDT into `equity`. Equity divided by it is
    chain-linked over transfers."""
    if equity <= 0 or equity + amount <= 0:
        return scale
    return (scale * (equity + amount) / equity).quantize(TWELVE, ROUND_HALF_EVEN)
