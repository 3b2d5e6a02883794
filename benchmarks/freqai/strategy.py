"""The strategy that FreqAI walks forward with: the nine columns of the preset `seed`, and whether the next close is higher.

freqtrade imports this file in its own environment (`--strategy-path`); nothing of this project is known here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import talib
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class SameColumns(IStrategy):  # type: ignore[misc] # freqtrade lives in the peers' environment
    """Long while the model says up, flat while it says down; nothing else opens or closes a trade."""

    INTERFACE_VERSION = 3
    timeframe = "1h"
    can_short = False
    process_only_new_candles = True
    startup_candle_count = 30
    stoploss = -0.99
    minimal_roi = {"0": 100}  # noqa: RUF012 - freqtrade's own interface
    use_exit_signal = True

    def feature_engineering_expand_all(
        self, dataframe: DataFrame, period: int, metadata: dict[str, Any], **_: Any
    ) -> DataFrame:
        """RSI and MFI, once for each of `indicator_periods_candles`."""
        dataframe["%-rsi-period"] = talib.RSI(dataframe["close"], timeperiod=period)
        dataframe["%-mfi-period"] = talib.MFI(
            *(dataframe[name] for name in ("high", "low", "close", "volume")), timeperiod=period
        )
        return dataframe

    def feature_engineering_expand_basic(
        self, dataframe: DataFrame, metadata: dict[str, Any], **_: Any
    ) -> DataFrame:
        """Three moving averages as shares of the close."""
        for n in (5, 10, 20):
            dataframe[f"%-sma-{n}"] = talib.SMA(dataframe["close"], timeperiod=n) / dataframe["close"]
        return dataframe

    def feature_engineering_standard(
        self, dataframe: DataFrame, metadata: dict[str, Any], **_: Any
    ) -> DataFrame:
        """No further columns."""
        return dataframe

    def set_freqai_targets(self, dataframe: DataFrame, metadata: dict[str, Any], **_: Any) -> DataFrame:
        """Up or down by the next close; None for the last row, which FreqAI then leaves out."""
        self.freqai.class_names = ["down", "up"]
        following = dataframe["close"].shift(-1)
        label = np.where(following > dataframe["close"], "up", "down").astype(object)
        label[following.isna().to_numpy()] = None
        dataframe["&s-up_or_down"] = label
        return dataframe

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """FreqAI fits and predicts here."""
        answered: DataFrame = self.freqai.start(dataframe, metadata, self)
        return answered

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Long on up."""
        up = (dataframe["do_predict"] == 1) & (dataframe["&s-up_or_down"] == "up")
        dataframe.loc[up, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Flat on down."""
        down = (dataframe["do_predict"] == 1) & (dataframe["&s-up_or_down"] == "down")
        dataframe.loc[down, "exit_long"] = 1
        return dataframe
