"""Files of the exchange's public archive that lie on this machine: months and days of klines, as they were downloaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trader.core.bars import merge
from trader.core.errors import ConfigError, DataError
from trader.core.types import Bars, no_bars

NAME = re.compile(r"([A-Z0-9]{2,30})-1h-([0-9]{4}-[0-9]{2}(?:-[0-9]{2})?)\.zip")
MONTH = len("2024-01")


def downloaded_bars(sources: Sequence[Path], symbol: str, read: Callable[[Path, str], Bars]) -> Bars:
    """One series of a symbol's files in folders (with what lies beneath them) and of single zips, gaps filled and
    flagged. Months come first: a day adds the hours that its month lacks.

    read: reads one zip for a symbol. A file with its .CHECKSUM beside it must agree with it.
    Raises ConfigError for a path without such a file, DataError for a wrong digest, a broken file, or two files that
    contradict each other.
    """
    found = {path.resolve(): path for source in sources for path in _files(Path(source), symbol)}
    bars = no_bars(symbol)
    for path in sorted(found.values(), key=_months_first):
        _require_digest(path)
        part = read(path, symbol)
        if len(_label(path)) > MONTH:
            # A row that is there counts as flagged here, so that merging keeps it.
            known = np.array([bars.has(int(time)) for time in part.close_time], dtype=np.bool_)
            part = replace(part, flagged=part.flagged | known)
        bars = merge(bars, part)
    return bars


def _files(source: Path, symbol: str) -> Iterator[Path]:
    try:
        paths = sorted(source.rglob("*.zip")) if source.is_dir() else [source]
        there = [path for path in paths if path.is_file()]
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    named = [path for path in there if (name := NAME.fullmatch(path.name)) and name[1] == symbol]
    if not named:
        what = "holds no" if source.is_dir() else "is no" if there else "is not there, so no"
        raise ConfigError(
            f"{source}: {what} archive file of {symbol}; they are named like {symbol}-1h-2024-01.zip (a month) or "
            f"{symbol}-1h-2024-01-31.zip (a day)"
        )
    yield from named


def _label(path: Path) -> str:
    name = NAME.fullmatch(path.name)
    return name[2] if name else ""


def _months_first(path: Path) -> tuple[bool, str]:
    label = _label(path)
    return len(label) > MONTH, label


def _require_digest(path: Path) -> None:
    checksum = path.with_name(f"{path.name}.CHECKSUM")
    try:
        if not checksum.exists():
            return
        words = checksum.read_text("ascii", "replace").split()
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if words[:1] != [actual]:
        raise DataError(
            f"{path}: its sha256 is {actual} but its CHECKSUM says {' '.join(words[:1]) or 'nothing'}; fetch both again"
        )
