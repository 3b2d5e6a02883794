"""Many files of bars for one command: folders and files, a symbol each; as hours or as days."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from backtest.select.candidates import Freq
from backtest.select.spec import BarsFile
from trader.core.errors import ConfigError

Bars = Annotated[
    list[Path],
    typer.Option(
        "--bars", help="folder of hourly bars, or files; give it again, or more files behind, for several"
    ),
]
More = Annotated[list[Path] | None, typer.Argument(help="more files of bars", show_default=False)]
Frequency = Annotated[
    str,
    typer.Option(
        "--freq",
        metavar="1h|1d",
        help="1h: hours, for a bot to trade; 1d: days, for research",
    ),
]

SUFFIXES = (".parquet", ".csv", ".zip")
_BLOCK = 1 << 20


def bars_files(places: Sequence[Path]) -> list[BarsFile]:
    """The files at these places, by symbol; of a folder all that hold bars by their names. Raises ConfigError for a place that is
    not there, an empty folder, and two files of one symbol."""
    from trader.adapters.files import read_bars

    found: dict[str, Path] = {}
    for path in _paths(places):
        symbol = path.name.partition("-")[0].partition(".")[0]
        if symbol in found:
            raise ConfigError(
                f"--bars: {found[symbol]} and {path} are both bars of {symbol}, by their names. Leave one out"
            )
        found[symbol] = path
    return [
        BarsFile(path, symbol, _sha256(path), partial(read_bars, path, symbol))
        for symbol, path in sorted(found.items())
    ]


def _paths(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            within = sorted(it for it in place.iterdir() if it.suffix in SUFFIXES and it.is_file())
            if not within:
                raise ConfigError(
                    f"--bars {place} holds no bars: no file that ends in {', '.join(SUFFIXES)}. Collect them with: trader collect"
                )
            yield from within
        elif place.is_file():
            yield place
        else:
            raise ConfigError(f"--bars {place}: there is no such file or folder")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise ConfigError(f"--bars {path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def freq_of(text: str) -> Freq:
    """What --freq says. Raises ConfigError for a word that is none."""
    found = next((it for it in get_args(Freq) if it == text), None)
    if found is None:
        raise ConfigError(f"--freq {text}: choose 1h or 1d")
    return cast("Freq", found)
