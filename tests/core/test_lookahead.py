"""Planted leaks are caught and named; clean features are not flagged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trader.adapters.talib_features import SHIPPED
from trader.core.errors import ConfigError
from trader.core.lookahead import leaks, made_bars, poisoned, require_no_lookahead
from trader.core.presets import Preset, computed, register
from trader.core.types import HOUR_MS, Bars, Floats


def clean(bars: Bars) -> Floats:
    """The hour's own step."""
    return bars.close / bars.open - 1


def tomorrow(bars: Bars) -> Floats:
    """A shift the wrong way: the next hour's close."""
    return np.concatenate([bars.close[1:], [np.nan]]) / bars.close


def standard_score(bars: Bars) -> Floats:
    """A normalisation over the whole series."""
    return (bars.close - float(bars.close.mean())) / float(bars.close.std())


def day_by_its_open(bars: Bars) -> Floats:
    """A resample to days that are stamped by their open: each hour knows the close of its day."""
    day = bars.close_time // (24 * HOUR_MS)
    last = np.append(np.flatnonzero(np.diff(day)), len(day) - 1)
    closes: Floats = bars.close[last[np.searchsorted(day[last], day)]]
    return closes / bars.close


@pytest.mark.parametrize("leak", [tomorrow, standard_score, day_by_its_open])
def test_a_planted_leak_is_named_and_its_neighbours_are_not(leak: Callable[[Bars], Floats]) -> None:
    """Between two clean columns."""
    preset = Preset(
        "planted", ("one", "guilty", "other"), lambda b: np.column_stack([clean(b), leak(b), clean(b)])
    )
    found = leaks(lambda block: computed(preset, block), preset.columns, made_bars())
    assert [it.column for it in found] == ["guilty"]
    assert found[0].close_time <= found[0].cut
    with pytest.raises(ConfigError, match="look ahead: guilty of an hour"):
        require_no_lookahead(preset)


@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset.name)
def test_the_presets_are_clean(preset: Preset) -> None:
    """Of the whole of what is shipped."""
    assert leaks(lambda block: computed(preset, block), preset.columns, made_bars()) == []


def test_poison_changes_the_future_only_and_leaves_bars_valid() -> None:
    """Or the comparison would mean nothing."""
    bars = made_bars(200)
    changed = poisoned(bars, 120)
    for name in ("open", "high", "low", "close", "volume", "taker_buy_base"):
        assert np.array_equal(getattr(bars, name)[:120], getattr(changed, name)[:120])
        assert (getattr(bars, name)[120:] != getattr(changed, name)[120:]).all()
    assert (changed.low <= np.minimum(changed.open, changed.close)).all()
    assert (changed.high >= np.maximum(changed.open, changed.close)).all()


def test_a_function_that_fails_or_forgets_rows_is_said() -> None:
    """With the preset's name and what is wrong."""
    with pytest.raises(ConfigError, match=r"'raises' failed on 50 bars: ZeroDivisionError"):
        computed(Preset("raises", ("a",), lambda bars: np.full((len(bars), 1), 1 / 0)), made_bars(50))
    with pytest.raises(ConfigError, match=r"'short' gave the shape \(49, 1\) for 50 bars and 1 column; "):
        computed(Preset("short", ("a",), lambda bars: np.zeros((len(bars) - 1, 1))), made_bars(50))


def test_a_taken_name_is_refused() -> None:
    """A user's preset may not pose as a shipped one."""
    with pytest.raises(ConfigError, match="'reference' exists already"):
        register(Preset("reference", ("a",), lambda bars: np.zeros((len(bars), 1))))
    with pytest.raises(ConfigError, match="'seed' exists already"):  # its name in earlier versions
        register(Preset("seed", ("a",), lambda bars: np.zeros((len(bars), 1))))
