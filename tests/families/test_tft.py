"""The Temporal Fusion Transformer as a family: what every family promises, and what is its own."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.bars_made import bars_made
from trader.adapters.checkpoints_folder import FolderCheckpoints
from trader.core.errors import ConfigError, DataError
from trader.core.forecast import LEVELS, probability_above
from trader.core.long_training import Checkpoints, Epoch, Nowhere
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.training import training_of
from trader.core.types import HOUR_MS, Bars, Floats
from trader.forecasters.contract import CHECKS, Check, name_of
from trader.forecasters.contract_scene import HOURS, SOURCE, Scene
from trader.forecasters.tft import TFTForecaster, TFTPredictor
from trader.forecasters.tft_training import Training
from trader.forecasters.tft_windows import KNOWN, OBSERVED, Hours, targets_at, windows_at

# TFT_DEVICE=cuda runs all of it on a GPU.
DEVICE = os.environ.get("TFT_DEVICE", "cpu")
SMALL = {
    "device": DEVICE,
    "encoder_hours": 24,
    "hidden_size": 8,
    "attention_heads": 2,
    "epochs": 2,
    "batch_size": 512,
}
GAPS = (400, 401, 1_300, 1_301, 1_302, 1_650)


def params_for(horizon_hours: int = 1, **model: Any) -> Params:
    """A network that learns in a second or two."""
    chosen = {"family": "tft", "forecast_hours": 6, **SMALL, **model}
    values = {**DEFAULT_PARAMS, "model": chosen, "look_back_days": 30, "horizon_hours": horizon_hours}
    return params_of(values, "the test")


@lru_cache
def scene() -> Scene:
    """A window of a made market with gaps, and a model of it."""
    return Scene.of(TFTForecaster(), params_for(), bars_made(HOURS, 5, missing=GAPS))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_it_keeps_what_every_family_promises(check: Check) -> None:
    """One promise each, by the functions that every family is checked by."""
    check(scene())


def test_p_up_is_that_of_its_horizon() -> None:
    """Four hours ahead: the weights are those of the model of one hour ahead, P(up) is read at the fourth hour."""
    it, until = scene(), scene().window.train_until
    panel, y = it.training(until + HOUR_MS)
    models = [
        it.forecaster.fit(panel, y, params_for(hours), horizon=hours, until=until, seed=7) for hours in (1, 4)
    ]
    near, far = (it.forecaster.load(model, SOURCE).predict(*it.served()) for model in models)
    assert near.quantiles is not None
    assert far.quantiles is not None
    assert np.array_equal(near.quantiles, far.quantiles, equal_nan=True)
    for told, hours in ((near, 1), (far, 4)):
        assert told.quantiles is not None
        above = probability_above(told.quantiles[:, hours - 1], 0.0).astype(np.float32)
        assert np.array_equal(told.p_up, above, equal_nan=True)


# --- windows -----------------------------------------------------------------------------------------------------------------


def twin(bars: Bars, row: int, encoder: int) -> tuple[np.ndarray, float]:
    """Hour by hour, as a reader would: the observed numbers of a window, and its scale."""
    returns = [float(np.log(bars.close[i] / bars.close[i - 1])) for i in range(row - encoder + 1, row + 1)]
    scale = float(np.sqrt(np.mean(np.square(returns))))
    volumes = [
        0.0 if bars.flagged[i] else float(np.log1p(bars.volume[i])) for i in range(row - encoder + 1, row + 1)
    ]
    found = []
    for i, r, v in zip(range(row - encoder + 1, row + 1), returns, volumes, strict=True):
        spread = 0.0 if bars.flagged[i] else float(np.log(bars.high[i] / bars.low[i]))
        level = float(np.log(bars.close[i] / bars.close[row])) / (scale * np.sqrt(encoder))
        volume = (v - np.mean(volumes)) / np.std(volumes)
        found.append([r / scale, spread / scale, volume, level, float(bars.flagged[i])])
    return np.clip(np.array(found), -10, 10), scale


def test_a_window_is_scaled_by_nothing_but_itself() -> None:
    """Every number beside a slow twin, over gaps; rows that are too early, or missing, have no scale."""
    bars = bars_made(120, 4, missing=(60, 61, 90))
    rows = np.arange(len(bars))
    windows = windows_at(Hours.of(bars), rows, 24, 6)
    for row in range(24, 120):
        if bars.flagged[row]:
            assert windows.scale[row] == 0
            continue
        wanted, scale = twin(bars, row, 24)
        assert np.allclose(windows.observed[row], wanted, rtol=1e-5, atol=1e-5)
        assert windows.scale[row] == pytest.approx(scale, rel=1e-12)
    assert (windows.scale[:24] == 0).all()
    assert windows.observed.shape[2] == len(OBSERVED)
    assert windows.known.shape == (120, 30, len(KNOWN))


def test_the_calendar_is_that_of_the_hours_themselves() -> None:
    """Six in the morning is a quarter of the day; the last column counts hours from T."""
    bars = bars_made(60, 4)
    row = int(np.flatnonzero(bars.close_time % (24 * HOUR_MS) == 6 * HOUR_MS)[1])
    known = windows_at(Hours.of(bars), np.array([row]), 24, 6).known[0]
    assert np.allclose(known[23, :2], [1, 0], atol=1e-6)
    assert known[23, 4] == 0
    assert known[29, 4] == np.float32(6 / 24)


def test_targets_end_where_the_training_ends() -> None:
    """No hour after the last row is looked at, and none that is missing."""
    bars = bars_made(60, 4, missing=(40,))
    hours, rows = Hours.of(bars), np.array([38, 50])
    found = targets_at(hours, rows, 6, 53, np.array([0.01, 0.02]))
    assert np.isnan(found[0]).tolist() == [False, True, False, False, False, False]
    assert np.isnan(found[1]).tolist() == [False, False, False, True, True, True]
    assert found[1, 1] == pytest.approx(
        np.log(bars.close[52] / bars.close[50]) / (0.02 * np.sqrt(2)), rel=1e-6
    )


# --- training ----------------------------------------------------------------------------------------------------------------


class Killed(Exception):
    """A process that ends between two epochs."""


def training(checkpoints: Checkpoints, kill_at: int = 0, **model: Any) -> Training:
    """Of the scene's window."""
    it, params = scene(), params_for(epochs=4, dropout=0.2, patience=9, **model)
    rows = training_of(it.bars, it.window, params, it.forecaster.traits)

    def heard(epoch: Epoch) -> None:
        if epoch.number == kill_at:
            raise Killed

    assert params.model.family == "tft"
    head = TFTForecaster().load(it.model, SOURCE).head
    return Training(
        head.network(),
        rows.panel,
        params.model,
        steps=6,
        until=rows.until,
        seed=7,
        key="k",
        checkpoints=checkpoints,
        heard=heard,
    )


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Killed after two epochs, gone on in another object: only two more are learnt, and every weight is as without the kill."""
    kept = FolderCheckpoints(tmp_path / "checkpoints")
    whole = training(Nowhere()).run()
    with pytest.raises(Killed):
        training(kept, kill_at=2).run()
    learnt: list[int] = []
    again = training(kept)
    again.heard = lambda epoch: learnt.append(epoch.number)
    resumed = again.run()
    assert learnt == [3, 4]
    assert resumed.keys() == whole.keys()
    assert all(bool((resumed[name] == whole[name]).all()) for name in whole)
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: b"{}", lambda data: data[:8] + b"[" + data[9:]]
)
def test_a_damaged_checkpoint_is_one_that_is_not_there(tmp_path: Path, damage: object) -> None:
    """The training begins anew and gives what it always gives."""
    kept = FolderCheckpoints(tmp_path)
    with pytest.raises(Killed):
        training(kept, kill_at=1).run()
    kept.save("k", damage(kept.load("k")))  # type: ignore[operator]  # a function of bytes
    assert all(
        bool((mine == wanted).all())
        for mine, wanted in zip(
            training(kept).run().values(), training(Nowhere()).run().values(), strict=True
        )
    )


def test_it_stops_when_held_back_hours_are_no_better() -> None:
    """With a step that is far too large the first epochs are the best: it ends after `patience` more, and keeps the best."""
    told: list[Epoch] = []
    it = training(Nowhere(), learning_rate=1.0)
    it.params = it.params.model_copy(update={"epochs": 30, "patience": 2})
    it.heard = told.append
    it.run()
    best = min(told, key=lambda epoch: epoch.held_back).number
    assert len(told) == best + 2 < 30


def test_a_network_that_grows_without_bound_is_no_model() -> None:
    """It is refused with the way out, and nothing that cannot be loaded is published."""
    it = training(Nowhere())
    with torch.no_grad():
        it.network.output.fill_(float("inf"))
    with pytest.raises(
        DataError, match=r"BTCUSDT: the network's numbers grew without bound in epoch 1. Lower model.learn"
    ):
        it.run()


# --- what it learns ----------------------------------------------------------------------------------------------------------


def seasonal(hours: int, seed: int, symbol: str) -> Bars:
    """A market that rises by half a percent from 06:00 to 12:00 and falls back from 18:00 to 24:00, beside a little noise."""
    bars = bars_made(hours, seed)
    hour = (bars.close_time // HOUR_MS) % 24
    drift = np.where((hour > 6) & (hour <= 12), 0.004, np.where((hour > 18) | (hour == 0), -0.004, 0.0))
    noise: Floats = np.random.default_rng(seed).normal(0, 0.001, hours)
    close = 100 * np.exp(np.cumsum(drift + noise))
    return made_of(bars, close, symbol)


def made_of(bars: Bars, close: Floats, symbol: str = "BTCUSDT") -> Bars:
    """Bars of the same hours with other prices."""
    return Bars(
        symbol, bars.close_time, open=close, high=close * 1.001, low=close * 0.999, close=close,
        volume=bars.volume, flagged=bars.flagged,
    )  # fmt: skip


def test_it_learns_the_hours_of_a_day_from_two_symbols_and_says_what_it_looked_at() -> None:
    """After eight epochs P(up) is high before the rising hours and low before the falling ones, for either symbol from its own
    bars alone; the calendar of the hours ahead weighs, and all shares add up to 1."""
    markets = [seasonal(1_000, seed, symbol) for seed, symbol in ((1, "AAAUSDT"), (2, "BBBUSDT"))]
    params = params_for(epochs=8, hidden_size=16, learning_rate=0.01, batch_size=128)
    panel = Panel.of(markets)
    forecaster = TFTForecaster()
    until = int(panel.close_time[900])
    model = forecaster.fit(panel, np.zeros((2, 1_000)), params, horizon=1, until=until, seed=3)
    predictor = forecaster.load(model, "x")
    for market in markets:
        alone = Panel.of([market])
        told = predictor.predict(alone, alone.close_time[-96:])
        hour = (alone.close_time[-96:] // HOUR_MS) % 24
        rising, falling = told.p_up[(hour >= 6) & (hour < 12)], told.p_up[(hour >= 18)]
        assert rising.min() > 0.6
        assert falling.max() < 0.4
        assert told.quantiles is not None
        assert (np.diff(told.quantiles, axis=2) > 0).all()
    assert isinstance(predictor, TFTPredictor)
    weights = predictor.weights(Panel.of([markets[0]]), panel.close_time[-5:])
    for shares in (weights.past.values(), weights.future.values(), weights.attention):
        assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert list(weights.past) == [*OBSERVED, *KNOWN]
    assert len(weights.attention) == 24 + 6


def test_other_symbols_change_no_prediction() -> None:
    """Fitted on two symbols, it predicts each from its own bars: the port gives it no others. A symbol that the fit did not see
    is refused, with the way out."""
    markets = [seasonal(400, seed, symbol) for seed, symbol in ((1, "AAAUSDT"), (2, "BBBUSDT"))]
    forecaster, params = TFTForecaster(), params_for(epochs=1)
    model = forecaster.fit(
        Panel.of(markets), np.zeros((2, 400)), params, horizon=1, until=markets[0].last, seed=3
    )
    predictor = forecaster.load(model, "x")
    stranger = Panel.of([seasonal(400, 3, "CCCUSDT")])
    with pytest.raises(
        DataError, match=r"AAAUSDT, BBBUSDT says nothing about CCCUSDT; add it to train_symbols"
    ):
        predictor.predict(stranger, stranger.close_time[-1:])
    with pytest.raises(DataError, match="says nothing about AAAUSDT, BBBUSDT"):
        predictor.predict(Panel.of(markets), markets[0].close_time[-1:])


# --- bad input ---------------------------------------------------------------------------------------------------------------


def fit(bars: Bars, **model: Any) -> bytes:
    """Of one symbol."""
    return TFTForecaster().fit(
        Panel.of([bars]), np.zeros((1, len(bars))), params_for(**model), horizon=1, until=bars.last, seed=3
    )


def test_a_series_without_windows_is_refused() -> None:
    """Shorter than a context, or constant: the symbol, what was found, and the way out."""
    with pytest.raises(
        DataError, match=r"BTCUSDT: 0 windows of 24 hours .* in 20 hours.* shorten model.encoder_hours"
    ):
        fit(bars_made(20, 1))
    bars = bars_made(300, 1)
    with pytest.raises(DataError, match=r"BTCUSDT: 0 windows .*prices that never move"):
        fit(made_of(bars, np.full(300, 100.0)))


def test_a_gpu_that_is_not_there_is_named() -> None:
    """With the way out."""
    if torch.cuda.is_available():
        assert fit(bars_made(300, 1), device="cuda", epochs=1)
        return
    with pytest.raises(ConfigError, match=r"model.device is cuda, and torch sees no GPU here. Write cpu"):
        fit(bars_made(300, 1), device="cuda")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'\\"schema\\": \\"tft/1\\"', b'\\"schema\\": \\"tft/2\\"'),
        (b'\\"encoder_hours\\": 24', b'\\"encoder_hours\\": 25'),
        (b'\\"hidden_size\\": 8', b'\\"hidden_size\\": 9'),
        (b'\\"hidden_size\\": 8', b'\\"hidden_size\\": 0'),
        (b'\\"forecast_hours\\": 6', b'\\"forecast_hours\\": 0'),
        (b'\\"hurdle\\": 0.0', b'\\"hurdle\\": NaN'),
        (b'\\"attention_heads\\": 2', b'\\"attention_heads\\": 3'),
    ],
)
def test_a_changed_head_is_refused(old: bytes, new: bytes) -> None:
    """Of the same length, so that safetensors itself finds nothing wrong."""
    model = scene().model
    assert old in model
    changed = model.replace(old, new.ljust(len(old))[: max(len(old), len(new))])
    if old.endswith(b"24"):
        assert (
            TFTForecaster().load(changed, SOURCE).head.encoder_hours == 25
        )  # a context of 25 hours is one that it could have
        return
    with pytest.raises(DataError, match=f"{SOURCE}: not a Temporal Fusion Transformer"):
        TFTForecaster().load(changed, SOURCE)


def test_weights_that_are_not_finite_are_refused() -> None:
    """One weight of one layer."""
    model = bytearray(scene().model)
    model[-4:] = np.float32(np.nan).tobytes()
    with pytest.raises(DataError, match="not finite"):
        TFTForecaster().load(bytes(model), SOURCE)


def test_levels_are_those_of_every_family() -> None:
    """The last axis."""
    told = scene().predictor.predict(*scene().served())
    assert told.quantiles is not None
    assert told.quantiles.shape[1:] == (6, len(LEVELS))
