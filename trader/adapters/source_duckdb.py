"""A DuckDB file by DuckDB's own client: read-only, no extension is downloaded or loaded, and a query reaches no other file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trader.adapters.source_address import QUERY_S, TableAddress
from trader.core.errors import ConfigError, Retry
from trader.core.text import how_to_install

_CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "enable_external_access": "false",
    "threads": "1",  # a bot's container has one core to give
}
# What DuckDB says while another process writes to the file.
_LOCKED = ("lock", "in use")


@dataclass(frozen=True, slots=True)
class DuckDatabase:
    """A file of DuckDB. query_s: how long a query may take."""

    address: TableAddress
    query_s: float = QUERY_S

    @contextmanager
    def opened(self) -> Iterator[_DuckConnection]:
        """Raises ConfigError for what a person must mend, Retry while another process writes to the file."""
        said = self.address.said
        try:
            import duckdb
        except ImportError:
            raise ConfigError(f"{said}: DuckDB is not installed: {how_to_install('sql')}") from None
        path = Path(self.address.database).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"{said}: there is no file {path}; check the path (four slashes begin an absolute one)"
            )
        try:
            with duckdb.connect(str(path), read_only=True, config=dict(_CONFIG)) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                ending = threading.Timer(self.query_s, connection.interrupt)
                ending.daemon = True
                ending.start()
                try:
                    yield _DuckConnection(connection)
                finally:
                    ending.cancel()
        except duckdb.InterruptException:
            told = f"the query was ended after {self.query_s:g} s; give a table, or a query that ends"
            raise Retry(f"{said} does not answer: {told}; try again later") from None
        except duckdb.Error as error:
            words = " ".join(str(error).split())[:300]
            if isinstance(error, duckdb.IOException) and any(it in words.lower() for it in _LOCKED):
                raise Retry(f"{said} is being written by another process: {words}; try again later") from None
            raise ConfigError(f"{said} cannot be read: {words}") from None


@dataclass(frozen=True, slots=True)
class _DuckConnection:
    made: Any
    text_order: str = ""

    def table(self, sql: str) -> Any:
        """As Arrow; times with a zone are in UTC."""
        return self.made.sql(sql).to_arrow_table()
