"""pandas, at the edge only: bars and hours as DataFrames, and back. The core keeps arrays and Decimals (ADR 5).

Every index is in UTC and named `close_time`: a row is known at its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trader.core.bars import bars_from_columns
from trader.core.errors import DataError
from trader.core.forecast import LEVELS
from trader.core.hours import LINE_KEYS
from trader.core.types import (
    HOUR_MS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Bars,
    Floats,
    Ints,
    Matrix,
    iso,
    parse_hour,
)

if TYPE_CHECKING:
    import pandas as pd

# Columns of an hour that are numbers; the file has amounts as exact texts, a DataFrame the nearest float64.
NUMBERS = ("p_up", "order_qty", "fill_price", "fee", "position", "equity")


def frame_of_bars(bars: Bars) -> pd.DataFrame:
    """Every hour of the grid: prices in quote per base, volume in base, float64. `gap` is true where the exchange had no bar and
    the row was filled flat at the last close; `bars_of_frame` leaves such rows out again."""
    import pandas as pd

    names = [name for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if getattr(bars, name) is not None]
    columns = {name: getattr(bars, name).copy() for name in names}
    return pd.DataFrame({**columns, "gap": bars.flagged.copy()}, index=index_of(bars.close_time))


def bars_of_frame(frame: pd.DataFrame, symbol: str, *, stamped: Literal["open", "close"]) -> Bars:
    """Hourly bars of a DataFrame with the columns open, high, low, close, volume (in any case), and optional ones.

    The index holds times with a zone, ascending; `stamped` says whether a row's time is the open or the close of its bar, and
    has no default: an hour's mistake would let the future in. Missing hours become gaps, and so do rows whose `gap` is true.
    Raises DataError, naming the row and the way out, for a frame that does not hold hourly bars.
    """
    if stamped not in ("open", "close"):
        raise DataError(f"stamped={stamped!r}: say 'open' or 'close', which the times of the index are")
    columns = {str(name).lower(): frame[name] for name in frame.columns}
    if missing := [name for name in REQUIRED_COLUMNS if name not in columns]:
        raise DataError(
            f"the DataFrame has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}. Rename or add them"
        )
    times = times_of_index(frame.index) - (HOUR_MS if stamped == "close" else 0)
    kept = ~columns["gap"].to_numpy(np.bool_) if "gap" in columns else np.ones(len(times), np.bool_)
    if not kept.any():
        raise DataError(f"the DataFrame has no bar of {symbol}")
    numbers = {
        name: _floats(columns[name], name)[kept]
        for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
        if name in columns
    }
    return bars_from_columns(symbol, times[kept], numbers, "the DataFrame")


def frame_of_hours(hours: Iterable[Mapping[str, Any]], bars: Bars) -> pd.DataFrame:
    """Lines of an hours file (`trader.core.hours.line_json`) as a table: numbers as float64, NaN for none, and `close`, the last
    price of the hour's bar. An amount is the float64 nearest to the exact one. Raises DataError for an hour without bars."""
    import pandas as pd

    rows = list(hours)
    times = np.array([parse_hour(row["close_time"]) for row in rows], np.int64)
    at = (times - bars.first) // HOUR_MS
    if len(at) and (at.min() < 0 or at.max() >= len(bars)):
        raise DataError(
            f"the hours {iso(int(times.min()))} to {iso(int(times.max()))} need bars of them; {bars.symbol} has "
            f"{iso(bars.first)} to {iso(bars.last)}"
        )
    columns: dict[str, Any] = {"close": bars.close[at]}
    for key in LINE_KEYS[1:]:
        values = [row[key] for row in rows]
        columns[key] = np.array(values, np.float64) if key in NUMBERS else values
    return pd.DataFrame(columns, index=index_of(times))


def frame_of_rows(X: Matrix, columns: Sequence[str], start: int) -> pd.DataFrame:
    """Rows of consecutive hours from `start` (UTC ms) on, a column each: X (n, k), of its own dtype."""
    import pandas as pd

    times = start + HOUR_MS * np.arange(len(X), dtype=np.int64)
    return pd.DataFrame(X, columns=list(columns), index=index_of(times))


def frame_of_quantiles(quantiles: Floats, start: int) -> pd.DataFrame:
    """Distributions of consecutive hours from `start` (UTC ms) on: quantiles (n, h, level) -> a row for each hour and h, indexed
    by (`close_time`, `h`), and a column for each of LEVELS, float64."""
    import pandas as pd

    times = index_of(start + HOUR_MS * np.arange(len(quantiles), dtype=np.int64))
    rows = pd.MultiIndex.from_product([times, range(1, quantiles.shape[1] + 1)], names=["close_time", "h"])
    return pd.DataFrame(quantiles.reshape(-1, len(LEVELS)), columns=list(LEVELS), index=rows)


def series_of(values: Floats | Matrix, start: int, name: str) -> pd.Series:
    """Values of consecutive hours from `start` (UTC ms) on, of their own dtype."""
    import pandas as pd

    times = start + HOUR_MS * np.arange(len(values), dtype=np.int64)
    return pd.Series(values, index=index_of(times), name=name)


def hours_of_series(series: pd.Series) -> tuple[int, Floats]:
    """The first hour (UTC ms), and a float64 for every hour up to the last: NaN where the series has none. Raises DataError."""
    times, values = times_of_index(series.index), _floats(series, str(series.name))
    if not len(times):
        raise DataError("the series is empty; give a value for each hour")
    if (np.diff(times) <= 0).any():
        raise DataError("the times of the series must ascend, each hour once; sort it and drop duplicates")
    first = int(times[0])
    found = np.full((int(times[-1]) - first) // HOUR_MS + 1, np.nan)
    found[(times - first) // HOUR_MS] = values
    return first, found


def index_of(times: Ints) -> pd.DatetimeIndex:
    """Times (UTC ms) as an index."""
    import pandas as pd

    return pd.DatetimeIndex(times.astype("datetime64[ms]"), tz="UTC", name="close_time")


def times_of_index(index: pd.Index[Any]) -> Ints:
    """(n,) int64, UTC ms. Raises DataError for times without a zone, and for one that is not on the hour."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(
            f"the index holds {index.dtype}, no times; set it: frame.index = pd.to_datetime(..., utc=True)"
        )
    if index.tz is None:
        raise DataError(
            "the times of the index have no zone; say which one they are in: frame.tz_localize('UTC'), if they are UTC"
        )
    hours = index.tz_convert("UTC")
    if (odd := hours != hours.floor("h")).any():
        raise DataError(
            f"row {int(np.argmax(odd))}: {hours[odd][0]} is not on the full hour; resample to 1 h bars in UTC"
        )
    times: Ints = hours.as_unit("ms").asi8.astype(np.int64)
    return times


def _floats(column: pd.Series, name: str) -> Floats:
    try:
        values: Floats = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} does not hold numbers: {error}. Convert it: pd.to_numeric(...)") from None
    return values
