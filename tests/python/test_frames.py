"""Bars and hours as DataFrames: nothing is lost on the way, and no hour moves."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from backtest import api
from backtest.engine.forecast_forward import forecast_forward
from backtest.engine.outcome import run_backtest
from tests.support.bars_made import bars_made
from trader.core.errors import ConfigError, DataError
from trader.core.features import features, preset_named
from trader.core.forecast import LEVELS
from trader.core.hours import Rules
from trader.core.lookahead import made_bars
from trader.core.types import HOUR_MS, Bars, Filters, iso
from trader.forecasters.registry import forecaster_of
from trader.frames import bars_of_frame, frame_of_bars

BARS = made_bars(1_500)
START, STOP = BARS.first + 1_000 * HOUR_MS, BARS.first + 1_240 * HOUR_MS
PARAMS = api.make_params("naive", look_back_days=20)


def same(one: Bars, other: Bars) -> bool:
    """Every column, to the bit."""
    columns = [(getattr(one, it.name), getattr(other, it.name)) for it in fields(Bars)]
    return all(
        a == b if isinstance(a, str) or a is None else a.tobytes() == b.tobytes() and a.dtype == b.dtype
        for a, b in columns
    )


def simple(index: pd.Index) -> pd.DataFrame:
    """Bars whose prices are all one."""
    ones = np.ones(len(index))
    return pd.DataFrame({"Open": ones, "High": ones, "Low": ones, "Close": ones, "Volume": ones}, index=index)


def test_bars_come_back_from_a_frame_to_the_bit() -> None:
    """With all optional columns and with gaps; the frame's columns are its own, so that changing them changes no bars."""
    frame = frame_of_bars(BARS)
    assert same(bars_of_frame(frame, "MADEUSDT", stamped="close"), BARS)
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert (frame["gap"].sum(), str(frame.index.tz), frame.index.name) == (35, "UTC", "close_time")
    assert frame.index[0] == pd.Timestamp(iso(BARS.first))
    before = BARS.close.copy()
    frame["close"] = 0.0
    frame.loc[frame.index[0], "open"] = 0.0
    assert (BARS.close == before).all()


def test_rows_that_are_missing_become_gaps() -> None:
    """Flat at the last close and flagged, like hours that the exchange had no bar for."""
    frame = frame_of_bars(BARS).drop(columns="gap")
    genuine = frame[~BARS.flagged]
    assert same(bars_of_frame(genuine, "MADEUSDT", stamped="close"), BARS)


@pytest.mark.parametrize(
    ("stamped", "first"), [("open", "2024-01-01T01:00:00Z"), ("close", "2024-01-01T00:00:00Z")]
)
def test_who_gives_a_frame_says_what_its_times_are(stamped: Literal["open", "close"], first: str) -> None:
    """Of the open or of the close: an hour apart. Other zones and units are converted."""
    times = pd.date_range("2024-01-01 01:00", periods=30, freq="h", tz="Europe/Berlin").as_unit("ns")
    bars = bars_of_frame(simple(times), "BTCUSDT", stamped=stamped)
    assert iso(bars.first) == first


def test_it_must_be_said() -> None:
    """There is no default: the wrong one would let the future in."""
    with pytest.raises(TypeError, match="stamped"):
        bars_of_frame(frame_of_bars(BARS), "X")  # type: ignore[call-arg]  # what is shown
    with pytest.raises(DataError, match=r"stamped='middle': say 'open' or 'close'"):
        bars_of_frame(frame_of_bars(BARS), "X", stamped="middle")  # type: ignore[arg-type]  # what is shown


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (pd.date_range("2024-01-01", periods=12, freq="h"), r"have no zone; .*tz_localize\('UTC'\)"),
        (pd.RangeIndex(12), r"the index holds int64, no times; set it: frame.index = pd.to_datetime"),
        (
            pd.date_range("2024-01-01", periods=12, freq="30min", tz="UTC"),
            r"row 1: .*00:30:00.* is not on the full hour",
        ),
        (pd.date_range("2024-01-01", periods=12, freq="h", tz="UTC")[::-1], r"the DataFrame: row 2"),
        (pd.DatetimeIndex(["2024-01-01"] * 12, tz="UTC"), r"the DataFrame: row 2"),
    ],
)
def test_times_that_are_no_hours_are_refused(index: pd.Index, says: str) -> None:
    """Without a zone, no times at all, half hours, backwards, twice: with the row or the way out."""
    with pytest.raises(DataError, match=says):
        bars_of_frame(simple(index), "BTCUSDT", stamped="close")


def test_columns_that_lack_or_are_no_numbers_are_refused() -> None:
    """By name."""
    frame = simple(pd.date_range("2024-01-01", periods=12, freq="h", tz="UTC"))
    with pytest.raises(DataError, match=r"no column volume; it has Open, High, Low, Close\. Rename"):
        bars_of_frame(frame.drop(columns="Volume"), "BTCUSDT", stamped="close")
    with pytest.raises(DataError, match=r"close does not hold numbers: .*pd.to_numeric"):
        bars_of_frame(frame.assign(Close="much"), "BTCUSDT", stamped="close")
    with pytest.raises(DataError, match="the DataFrame has no bar of BTCUSDT"):
        bars_of_frame(frame.assign(gap=True), "BTCUSDT", stamped="close")


def test_the_functions_compute_what_the_command_computes(tmp_path: Path) -> None:
    """walk_forward and trade give the hours and the summary of `backtest run`, digit for digit, and its file as the same
    table."""
    p_up = api.walk_forward(BARS, PARAMS, iso(START), iso(STOP), workers=2)
    traded = api.trade(BARS, p_up, PARAMS)
    rules = Rules(PARAMS, Filters.derived(float(BARS.close[BARS.row(START)])))
    wanted = run_backtest(forecaster_of("naive"), BARS, rules, START, STOP, source="made")
    shared = traded.summary.keys()
    assert traded.summary == {key: wanted.summary[key] for key in shared}
    assert shared >= {"net_return", "orders", "fees_usdt", "hit_rate"}
    (tmp_path / "hours.jsonl").write_text("\n".join(wanted.run.track.texts()) + "\n")
    pd.testing.assert_frame_equal(api.load_hours(tmp_path / "hours.jsonl", BARS), traded.hours)


def test_distributions_are_those_that_the_command_scores() -> None:
    """Each hour and hour ahead has the quantiles of the windows that `backtest forecast` scores, to the bit."""
    params = api.make_params({"family": "naive", "forecast_hours": 3}, look_back_days=20, step_days=4)
    told = api.forecast_forward(BARS, params, iso(START), iso(STOP))
    windows = list(forecast_forward(forecaster_of("naive"), BARS, params, START, STOP, source="made"))
    assert len(windows) == 3
    assert told.columns.tolist() == list(LEVELS)
    assert told.index.names == ["close_time", "h"]
    for window in windows:
        for hour, quantiles in zip(window.hours.tolist(), window.quantiles, strict=True):
            rows = told.loc[pd.Timestamp(hour, unit="ms", tz="UTC")]
            assert rows.index.tolist() == [1, 2, 3]
            assert rows.to_numpy().tobytes() == quantiles.tobytes()


def test_a_family_without_a_distribution_is_refused() -> None:
    """P(up) alone is no distribution; the message names a family that gives one."""
    with pytest.raises(ConfigError, match=r"'xgboost' gives P\(up\) alone.*forecast_hours"):
        api.forecast_forward(BARS, api.make_params(look_back_days=20), iso(START), iso(STOP))


def test_hours_are_numbers_with_the_close() -> None:
    """Every amount float64, NaN where an hour has none; the close is that of the hour's own bar."""
    hours = api.trade(BARS, api.walk_forward(BARS, PARAMS, iso(START), iso(STOP)), PARAMS).hours
    numbers = ["close", "p_up", "order_qty", "fill_price", "fee", "position", "equity"]
    assert {str(hours[name].dtype) for name in numbers} == {"float64"}
    assert (hours["close"].to_numpy() == BARS.close[1_000:1_240]).all()
    assert hours["fill_price"].notna().sum() == (hours["fee"] > 0).sum() > 0
    assert len(hours) == 240


def test_hours_without_bars_are_refused(tmp_path: Path) -> None:
    """And a line that is none, by its number; a file that is not there."""
    (tmp_path / "hours.jsonl").write_text('{"close_time": "2020-01-01T00:00:00Z"}\n')
    with pytest.raises(DataError, match="need bars of them; MADEUSDT has 2024-01-01"):
        api.load_hours(tmp_path / "hours.jsonl", BARS)
    (tmp_path / "hours.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1: not a line of an hours file"):
        api.load_hours(tmp_path / "hours.jsonl", BARS)
    with pytest.raises(ConfigError, match="cannot be read"):
        api.load_hours(tmp_path / "none.jsonl", BARS)


def test_features_are_those_that_a_model_gets() -> None:
    """A row an hour, a column for each name, to the bit."""
    table = api.compute_features(BARS, "reference", iso(START), iso(STOP))
    preset = preset_named("reference")
    assert tuple(table.columns) == preset.columns
    assert table.to_numpy().tobytes() == features(BARS, preset, START, STOP).tobytes()
    assert table.index[0] == pd.Timestamp(iso(START))
    with pytest.raises(ConfigError, match="there is no preset 'mine'"):
        api.compute_features(BARS, "mine", iso(START), iso(STOP))


def test_an_hour_without_a_prediction_is_not_traded() -> None:
    """A series may have holes; it may not lie outside 0..1, go backwards, or be empty."""
    index = pd.date_range(iso(START), periods=24, freq="h")
    p_up = pd.Series(1.0, index=index).drop(index[3:6])
    hours = api.trade(BARS, p_up, PARAMS).hours
    assert hours["p_up"].isna().to_numpy().nonzero()[0].tolist() == [3, 4, 5]
    for wrong, says in (
        (p_up * 2, "a probability is 0 to 1"),
        (p_up[::-1], "must ascend"),
        (p_up[:0], "is empty"),
    ):
        with pytest.raises(DataError, match=says):
            api.trade(BARS, wrong, PARAMS)


def test_a_time_without_a_zone_is_not_guessed() -> None:
    """A text is UTC, as everywhere; a datetime must say its zone."""
    with pytest.raises(ConfigError, match="has no zone"):
        api.walk_forward(BARS, PARAMS, datetime(2024, 2, 12), iso(STOP))  # noqa: DTZ001  # what is refused
    aware = pd.Timestamp(iso(START)).tz_convert("Asia/Tokyo").to_pydatetime()
    assert api.walk_forward(BARS, PARAMS, aware, iso(STOP)).index[0] == pd.Timestamp(iso(START))


def test_parameters_are_those_of_p_json() -> None:
    """What is not named keeps its default, and an unknown key is refused."""
    default = api.make_params().model
    assert api.make_params().as_json() == json.loads(json.dumps(api.make_params().as_json()))
    assert api.make_params("naive", seed=3).seed == 3
    assert api.make_params("xgboost") == api.make_params()
    assert api.make_params({"family": "xgboost", "max_depth": 3}).model == default.model_copy(
        update={"max_depth": 3}
    )
    with pytest.raises(ConfigError, match="make_params: unknown key 'look_back'"):
        api.make_params(look_back=3)


def test_synthetic_bars_follow_from_their_seed() -> None:
    """The same twice, others for another seed, no gap, from the hour that was asked for."""
    bars = api.synthetic_bars("2024-03-01", days=3, seed=4)
    assert same(bars, api.synthetic_bars("2024-03-01", days=3, seed=4))
    assert not same(bars, api.synthetic_bars("2024-03-01", days=3, seed=5))
    assert (iso(bars.first), len(bars)) == ("2024-03-01T01:00:00Z", 72)


def test_bars_of_another_series_are_made_as_well() -> None:
    """A series without optional columns stays one without."""
    bars = bars_made(100, 3)
    assert same(bars_of_frame(frame_of_bars(bars), bars.symbol, stamped="close"), bars)
