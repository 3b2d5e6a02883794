"""A seeded synthetic market whose edge is known: regimes, volatility clusters, time of day, and a true P(up).

The next hour's log return is  sigma * (drift + shock):

    drift   = regime trend - reversion * tanh(deviation of the price from its 20-hour mean) - pull to the anchor
    shock   = a mixture of two normals, so tails are fat and P(up) still has a closed form
    sigma   = base * volatility cluster (AR(1) of the logarithm) * season of the day

All but the regime can be read off past bars, so a model of `sma / close`, RSI and MFI can learn most of it.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, Bars, Floats, Ints

ANCHOR_PRICE = 30_000.0
MEAN_HOURS = 20

BASE_SIGMA = 0.0050
CLUSTER_MEMORY = 0.985
CLUSTER_NOISE = 0.07

REVERSION = 0.42
REVERSION_SCALE = 1.6
TREND = 0.10
TREND_STAY = 1 - 1 / 120
ANCHOR_PULL = 0.05

CALM_WEIGHT = 0.85
CALM_SCALE = 0.80
WILD_SCALE = math.sqrt((1 - CALM_WEIGHT * CALM_SCALE**2) / (1 - CALM_WEIGHT))

BASE_VOLUME = 1_500.0


@dataclass(frozen=True, slots=True)
class TrueEdge:
    """What an oracle that knows the generator could earn, before costs.

    hit_rate: share of hours where the side of 0.5 on which the true P(up) lies equals the label.
    mean_abs_return_bps: mean of |conditional expected return of the next hour|, in 1/10,000 of the price.
    """

    hit_rate: float
    mean_abs_return_bps: float


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticMarket:
    """Bars together with the truth about them.

    p_up: (n,) float64; row t is P(close[t+1] > close[t]) given everything up to the close of row t.
    expected_return_bps: (n,) float64; row t is E[close[t+1] / close[t] - 1] x 10,000, given the same.
    The last row speaks about an hour that is not in `bars`.
    """

    bars: Bars
    p_up: Floats
    expected_return_bps: Floats
    true_edge: TrueEdge


def synthetic(symbol: str, seed: int, first_close_time: int, hours: int) -> SyntheticMarket:
    """The market of a symbol and seed: `hours` bars from `first_close_time` (UTC ms, on the hour), no gaps.

    The same arguments give the same bytes, and a longer market begins with the shorter one.
    """
    if first_close_time % HOUR_MS or hours < 1 or seed < 0:
        raise ConfigError(
            f"a synthetic market needs a first close on the hour, at least 1 hour and a seed >= 0; "
            f"got {first_close_time}, {hours} hours, seed {seed}"
        )
    # The symbol is part of the seed, so that two symbols of one seed are two markets.
    root = np.random.SeedSequence([seed, zlib.crc32(symbol.encode())])
    path_seed, shape_seed = root.spawn(2)
    close_time = first_close_time + HOUR_MS * np.arange(hours, dtype=np.int64)
    sigma = _sigma(np.random.default_rng(path_seed.spawn(1)[0]), close_time)
    path = _path(np.random.Generator(np.random.PCG64(path_seed)), sigma)
    bars = _bars(symbol, np.random.Generator(np.random.PCG64(shape_seed)), close_time, path.log_close, sigma)
    return SyntheticMarket(bars, path.p_up, path.expected_bps, _edge(bars, path))


@dataclass(frozen=True, slots=True)
class _Path:
    log_close: Floats
    p_up: Floats
    expected_bps: Floats


def _season(close_time: int) -> float:
    """How lively an hour of the day is: quiet around 04:00 UTC, lively around 15:00 UTC."""
    hour = (close_time // HOUR_MS) % 24
    return 1 + 0.25 * math.cos(2 * math.pi * (hour - 15) / 24)


def _sigma(rng: np.random.Generator, close_time: Ints) -> Floats:
    """Standard deviation of each hour's log return; one more than there are bars, for the hour after the last."""
    noise = rng.standard_normal(len(close_time) + 1)
    sigma = np.empty(len(noise))
    cluster = 0.0
    for row, shock in enumerate(noise.tolist()):
        cluster = CLUSTER_MEMORY * cluster + CLUSTER_NOISE * shock
        season = _season(int(close_time[0]) + row * HOUR_MS)
        sigma[row] = BASE_SIGMA * math.exp(cluster) * season
    return sigma


def _path(rng: np.random.Generator, sigma: Floats) -> _Path:
    """Walk the price hour by hour, noting what was to be expected before each step."""
    hours = len(sigma) - 1
    # One row of draws per hour keeps a longer market's beginning equal to a shorter market.
    draws = rng.standard_normal((hours, 1)), rng.spawn(1)[0].random((hours, 2))
    normal, uniform = draws[0].ravel().tolist(), draws[1].tolist()
    anchor = math.log(ANCHOR_PRICE)
    log_close, p_up, expected = np.empty(hours), np.empty(hours), np.empty(hours)
    window = [anchor] * MEAN_HOURS
    level, trend = anchor, 1
    drift = _drift(level, window, trend, float(sigma[0]), anchor)
    for row in range(hours):
        wild = uniform[row][0] >= CALM_WEIGHT
        shock = normal[row] * (WILD_SCALE if wild else CALM_SCALE)
        # What is traded is the rounded price, so the walk itself goes on from the rounded price.
        level = math.log(round(math.exp(level + float(sigma[row]) * (drift + shock)), 2))
        log_close[row] = level
        window[row % MEAN_HOURS] = level
        if uniform[row][1] > TREND_STAY:
            trend = -trend
        following = float(sigma[row + 1])
        drift = _drift(level, window, trend, following, anchor)
        p_up[row] = _probability_up(drift)
        expected[row] = _expected_bps(drift, following)
    return _Path(log_close, p_up, expected)


def _drift(level: float, window: list[float], trend: int, sigma: float, anchor: float) -> float:
    """Expected log return of the next hour, in units of its standard deviation."""
    spread = BASE_SIGMA * math.sqrt(MEAN_HOURS)
    deviation = (level - math.fsum(window) / MEAN_HOURS) / spread
    reversion = REVERSION * math.tanh(REVERSION_SCALE * deviation)
    return TREND * trend - reversion - ANCHOR_PULL * (level - anchor)


def _probability_up(drift: float) -> float:
    calm = math.erf(drift / CALM_SCALE / math.sqrt(2))
    wild = math.erf(drift / WILD_SCALE / math.sqrt(2))
    return 0.5 + 0.5 * (CALM_WEIGHT * calm + (1 - CALM_WEIGHT) * wild)


def _expected_bps(drift: float, sigma: float) -> float:
    calm = math.exp(sigma * drift + (sigma * CALM_SCALE) ** 2 / 2)
    wild = math.exp(sigma * drift + (sigma * WILD_SCALE) ** 2 / 2)
    return (CALM_WEIGHT * calm + (1 - CALM_WEIGHT) * wild - 1) * 10_000


def _bars(
    symbol: str,
    rng: np.random.Generator,
    close_time: Ints,
    log_close: Floats,
    sigma: Floats,
) -> Bars:
    """Clothe the closes: opens at the last close, wicks beyond the body, volume that follows the movement."""
    draws = rng.standard_normal((len(close_time), 4))
    close: Floats = np.asarray(np.round(np.exp(log_close), 2), dtype=np.float64)
    opens = np.concatenate([[ANCHOR_PRICE], close[:-1]])
    spread = sigma[: len(close)]
    high = np.round(np.maximum(opens, close) * (1 + 0.5 * spread * np.abs(draws[:, 0])), 2)
    low = np.round(np.minimum(opens, close) * (1 - 0.5 * spread * np.abs(draws[:, 1])), 2)
    moved = np.abs(close / opens - 1) / spread
    volume = BASE_VOLUME * (spread / BASE_SIGMA) * (0.6 + 0.5 * moved) * np.exp(0.35 * draws[:, 2])
    volume = np.maximum(np.round(volume, 5), 0.00001)
    quote_volume = np.round(volume * (opens + high + low + close) / 4, 8)
    trades = np.maximum(np.round(volume * 25 * np.exp(0.1 * draws[:, 3])), 1.0)
    share = 0.5 + 0.25 * np.tanh((close / opens - 1) / spread / 2)
    taker_base = np.round(volume * share, 5)
    return Bars(
        symbol=symbol,
        close_time=close_time,
        open=opens,
        high=high,
        low=low,
        close=close,
        volume=volume,
        flagged=np.zeros(len(close), dtype=np.bool_),
        quote_volume=quote_volume,
        trades=trades,
        taker_buy_base=taker_base,
        taker_buy_quote=np.round(quote_volume * share, 8),
    )


def _edge(bars: Bars, path: _Path) -> TrueEdge:
    label = bars.close[1:] > bars.close[:-1]
    side = path.p_up[:-1] > 0.5
    hit_rate = float(np.mean(side == label)) if len(label) else math.nan
    return TrueEdge(hit_rate, float(np.mean(np.abs(path.expected_bps))))
