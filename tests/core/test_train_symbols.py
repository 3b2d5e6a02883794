"""A fit that sees several symbols: which, in which order, on which hours, and what is too little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.global_family import known, pooled_params, three_symbols
from trader.core.errors import ConfigError, DataError
from trader.core.forecast import Traits
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.training import Training, bars_hash, training_of
from trader.core.types import HOUR_MS, Bars
from trader.core.windows import refit_of

BTC, ETH, SOL = three_symbols()
START = BTC.first + 900 * HOUR_MS
GLOBAL = Traits("global", "series", 96, "none")


@pytest.fixture(autouse=True)
def _pooled(tmp_path: Path) -> Iterator[None]:
    with known(tmp_path):
        yield


def trained(*others: Bars, traits: Traits = GLOBAL, **changes: Any) -> Training:
    """What a fit for BTCUSDT at START sees."""
    params = pooled_params(**changes)
    return training_of(BTC, refit_of(params, 0, START), params, traits, others)


def test_the_key_is_left_out_where_nobody_names_it() -> None:
    """Parameters of before have the text and the hash that they had; several symbols have others, whatever their order."""
    plain = params_of(DEFAULT_PARAMS, "tests")
    assert "train_symbols" not in plain.as_json()
    assert "train_symbols" not in plain.identity()
    one, other = (pooled_params(train_symbols=it) for it in (["ETHUSDT", "BTCUSDT"], ["BTCUSDT", "ETHUSDT"]))
    assert one == other
    assert one.as_json()["train_symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert one.identity() != pooled_params().identity()
    assert Params.model_validate_json(one.model_dump_json()) == params_of(one.as_json(), "again") == one


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "'train_symbols'.* at least 1"),
        (["BTCUSDT", "BTCUSDT"], "train_symbols names BTCUSDT more than once"),
        (["btc-usdt"], r"'train_symbols.0': .*'btc-usdt'"),
        ("BTCUSDT", "'train_symbols'.* array"),
    ],
)
def test_what_names_no_symbols_is_refused(value: Any, says: str) -> None:
    """With the key and what stands there."""
    with pytest.raises(ConfigError, match=says):
        pooled_params(train_symbols=value)


def test_all_symbols_lie_on_one_grid_sorted() -> None:
    """The hours of the traded symbol, a row a symbol of labels; the order in which bars are given changes no byte."""
    found, turned = trained(ETH, SOL), trained(SOL, ETH)
    assert found.panel.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert found.data_hash == turned.data_hash
    assert found.y.tobytes() == turned.y.tobytes()
    assert found.y.shape == (3, len(found.panel))
    window = refit_of(pooled_params(), 0, START)
    assert int(found.panel.close_time[0]) == window.train_from - 96 * HOUR_MS
    assert int(found.panel.close_time[-1]) == window.train_until + HOUR_MS
    within = (found.panel.close_time >= window.train_from) & (found.panel.close_time <= window.train_until)
    assert found.rows == sum(int((within & ~it.flagged).sum()) for it in found.panel.bars)


def test_hours_before_a_listing_are_flagged() -> None:
    """They have the open of the first bar, no volume, no label; from the listing on the bars are the symbol's own."""
    found = trained(ETH, SOL)
    young, y = found.panel.bars[2], found.y[2]
    before = young.close_time < SOL.first
    assert before.any()
    assert young.flagged[before].all()
    assert (young.close[before] == SOL.open[0]).all()
    assert not young.volume[before].any()
    assert np.isnan(y[before]).all()
    assert not np.isnan(y[~before][:-1]).any()


def test_the_hash_is_of_every_symbol() -> None:
    """One changed bar of any of them changes it; that of the only symbol is what it always was."""
    assert trained(train_symbols=None).data_hash == bars_hash(trained(train_symbols=None).panel.bars[0])
    first = trained(ETH, SOL).data_hash
    for at, bars in enumerate((ETH, SOL)):
        close = bars.close.copy()
        close[-150] *= 1.001
        fields = {n: getattr(bars, n) for n in ("close_time", "open", "high", "low", "volume", "flagged")}
        others = [ETH, SOL]
        others[at] = Bars(bars.symbol, close=close, **fields)
        assert trained(*others).data_hash != first


def test_nothing_after_the_last_label_is_seen() -> None:
    """Bars that go on give what bars that end there give, of every symbol."""
    last = refit_of(pooled_params(), 0, START).train_until + HOUR_MS
    params = pooled_params()
    cut = [it.until(last) for it in (BTC, ETH, SOL)]
    assert (
        training_of(cut[0], refit_of(params, 0, START), params, GLOBAL, cut[1:]).data_hash
        == trained(ETH, SOL).data_hash
    )


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ((ETH,), "train_symbols names SOLUSDT, whose bars are not there"),
        ((ETH, SOL.rows(250, 400)), r"SOLUSDT: 49 hours of bars .*pooled needs 98"),
    ],
)
def test_a_symbol_without_enough_bars_is_named(others: tuple[Bars, ...], says: str) -> None:
    """Not there, listed too late for one example: each with the way out."""
    with pytest.raises(DataError, match=says):
        trained(*others)


def test_a_symbol_that_ended_is_learnt_from_to_its_last_bar() -> None:
    """Its further hours are flagged and have no label."""
    last = START - 3 * HOUR_MS
    found = trained(ETH, SOL.until(last))
    assert found.panel.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    ended, y = found.panel.bars[2], found.y[2]
    after = ended.close_time > last
    assert after.any()
    assert ended.flagged[after].all()
    assert np.isnan(y[after]).all()
    assert not np.isnan(y[ended.close_time == last - HOUR_MS]).any()


def test_a_symbol_of_which_the_window_has_no_row_is_no_part_of_the_fit() -> None:
    """Whether its first bar is later or its last one earlier; whoever trains a bot or walks forward refuses the first before."""
    begin = trained(ETH, SOL).panel.bars[0].first
    assert trained(ETH, SOL.rows(320, 400)).panel.symbols == ("BTCUSDT", "ETHUSDT")
    earlier = ETH.until(begin - HOUR_MS)
    assert len(earlier)
    assert trained(earlier, SOL).panel.symbols == ("BTCUSDT", "SOLUSDT")


@pytest.mark.parametrize(
    "traits", [Traits("local", "series", 96, "none"), Traits("global", "rows", 0, "none")]
)
def test_a_family_of_one_symbol_takes_no_more(traits: Traits) -> None:
    """A local one, and one of rows; the symbol itself may be named."""
    with pytest.raises(ConfigError, match=r"'pooled' is fitted on one symbol, and train_symbols names 3"):
        trained(ETH, SOL, traits=traits)
    local = Traits("local", "series", 96, "none")
    assert trained(traits=local, train_symbols=["BTCUSDT"]).panel.symbols == ("BTCUSDT",)


def test_the_traded_symbol_is_one_of_them() -> None:
    """Else the model could not serve it."""
    with pytest.raises(ConfigError, match="names ETHUSDT, SOLUSDT and not BTCUSDT, which is traded"):
        trained(ETH, SOL, train_symbols=["ETHUSDT", "SOLUSDT"])
