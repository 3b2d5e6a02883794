"""Bars of several symbols: a folder of `<SYMBOL>-1h.parquet`, as `trader collect` keeps them, files, a bucket, a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trader.adapters.bar_names import ENDING
from trader.adapters.files import Say, symbol_named
from trader.adapters.source_files import FilePlace, in_folder, local_object
from trader.adapters.source_s3 import BucketPlace, S3Access
from trader.adapters.source_table import TableSource
from trader.adapters.sources import Access, BarPlace, Place, TablePlace, path_of, table_of, tidy
from trader.core.errors import ConfigError
from trader.core.types import Bars

__all__ = ["BarSources", "places_of", "read_place", "said_of"]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What lies at one place. named: it is one file, that a person named. table: a database, whose symbols are not listed."""

    places: dict[str, BarPlace]
    named: bool = False
    table: TableSource | None = None


@dataclass(frozen=True, slots=True)
class BarSources:
    """Places of bars by symbol, and the one that is traded. said: what was given, for messages. named: the symbols whose files
    were named one by one. tables: databases, which hold further symbols."""

    traded: str
    files: dict[str, BarPlace]
    said: str
    named: tuple[str, ...] = ()
    tables: tuple[TableSource, ...] = ()

    @staticmethod
    def of(
        places: Sequence[Place], symbol: str | None, default: str | None = None, access: Access = S3Access
    ) -> BarSources:
        """What was given. A single file is of `symbol`, by default the one that its name begins with. Of several files, of a
        folder, a bucket or a database `symbol` is the traded one; without it the `default` of what holds several, else the first
        file, or the only one that is there. access: how a bucket is reached. Raises ConfigError where that is none of them, or
        cannot be told, Retry where a server does not answer."""
        opened = [_opened(it, access) for it in places]
        said = ", ".join(said_of(it) for it in places)
        if len(opened) == 1 and opened[0].named:
            ((name, only),) = opened[0].places.items()
            return BarSources(symbol or name, {symbol or name: only}, said)
        found: dict[str, BarPlace] = {}
        for name, place in (it for one in opened for it in one.places.items()):
            if name in found:
                raise ConfigError(f"{found[name]} and {place} are both bars of {name}; give one of them")
            found[name] = place
        tables = tuple(it.table for it in opened if it.table is not None)
        first = next(iter(opened[0].places), None) if opened[0].named else default
        if not (symbol or first):
            found |= {name: TablePlace(it) for it in tables for name in it.symbols() if name not in found}
        traded = symbol or first or (next(iter(found)) if len(found) == 1 else "")
        if not traded:
            there = ", ".join(list(found)[:20]) or "symbols that it does not list"
            raise ConfigError(f"{said} holds bars of {there}: say which is traded, with --symbol")
        named = tuple(name for one in opened if one.named for name in one.places)
        sources = BarSources(traded, found, said, named, tables)
        sources.path(traded)
        return sources

    def path(self, symbol: str) -> BarPlace:
        """Where the bars of a symbol lie. Raises ConfigError, with the way to get them, where there are none."""
        if symbol not in self.files:
            if table := next((it for it in self.tables if it.holds(symbol)), None):
                self.files[symbol] = TablePlace(table)
                return self.files[symbol]
            there = sorted({*self.files, *(name for it in self.tables for name in it.symbols())})
            raise ConfigError(
                f"{self.said}: there are no bars of {symbol} (there are {', '.join(there[:20]) or 'none'}). Give a folder with "
                f"{symbol}{ENDING}, or its file beside the others with another --bars. To get it: trader collect --symbols "
                f"{symbol} --from 2021-01-01"
            )
        return self.files[symbol]

    def beside(self, train_symbols: Sequence[str]) -> list[str]:
        """Of the symbols that a fit sees those that are not traded. Raises ConfigError for one without a file, and for a file
        that was named although nobody reads it."""
        wanted = [it for it in train_symbols if it != self.traded]
        for symbol in wanted:
            self.path(symbol)
        if unread := [it for it in self.named if it not in (self.traded, *wanted)]:
            raise ConfigError(
                f"{self.files[unread[0]]} is read by nobody: {self.traded} is traded, and train_symbols does not name "
                f"{unread[0]}. Name it there, or leave the file out"
            )
        return wanted

    def read(self, symbol: str, say: Say | None = None) -> Bars:
        """The bars of a symbol. Raises ConfigError, DataError or Retry."""
        return self.path(symbol).read(symbol, say)


def read_place(
    place: Place, symbol: str | None = None, say: Say | None = None, access: Access = S3Access
) -> Bars:
    """The bars of one symbol at a place. symbol: by default what a file's name says, or the only one that the place holds. Raises
    ConfigError, DataError or Retry."""
    sources = BarSources.of([place], symbol, access=access)
    return sources.read(sources.traded, say)


def places_of(place: Place, access: Access = S3Access) -> dict[str, BarPlace]:
    """Everything that lies at a place, by symbol. Raises ConfigError where there is nothing, or where its symbols cannot be
    listed, Retry where a server does not answer."""
    opened = _opened(place, access)
    found = dict(opened.places)
    if opened.table is not None:
        found = {symbol: TablePlace(opened.table) for symbol in opened.table.symbols()}
    if not found:
        raise ConfigError(
            f"{said_of(place)} does not say which symbols it holds; name a table with a column of symbols"
        )
    return found


def _opened(place: Place, access: Access) -> _Opened:
    """Raises ConfigError for a place that cannot be opened, and a folder or a bucket without bars."""
    path, place = path_of(place), tidy(place)
    if path is not None:
        if _is_folder(path):
            return _Opened(dict(in_folder(path)))
        return _Opened({symbol_named(path): FilePlace((local_object(path),))}, named=True)
    if str(place).startswith("s3://"):
        bucket = BucketPlace(str(place), access)
        if not bucket.is_file:
            return _Opened(dict(bucket.places()))
        file = bucket.file()
        return _Opened({symbol_named(Path(file.name)): FilePlace((file,))}, named=True)
    return _Opened({}, table=table_of(str(place)))


def said_of(place: Place) -> str:
    """A place for messages, without user and password. Raises ConfigError for an address that is none of bars."""
    path, place = path_of(place), tidy(place)
    if path is not None:
        return str(path)
    return str(place) if str(place).startswith("s3://") else table_of(str(place)).said


def _is_folder(path: Path) -> bool:
    """False for what cannot be looked at: whoever reads it says why."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
