"""The other side of the comparison with FreqAI: `freqtrade backtesting` as its users type it, in a process of its own.

freqtrade is entered by its own command line and reads a configuration, a strategy (`benchmarks/freqai/strategy.py`) and
candles, all in documented formats. It asks the exchange for its markets before it backtests, so ccxt's addresses are set
(`exchange.ccxt_config`) to an embedded exchange; nothing of freqtrade is patched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.feather

from benchmarks import peers
from benchmarks.bench_exchange import exchange
from benchmarks.scene import Process, bars, bars_file, process, trees_of
from trader.core.bars import as_columns
from trader.core.params import Params
from trader.core.types import HOUR_MS, Ints, Matrix, iso

STRATEGIES = Path(__file__).with_name("freqai")
HOSTS = {"public": "/api/v3", "private": "/api/v3", "sapi": "/sapi/v1"}
CANDLES = ("open", "high", "low", "close", "volume")
QUIET = {"PYTHONDONTWRITEBYTECODE": "", "NO_PROXY": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class FreqAI:
    """A user folder of freqtrade with candles in it, and an exchange that knows the market."""

    folder: Path
    venue_url: str

    def backtest(self, name: str, params: Params, start: int, stop: int) -> Process:
        """One walk forward over start <= T < stop from exec to exit, with XGBoost on one thread and no cache of results."""
        shutil.rmtree(self.folder / "models" / name, ignore_errors=True)  # else predictions come from there
        config = self.folder / f"{name}.json"
        config.write_text(json.dumps(configuration(name, params, self.venue_url)))
        words = ["--config", str(config), "--strategy-path", str(STRATEGIES), "--strategy", "SameColumns"]
        words += ["--freqaimodel", "XGBoostClassifier", "--timerange", f"{_day(start)}-{_day(stop)}"]
        words += ["--cache", "none", "--export", "none", "--no-color"]
        return process(freqtrade("backtesting", self.folder, *words), QUIET)

    def predictions(self, name: str) -> tuple[Ints, Matrix]:
        """Close times (UTC ms) and P(up), as FreqAI keeps them, a file a window."""
        files = (self.folder / "models" / name / "backtesting_predictions").glob("*_prediction.feather")
        tables = [pyarrow.feather.read_table(file) for file in files]
        times = np.concatenate([table["date"].to_numpy().astype("datetime64[ms]") for table in tables])
        p_up = np.concatenate([table["up"].to_numpy() for table in tables])
        order = np.argsort(times)
        return times[order].astype(np.int64) + HOUR_MS, p_up[order].astype(np.float32)


@contextmanager
def freqai(folder: Path) -> Iterator[FreqAI]:
    """FreqAI ready to walk over the bars of the benchmarks. Raises RuntimeError where there is none."""
    user = folder / "freqtrade"
    candles = user / "data" / "binance"
    candles.mkdir(parents=True)
    times, columns = as_columns(bars(folder))
    rows = zip(times.tolist(), *(columns[name].tolist() for name in CANDLES), strict=True)
    (candles / "BTC_USDT-1h.json").write_text(json.dumps(list(rows)))
    config = user / "convert.json"
    config.write_text(json.dumps({"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]}}))
    formats = ["--format-from", "json", "--format-to", "feather", "--candle-types", "spot"]
    process(freqtrade("convert-data", user, "--config", str(config), *formats, "--erase"), QUIET)
    with exchange(bars_file(folder)) as ready:
        yield FreqAI(user, ready["url"])


def freqtrade(verb: str, user: Path, *words: str) -> list[str]:
    """A command line of freqtrade; FREQAI_RUNNER names a script that takes its words instead."""
    runner = os.environ.get("FREQAI_RUNNER")
    entry = [runner] if runner else ["-m", "freqtrade"]
    return [peers.python("FREQAI_PYTHON"), *entry, verb, "--userdir", str(user), *words]


def configuration(name: str, params: Params, venue_url: str) -> dict[str, Any]:
    """The windows and the trees of `params`; everything that FreqAI may leave out is off."""
    addresses = {host: venue_url + path for host, path in HOSTS.items()}
    asked = {
        "urls": {"api": addresses},
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False},
    }
    prices = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    return {
        "dry_run": True,
        "dry_run_wallet": 10_000,
        "max_open_trades": 1,
        "stake_currency": "USDT",
        "stake_amount": 1_000,
        "trading_mode": "spot",
        "timeframe": "1h",
        "dataformat_ohlcv": "feather",
        "entry_pricing": prices,
        "exit_pricing": prices,
        "exchange": {
            "name": "binance",
            "key": "",
            "secret": "",
            "pair_whitelist": ["BTC/USDT"],
            "ccxt_config": asked,
        },
        "pairlists": [{"method": "StaticPairList"}],
        "fee": float(params.fee_rate),
        "freqai": {
            "enabled": True,
            "identifier": name,
            "train_period_days": params.look_back_days,
            "backtest_period_days": params.step_days,
            "live_retrain_hours": 0,
            "save_backtest_models": False,
            "activate_tensorboard": False,
            "feature_parameters": {
                "include_timeframes": ["1h"],
                "include_corr_pairlist": [],
                "include_shifted_candles": 0,
                "label_period_candles": 1,
                "indicator_periods_candles": [7, 14, 21],
                "DI_threshold": 0,
                "weight_factor": 0,
                "principal_component_analysis": False,
                "use_SVM_to_remove_outliers": False,
                "plot_feature_importances": 0,
            },
            "data_split_parameters": {"test_size": 0, "shuffle": False},
            "model_training_parameters": {**trees_of(params).model_dump(exclude={"family"}), "n_jobs": 1},
        },
    }


def _day(hour: int) -> str:
    return iso(hour)[:10].replace("-", "")
