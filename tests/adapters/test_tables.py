"""The journal's hours as a Parquet table: real decimals, real times, one schema."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.records_made import line_made
from trader.adapters.tables import AMOUNTS, write_parquet
from trader.core.errors import ConfigError, DataError
from trader.core.hours import LINE_KEYS
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2024-03-01")


def test_amounts_are_exact_decimals_and_times_are_utc(tmp_path: Path) -> None:
    """What is written is read back as the same Decimals; nothing passes a float, which would lose the last digits."""
    bought = {
        "order_side": "BUY",
        "order_qty": Decimal("0.00001"),
        "fill_price": Decimal("61000.010000000000000001"),
    }
    lines = [
        line_made(START, **bought, equity=Decimal("9007199254740993.0000000001")),
        line_made(START + HOUR_MS, p_up=None, fee=Decimal("1E-8"), reason="gap"),
    ]
    write_parquet(tmp_path / "hours.parquet", lines)
    table = pq.read_table(tmp_path / "hours.parquet")
    assert table.column_names == list(LINE_KEYS)
    assert {table.schema.field(name).type for name in AMOUNTS} == {pa.decimal128(38, 18)}
    assert table.schema.field("close_time").type == pa.timestamp("ms", "UTC")
    assert table.schema.field("p_up").type == pa.float64()
    for name in AMOUNTS:
        assert table[name].to_pylist() == [getattr(line, name) for line in lines]
    assert table["p_up"].to_pylist() == [0.5, None]
    assert pd.read_parquet(tmp_path / "hours.parquet")["close_time"][1] == pd.Timestamp("2024-03-01T01:00Z")


def test_an_average_price_with_more_digits_is_not_rounded(tmp_path: Path) -> None:
    """Its column alone gets as many as it needs."""
    price = Decimal(100_000) / Decimal(3)
    write_parquet(tmp_path / "hours.parquet", [line_made(START, fill_price=price)])
    table = pq.read_table(tmp_path / "hours.parquet")
    assert table["fill_price"].to_pylist() == [price]
    assert table.schema.field("fill_price").type == pa.decimal128(38, 23)
    assert table.schema.field("fee").type == pa.decimal128(38, 18)


def test_no_hours_have_the_schema_of_some(tmp_path: Path) -> None:
    """So that tables of several bots can be put together."""
    write_parquet(tmp_path / "none.parquet", [])
    write_parquet(tmp_path / "one.parquet", [line_made(START)])
    assert pq.read_schema(tmp_path / "none.parquet") == pq.read_schema(tmp_path / "one.parquet")


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """An amount that no reader of Parquet knows, and a folder that is none."""
    with pytest.raises(DataError, match=r"more than 38 digits .*--jsonl"):
        write_parquet(tmp_path / "hours.parquet", [line_made(START, equity=Decimal("1E30"))])
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_parquet(tmp_path / "file" / "hours.parquet", [line_made(START)])
