"""Bars in files, wherever they lie: which symbol a name says, several files of one symbol as one series."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

import numpy as np

from trader.adapters.archive_files import NAME as OF_THE_ARCHIVE
from trader.adapters.bar_names import ENDING
from trader.adapters.files import Say, archived_bars_of_bytes, bars_of_bytes, read_file, symbol_named
from trader.core.bars import contradictions, merge
from trader.core.errors import ConfigError, DataError
from trader.core.text import plural
from trader.core.types import Bars, iso, no_bars

SUFFIXES = (".parquet", ".csv", ".zip")
# Of a folder these are bars: BTCUSDT-1h.parquet, BTCUSDT-1h-2024-01.zip, BTCUSDT-1h-2021.csv, BTCUSDT.csv.
_OURS = re.compile(r"([A-Z0-9]{2,30})(-1h[^/]*)?\.(parquet|csv|zip)")


@dataclass(frozen=True, slots=True)
class BarObject:
    """One file of bars. name: says symbol and format; said: names it in messages; fetch: its bytes; version: changes when
    they do. path: where it lies on this machine, None elsewhere. archived: it may be one of the exchange's archive."""

    name: str
    said: str
    fetch: Callable[[], bytes]
    version: Callable[[], str]
    path: Path | None = None
    archived: bool = False

    def read(self, symbol: str | None, say: Say | None = None) -> Bars:
        """Raises ConfigError, DataError or Retry."""
        name = PurePath(self.name)
        if self.archived and symbol and OF_THE_ARCHIVE.fullmatch(self.name):
            return archived_bars_of_bytes(self.fetch(), name, self.said, symbol, say)
        return bars_of_bytes(self.fetch(), name, self.said, symbol, say)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The files of one symbol: one, or several that are one series together."""

    parts: tuple[BarObject, ...]

    def __str__(self) -> str:
        """For messages."""
        return ", ".join(it.said for it in self.parts)

    @property
    def address(self) -> str:
        """What opens the first file again."""
        path = self.parts[0].path
        return self.parts[0].said if path is None else str(path.resolve())

    @property
    def local(self) -> Path | None:
        """The one file of this machine, None for anything else."""
        return self.parts[0].path if len(self.parts) == 1 else None

    def version(self) -> str:
        """Equal as long as the files are. Raises ConfigError or Retry."""
        return "\n".join(f"{it.said} {it.version()}" for it in self.parts)

    def read(self, symbol: str, say: Say | None = None) -> Bars:
        """All rows. Raises ConfigError or DataError; DataError, with the row and both values, where two files disagree."""
        read: list[tuple[BarObject, Bars]] = []
        whole = no_bars(symbol)
        for part in self.parts:
            bars = part.read(symbol, say)
            for other, known in read:
                _require_agreement(other, known, part, bars)
            read.append((part, bars))
            whole = merge(whole, bars)
        return whole


def _require_agreement(one: BarObject, known: Bars, two: BarObject, bars: Bars) -> None:
    if differ := contradictions(known, bars):
        first = differ[0]
        raise DataError(
            f"{known.symbol}: {one.said} and {two.said} disagree on {plural(len(differ), 'bar')}: {iso(first.close_time)}: "
            f"{first.column} is {first.older!s} in the one and {first.newer!s} in the other; keep the file that is right"
        )


def local_object(path: Path, *, listed: bool = False) -> BarObject:
    """A file of this machine. listed: found in a folder, instead of named by a person."""

    def version() -> str:
        try:
            found = path.stat()
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be read: {error.strerror}; check the path of the bars"
            ) from None
        return f"{found.st_mtime_ns} {found.st_size}"

    return BarObject(path.name, str(path), partial(read_file, path), version, path, archived=listed)


def symbol_of_name(name: str) -> str:
    """The symbol of a file in a folder, "" for a file that is none of bars."""
    if name.startswith("."):
        return ""
    if name.endswith(ENDING):
        return name.removesuffix(ENDING)
    if found := _OURS.fullmatch(name):
        return found[1]
    named = symbol_named(PurePath(name))
    return named if name.endswith(SUFFIXES) and not name.startswith(named) else ""


def by_symbol(objects: Iterable[BarObject]) -> dict[str, FilePlace]:
    """The files of a folder by their symbols, those of one symbol in the order of their names; others are left out."""
    found: dict[str, list[BarObject]] = {}
    for it in sorted(objects, key=lambda one: one.name):
        if symbol := symbol_of_name(it.name):
            found.setdefault(symbol, []).append(it)
    return {symbol: FilePlace(tuple(parts)) for symbol, parts in sorted(found.items())}


def in_folder(folder: Path) -> dict[str, FilePlace]:
    """The bars that a folder holds, by symbol. Raises ConfigError for one without any."""
    try:
        objects = [local_object(it, listed=True) for it in folder.iterdir()]
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from None
    if found := by_symbol(objects):
        return found
    raise ConfigError(
        f"{folder}: holds no file of bars; they are named like BTCUSDT{ENDING}. To get one: trader collect --bars {folder} "
        "--from 2021-01-01"
    )


@dataclass(eq=False)
class FileSource:
    """Bars of files for whoever asks for spans: a file is read again when it has changed. places: lists them, by symbol."""

    said: str
    places: Callable[[], dict[str, FilePlace]]

    def __post_init__(self) -> None:
        self._read: dict[str, tuple[str, Bars]] = {}

    def symbols(self) -> Sequence[str]:
        """Those that there are files of."""
        return tuple(self.places())

    def read(self, symbol: str, start: int, stop: int) -> Bars:
        """From the first to the last genuine row with start <= close_time < stop. Raises ConfigError, DataError or Retry."""
        places = self.places()
        if symbol not in places:
            raise ConfigError(f"{self.said}: there are no bars of {symbol}; there are: {', '.join(places)}")
        version = places[symbol].version()
        if symbol not in self._read or self._read[symbol][0] != version:
            self._read[symbol] = version, places[symbol].read(symbol)
        found = self._read[symbol][1].span(start, stop)
        genuine = np.flatnonzero(~found.flagged)
        return found.rows(int(genuine[0]), int(genuine[-1]) + 1) if len(genuine) else no_bars(symbol)
