"""Columns of a foreign table as ours: which is which by its name, times in any unit, numbers in any of Arrow's types.

Every complaint names its source, row and way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from trader.adapters.number_texts import AmbiguousError, dated
from trader.core.errors import ConfigError, DataError
from trader.core.types import (
    FAR_FUTURE_MS,
    HOUR_MS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Floats,
    Ints,
    parse_time,
)

Number = TypeVar("Number", np.int64, np.float64)

# The 12 columns of the archive's files and of the exchange's klines, in order; they come without a header line.
ARCHIVE_COLUMNS = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time"),
    *("quote_volume", "trades", "taker_buy_base", "taker_buy_quote", "ignore"),
)
# What others call these columns, after lower-casing and with `_` for everything that is no letter or digit.
# For the time, the first name that is there wins: files often carry the same time twice.
# A number of seconds comes before a date, whose zone a file seldom says.
_TIME_NAMES = ("open_time", "opentime", "timestamp", "unix", "datetime", "date", "time", "index_level_0")
_ALIASES = {
    "quote_asset_volume": "quote_volume",
    "base_volume": "volume",
    "count": "trades",
    "number_of_trades": "trades",
    "trade_count": "trades",
    "tradecount": "trades",
    "taker_buy_volume": "taker_buy_base",
    "taker_buy_base_volume": "taker_buy_base",
    "taker_buy_base_asset_volume": "taker_buy_base",
    "taker_buy_quote_volume": "taker_buy_quote",
    "taker_buy_quote_asset_volume": "taker_buy_quote",
}
_SYMBOL_NAMES = ("symbol", "pair", "ticker", "ticker_symbol")
# Numbers within these are seconds: as milliseconds they would lie in the first two months of 1970.
_SECONDS = (946_684_800, FAR_FUTURE_MS // 1000)
_VOLUME_OF = re.compile(r"volume_([a-z0-9]+)")
NO_NAMES: Mapping[str, str] = MappingProxyType({})
NUMBER = re.compile(r" *[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)? *")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def match_columns(
    names: Iterable[str],
    source: str,
    symbol: str,
    chosen: Mapping[str, str] = NO_NAMES,
    way_out: str = "add or rename them",
) -> dict[str, int]:
    """Which of our columns is which of theirs: `open_time`, the required ones, whichever optional ones are there, and
    `symbol` where a column names one for each row. `Volume BTC` and `Volume_(USDT)` are told apart by the symbol.

    chosen: their names of some of our columns, as a person gave them; only the others are guessed. way_out: what to do about a
    column that is missing. Raises DataError for a required one that is missing, and for one that is there twice.
    """
    written = list(names)
    theirs = [_plain(name) for name in written]
    listed = ", ".join(written[:20]) or "none"
    if absent := [their for their in chosen.values() if their not in written]:
        raise DataError(f"{source}: has no column {', '.join(absent)}; it has: {listed}; {way_out}")
    given = {ours: written.index(their) for ours, their in chosen.items()}
    found = _first_of("open_time", _TIME_NAMES, theirs) | _first_of("symbol", _SYMBOL_NAMES, theirs) | given
    for position, plain in enumerate(theirs):
        name = _ALIASES.get(plain) or _volume_of(plain, symbol, theirs) or plain
        if name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS or name in given or position in given.values():
            continue
        if name in found:
            raise DataError(f"{source}: has the column {name} twice; remove one of them")
        found[name] = position
    missing = [name for name in ("open_time", *REQUIRED_COLUMNS) if name not in found]
    if missing:
        which = f" (of {symbol}, or give --symbol)" if any(map(_VOLUME_OF.fullmatch, theirs)) else ""
        raise DataError(f"{source}: has no column {', '.join(missing)}{which}; it has: {listed}; {way_out}")
    return found


def _first_of(ours: str, names: Sequence[str], theirs: list[str]) -> dict[str, int]:
    there = next((name for name in names if name in theirs), None)
    return {} if there is None else {ours: theirs.index(there)}


def _volume_of(plain: str, symbol: str, theirs: list[str]) -> str | None:
    """What `volume_btc` or `volume_usdt` is of a symbol: the base begins its name, the quote is the rest."""
    match = _VOLUME_OF.fullmatch(plain)
    if match is None:
        return None
    pair, unit = symbol.lower(), match[1]
    if pair == unit or not pair.startswith(unit):
        return "quote_volume" if unit in ("currency", "quote") or pair.endswith(unit) else None
    return "volume" if "volume" not in theirs else None


def milliseconds(times: Ints, source: str, rows: Sequence[int], *, exact: bool = True) -> Ints:
    """Numbers between the years 2000 and 2100 in seconds are seconds, those at or above 1e14 microseconds, at or above 1e17
    nanoseconds (the archive changed its unit in 2025, and CryptoDataDownload its own within files, so each row is judged
    alone). Everything else is left for the check of the bars. Raises DataError where the unit does not divide; without
    `exact` such a time is left off the full hour instead."""
    divisor = np.where(times >= 10**17, 10**6, np.where(times >= 10**14, 1000, 1))
    factor = np.where((times >= _SECONDS[0]) & (times < _SECONDS[1]), 1000, 1)
    broken = times % divisor != 0
    if broken.any() and exact:
        row = int(np.argmax(broken))
        problem = f"open time {times[row]} does not lie on the full hour; resample to 1 h bars in UTC"
        raise DataError(f"{source}: row {rows[row]}: {problem}")
    whole = times // divisor * factor
    return np.asarray(whole + (broken & (whole % HOUR_MS == 0)), dtype=np.int64)


def one_chunk(column: Any) -> Any:
    """A table's column as one array, checked. Raises Arrow's own error where its buffers are broken."""
    column.validate(full=True)
    return column.combine_chunks()


def times_of(array: Any, source: str, rows: Sequence[int]) -> Ints:
    """(n,) int64: milliseconds, or whatever a column of plain numbers is in. Raises DataError, with its number in `rows`, for
    what is no time."""
    import pyarrow as pa

    kind = array.type
    if array.null_count:
        row = rows[array.is_valid().to_pylist().index(False)]
        raise DataError(f"{source}: row {row}: open_time is empty; correct the row or remove it")
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _text_times(array, source, rows)
        if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.unit == "s"):
            array = array.cast(pa.timestamp("ms", tz=getattr(kind, "tz", None)))
        if pa.types.is_timestamp(array.type):
            return _numpy(array.view("int64"), np.int64)
        return _numpy(array.cast("int64"), np.int64)
    except pa.ArrowException:
        raise DataError(
            f"{source}: open_time of type {kind} cannot be read as times; store timestamps or whole milliseconds"
        ) from None


def _text_times(array: Any, source: str, rows: Sequence[int]) -> Ints:
    import pyarrow as pa

    # Whole numbers first, then ISO texts without and with a zone, each in one go; a mixed column goes row by row.
    for kind in (pa.int64(), pa.timestamp("ms"), pa.timestamp("ms", tz="UTC")):
        try:
            return _numpy(array.cast(kind).cast("int64"), np.int64)
        except pa.ArrowException:
            continue
    texts = array.to_pylist()
    try:
        found = dated(texts)
    except AmbiguousError as error:
        raise DataError(f"{source}: row {rows[0]}: open time {error}") from None
    if found is not None:
        return np.array(found[1], np.int64)
    return np.array([_one_time(text, source, row) for row, text in zip(rows, texts, strict=True)], np.int64)


def _one_time(text: str, source: str, row: int) -> int:
    try:
        if NUMBER.fullmatch(text) and float(text).is_integer() and abs(float(text)) < 2**63:
            return int(float(text))
        return parse_time(text)
    except (ConfigError, OverflowError):
        raise DataError(
            f"{source}: row {row}: open time {text[:40]!r} is neither a number nor a date; write it as "
            "2022-01-01T00:00:00Z or in milliseconds"
        ) from None


def floats_of(name: str, array: Any, source: str, rows: Sequence[int]) -> Floats:
    """(n,) float64, each the nearest to what is written, NaN where nothing is. Raises DataError for what is no number."""
    import pyarrow as pa

    kind = array.type
    try:
        if pa.types.is_decimal(kind):
            array = array.cast("string")  # Arrow rounds a text to the nearest float64, a decimal not always
        return _numpy(array if kind == pa.float64() else array.cast("float64"), np.float64)
    except pa.ArrowException:
        for row, value in zip(rows, array.to_pylist(), strict=True):
            try:
                float(value or "nan")
            except (TypeError, ValueError):
                raise DataError(
                    f"{source}: row {row}: {name} is {str(value)[:40]!r}, not a number; correct it"
                ) from None
        raise DataError(f"{source}: {name} of type {kind} is not numeric; store it as double") from None


def _numpy(array: Any, kind: type[Number]) -> npt.NDArray[Number]:
    """The values as numpy, NaN for nulls. By hand: Arrow's `to_numpy` imports pandas, twice the time of the read."""
    rows = slice(array.offset, array.offset + len(array))
    validity, values = array.buffers()
    if not len(array):
        return np.zeros(0, kind)
    out = np.frombuffer(values, kind)[rows].copy()
    if array.null_count:
        out[np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[rows] == 0] = np.nan
    return out
