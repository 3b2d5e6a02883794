"""What the limits on losses have seen: mark to market, once an hour, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from trader.core.policy import LossLimits, breach


@dataclass(frozen=True, slots=True)
class RiskState:
    """base_equity and peak_equity of the running risk epoch, in quote; halted_at (UTC ms) and its reason."""

    base_equity: Decimal
    peak_equity: Decimal
    halted_at: int | None = None
    halt_reason: str | None = None
    frozen: bool = False  # a frozen halt keeps what is held; any other sells it

    @staticmethod
    def fresh(equity: Decimal) -> RiskState:
        """A new risk epoch that begins with this equity."""
        return RiskState(base_equity=equity, peak_equity=equity)


def assess(state: RiskState, equity: Decimal, hour: int, limits: LossLimits) -> RiskState:
    """The state after marking `equity` at `hour`: the peak raised, and halted if a limit is breached. A halt stays until
    a person resumes with a new epoch."""
    if equity > state.peak_equity:
        state = replace(state, peak_equity=equity)
    if state.halted_at is not None:
        return state
    reason = breach(equity, state.base_equity, state.peak_equity, limits)
    return halted(state, hour, reason, limits.freeze) if reason else state


def halted(state: RiskState, hour: int, reason: str, frozen: bool) -> RiskState:
    """The state with a halt; one that is halted already keeps its first reason, and stays frozen if it was."""
    if state.halted_at is not None:
        return replace(state, frozen=state.frozen or frozen)
    return replace(state, halted_at=hour, halt_reason=reason, frozen=frozen)
