"""Prices that change by orders of magnitude at once: another coin under the same symbol, a redenomination, or a broken file.

Nobody gained or lost what lies between two such prices, so no result may count it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.types import DAY_MS, Bars, Floats, iso

# From one bar's close to the next one's open a market that goes on moves by less: LUNA's collapse kept below 3. Within an hour
# of trading a true collapse may be wilder.
BETWEEN_BARS = 10.0
WITHIN_A_BAR = 100.0


@dataclass(frozen=True, slots=True)
class Jump:
    """A change of the price at once. close_time: of the bar after it (UTC ms); before: the newest close known until then (UTC
    ms); factor: above 1, the greater price over the smaller one; up: to the greater one; where: `over a gap`, `between two
    bars` or `within a bar`."""

    close_time: int
    before: int
    factor: float
    up: bool
    where: str

    def in_words(self) -> str:
        """For a message: how much, where and when."""
        way = "rises" if self.up else "falls"
        return f"the price {way} by a factor of {self.factor:,.0f} {self.where} at {iso(self.close_time)}"


def jumps(bars: Bars) -> list[Jump]:
    """The changes between genuine bars by a factor of 10 or more, and within a bar by 100 or more, oldest first."""
    rows = np.flatnonzero(~bars.flagged)
    if not len(rows):
        return []
    opens, closes, times = bars.open[rows], bars.close[rows], bars.close_time[rows]
    between = _ratio(opens[1:], closes[:-1])
    within = _ratio(closes, opens)
    found = []
    for at in map(int, np.flatnonzero(np.maximum(between, 1 / between) >= BETWEEN_BARS)):
        where = "over a gap" if rows[at + 1] > rows[at] + 1 else "between two bars"
        found.append(_jump(int(times[at + 1]), int(times[at]), float(between[at]), where))
    for at in map(int, np.flatnonzero(np.maximum(within, 1 / within) >= WITHIN_A_BAR)):
        found.append(_jump(int(times[at]), int(times[max(at - 1, 0)]), float(within[at]), "within a bar"))
    return sorted(found, key=lambda jump: jump.close_time)


def lasting(found: list[Jump]) -> list[Jump]:
    """The jumps without those that the next one takes back within a day: there a single print was wrong, and it is the same
    market before and after."""
    kept: list[Jump] = []
    for jump in found:
        last = kept[-1] if kept else None
        back = last is not None and last.up != jump.up and jump.close_time - last.close_time <= DAY_MS
        if last is not None and back and 0.5 <= jump.factor / last.factor <= 2:
            kept.pop()
        else:
            kept.append(jump)
    return kept


def require_no_jump(bars: Bars, source: str, *, but_for_prints: bool = False) -> None:
    """Raises DataError for bars over which nothing can be learned or gained, with the hours to cut at. but_for_prints: a bot's
    training goes on over a single wrong print, which would else stop it until the look-back has left the print behind."""
    found = lasting(jumps(bars)) if but_for_prints else jumps(bars)
    if not found:
        return
    jump = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise DataError(
        f"{source}: {jump.in_words()}{more}: another coin under this symbol, a redenomination or a broken file. No result counts "
        f"it: end at {iso(jump.before)} or before, or begin where everything that is read lies after {iso(jump.close_time)}"
    )


def _ratio(later: Floats, sooner: Floats) -> Floats:
    return np.asarray(later / sooner, dtype=np.float64)


def _jump(close_time: int, before: int, ratio: float, where: str) -> Jump:
    return Jump(close_time, before, max(ratio, 1 / ratio), ratio > 1, where)
