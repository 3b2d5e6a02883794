"""The bars that a fit reads, of every symbol that it sees: collected, checked, and not late."""

from __future__ import annotations

from dataclasses import dataclass

from trader.app.collect import Collector
from trader.core.errors import DataError, Retry
from trader.core.features import anchor_of
from trader.core.forecast import Traits
from trader.core.jumps import require_no_jump
from trader.core.params import Params
from trader.core.training import train_symbols_of
from trader.core.types import HOUR_MS, Bars, iso
from trader.core.windows import Refit, require_history


@dataclass(frozen=True, slots=True, eq=False)
class FitBars:
    """bars: of the traded symbol. others: of the further symbols that a fit sees, by name."""

    bars: Bars
    others: tuple[Bars, ...]


def fit_bars(collector: Collector, params: Params, window: Refit, traits: Traits) -> FitBars:
    """What is known when a window's model is trained. The traded symbol must have the whole window; another may be younger.

    Raises ConfigError where `train_symbols` does not suit the symbol or the family, DataError where a history is too short or
    its price jumps, Retry while the newest bar of any of them is missing.
    """
    beside = [it for it in train_symbols_of(params, collector.symbol, traits) if it != collector.symbol]
    bars = collected(collector, params, window, traits)
    require_history(bars, window, params, f"the history of {collector.symbol}")
    _require_usable(bars, params, window)
    others = tuple(collected(collector.of(symbol), params, window, traits) for symbol in beside)
    for it in others:
        _require_usable(it, params, window)
    return FitBars(bars, others)


def collected(collector: Collector, params: Params, window: Refit, traits: Traits) -> Bars:
    """The bars of a symbol that a window's fit reads, as far as the source has them."""
    known_at = window.serve_from - params.gap_hours * HOUR_MS
    context_from = window.train_from - traits.context_hours * HOUR_MS
    return collector.between(min(anchor_of(window.train_from), context_from), known_at + HOUR_MS)


def _require_usable(bars: Bars, params: Params, window: Refit) -> None:
    """Raises DataError for bars whose price jumps, or that are none, Retry for those that end too early."""
    known_at = window.serve_from - params.gap_hours * HOUR_MS
    if not len(bars):
        raise DataError(
            f"{bars.symbol}: there are no bars up to {iso(known_at)}; leave it out of train_symbols, or begin later"
        )
    known = bars.span(window.train_from, known_at + HOUR_MS)
    require_no_jump(known, f"the history of {bars.symbol}", but_for_prints=True)
    reach = window.train_until + params.horizon_hours * HOUR_MS
    if bars.last < reach:
        named = len(params.train_symbols or ()) > 1
        more = "; if it is traded no more, leave it out of train_symbols" if named else ""
        raise Retry(
            f"{bars.symbol}: training for {iso(window.serve_from)} needs the bar of {iso(reach)}; the newest is "
            f"{iso(bars.last)}{more}"
        )
