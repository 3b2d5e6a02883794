"""Bars in a table of a database: what is asked for, and what comes back as the columns that files give.

Only the rows of one symbol and of the hours that are asked for are read. How a database is reached is another file's:
SQLAlchemy's (source_sql.py) or DuckDB's own client (source_duckdb.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from trader.adapters.bar_columns import NUMBER, floats_of, match_columns, milliseconds, times_of
from trader.adapters.files import Say, bars_of_columns, require_one_symbol
from trader.adapters.files_csv import Columns, named_in
from trader.adapters.source_address import TableAddress
from trader.adapters.source_where import PER_MS, Clock, bounds, quoted, spellings
from trader.core.errors import DataError
from trader.core.types import HOUR_MS, Bars, Ints, no_bars

# What one symbol's hours of a century need; more rows are bars of another interval.
MOST_ROWS = 900_000
_WAY_OUT = "name them in the URL, such as &time=COLUMN&close=COLUMN"
# Of ISO 8601, with or without a zone: 2024-01-31T05:00:00Z, 2024-01-31 05:00:00+00:00.
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}(:?\d{2}){0,2}([.,]\d{1,9})?(?P<zone>Z|[+-]\d{2}(:?\d{2})?)?")


class Connection(Protocol):
    """One read of a database, within a transaction that cannot write."""

    @property
    def text_order(self) -> str:
        """What follows a column of texts that is to be compared letter by letter."""

    def table(self, sql: str) -> Any:
        """What a SELECT gives, as an Arrow table: times with a zone in UTC, exact numbers as texts. Raises ConfigError or
        Retry."""


class Database(Protocol):
    """A database that can be read."""

    def opened(self) -> AbstractContextManager[Connection]:
        """A connection, closed at the end. Raises ConfigError or Retry."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a table looks like. columns: theirs by ours; clock: how it writes times."""

    columns: dict[str, str]
    clock: Clock


@dataclass(frozen=True, slots=True)
class TableSource:
    """Bars of one table or query."""

    address: TableAddress
    database: Database

    @property
    def said(self) -> str:
        """Names it in messages."""
        return self.address.said

    def read(
        self, symbol: str, start: int | None = None, stop: int | None = None, say: Say | None = None
    ) -> Bars:
        """Rows with start <= close_time < stop (UTC ms), by default all, gaps between them filled and flagged; none where it has
        none of these hours. Raises ConfigError or Retry, DataError for rows that are no bars of this symbol and for a symbol that
        it does not hold."""
        with self.database.opened() as connection:
            self._require_held(symbol)
            shape = self._shape(connection, symbol)
            if shape is None:
                raise DataError(f"{self.said}: is empty; write bars into it first")
            spelled = where = self._of_symbol(shape, symbol)
            if start is not None and stop is not None:
                span = start - HOUR_MS, stop - HOUR_MS
                where = [
                    *spelled,
                    bounds(
                        shape.columns["open_time"],
                        shape.clock,
                        self.address.unit,
                        *span,
                        connection.text_order,
                    ),
                ]
            found = connection.table(self._select(symbol, shape, where))
            if not found.num_rows:
                self._require_rows(connection, symbol, shape, spelled)
                return no_bars(symbol)
        columns = self._columns(found, shape, symbol)
        if start is not None and stop is not None:
            columns = _cut(columns, start - HOUR_MS, stop - HOUR_MS, self.said)
        if not len(columns.times):
            return no_bars(symbol)
        return bars_of_columns(columns, symbol, self.said, self.said, say)

    def symbols(self) -> Sequence[str]:
        """The symbols that it holds; those whose names cannot be listed are none. Raises ConfigError or Retry."""
        if self.address.holds:
            return (self.address.holds,)
        if "{symbol}" in self.address.table:
            return ()
        with self.database.opened() as connection:
            shape = self._shape(connection, "")
            if shape is None or "symbol" not in shape.columns:
                return ()
            return sorted(named_in(self._listed(connection, shape, 10_000)))

    def holds(self, symbol: str) -> bool:
        """Whether there is a row of a symbol. Raises ConfigError or Retry."""
        if self.address.holds:
            return self.address.holds == symbol
        with self.database.opened() as connection:
            shape = self._shape(connection, symbol)
            return shape is not None and self._has_row(
                connection, symbol, shape, self._of_symbol(shape, symbol)
            )

    def _from(self, symbol: str) -> str:
        if self.address.query:
            return f"({self.address.query}) AS bars"
        parts = self.address.table.replace("{symbol}", symbol).split(".")
        return ".".join(quoted(it) for it in parts)

    def _shape(self, connection: Connection, symbol: str) -> _Shape | None:
        """None for a table without rows. Raises DataError for a column that is missing, and for times that cannot be told."""
        row = connection.table(f"SELECT * FROM {self._from(symbol)} LIMIT 1")  # noqa: S608 - quoted, or a person's own SELECT
        names = list(row.schema.names)
        found = match_columns(names, self.said, symbol, self.address.columns, _WAY_OUT)
        columns = {ours: names[position] for ours, position in found.items()}
        if "symbol" not in columns and not self.address.holds and "{symbol}" not in self.address.table:
            raise DataError(
                f"{self.said}: no column says whose bars these are; it has: {', '.join(names[:20])}. Name that column in the "
                "URL, &symbol=COLUMN, or the one symbol that all rows are of, &holds=BTCUSDT"
            )
        if not row.num_rows:
            return None
        return _Shape(columns, self._clock(row.column(found["open_time"]), columns["open_time"]))

    def _clock(self, column: Any, name: str) -> Clock:
        import pyarrow as pa

        kind = column.type
        if pa.types.is_timestamp(kind):
            if kind.tz is None:
                self._require_utc(name, "without a time zone")
            return "naive" if kind.tz is None else "zoned"
        value = column[0].as_py()
        if value is None:
            raise DataError(f"{self.said}: row 1: {name} is empty; correct the row or remove it")
        if isinstance(value, str) and not NUMBER.fullmatch(value):
            return "text"
        if isinstance(value, str):
            return "digits"
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return "number"
        raise DataError(
            f"{self.said}: {name} of type {kind} cannot be read as times; store timestamps with a time zone, or "
            "whole milliseconds"
        )

    def _require_utc(self, name: str, what: str) -> None:
        """Raises DataError for a time without a zone, unless a person said that those are UTC."""
        if self.address.utc:
            return
        raise DataError(
            f"{self.said}: {name} is {what}, and hours of another zone would be taken for UTC. If they are UTC say so in the "
            "URL, &time_zone=UTC; else store them with their zone"
        )

    def _require_held(self, symbol: str) -> None:
        if self.address.holds not in ("", symbol):
            raise DataError(
                f"{self.said}: holds bars of {self.address.holds}, not of {symbol}; give its table, or correct holds="
            )

    def _of_symbol(self, shape: _Shape, symbol: str) -> list[str]:
        if "symbol" not in shape.columns:
            return []
        spelled = ", ".join(f"'{it}'" for it in spellings(symbol))
        return [f"{quoted(shape.columns['symbol'])} IN ({spelled})"]

    def _select(self, symbol: str, shape: _Shape, where: Sequence[str]) -> str:
        wanted = ", ".join(map(quoted, shape.columns.values()))
        kept = f" WHERE {' AND '.join(where)}" if where else ""
        order = quoted(shape.columns["open_time"])
        return f"SELECT {wanted} FROM {self._from(symbol)}{kept} ORDER BY {order} LIMIT {MOST_ROWS + 1}"  # noqa: S608 - as above

    def _require_rows(
        self, connection: Connection, symbol: str, shape: _Shape, spelled: Sequence[str]
    ) -> None:
        """Raises DataError where not only these hours are missing, but the symbol."""
        if self._has_row(connection, symbol, shape, spelled):
            return
        there = ", ".join(sorted(named_in(self._listed(connection, shape, 6)))) or "none"
        raise DataError(f"{self.said}: has no row of {symbol}; it has: {there}")

    def _has_row(self, connection: Connection, symbol: str, shape: _Shape, spelled: Sequence[str]) -> bool:
        kept = f" WHERE {' AND '.join(spelled)}" if spelled else ""
        return bool(connection.table(f"SELECT 1 AS one FROM {self._from(symbol)}{kept} LIMIT 1").num_rows)  # noqa: S608 - as above

    def _listed(self, connection: Connection, shape: _Shape, most: int) -> Any:
        if "symbol" not in shape.columns:
            return None
        column = quoted(shape.columns["symbol"])
        return connection.table(f"SELECT DISTINCT {column} FROM {self._from('')} LIMIT {most}").column(0)  # noqa: S608 - as above

    def _columns(self, found: Any, shape: _Shape, symbol: str) -> Columns:
        """The rows as the columns of a file, in the order of time."""
        if found.num_rows > MOST_ROWS:
            raise DataError(
                f"{self.said}: has over {MOST_ROWS:,} rows of {symbol}; hourly bars are fewer. Give a query of hourly bars"
            )
        rows = range(1, found.num_rows + 1)
        arrays = {
            ours: found.column(position).combine_chunks() for position, ours in enumerate(shape.columns)
        }
        times, symbols = (
            self._times(arrays.pop("open_time"), shape, rows),
            named_in(arrays.pop("symbol", None)),
        )
        values = {name: floats_of(name, array, self.said, rows) for name, array in arrays.items()}
        columns = Columns(times, values, rows, symbols)
        require_one_symbol(columns, symbol, self.said)
        return _picked(columns, np.argsort(times, kind="stable"))

    def _times(self, array: Any, shape: _Shape, rows: Sequence[int]) -> Ints:
        """Numbers in any unit. Raises DataError for a text without a zone, unless a person said that those are UTC."""
        name = shape.columns["open_time"]
        if shape.clock == "text":
            for row, text in zip(rows, array.to_pylist(), strict=True):
                found = _ISO.fullmatch(text.strip()) if isinstance(text, str) else None
                if found is None:
                    raise DataError(
                        f"{self.said}: row {row}: {name} is {str(text)[:40]!r}, not a time such as 2024-01-31T05:00:00Z"
                    )
                if not found["zone"]:
                    self._require_utc(name, f"{text!r} in row {row}, without a time zone")
        times = times_of(array, self.said, rows)
        if self.address.unit and shape.clock in ("number", "digits"):
            return self._in_unit(times, rows)
        return times

    def _in_unit(self, times: Ints, rows: Sequence[int]) -> Ints:
        factor, divisor = PER_MS[self.address.unit]
        broken = times % divisor != 0
        if broken.any():
            row = int(np.argmax(broken))
            raise DataError(
                f"{self.said}: row {rows[row]}: open time {times[row]} does not lie on the full hour; resample to 1 h bars in UTC"
            )
        return np.asarray(times * factor // divisor, dtype=np.int64)


def _cut(columns: Columns, first: int, last: int, source: str) -> Columns:
    """The rows that open within first <= t < last (UTC ms)."""
    times = milliseconds(columns.times, source, columns.rows, exact=False)
    return _picked(columns, np.flatnonzero((times >= first) & (times < last)))


def _picked(columns: Columns, picked: Ints) -> Columns:
    return replace(
        columns,
        times=columns.times[picked],
        values={name: values[picked] for name, values in columns.values.items()},
        rows=[columns.rows[row] for row in picked.tolist()],
    )
