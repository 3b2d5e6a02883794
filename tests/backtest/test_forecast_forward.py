"""Walking forward by distributions, and `backtest forecast` as a person meets it."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from backtest.cli import main
from backtest.engine.forecast_forward import forecast_forward
from backtest.engine.walkforward import walk_forward
from backtest.evidence.forecast_score import ForecastReport, score_forecasts
from backtest.evidence.ledger import EvidenceLedger, count, data_hash
from backtest.executors.registry import Setup, open_executor
from tests.support.bars_made import bars_made
from tests.support.normal_family import NormalForecaster
from trader.adapters.files import write_bars
from trader.adapters.talib_features import register_shipped
from trader.core.errors import ConfigError
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS, Bars, iso
from trader.forecasters.naive import NaiveForecaster
from trader.forecasters.xgboost import XGBoostForecaster

BARS = bars_made(2_000, 8, missing=(1_500, 1_501))
AHEAD = np.where(BARS.flagged, np.nan, BARS.close)
START = BARS.first + 50 * DAY_MS
STOP = START + 14 * DAY_MS
MODEL = {"family": "naive", "forecast_hours": 6}
PARAMS = params_of(
    {**DEFAULT_PARAMS, "model": MODEL, "look_back_days": 30, "step_days": 7, "horizon_hours": 2}, "a test"
)


@lru_cache
def report_of(bars: Bars = BARS, workers: int = 1, params: Params = PARAMS) -> ForecastReport:
    """The normal family beside the naive one."""
    with open_executor("local", Setup(workers)) as executor:
        walks = [
            forecast_forward(it, bars, params, START, STOP, source="bars", executor=executor)
            for it in (NormalForecaster(), NaiveForecaster())
        ]
        return score_forecasts(walks[0], walks[1], bars, params, START, STOP)


def test_each_hour_is_what_its_windows_model_says_of_it() -> None:
    """P(up) is that of the walk which is traded; quantiles are those of a model that was fitted on the window by hand."""
    told = list(forecast_forward(NormalForecaster(), BARS, PARAMS, START, STOP, source="bars"))
    p_up = walk_forward(NormalForecaster(), BARS, PARAMS, START, STOP, source="bars")
    assert np.array_equal(np.concatenate([it.p_up for it in told]), p_up, equal_nan=True)
    hours = np.concatenate([it.hours for it in told])
    assert hours.tolist() == list(range(START, STOP, HOUR_MS))
    until = START - 3 * HOUR_MS  # a gap of one hour, a horizon of two
    known = BARS.span(until - 30 * DAY_MS + 2 * HOUR_MS, until + HOUR_MS)
    family = NormalForecaster()
    model = family.load(family.fit_series(Series.hourly(known), PARAMS, steps=6, horizon=2, until=until), "x")
    expected = model.forecast_series(Series.hourly(BARS), told[0].hours).quantiles
    assert expected is not None
    assert np.array_equal(told[0].quantiles, expected, equal_nan=True)


def test_a_report_is_equal_on_any_number_of_workers() -> None:
    """Processes of this machine give the bytes that the caller alone does."""
    assert report_of(workers=2).as_json() == report_of().as_json()


def test_no_bar_after_the_hours_that_were_asked_for_changes_a_score() -> None:
    """Outcomes later than --to are unknown, and the last hours have fewer of them."""
    short = BARS.until(STOP)
    assert report_of(short).as_json() == report_of().as_json()
    hours = [row.pinball.n for row in report_of().by_h]
    assert hours == sorted(hours, reverse=True)
    assert hours[0] - hours[-1] >= 4


def test_some_forecasts_are_kept_beside_what_came() -> None:
    """Four, spread over the hours, each with the closes before it."""
    fans = report_of().fans
    assert len(fans) == 4
    for fan in fans:
        row = BARS.row(fan.hour)
        assert fan.close == BARS.close[row]
        assert np.allclose(fan.close * np.exp(fan.before), BARS.close[row - 48 : row + 1])
        assert np.allclose(fan.close * np.exp(fan.outcome), AHEAD[row + 1 : row + 7], equal_nan=True)


def test_a_family_that_gives_p_up_alone_is_told() -> None:
    """Found in the first window, whoever made the family; the message names one that would do."""
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 2, "gamma": 0}
    params = params_of({**DEFAULT_PARAMS, "model": trees, "look_back_days": 30}, "a test")
    register_shipped()
    walked = forecast_forward(XGBoostForecaster(), BARS, params, START, STOP, source="bars")
    with pytest.raises(ConfigError, match=r"'xgboost' gives P\(up\) alone.*\"forecast_hours\": 24"):
        next(walked)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars and parameters of the naive family, as files."""
    place = tmp_path_factory.mktemp("forecast")
    write_bars(place / "BTCUSDT-1h.parquet", BARS)
    (place / "P.json").write_text(json.dumps({"model": MODEL, "look_back_days": 30, "step_days": 5}))
    return place


def ask(words: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Run `backtest forecast` in the folder."""
    span = ["--from", iso(START)[:10], "--to", iso(STOP)[:10], "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["backtest", "forecast", "--bars", "BTCUSDT-1h.parquet", *span, *words])
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_verb_shows_a_table_counts_its_look_and_writes_a_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Within 80 columns; one configuration and one look in the ledger; a page without a script that says the same numbers."""
    assert ask(["--params", "P.json", "--html", "page.html"], monkeypatch, folder) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    for words in (
        "pinball",
        "CRPS",
        "95 %",
        "Brier score of P(up), 1 h",
        "hit rate",
        "its skill is 0 by definition",
    ):
        assert words in shown
    looked = count(EvidenceLedger(folder / "evidence", data_hash(BARS)).entries(), START, STOP)
    assert (looked.configurations, looked.looks, looked.sharpe_deviation) == (1, 1, 0.0)
    page = (folder / "page.html").read_text()
    assert "<script" not in page
    assert page.count("<svg") == 4  # two charts, each for a desk and for a phone
    assert ask(["--params", "P.json", "--json"], monkeypatch, folder) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["h"] for row in told["by_h"]] == [1, 2, 3, 4, 5, 6]
    assert f"{told['by_h'][0]['pinball']['value'] * 1e4:.2f}" in page


def test_parameters_without_a_distribution_end_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """The documented defaults are trees."""
    assert ask([], monkeypatch, folder) == 2
    assert "gives P(up) alone" in capsys.readouterr().err


def test_hours_without_a_forecast_are_said() -> None:
    """A flagged bar, from which nothing is forecast."""
    assert report_of().silent == int(BARS.flagged[BARS.row(START) : BARS.row(STOP)].sum()) == 2
