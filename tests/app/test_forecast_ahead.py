"""What the serving model says of the hours ahead, as numbers, as text, and on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock, FakeExchange, MemoryMarket, MemoryStore
from tests.support.rig import quick_params
from trader.adapters.talib_features import register_shipped
from trader.app.bot import Bot
from trader.app.collect import Collector
from trader.app.fan_text import PLAIN, SHADES, fan_lines, price_text, shown_steps
from trader.app.forecast import newest_forecast
from trader.app.journal import Journal
from trader.app.retrain import ASKED, retrain
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.fan import FanForecast, fan_forecast
from trader.core.forecast import LEVELS
from trader.core.params import params_of
from trader.core.series import Series
from trader.core.types import HOUR_MS, Bars, iso
from trader.dashboard.fan import fan as fan_figure
from trader.forecasters.naive import rolling_quantiles
from trader.forecasters.registry import forecaster_of

BARS = bars_made(1_200, 5, missing=(1_150,))
START = BARS.first + 1_000 * HOUR_MS
NAIVE = {"family": "naive", "forecast_hours": 30}


def bot(model: dict[str, Any] | None, hour: int = START, bars: Bars = BARS, **changes: Any) -> Bot:
    """A bot in memory whose first model serves from START on, at this hour; without a model if None."""
    clock = FakeClock(START - HOUR_MS)
    collector = Collector(MemoryMarket(bars, clock), "BTCUSDT")
    made = Bot(
        "b", Journal(MemoryStore(), "BTCUSDT"), FakeExchange(clock), collector, forecaster_of, clock, "tests"
    )
    if model is not None:
        register_shipped()
        params = params_of(quick_params(model=model, **changes), "tests")
        retrain(made.journal, collector, forecaster_of, params, START, "tests", ASKED)
    clock.time_ms = hour + 5_000
    return made


def test_the_fan_is_the_models_distribution_as_prices() -> None:
    """Quantiles times the close, an hour a row; P(up) of the horizon is what the bot trades by; 24 hours where nobody says
    how many."""
    hour = START + 100 * HOUR_MS
    fan = newest_forecast(bot(NAIVE, hour, horizon_hours=2))
    row = BARS.row(hour)
    series = Series.hourly(BARS.until(hour))
    for h in (1, 7, 24):
        returns = rolling_quantiles(series, np.array([row]), h)[0]
        assert fan.prices[h - 1] == pytest.approx(BARS.close[row] * np.exp(returns))
    assert (fan.hours, fan.hour, fan.horizon_hours, fan.late) == (24, hour, 2, False)
    told = fan.as_json()
    assert [it["h"] for it in told["forecast"]] == list(range(1, 25))
    assert told["forecast"][0]["time"] > told["hour"]
    assert newest_forecast(bot(NAIVE, hour), 30).hours == 30


def test_the_first_model_forecasts_before_it_trades() -> None:
    """Right after the first training, an hour before it serves: its fan, and from when on it trades; an hour later it serves."""
    early = newest_forecast(bot(NAIVE, START - HOUR_MS))
    assert (early.hour, early.serves_from, early.late, early.hours) == (START - HOUR_MS, START, False, 24)
    assert early.as_json()["serves_from"] == iso(START)
    later = newest_forecast(bot(NAIVE))
    assert (later.model_id, later.serves_from, later.as_json()["serves_from"]) == (early.model_id, None, None)


def test_the_future_is_not_read() -> None:
    """Other bars after the hour, the same fan."""
    hour = START + 100 * HOUR_MS
    model = bot(NAIVE, hour).model(bot_model(NAIVE))
    other = replace(BARS, close=np.where(BARS.close_time > hour, 1.0, BARS.close))
    one, two = fan_forecast(BARS, hour, model, 24), fan_forecast(other, hour, model, 24)
    assert one.as_json() == two.as_json()


def bot_model(model: dict[str, Any]) -> str:
    """The id of the model that `bot` trains."""
    return newest_forecast(bot(model)).model_id


def test_what_cannot_be_said_has_a_message_with_the_way_out() -> None:
    """No model, hours beyond its reach, P(up) alone, a missing bar, too few bars."""
    with pytest.raises(ConfigError, match=r"no model serves yet.*trader retrain --params P.json"):
        newest_forecast(bot(None))
    with pytest.raises(ConfigError, match=r'reaches 30 hours ahead, not 31.*"forecast_hours": 31'):
        newest_forecast(bot(NAIVE), 31)
    with pytest.raises(ConfigError, match=r"\(xgboost\) gives P\(up\) alone, 1 h ahead: 0\.\d{4}"):
        newest_forecast(bot(quick_params()["model"]), 5)
    with pytest.raises(Retry, match=r"no bar of 2021.*ask again after the next hour"):
        newest_forecast(bot(NAIVE, BARS.first + 1_150 * HOUR_MS))
    young = BARS.span(START - 20 * HOUR_MS, BARS.last)
    model = bot(NAIVE).model(bot_model(NAIVE))
    with pytest.raises(DataError, match=r"too few have bars. Collect older ones: trader collect"):
        fan_forecast(young, START, model, 24)


def made(prices: list[list[float]], before: list[float]) -> FanForecast:
    """A forecast of these prices."""
    return FanForecast(
        "BTCUSDT", "m1", "naive", False, START, before[-1], 1, np.array(prices), np.full(len(prices), 0.5), np.array(before)
    )  # fmt: skip  # read as a table


@pytest.mark.parametrize("marks", [SHADES, PLAIN])
def test_the_fan_in_characters_is_wider_where_the_distribution_is(marks: Any) -> None:
    """Within 80 columns; each band has its shade, the median its line, in a column of later hours more characters."""
    prices = [[100 + h * z for z in (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)] for h in range(1, 25)]
    lines = fan_lines(made(prices, [100.0, 99.0, np.nan, 100.0]), 80, marks)
    assert max(map(len, lines)) <= 80
    drawn = "".join(lines[:-1])
    for mark in (*marks.bands, marks.median, marks.close):
        assert mark in drawn
    columns = [sum(len(line) > x and line[x] in "".join(marks) for line in lines[:-1]) for x in range(17, 65)]
    assert columns == sorted(columns)
    assert columns[-1] == len(lines) - 1 > columns[0]
    assert lines[-1].split() == ["now", "+24", "h"]


def test_a_fan_that_never_moves_is_drawn_too() -> None:
    """All prices in one place, and a single hour ahead."""
    lines = fan_lines(made([[5.0] * 7], [5.0, 5.0]), 80)
    assert sum(SHADES.median in line for line in lines) == 1


def test_prices_have_six_digits_and_no_exponent() -> None:
    """From a dear coin to a cheap one."""
    assert [price_text(it) for it in (118_234.5678, 45.678912, 0.00001234567)] == [
        "118235",
        "45.6789",
        "0.0000123457",
    ]
    assert shown_steps(24) == [1, 2, 3, 6, 12, 24]
    assert shown_steps(30) == [1, 2, 3, 6, 12, 24, 30]


def test_the_page_draws_the_same_numbers() -> None:
    """Bands open from the newest close; the words hold the last hour's numbers."""
    prices = [[97.0, 98.0, 99.0, 100.0, 101.0, 102.0, 103.0], [94.0, 96.0, 98.0, 100.5, 102.0, 104.0, 106.0]]
    told = {
        "model_id": "m1", "hour": START, "close": 100.0, "before": [99.0, None, 100.0], "levels": list(LEVELS), "prices": prices,
    }  # fmt: skip  # read as a table
    figure = fan_figure(told)
    traces = {trace["name"]: trace for trace in figure["data"]}
    assert list(traces) == ["95% interval", "80% interval", "50% interval", "median", "close"]
    assert traces["median"]["y"] == [100.0, 100.0, 100.5]
    assert traces["95% interval"]["y"] == [100.0, 103.0, 106.0, 94.0, 97.0, 100.0]
    assert traces["close"]["x"][-1] == traces["median"]["x"][0] == START
    assert "the median is 100.5" in figure["words"]
    json.dumps(figure, allow_nan=False)
