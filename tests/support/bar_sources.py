"""The same bars put into every kind of source, as people have them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trader.core.bars import as_columns
from trader.core.types import Bars, iso

NAMES = ("open", "high", "low", "close", "volume")
Stamp = Callable[[int], Any]


def rows_of(bars: Bars, stamp: Stamp = int, symbol: str = "") -> list[tuple[Any, ...]]:
    """The genuine rows: symbol, open time by `stamp` (UTC ms), open, high, low, close, volume."""
    times, columns = as_columns(bars)
    return [
        (symbol or bars.symbol, stamp(int(time)), *(float(columns[name][row]) for name in NAMES))
        for row, time in enumerate(times)
    ]


def zoned(time: int) -> str:
    """2024-01-31T05:00:00+00:00"""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat()


def csv_text(bars: Bars) -> str:
    """A header, then rows."""
    lines = [",".join([iso(time), *map(repr, values)]) for _, time, *values in rows_of(bars)]
    return "\n".join([f"open_time,{','.join(NAMES)}", *lines]) + "\n"


def sqlite_of(
    path: Path,
    bars: Sequence[Bars],
    stamp: Stamp = int,
    table: str = "bars",
    symbol: str = "",
    columns: str = "symbol, open_time, open, high, low, close, volume",
) -> str:
    """A table of SQLite, and its URL."""
    with sqlite3.connect(path) as made:
        made.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        for it in bars:
            insert = f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # a test's own
            made.executemany(insert, rows_of(it, stamp, symbol))
    made.close()
    return f"sqlite:///{path}?table={table}"


def duckdb_of(path: Path, bars: Sequence[Bars], kind: str = "TIMESTAMPTZ", price: str = "DOUBLE") -> str:
    """A table of DuckDB, and its URL."""
    import duckdb

    with duckdb.connect(str(path)) as made:
        typed = ", ".join(f"CAST({name} AS {price}) AS {name}" for name in NAMES)
        text = "\n".join(",".join(map(str, row)) for it in bars for row in rows_of(it, zoned))
        lines = path.with_suffix(".csv")
        lines.write_text(f"symbol,open_time,{','.join(NAMES)}\n{text}\n")
        read = f"read_csv('{lines}', all_varchar=true)"
        select = f"SELECT symbol, CAST(open_time AS {kind}) AS open_time, {typed} FROM {read}"  # noqa: S608  # ours
        made.execute(f"CREATE TABLE bars AS {select}")
    return f"duckdb:///{path}?table=bars"


def postgresql_of(
    url: str, bars: Sequence[Bars], table: str, kind: str = "timestamptz", price: str = "numeric"
) -> str:
    """A table of a PostgreSQL server, and its URL."""
    import psycopg

    with psycopg.connect(url) as made, made.cursor() as cursor:
        columns = ", ".join(f"{name} {price}" for name in NAMES)
        cursor.execute(f"CREATE TABLE {table} (symbol text, open_time {kind}, {columns})")
        rows = [
            (it[0], it[1] if "time" in kind else int(it[1]), *map(repr, it[2:]))
            for one in bars
            for it in rows_of(one, zoned if "time" in kind else int)
        ]
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    return f"{url}?table={table}"
