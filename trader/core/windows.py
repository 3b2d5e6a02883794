"""The one splitter: train | gap | serve, by time and never by row count."""

from __future__ import annotations

from dataclasses import dataclass

from trader.core.errors import ConfigError, DataError
from trader.core.params import Params
from trader.core.types import DAY_MS, HOUR_MS, Bars, iso


@dataclass(frozen=True, slots=True)
class Refit:
    """One model's life, in close times (UTC ms). It trains on labelled, unflagged rows with
    train_from <= close_time <= train_until and serves serve_from <= T < serve_until.

    With a gap of 1 h, a horizon of 1 h and a look-back of 2 days, the refit that serves from day 10, 00:00 trains on
    day 7, 23:00 to day 9, 22:00: what was known at day 9, 23:00, one hour before it serves.
    """

    k: int
    serve_from: int
    serve_until: int
    train_from: int
    train_until: int

    def numbers(self) -> list[int]:
        """All of it, in the order of the constructor."""
        return [self.k, self.serve_from, self.serve_until, self.train_from, self.train_until]


def refit(k: int, start: int, step_days: int, look_back_days: int, gap: int, horizon: int) -> Refit:
    """Refit k of a deployment that begins at `start`; gap and horizon in hours, without defaults because they leak."""
    serve_from = start + k * step_days * DAY_MS
    known_at = serve_from - gap * HOUR_MS
    return Refit(
        k=k,
        serve_from=serve_from,
        serve_until=serve_from + step_days * DAY_MS,
        train_from=known_at - look_back_days * DAY_MS,
        train_until=known_at - horizon * HOUR_MS,
    )


def refit_of(params: Params, k: int, start: int) -> Refit:
    """Refit k of a deployment that begins at `start`, by a strategy's parameters."""
    return refit(k, start, params.step_days, params.look_back_days, params.gap_hours, params.horizon_hours)


def refits(params: Params, start: int, stop: int) -> list[Refit]:
    """The refits whose models serve the hours start <= T < stop."""
    step = params.step_days * DAY_MS
    return [refit_of(params, k, start) for k in range(-(-(stop - start) // step))]


def require_span(bars: Bars, start: int, stop: int, source: str) -> None:
    """Raises ConfigError unless every hour start <= T < stop, and the bar that opens at the last one, is within."""
    if stop <= start:
        raise ConfigError(f"--to {iso(stop)} must be later than --from {iso(start)}")
    if start < bars.first or stop > bars.last:
        raise ConfigError(
            f"the hours {iso(start)} to {iso(stop)} need bars that close from {iso(start)} to {iso(stop)}; {source} holds "
            f"{iso(bars.first)} to {iso(bars.last)}. Choose hours within it, or collect more bars"
        )


def require_history(bars: Bars, window: Refit, params: Params, source: str) -> None:
    """Raises DataError, with the numbers and the way out, if the bars begin after a window's training does."""
    if len(bars) and bars.first <= window.train_from:
        return
    needed = params.look_back_days * 24 + params.gap_hours
    has = max(0, (window.serve_from - bars.first) // HOUR_MS) if len(bars) else 0
    begins = f"begins at {iso(bars.first)}" if len(bars) else "is empty"
    raise DataError(
        f"look_back {params.look_back_days} d + gap {params.gap_hours} h needs {needed:,} bars before "
        f"{iso(window.serve_from)}; {source} has {has:,} ({begins}). Start later, shorten look_back_days, "
        f"or give older bars"
    )
