"""Bars of several symbols: a folder of `<SYMBOL>-1h.parquet`, as `trader collect` keeps them, or several files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trader.adapters.files import Say, read_bars, symbol_named
from trader.core.errors import ConfigError
from trader.core.types import Bars

ENDING = "-1h.parquet"


def bar_file(folder: Path, symbol: str) -> Path:
    """Where a symbol's collected bars lie in a folder."""
    return folder / f"{symbol}{ENDING}"


@dataclass(frozen=True, slots=True)
class BarSources:
    """Files of bars by symbol, and the one that is traded. said: what was given, for messages. named: the symbols whose files
    were named one by one."""

    traded: str
    files: dict[str, Path]
    said: str
    named: tuple[str, ...] = ()

    @staticmethod
    def of(paths: Sequence[Path], symbol: str | None, default: str | None = None) -> BarSources:
        """The files that were given. A single file is of `symbol`, by default the one that its name begins with. Of several
        files, or of a folder, `symbol` is the traded one; without it a folder's `default`, else the first file, or the only
        one of a folder. Raises ConfigError where that is none of them, or cannot be told."""
        said = ", ".join(map(str, paths))
        if len(paths) == 1 and not _is_folder(paths[0]):
            traded = symbol or symbol_named(paths[0])
            return BarSources(traded, {traded: paths[0]}, said)
        found: dict[str, Path] = {}
        for name, path in (it for source in paths for it in _named(source)):
            if name in found:
                raise ConfigError(f"{found[name]} and {path} are both bars of {name}; give one of them")
            found[name] = path
        first = default if _is_folder(paths[0]) else symbol_named(paths[0])
        traded = symbol or first or (next(iter(found)) if len(found) == 1 else "")
        if not traded:
            raise ConfigError(f"{said} holds bars of {', '.join(found)}: say which is traded, with --symbol")
        named = tuple(name for name, path in found.items() if path in paths)
        sources = BarSources(traded, found, said, named)
        sources.path(traded)
        return sources

    def path(self, symbol: str) -> Path:
        """The file of a symbol. Raises ConfigError, with the way to get it, where there is none."""
        if symbol not in self.files:
            raise ConfigError(
                f"{self.said}: there are no bars of {symbol} (there are {', '.join(self.files)}). Give a folder with "
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
        """The bars of a symbol. Raises ConfigError or DataError."""
        return read_bars(self.path(symbol), symbol, say)


def _named(source: Path) -> list[tuple[str, Path]]:
    """Each file of a folder, or the file itself, with its symbol. Raises ConfigError for a folder without any."""
    if not _is_folder(source):
        return [(symbol_named(source), source)]
    try:
        paths = sorted(
            it for it in source.iterdir() if it.name.endswith(ENDING) and not it.name.startswith(".")
        )
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    if not paths:
        raise ConfigError(
            f"{source}: holds no file of bars; they are named like BTCUSDT{ENDING}. To get one: trader collect --bars {source} "
            "--from 2021-01-01"
        )
    return [(it.name.removesuffix(ENDING), it) for it in paths]


def _is_folder(path: Path) -> bool:
    """False for what cannot be looked at: whoever reads it says why."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
