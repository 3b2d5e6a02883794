"""How a family's output must move with its input, as far as the family itself says.

| family | what must hold |
|---|---|
| trees (xgboost, lightgbm) | beyond the outermost threshold of a feature P(up) is constant, to the bit |
| naive | the quantiles are those of the last 168 returns, shock included; the unit of price is of no account |
| arima | linear: a shock of the close moves the median in proportion, and the width of the distribution not at all |
| prophet | the price's forecast does not see the close: the median return moves by minus the shock, P(up) never rises with it |
| tft | the unit of price is of no account; the rest is finite and bounded |
| any other | finite and bounded |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np

from backtest.certificate.shocks import Shock, scaled
from backtest.certificate.subject import LiveForecast, Subject
from trader.core.certificate import CertificateCheck, check_of
from trader.core.forecast import LEVELS
from trader.core.panel import Panel
from trader.core.types import HOUR_MS, Bars, Floats, Matrix

NAME = "as the family says"
MEDIAN = LEVELS.index(0.5)
NAIVE_HOURS, NAIVE_FEWEST = 168, 40
OTHER_UNIT = 1_000.0
# Relative to what is compared: float64 and its logarithms, or a float32 network.
EXACT, NETWORK = 1e-6, 1e-3
# From a feature's largest value in training to these multiples of its range beyond it no threshold is left.
BEYOND = (1.0, 1e3, 1e6)

# (subject, the hour UTC ms, shocks and what was said of each) -> what the family says of them
Family = Callable[[Subject, int, list[tuple[Shock, LiveForecast]]], Iterator[CertificateCheck]]


def sensitivity(
    subject: Subject, hour: int, told: list[tuple[Shock, LiveForecast]]
) -> Iterator[CertificateCheck]:
    """What the model's family says of its shocks; nothing for a family that says nothing beyond bounds."""
    known = _FAMILIES.get(subject.card.family)
    if known is not None:
        yield from known(subject, hour, told)


def trees(subject: Subject, hour: int, _: list[tuple[Shock, LiveForecast]]) -> Iterator[CertificateCheck]:
    """Constant beyond the outermost thresholds of each feature, which lie within what was learnt from."""
    learnt = subject.learnt
    low, high = learnt.min(axis=0), learnt.max(axis=0)
    reach = np.maximum(high - low, np.abs(high) + np.abs(low) + np.float32(1e-6))
    base = learnt[-1]
    rows = np.repeat(base[None], 2 * len(BEYOND) * len(base), axis=0)
    at = 0
    for column in range(len(base)):
        for edge, sign in ((high[column], 1), (low[column], -1)):
            for times in BEYOND:
                rows[at, column] = edge + np.float32(sign * times) * reach[column]
                at += 1
    said = scores_of(subject, rows, hour).reshape(len(base), 2, len(BEYOND))
    loose = np.argwhere((said != said[..., :1]).any(axis=2))
    words = f"P(up) is constant beyond the outermost threshold of each of {len(base)} features"
    if len(loose):
        column, side = loose[0].tolist()
        name, values = subject.card.columns[column], said[column, side].tolist()
        far, where = ", ".join(f"{it:g}" for it in BEYOND), ("above", "below")[side]
        words = f"P(up) is {values} where {name} lies {far} ranges {where} the training rows"
    yield check_of(NAME, not len(loose), words)


def naive(subject: Subject, hour: int, told: list[tuple[Shock, LiveForecast]]) -> Iterator[CertificateCheck]:
    """The quantiles of the last returns, computed anew; and no unit of price."""
    horizon = subject.params.horizon_hours
    for shock, said in told:
        wanted = _naive_quantiles(shock.bars, horizon)
        if said.quantiles and not np.allclose(wanted, said.quantiles, rtol=0, atol=1e-12):
            yield check_of(
                NAME,
                False,
                f"{shock.name}: the quantiles are {list(said.quantiles)}, and those of the last returns are {wanted.tolist()}",
            )
            return
    yield from _unitless(subject, hour, EXACT)


def _naive_quantiles(bars: Bars, horizon: int) -> Floats:
    close = np.where(bars.flagged, np.nan, np.log(bars.close))
    ended = np.arange(len(close) - NAIVE_HOURS, len(close))
    ended = ended[ended >= horizon]
    returns = close[ended] - close[ended - horizon]
    returns = returns[~np.isnan(returns)]
    if len(returns) < NAIVE_FEWEST:
        return np.full(len(LEVELS), np.nan)
    found: Floats = np.quantile(returns, LEVELS)
    return found


def arima(subject: Subject, hour: int, told: list[tuple[Shock, LiveForecast]]) -> Iterator[CertificateCheck]:
    """The median moves in proportion to the shock; the width does not move."""
    calm = subject.told(subject.bars, hour)
    moved = [
        (shock.log_move, np.asarray(said.quantiles))
        for shock, said in told
        if shock.log_move and said.quantiles
    ]
    if not calm.quantiles or not moved:
        yield check_of(NAME, False, "the hour has no distribution to be moved")
        return
    before = np.asarray(calm.quantiles)
    slopes = [(said[MEDIAN] - before[MEDIAN]) / move for move, said in moved]
    widths = [float(said[-1] - said[0]) for _, said in moved]
    width = float(before[-1] - before[0])
    linear = np.allclose(slopes, slopes[0], rtol=EXACT, atol=EXACT)
    same = np.allclose(widths, width, rtol=EXACT, atol=1e-12)
    yield check_of(
        NAME,
        linear and same,
        f"a shock of the close moves the median by {slopes[0]:+.4g} times the shock, and the width, {width:.4g}, stays"
        if linear and same
        else f"the median moves by {min(slopes):.6g} to {max(slopes):.6g} times the shock, the width is {min(widths):.6g} to "
        f"{max(widths):.6g}; a linear model has a single value of each",
    )


def prophet(
    subject: Subject, hour: int, told: list[tuple[Shock, LiveForecast]]
) -> Iterator[CertificateCheck]:
    """Quantiles of the return move by minus the shock; the higher the close, the lower P(up)."""
    calm = subject.told(subject.bars, hour)
    moved = sorted((it for it in told if it[0].log_move), key=lambda it: it[0].log_move)
    ups = [said.p_up for _, said in moved if said.p_up is not None]
    falling = all(later <= earlier for earlier, later in pairwise(ups))
    # The median alone: a quantile of a price below zero is cut off.
    off = [
        abs(said.quantiles[MEDIAN] + shock.log_move - calm.quantiles[MEDIAN])
        for shock, said in moved
        if said.quantiles and calm.quantiles
    ]
    kept = falling and max(off, default=np.inf) <= EXACT
    words = "the median return moves by minus the shock of the close, and P(up) falls as the close rises"
    if not kept:
        words = f"P(up) by rising close is {ups}; the median is {max(off, default=np.nan):.3g} off minus the shock"
    yield check_of(NAME, kept, words)


def tft(subject: Subject, hour: int, _: list[tuple[Shock, LiveForecast]]) -> Iterator[CertificateCheck]:
    """No unit of price."""
    yield from _unitless(subject, hour, NETWORK)


def _unitless(subject: Subject, hour: int, tolerance: float) -> Iterator[CertificateCheck]:
    """Prices in another unit of quote change nothing that is said of returns."""
    one, other = subject.told(subject.bars, hour), subject.told(scaled(subject.bars, OTHER_UNIT), hour)
    width = max(one.quantiles, default=1.0) - min(one.quantiles, default=0.0)
    same = len(one.quantiles) == len(other.quantiles) and np.allclose(
        one.quantiles, other.quantiles, rtol=0, atol=tolerance * max(width, 1e-12)
    )
    words = f"prices times {OTHER_UNIT:,.0f} give the same quantiles of returns"
    if not same:
        words = f"prices times {OTHER_UNIT:,.0f} move the quantiles from {list(one.quantiles)} to {list(other.quantiles)}"
    yield check_of(NAME, same, words)


def scores_of(subject: Subject, rows: Matrix, hour: int) -> Matrix:
    """P(up) of rows of features (m, k), as many at once as there are bars up to `hour` (UTC ms): (m,) float32."""
    bars, found = subject.bars.until(hour), []
    for first in range(0, len(rows), len(bars)):
        part = np.ascontiguousarray(rows[first : first + len(bars)])
        series = bars.span(hour - (len(part) - 1) * HOUR_MS, hour + HOUR_MS)
        found.append(subject.predictor.predict(Panel.of([series], [part]), series.close_time).p_up)
    return np.concatenate(found)


_FAMILIES: Mapping[str, Family] = {
    "xgboost": trees,
    "lightgbm": trees,
    "naive": naive,
    "arima": arima,
    "prophet": prophet,
    "tft": tft,
}
