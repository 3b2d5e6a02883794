"""The synthetic market: the same to the byte, believable, and with the edge that it says it has."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np
import pytest
import talib
import xgboost as xgb

from tests.support.venue_kit import FIRST, MARKET, SYMBOL
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, Bars, Floats
from trader.exchange.market import SyntheticMarket, synthetic


@pytest.fixture(scope="module")
def year() -> SyntheticMarket:
    """A year of another market."""
    return synthetic(SYMBOL, 3, FIRST, 24 * 365)


def digest(bars: Bars) -> str:
    """A hash over every column."""
    sha = hashlib.sha256()
    for column in fields(bars):
        value = getattr(bars, column.name)
        sha.update(value.tobytes() if isinstance(value, np.ndarray) else str(value).encode())
    return sha.hexdigest()


def test_the_same_arguments_give_the_same_bytes() -> None:
    """Bars, probabilities and figures are a function of the arguments; seed and symbol change them."""
    again = synthetic(SYMBOL, 7, FIRST, 600)
    assert digest(again.bars) == digest(MARKET.bars)
    assert again.p_up.tobytes() == MARKET.p_up.tobytes()
    assert again.true_edge == MARKET.true_edge
    assert digest(synthetic(SYMBOL, 8, FIRST, 600).bars) != digest(MARKET.bars)
    assert digest(synthetic("ETHUSDT", 7, FIRST, 600).bars) != digest(MARKET.bars)


def test_the_bytes_are_these() -> None:
    """A fixed hash: whoever changes the generator changes what every recorded result was made on, and sees it here."""
    bars = synthetic(SYMBOL, 7, FIRST, 200).bars
    rounded = [f"{value:.2f}" for value in bars.close]
    assert hashlib.sha256(",".join(rounded).encode()).hexdigest()[:16] == "a8b7efa32bb13287"


def test_a_longer_market_begins_with_the_shorter_one() -> None:
    """Asking for more hours changes none of the first ones."""
    assert digest(synthetic(SYMBOL, 7, FIRST, 900).bars.rows(0, 600)) == digest(MARKET.bars)
    assert synthetic(SYMBOL, 7, FIRST, 900).p_up[:600].tobytes() == MARKET.p_up.tobytes()


def test_bars_are_consistent_and_look_like_bitcoin(year: SyntheticMarket) -> None:
    """Highs and lows enclose the body, opens follow closes, digits are the exchange's, prices stay in range."""
    bars = year.bars
    assert np.all(np.diff(bars.close_time) == HOUR_MS)
    assert np.all(bars.low <= np.minimum(bars.open, bars.close))
    assert np.all(bars.high >= np.maximum(bars.open, bars.close))
    assert np.array_equal(bars.open[1:], bars.close[:-1])
    assert np.all(bars.volume > 0)
    for column, digits in ((bars.open, 2), (bars.high, 2), (bars.low, 2), (bars.close, 2), (bars.volume, 5)):
        assert np.array_equal(column, np.round(column, digits))
    assert 8_000 < bars.close.min() < bars.close.max() < 120_000
    hourly = np.diff(np.log(bars.close))
    assert 0.003 < hourly.std() < 0.010
    assert not bars.flagged.any()


def test_volatility_clusters_tails_are_fat_and_the_day_has_a_shape(year: SyntheticMarket) -> None:
    """Absolute returns remember, extremes are commoner than a normal's, and afternoons are livelier than nights."""
    returns = np.diff(np.log(year.bars.close))
    size = np.abs(returns)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.1
    assert np.mean((returns / returns.std()) ** 4) > 4
    hour = (year.bars.close_time[1:] // HOUR_MS) % 24
    assert size[hour == 15].mean() > 1.2 * size[hour == 3].mean()


def test_the_stated_probability_is_the_true_one(year: SyntheticMarket) -> None:
    """Among hours with a stated P(up) near p, a share near p goes up (calibration in ten bins)."""
    up = (np.diff(year.bars.close) > 0).astype(float)
    stated = year.p_up[:-1]
    order = np.argsort(stated)
    for bin_rows in np.array_split(order, 10):
        spread = np.sqrt(0.25 / len(bin_rows))
        assert abs(up[bin_rows].mean() - stated[bin_rows].mean()) < 4 * spread


def test_the_oracle_figures_are_what_they_say(year: SyntheticMarket) -> None:
    """`true_edge` follows from p_up and the labels, and is worth a search: 56 to 61 % and 6 to 14 bps an hour."""
    label = year.bars.close[1:] > year.bars.close[:-1]
    assert year.true_edge.hit_rate == np.mean((year.p_up[:-1] > 0.5) == label)
    assert year.true_edge.mean_abs_return_bps == np.mean(np.abs(year.expected_return_bps))
    assert 0.56 < year.true_edge.hit_rate < 0.61
    assert 6 < year.true_edge.mean_abs_return_bps < 14


def features(bars: Bars) -> Floats:
    """The nine columns of the default preset, by TA-Lib itself."""
    close = bars.close
    columns = [talib.SMA(close, n) / close for n in (5, 10, 20)]
    columns += [talib.RSI(close, n) for n in (7, 14, 21)]
    columns += [talib.MFI(bars.high, bars.low, close, bars.volume, n) for n in (7, 14, 21)]
    return np.column_stack(columns)


def test_a_small_model_finds_the_edge_out_of_sample(year: SyntheticMarket) -> None:
    """Sixty days of training are enough for a hit rate of 53 to 59 % on the following month, over eight folds."""
    X = features(year.bars)
    label = np.append(np.diff(year.bars.close) > 0, False).astype(float)
    hits = []
    for start in range(1_500, len(label) - 721, 920):
        train, test = slice(start - 1_440, start - 1), slice(start, start + 720)
        params = {
            "max_depth": 5,
            "eta": 0.03,
            "gamma": 10,
            "nthread": 1,
            "seed": 7,
            "objective": "binary:logistic",
        }
        booster = xgb.train(params, xgb.DMatrix(X[train], label[train]), 100)
        guess = booster.predict(xgb.DMatrix(X[test])) >= 0.5
        hits.append(np.mean(guess == (label[test] == 1)))
    assert len(hits) >= 7
    assert 0.53 < np.mean(hits) < 0.59


@pytest.mark.parametrize("arguments", [(FIRST + 1, 10, 1), (FIRST, 0, 1), (FIRST, 10, -1)])
def test_impossible_markets_are_refused(arguments: tuple[int, int, int]) -> None:
    """Off the hour, without hours, or with a negative seed there is no market."""
    first, hours, seed = arguments
    with pytest.raises(ConfigError, match="synthetic market"):
        synthetic(SYMBOL, seed, first, hours)
