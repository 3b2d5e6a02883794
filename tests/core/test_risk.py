"""Halts: marked to market, reached when equal, and kept until a person resumes."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trader.core.policy import LossLimits
from trader.core.risk import RiskState, assess, halted

BOTH = LossLimits(Decimal("-0.2"), Decimal("0.1"))


def test_a_cumulative_loss_halts_when_it_is_reached() -> None:
    """A loss of 20 % halts at 800.00, not at 800.01."""
    limits = LossLimits(Decimal("-0.2"), None)
    fresh = RiskState.fresh(Decimal(1_000))
    assert assess(fresh, Decimal("800.01"), 5, limits).halted_at is None
    halted = assess(fresh, Decimal(800), 5, limits)
    assert (halted.halted_at, halted.halt_reason) == (5, "cumulative_return")


def test_a_drawdown_counts_from_the_peak() -> None:
    """From a peak of 2,000, 10 % is reached at 1,800, far above the base."""
    state = assess(RiskState.fresh(Decimal(1_000)), Decimal(2_000), 1, BOTH)
    assert state.peak_equity == 2_000
    assert assess(state, Decimal(1_801), 2, BOTH).halted_at is None
    assert assess(state, Decimal(1_800), 2, BOTH).halt_reason == "drawdown"


def test_a_halt_stays_and_keeps_its_reason() -> None:
    """Equity that recovers, or falls further, changes neither the hour nor the reason."""
    halted = assess(RiskState.fresh(Decimal(1_000)), Decimal(700), 3, BOTH)
    later = assess(halted, Decimal(5_000), 4, BOTH)
    assert (later.halted_at, later.halt_reason, later.peak_equity) == (3, "cumulative_return", 5_000)


def test_a_frozen_halt_keeps_what_is_held() -> None:
    """Frozen by its limits, or later by a person; the first reason stays, and frozen stays frozen."""
    fresh = RiskState.fresh(Decimal(1_000))
    assert assess(fresh, Decimal(700), 3, LossLimits(Decimal("-0.2"), None, freeze=True)).frozen
    sold = assess(fresh, Decimal(700), 3, BOTH)
    assert not sold.frozen
    frozen = halted(sold, 4, "by hand", True)
    assert (frozen.frozen, frozen.halted_at, frozen.halt_reason) == (True, 3, "cumulative_return")
    assert halted(frozen, 5, "again", False).frozen


def test_without_limits_nothing_halts() -> None:
    """None switches a limit off."""
    state = assess(RiskState.fresh(Decimal(1_000)), Decimal(-5), 1, LossLimits(None, None))
    assert state.halted_at is None


@given(equities=st.lists(st.decimals(1, 2_000, places=2), max_size=30))
def test_the_first_breach_is_the_slow_twins(equities: list[Decimal]) -> None:
    """Hour by hour with a list of all equities so far."""
    state = RiskState.fresh(Decimal(1_000))
    for hour, equity in enumerate(equities):
        state = assess(state, equity, hour, BOTH)
    breaches = [
        hour
        for hour, equity in enumerate(equities)
        if equity <= 800 or equity <= max([Decimal(1_000), *equities[: hour + 1]]) * Decimal("0.9")
    ]
    assert state.halted_at == (breaches[0] if breaches else None)
    assert state.peak_equity == max([Decimal(1_000), *equities])


def test_without_capital_there_is_nothing_to_lose() -> None:
    """A symbol of a book that waits for its share reaches no limit; once it has capital, it does."""
    state = assess(RiskState.fresh(Decimal(0)), Decimal(0), 1, BOTH)
    assert state.halted_at is None
    state = assess(RiskState(Decimal(1_000), Decimal(1_000)), Decimal(0), 2, BOTH)
    assert state.halted_at == 2
