"""The bars that a fit reads, of every symbol that it sees: collected, checked, and not late."""

from __future__ import annotations

from dataclasses import dataclass

from trader.app.collect import Collector
from trader.core.errors import Retry
from trader.core.features import anchor_of
from trader.core.forecast import Traits
from trader.core.jumps import require_no_jump
from trader.core.params import Params
from trader.core.pooled_rows import awaits, learns_from, require_listed
from trader.core.training import train_symbols_of
from trader.core.types import HOUR_MS, Bars, iso
from trader.core.windows import Refit, require_history

NAMED = "; if it is traded no more, leave it out of train_symbols (a symbol without bars for a day counts as no longer traded)"


@dataclass(frozen=True, slots=True, eq=False)
class FitBars:
    """bars: of the traded symbol. others: of the further symbols that a fit sees, by name."""

    bars: Bars
    others: tuple[Bars, ...]


def fit_bars(
    collector: Collector, params: Params, window: Refit, traits: Traits, now_ms: int | None = None
) -> FitBars:
    """What is known when a window's model is trained. The traded symbol must have the whole window; another may be younger, or
    have ended: one whose bars ended before the window is no part of the fit. now_ms: the time at which it is trained, UTC; None
    is the hour of the newest bar that it needs.

    Raises ConfigError where `train_symbols` does not suit the symbol or the family, DataError where a history is too short or
    its price jumps, Retry while the newest bar of any of them is missing: of another symbol for a day at most (`awaits`).
    """
    beside = [it for it in train_symbols_of(params, collector.symbol, traits) if it != collector.symbol]
    bars = collected(collector, params, window, traits)
    reach = window.train_until + params.horizon_hours * HOUR_MS
    require_history(bars, window, params, f"the history of {collector.symbol}")
    _require_no_jump(bars, window, reach)
    if bars.last < reach:
        raise _late(bars, window, reach)
    others = tuple(collected(collector.of(symbol), params, window, traits) for symbol in beside)
    for it in others:
        if not len(collector.of(it.symbol).known.until(reach)):
            require_listed(it, reach)
        if learns_from(it, window, reach):
            _require_no_jump(it, window, reach)
            if awaits(it, reach, reach if now_ms is None else now_ms):
                raise _late(it, window, reach, NAMED)
    return FitBars(bars, others)


def collected(collector: Collector, params: Params, window: Refit, traits: Traits) -> Bars:
    """The bars of a symbol that a window's fit reads, as far as the source has them."""
    known_at = window.serve_from - params.gap_hours * HOUR_MS
    context_from = window.train_from - traits.context_hours * HOUR_MS
    return collector.between(min(anchor_of(window.train_from), context_from), known_at + HOUR_MS)


def _require_no_jump(bars: Bars, window: Refit, reach: int) -> None:
    known = bars.span(window.train_from, reach + HOUR_MS)
    require_no_jump(known, f"the history of {bars.symbol}", but_for_prints=True)


def _late(bars: Bars, window: Refit, reach: int, more: str = "") -> Retry:
    return Retry(
        f"{bars.symbol}: training for {iso(window.serve_from)} needs the bar of {iso(reach)}; the newest is "
        f"{iso(bars.last)}{more}"
    )
