"""Filters from an exchangeInfo row: what sizing needs, or a refusal that names file and filter."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.test_binance_reads import put
from tests.support.raw_server import INFO_ROW
from trader.adapters.exchange_info import filters_of, info_row_of, read_filters, read_info_rows
from trader.core.errors import ConfigError
from trader.core.types import Filters


def test_the_filters_that_sizing_needs() -> None:
    """Types that nobody knows are passed over; the market's own limits tighten the others'; zero switches one off."""
    market = {"filterType": "MARKET_LOT_SIZE", "minQty": "0.01000000", "maxQty": "128.5", "stepSize": "0.0"}
    strange = {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"}
    row = put(INFO_ROW, ("filters",), [strange, *INFO_ROW["filters"], market])
    found = filters_of(row, "a test")
    assert found == Filters(
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.00001"),
        min_notional=Decimal(5),
        min_qty=Decimal("0.01"),
        max_qty=Decimal("128.5"),
    )
    off = put(row, ("filters", 4), {**market, "maxQty": "0.0", "minQty": "0.0"})
    assert filters_of(off, "a test").max_qty == 9_000


@pytest.mark.parametrize(
    "place", [(), (0,), (1, "stepSize"), (1, "maxQty"), (2, "minNotional"), (0, "tickSize")]
)
@pytest.mark.parametrize("value", [None, [], {}, "NaN", "-1", "Infinity", "x", [7]])
def test_a_missing_or_broken_filter_is_named(place: tuple[Any, ...], value: Any) -> None:
    """No quantity is computed from limits that are not there or are no numbers."""
    row = put(INFO_ROW, ("filters", *place), value)
    with pytest.raises(ConfigError, match="a test: BTCUSDT lacks a filter that sizing needs"):
        filters_of(row, "a test")


@pytest.mark.parametrize("place", [(1, "stepSize"), (0, "tickSize")])
def test_a_step_of_zero_is_no_step(place: tuple[Any, ...]) -> None:
    """Nothing is a multiple of 0: it is said, and never divided by."""
    row = put(INFO_ROW, ("filters", *place), "0.00000000")
    with pytest.raises(ConfigError, match=r"a test: BTCUSDT lacks a filter that sizing needs .*is no step"):
        filters_of(row, "a test")


def test_a_file_may_hold_the_row_or_a_reply(tmp_path: Path) -> None:
    """Both give the same filters; anything else is refused by name."""
    path = tmp_path / "row.json"
    path.write_text(json.dumps(INFO_ROW))
    alone = read_filters(path)
    path.write_text(json.dumps({"timezone": "UTC", "symbols": [INFO_ROW]}))
    assert read_filters(path) == alone == filters_of(INFO_ROW, "a test")
    for text, says in (
        ("[]", "must hold one exchangeInfo row"),
        ('{"filters": 1}', "must hold one exchangeInfo row"),
        ('{"filters": [1]}', "lacks a filter"),
        ("{", "is not JSON"),
        (
            json.dumps([INFO_ROW, {**INFO_ROW, "symbol": "ETHUSDT"}]),
            "must hold one row, not those of BTCUSDT, ETHUSDT",
        ),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=says):
            read_filters(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_filters(tmp_path / "none.json")


@pytest.mark.parametrize("shape", [lambda rows: rows, lambda rows: {"timezone": "UTC", "symbols": rows}])
def test_a_file_of_several_rows_has_one_for_each_symbol(tmp_path: Path, shape: Callable[[Any], Any]) -> None:
    """A list of rows, or a whole reply, is asked by symbol; a symbol that has none is said with those that have."""
    path = tmp_path / "rows.json"
    other = {**INFO_ROW, "symbol": "ETHUSDT", "filters": INFO_ROW["filters"][:3]}
    path.write_text(json.dumps(shape([INFO_ROW, other])))
    rows = read_info_rows(path)
    assert [info_row_of(rows, symbol, path) for symbol in ("ETHUSDT", "BTCUSDT")] == [other, INFO_ROW]
    with pytest.raises(ConfigError, match=r"rows\.json has no row of XRPUSDT, only of BTCUSDT, ETHUSDT"):
        info_row_of(rows, "XRPUSDT", path)
