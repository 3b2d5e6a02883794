"""Hours and bars as a request names them: checked, never repaired."""

from __future__ import annotations

import numpy as np

from trader.core.bars import bars_from_columns
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, Bars, iso, parse_hour
from trader.serving.bounds import MOST_MISSING
from trader.serving.model import ServedModel
from trader.serving.refusal import Refused
from trader.serving.schemas import BarRow

# 2000-01-01: no bar closed before it.
FIRST_HOUR_MS = 946_684_800_000
_COLUMNS = ("open", "high", "low", "close", "volume")


def require_whole(model: ServedModel, bars: Bars, begin: int, hour: int) -> None:
    """Raises Refused where too many of the hours that the model reads are missing among bars of a request."""
    read = bars.span(begin, hour + HOUR_MS)
    missing = int(read.flagged.sum())
    if missing > MOST_MISSING * len(read):
        raise Refused(
            422,
            f"{model.model_id} reads {len(read):,} bars from {iso(begin)} to {iso(hour)}, and {missing:,} of them are missing; "
            f"at most {MOST_MISSING:.0%} may be. Send all that the exchange had",
        )


def hour_of(text: str, newest: int) -> int:
    """An hour that is over, UTC ms. Raises Refused for a text that is none, and for one that is still to come."""
    try:
        hour = parse_hour(text)
    except (ConfigError, OverflowError, ValueError) as error:
        raise Refused(422, f"hour: {error}") from None
    if hour < FIRST_HOUR_MS:
        raise Refused(422, f"{text} is before every bar; the newest closed hour is {iso(newest)}")
    if hour > newest:
        raise Refused(422, f"{text} is not over yet; the newest closed hour is {iso(newest)}")
    return hour


def bars_of(symbol: str, rows: list[BarRow]) -> Bars:
    """Bars of a request, checked as those of a file are; missing hours are flagged. Raises DataError that names the row."""
    opens = np.array([row[0] for row in rows], dtype=np.int64)
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    columns = {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(_COLUMNS)}
    return bars_from_columns(symbol, opens, columns, "bars of the request")
