"""The shipped presets: what their columns are, by an independent library too, and that their code is the code of stored
models."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.support.bars_made import bars_made
from trader.adapters.talib_features import SHIPPED
from trader.core.errors import ConfigError
from trader.core.features import features
from trader.core.lookahead import made_bars
from trader.core.presets import computed, preset_named
from trader.core.types import HOUR_MS


def test_indicators_equal_an_independent_library() -> None:
    """SMA, RSI (Wilder's smoothing) and MFI by pandas agree with the columns to 1e-5 of their size (float32)."""
    bars, seed = bars_made(2_500, 9), preset_named("reference")
    close, volume = pd.Series(bars.close), pd.Series(bars.volume)
    typical = (pd.Series(bars.high) + pd.Series(bars.low) + close) / 3
    got = features(bars, seed, bars.first, bars.last + HOUR_MS)
    change = close.diff()
    flow = typical * volume
    for column, name in enumerate(seed.columns):
        kind, n = name.split("_")
        if kind == "sma":
            want = close.rolling(int(n)).mean() / close
        elif kind == "rsi":
            gain, loss = (
                part.ewm(alpha=1 / int(n), adjust=False).mean()
                for part in (change.clip(lower=0).fillna(0), -change.clip(upper=0).fillna(0))
            )
            want = 100 * gain / (gain + loss)
        else:
            up = flow.where(typical.diff() > 0, 0).rolling(int(n)).sum()
            down = flow.where(typical.diff() < 0, 0).rolling(int(n)).sum()
            want = 100 * up / (up + down)
        # Smoothing that began elsewhere is forgotten after a thousand bars.
        np.testing.assert_allclose(got[1_100:, column], want.to_numpy()[1_100:], rtol=1e-5, atol=1e-4)


def test_the_wide_preset_has_what_it_says() -> None:
    """A row an hour, the seed's nine to the bit, buyers' share within 0 and 1, weekday a Monday's 0."""
    bars = made_bars()
    values = computed(preset_named("wide"), bars)
    columns = preset_named("wide").columns
    assert np.array_equal(values[:, :9], computed(preset_named("reference"), bars), equal_nan=True)
    share = values[:, columns.index("buyers_share")]
    assert ((share >= 0.3) & (share <= 0.7)).all()
    assert values[0, columns.index("weekday")] == 0.0  # 2024-01-01 was a Monday
    assert not np.isnan(values[30:]).any()
    step = np.log(bars.close[1:] / bars.close[:-1])
    at = columns.index("volatility_24")
    assert values[100, at] == pytest.approx(step[76:100].std(), rel=1e-6)
    bare = bars.rows(0, 100)
    object.__setattr__(bare, "taker_buy_base", None)
    with pytest.raises(ConfigError, match="taker_buy_base"):
        computed(preset_named("wide"), bare)


def test_code_hashes_are_those_of_stored_models() -> None:
    """Cards of existing stores hold these very hashes: whatever moves around it, the code of a preset stays."""
    assert {preset.name: preset.code_hash for preset in SHIPPED} == {
        "reference": "e152a7c4929e3e29",
        "reference_code": "c652402a2f5f162d",
        "wide": "bab696cdaa81cf88",
    }


def test_columns_have_names_of_their_own() -> None:
    """No preset names two columns alike."""
    assert all(len(preset.columns) == len(set(preset.columns)) for preset in SHIPPED)


NONE_REGISTERED = """
import sys
from trader.core.errors import ConfigError
from trader.core.presets import preset_named
try:
    preset_named("reference")
except ConfigError as error:
    print(error)
from trader.adapters.talib_features import register_shipped
register_shipped()
print(preset_named("reference").code_hash, "talib" in sys.modules)
"""


def test_presets_are_known_once_they_are_registered() -> None:
    """Importing registers none, and an unknown one is a clear error; registering imports no TA-Lib."""
    unknown, known = anew_python(NONE_REGISTERED).stdout.splitlines()
    assert unknown == "features: there is no preset 'reference'; none is registered in this process"
    assert known == "e152a7c4929e3e29 False"


ALONE = """
import sys
from tests.support.bars_made import bars_made
from tests.conftest import ROOT
from trader.adapters.talib_features import register_shipped
from trader.core.features import features, preset_named
from trader.core.types import HOUR_MS
register_shipped()
assert "pandas" not in sys.modules
bars = bars_made(2_500, 9)
sys.stdout.write(features(bars, preset_named("reference_code"), bars.first, bars.last + HOUR_MS).tobytes().hex())
assert "pandas" not in sys.modules
import pandas
sys.stderr.write(str(pandas.Series([1]).sum()))
"""
WITH_SERIES = """
import numpy, pandas
from trader.adapters import talib_features
known = talib_features._talib().SMA(pandas.Series(numpy.arange(9.0)), timeperiod=3)
print(type(known).__module__.partition(".")[0], known.iloc[-1])
"""


def test_features_need_no_pandas_and_leave_it_alone() -> None:
    """The same bytes where pandas was never imported; it can be afterwards, and where it was before, Series are taken."""
    bars = bars_made(2_500, 9)
    known = features(bars, preset_named("reference_code"), bars.first, bars.last + HOUR_MS)
    alone = anew_python(ALONE)
    assert (bytes.fromhex(alone.stdout), alone.stderr) == (known.tobytes(), "1")
    assert anew_python(WITH_SERIES).stdout == "pandas 7.0\n"


def anew_python(code: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter's answer."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
