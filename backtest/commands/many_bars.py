"""Many files of bars for one command: folders and files, a symbol each; as hours or as days."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import numpy as np
import typer

from backtest.commands.inputs import s3_access
from backtest.select.candidates import Freq
from backtest.select.spec import BarsFile
from trader.core.errors import ConfigError
from trader.core.types import OPTIONAL_COLUMNS, REQUIRED_COLUMNS

if TYPE_CHECKING:
    from trader.adapters.sources import BarPlace
    from trader.core.types import Bars as HourlyBars

Bars = Annotated[
    list[str],
    typer.Option(
        "--bars",
        help="folder of hourly bars, files, or an address (docs/sources.md); give it again, or more files behind, for several",
    ),
]
More = Annotated[list[str] | None, typer.Argument(help="more files of bars", show_default=False)]
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


def bars_files(places: Sequence[str | Path]) -> list[BarsFile]:
    """The bars at these places, by symbol; of a folder all that hold bars by their names. Raises ConfigError for a place that is
    not there, an empty folder, and two files of one symbol; Retry for a server that does not answer."""
    from trader.adapters.bar_folder import places_of
    from trader.adapters.sources import path_of

    found: dict[str, BarsFile] = {}
    for place in places:
        path = path_of(place)
        read = _elsewhere(places_of(place, s3_access)) if path is None else map(_file, _paths(path))
        for file in read:
            if file.symbol in found:
                raise ConfigError(
                    f"--bars: {found[file.symbol].path} and {file.path} are both bars of {file.symbol}, by their names. "
                    "Leave one out"
                )
            found[file.symbol] = file
    return [found[symbol] for symbol in sorted(found)]


def _file(path: Path) -> BarsFile:
    from trader.adapters.files import read_bars

    symbol = path.name.partition("-")[0].partition(".")[0]
    return BarsFile(path, symbol, _sha256(path), partial(read_bars, path, symbol))


def _elsewhere(places: Mapping[str, BarPlace]) -> Iterator[BarsFile]:
    """Bars of a bucket or a database, which are read at once: only their values say whether they were met before."""
    for symbol, place in places.items():
        bars = place.read(symbol)
        yield BarsFile(str(place), symbol, _sha256_of(bars), partial(_itself, bars), place.address)


def _itself(bars: HourlyBars) -> HourlyBars:
    return bars


def _sha256_of(bars: HourlyBars) -> str:
    digest = hashlib.sha256(bars.symbol.encode())
    for name in ("close_time", *REQUIRED_COLUMNS, "flagged", *OPTIONAL_COLUMNS):
        column = getattr(bars, name)
        digest.update(name.encode() if column is None else np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _paths(*places: Path) -> Iterator[Path]:
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
