"""A database by SQLAlchemy: SQLite in a file, or a PostgreSQL server. Its transactions cannot write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trader.adapters.source_address import QUERY_S, TableAddress
from trader.core.errors import ConfigError, Retry
from trader.core.text import how_to_install

ANSWER_S = 10
# What a person must mend; anything else that a server says may pass.
_OF_A_PERSON = (
    *(
        "authentication",
        "does not exist",
        "permission denied",
        "unable to open",
        "no password",
        "not a database",
    ),
    *(
        "no such",
        "read-only",
        "readonly",
        "syntax",
        "invalid",
        "certificate",
        "unsupported",
        "not support",
        "pg_hba",
    ),
)
# What SQLite says that passes: another process writes, the disk is slow, a query took too long.
_PASSES_IN_SQLITE = ("locked", "busy", "disk i/o error", "interrupted")
# Steps of SQLite between two looks at the clock.
_STEPS = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class SqlDatabase:
    """SQLite or PostgreSQL. Each read has a connection of its own, so that a server may be restarted between two. query_s: how
    long a query may take."""

    address: TableAddress
    query_s: float = QUERY_S

    @contextmanager
    def opened(self) -> Iterator[_SqlConnection]:
        """Raises ConfigError for what a person must mend, Retry for a server that does not answer within ten seconds."""
        try:
            import sqlalchemy
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError:
            raise ConfigError(
                f"{self.address.said}: SQLAlchemy is not installed: {how_to_install('sql')}"
            ) from None
        engine = self._engine()
        try:
            with engine.connect() as connection:
                made = connection.execution_options(no_parameters=True)
                yield _SqlConnection(made, ' COLLATE "C"' if self.address.kind == "postgresql" else "")
        except SQLAlchemyError as error:
            raise self._named(error, isinstance(error, sqlalchemy.exc.OperationalError)) from None
        finally:
            engine.dispose()

    def _engine(self) -> Any:
        import sqlalchemy
        from sqlalchemy.pool import NullPool

        it = self.address
        if it.kind == "sqlite":
            return sqlalchemy.create_engine("sqlite://", creator=self._file, poolclass=NullPool)
        url = sqlalchemy.URL.create(
            "postgresql+psycopg", it.user or None, it.password or None, it.host or None, it.port, it.database
        )
        options = f"-c default_transaction_read_only=on -c statement_timeout={round(self.query_s * 1000)} -c timezone=UTC"
        told = {
            "connect_timeout": ANSWER_S,
            "tcp_user_timeout": ANSWER_S * 1000,
            "options": options,
            **it.client,
        }
        try:
            return sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=told)
        except ImportError:
            raise ConfigError(
                f"{it.said}: PostgreSQL's driver is not installed: {how_to_install('postgresql')}"
            ) from None

    def _file(self) -> Any:
        import sqlite3

        path = Path(self.address.database).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"{self.address.said}: there is no file {path}; check the path (four slashes begin an absolute one)"
            )
        made = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=ANSWER_S)
        end_s = time.monotonic() + self.query_s
        made.set_progress_handler(lambda: time.monotonic() > end_s, _STEPS)
        return made

    def _named(self, error: Exception, may_pass: bool) -> ConfigError | Retry:
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        for secret in {self.address.password, quote(self.address.password, safe="")} - {""}:
            said = said.replace(secret, "***")
        if self.address.kind == "sqlite":
            may_pass = any(it in said.lower() for it in _PASSES_IN_SQLITE)
        elif any(it in said.lower() for it in _OF_A_PERSON):
            may_pass = False
        if not may_pass:
            return ConfigError(f"{self.address.said} cannot be read: {said}")
        if self.address.kind == "sqlite" and "interrupted" in said.lower():
            said = f"the query was ended after {self.query_s:g} s; give a table, or a query that ends"
        return Retry(f"{self.address.said} does not answer: {said}; try again later")


@dataclass(frozen=True, slots=True)
class _SqlConnection:
    made: Any
    text_order: str

    def table(self, sql: str) -> Any:
        """As Arrow, each column by the kinds of its values."""
        import pyarrow as pa

        result = self.made.exec_driver_sql(sql)
        names, rows = list(result.keys()), result.fetchall()
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return pa.Table.from_arrays([_array(it) for it in columns], names=names)


def _array(values: Sequence[Any]) -> Any:
    """Times in microseconds, whole numbers and floats as they are; anything else, exact numbers among them, as texts, which are
    rounded once to the nearest float64."""
    import pyarrow as pa

    kinds = {type(it) for it in values if it is not None}
    if kinds == {datetime}:
        zoned = {it.tzinfo is not None for it in values if it is not None}
        if len(zoned) == 1:
            return pa.array(list(map(_microseconds, values)), pa.int64()).cast(
                pa.timestamp("us", "UTC" if zoned == {True} else None)
            )
    if kinds == {int} and all(it is None or -_INT64 <= it < _INT64 for it in values):
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if it is None else float(it) for it in values], pa.float64())
    return pa.array([None if it is None else _text(it) for it in values], pa.string())


def _microseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _text(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) and value.is_finite() else str(value)
