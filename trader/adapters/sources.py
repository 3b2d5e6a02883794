"""Which source a place of bars is, by its text: a file, a folder, a bucket, a database.

BTCUSDT-1h.parquet, data/          files of this machine, file:///data the same
s3://bucket/prefix                 files of a bucket
sqlite:///bars.db?table=bars       a database; also duckdb:/// and postgresql://
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from trader.adapters.files import Say, write_bars
from trader.adapters.source_address import is_database, table_address
from trader.adapters.source_files import FilePlace, FileSource, in_folder, local_object, symbol_of_name
from trader.adapters.source_s3 import BucketPlace, S3Access
from trader.adapters.source_table import Database, TableSource
from trader.core.errors import ConfigError
from trader.core.types import Bars

Access = Callable[[], S3Access]
Place = str | Path


class BarPlace(Protocol):
    """Where the bars of one symbol lie. Its text names it in messages, without user and password."""

    @property
    def address(self) -> str:
        """What opens it again; without a password, which is then taken from PGPASSWORD."""

    @property
    def local(self) -> Path | None:
        """The one file of this machine that it is; None for anything else."""

    def read(self, symbol: str, say: Say | None = None) -> Bars:
        """All rows. Raises ConfigError, DataError or Retry."""


class TablePlace:
    """A symbol's bars in a database."""

    local = None

    def __init__(self, source: TableSource) -> None:
        self._source = source

    def __str__(self) -> str:
        return self._source.said

    @property
    def address(self) -> str:
        """The URL without the password."""
        return self._source.address.address

    def read(self, symbol: str, say: Say | None = None) -> Bars:
        """All rows of the symbol."""
        return self._source.read(symbol, say=say)


def tidy(place: Place) -> Place:
    """An address without the blanks around it, which a copied line or a file of settings leaves; a path as it is, since the name
    of a file may have blanks."""
    return place.strip() if isinstance(place, str) and "://" in place else place


def path_of(place: Place) -> Path | None:
    """The path that a place is, None for a bucket or a database. Raises ConfigError for an address of an unknown kind."""
    place = tidy(place)
    if isinstance(place, Path):
        return place
    if "://" not in place:
        return Path(place)
    scheme, _, rest = place.partition("://")
    if scheme == "file":
        return Path(rest)
    if scheme == "s3" or is_database(place):
        return None
    raise ConfigError(
        f"bars: an address that begins with {scheme[:20]}:// is not known; give a file, a folder, s3://bucket/prefix, "
        "sqlite:///, duckdb:/// or postgresql://"
    )


def table_of(place: str) -> TableSource:
    """A database by its URL. Nothing is opened. Raises ConfigError for a URL that names no table."""
    address = table_address(place)
    database: Database
    if address.kind == "duckdb":
        from trader.adapters.source_duckdb import DuckDatabase

        database = DuckDatabase(address)
    else:
        from trader.adapters.source_sql import SqlDatabase

        database = SqlDatabase(address)
    return TableSource(address, database)


def span_source(place: str, access: Access = S3Access) -> FileSource | TableSource:
    """The source that spans are read from, hour after hour. Nothing is opened yet. Raises ConfigError for an address that cannot
    be read."""
    path, place = path_of(place), place.strip()
    if path is None and not place.startswith("s3://"):
        return table_of(place)
    bucket = BucketPlace(place, access)

    def places() -> dict[str, FilePlace]:
        if path is not None:
            return in_folder(path) if path.is_dir() else _alone(FilePlace((local_object(path),)))
        return _alone(FilePlace((bucket.file(),))) if bucket.is_file else bucket.places()

    return FileSource(place, places)


def _alone(place: FilePlace) -> dict[str, FilePlace]:
    return {symbol_of_name(place.parts[0].name) or place.parts[0].name: place}


def local_file(place: BarPlace, bars: Bars, folder: Path) -> Path:
    """A file of this machine with these bars of a place, for a process that is not given addresses: the place's own, or a copy in
    `folder`."""
    if place.local is not None:
        return place.local
    path = folder / f"{bars.symbol}-1h.parquet"
    write_bars(path, bars)
    return path
