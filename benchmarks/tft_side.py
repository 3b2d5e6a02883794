"""The Temporal Fusion Transformer measured in the environment of `make families`; prints one line of JSON.

python -m benchmarks.tft_side '{"symbols": 20, "days": 365, "later": 90, "epochs": 3, "folder": "", "scratch": "/tmp"}'
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.families.test_tft_twin import SHAPE, give_all, other_network, windows
from tests.families.test_tft_twin import asked as asked_of_theirs
from tests.support.bars_made import bars_made
from trader.adapters.files import read_bars
from trader.core.forecast import LEVELS
from trader.core.long_training import Nowhere
from trader.core.model_params import TFTParams
from trader.core.panel import Panel
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, parse_time
from trader.forecasters.naive import rolling_quantiles
from trader.forecasters.tft import TFTPredictor
from trader.forecasters.tft_head import Head
from trader.forecasters.tft_layers import Noise
from trader.forecasters.tft_network import Network, pinball
from trader.forecasters.tft_training import Training

START = parse_time("2021-06-01")
BEFORE_MS = 400 * HOUR_MS
AHEAD = 24


def markets(folder: str, symbols: int, stop: int) -> tuple[list[Bars], str]:
    """Real bars of a folder's symbols that have the whole span, or made ones."""
    found = []
    for file in sorted(Path(folder).glob("*-1h.parquet")) if folder else []:
        bars = read_bars(file, file.name.removesuffix("-1h.parquet"))
        if bars.first <= START - BEFORE_MS and bars.last >= stop:
            found.append(bars.span(START - BEFORE_MS, stop))
    if len(found) >= symbols:
        return found[:symbols], f"real bars from 2021-06 on, {found[0].symbol} to {found[symbols - 1].symbol}"
    hours = (stop - START + BEFORE_MS) // HOUR_MS
    times = np.arange(START - BEFORE_MS, stop, HOUR_MS, dtype=np.int64)
    made = [
        replace(bars_made(hours, seed), symbol=f"M{seed}USDT", close_time=times) for seed in range(symbols)
    ]
    return made, "made markets"


def learnt(found: list[Bars], days: int, epochs: int) -> tuple[TFTPredictor, float, int]:
    """A model of the span, median seconds of an epoch, and its windows."""
    params = TFTParams(epochs=epochs, patience=epochs)
    symbols = tuple(bars.symbol for bars in found)
    head = Head(symbols, params.encoder_hours, AHEAD, params.hidden_size, params.attention_heads, 1, 0.0)
    until = START + days * DAY_MS - HOUR_MS
    stamps = [time.perf_counter()]
    training = Training(
        head.network(), Panel.of(found), params,
        steps=AHEAD, until=until, seed=7, key="", checkpoints=Nowhere(),
        heard=lambda _: stamps.append(time.perf_counter()),
    )  # fmt: skip
    network = head.network()
    network.load_state_dict(training.run())
    windows_count = sum(len(part) for part in training.samples())
    return TFTPredictor(head, network), statistics.median(np.diff(stamps).tolist()), windows_count


def loss(quantiles: Floats, actual: Floats) -> float:
    """The mean pinball loss over hours, hours ahead and levels, NaN left out."""
    off = actual[:, :, None] - quantiles
    return float(np.nanmean(np.maximum(np.array(LEVELS) * off, (np.array(LEVELS) - 1) * off)))


def against_naive(predictor: TFTPredictor, found: list[Bars], days: int) -> tuple[float, float]:
    """Its pinball loss over naive's on the hours after the span, every sixth; and ms of processor time of a prediction."""
    ours, theirs, each = [], [], []
    for bars in found:
        panel, series = Panel.of([bars]), Series.hourly(bars)
        rows = np.arange(bars.row(START + days * DAY_MS), len(bars) - AHEAD, 6)
        began = time.process_time()
        told = predictor.predict(panel, bars.close_time[rows])
        each.append((time.process_time() - began) * 1000 / len(rows))
        steps = range(1, AHEAD + 1)
        actual = np.stack([series.log_close[rows + h] - series.log_close[rows] for h in steps], 1)
        naive = np.stack([rolling_quantiles(series, rows, h) for h in steps], 1)
        assert told.quantiles is not None
        there = ~np.isnan(told.quantiles).any((1, 2)) & ~np.isnan(naive).any((1, 2))
        ours.append(loss(told.quantiles[there], actual[there]))
        theirs.append(loss(naive[there], actual[there]))
    return sum(ours) / sum(theirs), statistics.median(each)


def beside_the_other(count: int = 128, times: int = 3) -> tuple[float, float]:
    """Seconds of our network's forward and backward pass over theirs, and the largest difference of the two outputs."""
    generator = torch.Generator().manual_seed(1)
    ours, theirs = Network(SHAPE), other_network()
    levels = torch.tensor(LEVELS)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.normal_(0, 0.4, generator=generator)
        give_all(theirs, ours)
    symbol, observed, known = windows(count, generator)
    target = torch.randn(count, SHAPE.ahead, generator=generator)
    given = asked_of_theirs(symbol, observed, known)

    def ours_once() -> Any:
        middle = ours.inner(symbol, observed, known, Noise())[0]
        return middle @ ours.output + ours.output_bias

    def theirs_once() -> Any:
        return theirs(given)["prediction"]

    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(times):
        for name, once, weights in (
            ("ours", ours_once, list(ours.parameters())),
            ("theirs", theirs_once, [w for w in theirs.parameters() if w.requires_grad]),
        ):
            began = time.process_time()
            torch.autograd.grad(pinball(once(), target, levels).mean(), weights, allow_unused=True)
            spent[name].append(time.process_time() - began)
    with torch.no_grad():
        difference = float((ours_once() - theirs_once()).abs().max())
    return statistics.median(spent["ours"]) / statistics.median(spent["theirs"]), difference


def measured(asked: dict[str, Any]) -> dict[str, Any]:
    """All of it."""
    torch.set_num_threads(1)
    stop = START + (asked["days"] + asked["later"]) * DAY_MS
    found, said = markets(asked["folder"], asked["symbols"], stop)
    predictor, epoch_s, count = learnt(found, asked["days"], asked["epochs"])
    ratio, prediction_ms = against_naive(predictor, found, asked["days"])
    step_ratio, difference = beside_the_other()
    return {
        "epoch_s": epoch_s, "windows": count, "markets": said, "pinball_ratio": ratio,
        "prediction_ms": prediction_ms, "step_ratio": step_ratio, "difference": difference,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured(json.loads(sys.argv[1]))))
