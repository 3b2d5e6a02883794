"""Columns of numbers as the bytes of a Parquet file, and back. Equal columns give equal bytes with one version of pyarrow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from backtest.executors.protocol import Array
from trader.core.bars import as_columns, bars_from_columns
from trader.core.errors import DataError
from trader.core.types import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Bars

TIMES = ("open_time", "close_time")


def parquet_of(columns: Mapping[str, Array]) -> bytes:
    """(n,) each; those named as times are UTC ms."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = []
    for name, column in columns.items():
        values = np.ascontiguousarray(column)
        kind = pa.timestamp("ms", tz="UTC") if name in TIMES else pa.from_numpy_dtype(values.dtype)
        # From buffers, since `pa.array` imports pandas.
        made.append(pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)]))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(made, names=list(columns)), buffer, write_page_checksum=True)
    return buffer.getvalue()


def columns_of(data: bytes, source: str) -> dict[str, Array]:
    """Raises DataError for bytes that are no such file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(use_threads=False)
        return {name: _numbers(table.column(name)) for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{source} is no table of numbers ({error})") from None


def _numbers(column: Any) -> Array:
    import pyarrow as pa

    chunk = column.combine_chunks()
    chunk = chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) else chunk
    if chunk.null_count:
        raise ValueError("a value is missing")
    kind = _numpy_kind(chunk.type)
    return np.frombuffer(chunk.buffers()[1], kind, len(chunk), chunk.offset * kind.itemsize)


def _numpy_kind(kind: Any) -> np.dtype[Any]:
    """Of a column's type; pyarrow's own answer imports pandas. Raises ValueError for what is no number."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return np.dtype(np.int64)
    name = {"float": "float32", "double": "float64"}.get(str(kind), str(kind))
    if not name.startswith(("float", "int", "uint")):
        raise ValueError(f"a column holds {kind}")
    return np.dtype(name)


def bars_bytes(bars: Bars) -> bytes:
    """The genuine rows, as `trader collect` keeps them."""
    times, columns = as_columns(bars)
    return parquet_of({"open_time": times, **columns})


def bars_of(data: bytes, symbol: str, source: str) -> Bars:
    """The way back."""
    columns = columns_of(data, source)
    values = {
        name: column.astype(np.float64)
        for name, column in columns.items()
        if name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    }
    return bars_from_columns(symbol, columns["open_time"], values, source)
