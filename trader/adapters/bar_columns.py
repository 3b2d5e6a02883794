"""Columns of a foreign table as ours: which is which by its name, times in any unit, numbers in any of Arrow's types.

Every complaint names its source, row and way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from trader.core.errors import ConfigError, DataError
from trader.core.types import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Floats, Ints, parse_time

Number = TypeVar("Number", np.int64, np.float64)

# The 12 columns of the archive's files and of the exchange's klines, in order; they come without a header line.
ARCHIVE_COLUMNS = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time"),
    *("quote_volume", "trades", "taker_buy_base", "taker_buy_quote", "ignore"),
)
# What others call these columns, after lower-casing and with `_` for everything that is no letter or digit.
# For the time, the first name that is there wins: files often carry the same time twice.
_TIME_NAMES = ("open_time", "opentime", "timestamp", "datetime", "date", "time", "unix", "index_level_0")
_ALIASES = {
    "quote_asset_volume": "quote_volume",
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
NUMBER = re.compile(r" *[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)? *")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def match_columns(names: Iterable[str], source: str) -> dict[str, int]:
    """Which of our columns is which of theirs: `open_time`, the required ones and whichever optional ones are there.
    Raises DataError for a required one that is missing, and for one that is there twice."""
    theirs = [_plain(name) for name in names]
    found: dict[str, int] = {}
    for name in _TIME_NAMES:
        if name in theirs:
            found["open_time"] = theirs.index(name)
            break
    for position, plain in enumerate(theirs):
        name = _ALIASES.get(plain, plain)
        if name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS:
            continue
        if name in found:
            raise DataError(f"{source}: has the column {name} twice; remove one of them")
        found[name] = position
    missing = [name for name in ("open_time", *REQUIRED_COLUMNS) if name not in found]
    if missing:
        listed = ", ".join(theirs[:20]) or "none"
        raise DataError(f"{source}: has no column {', '.join(missing)}; it has: {listed}; add or rename them")
    return found


def milliseconds(times: Ints, source: str, first_row: int) -> Ints:
    """Numbers at or above 1e14 are microseconds, at or above 1e17 nanoseconds (the archive changed its unit in 2025, so
    each row is judged alone). Everything else is left for the check of the bars, which refuses seconds. Raises DataError
    where the unit does not divide."""
    divisor = np.where(times >= 10**17, 10**6, np.where(times >= 10**14, 1000, 1))
    broken = times % divisor != 0
    if broken.any():
        row = int(np.argmax(broken))
        problem = f"open time {times[row]} does not lie on the full hour; resample to 1 h bars in UTC"
        raise DataError(f"{source}: row {first_row + row}: {problem}")
    return np.asarray(times // divisor, dtype=np.int64)


def one_chunk(column: Any) -> Any:
    """A table's column as one array, checked. Raises Arrow's own error where its buffers are broken."""
    column.validate(full=True)
    return column.combine_chunks()


def times_of(array: Any, source: str, first_row: int) -> Ints:
    """(n,) int64: milliseconds, or whatever a column of plain numbers is in. Raises DataError for what is no time."""
    import pyarrow as pa

    kind = array.type
    if array.null_count:
        row = first_row + array.is_valid().to_pylist().index(False)
        raise DataError(f"{source}: row {row}: open_time is empty; correct the row or remove it")
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _text_times(array, source, first_row)
        if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.unit == "s"):
            array = array.cast(pa.timestamp("ms", tz=getattr(kind, "tz", None)))
        if pa.types.is_timestamp(array.type):
            return _numpy(array.view("int64"), np.int64)
        return _numpy(array.cast("int64"), np.int64)
    except pa.ArrowException:
        raise DataError(
            f"{source}: open_time of type {kind} cannot be read as times; store timestamps or whole milliseconds"
        ) from None


def _text_times(array: Any, source: str, first_row: int) -> Ints:
    import pyarrow as pa

    # Whole numbers first, then ISO texts without and with a zone, each in one go; a mixed column goes row by row.
    for kind in (pa.int64(), pa.timestamp("ms"), pa.timestamp("ms", tz="UTC")):
        try:
            return _numpy(array.cast(kind).cast("int64"), np.int64)
        except pa.ArrowException:
            continue
    texts = enumerate(array.to_pylist(), first_row)
    return np.array([_one_time(text, source, row) for row, text in texts], np.int64)


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


def floats_of(name: str, array: Any, source: str, first_row: int) -> Floats:
    """(n,) float64, each the nearest to what is written, NaN where nothing is. Raises DataError for what is no number."""
    import pyarrow as pa

    kind = array.type
    try:
        if pa.types.is_decimal(kind):
            array = array.cast("string")  # Arrow rounds a text to the nearest float64, a decimal not always
        return _numpy(array if kind == pa.float64() else array.cast("float64"), np.float64)
    except pa.ArrowException:
        for row, value in enumerate(array.to_pylist()):
            try:
                float(value or "nan")
            except (TypeError, ValueError):
                raise DataError(
                    f"{source}: row {first_row + row}: {name} is {str(value)[:40]!r}, not a number; correct it"
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
