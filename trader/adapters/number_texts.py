"""Numbers and dates as spreadsheets of any country write them: read where a whole column has one sensible reading.

`61937,41` is a decimal comma, `61,937.41` groups thousands, `61,937` alone could be either and is refused. Dates are judged
alike: `26.03.2024 13:00` has the day first, `03/26/2024` the month, and `03/04/2024` is what the other rows say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

_COMMA_DECIMAL = re.compile(r"[-+]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+)(?:,\d+)?(?:[eE][-+]?\d+)?")
_COMMA_GROUPS = re.compile(r"[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")

# 26.03.2024 13:00, 3/26/2024 1:00 PM, 2020-05-01 12-AM: three numbers, then a time of day.
_DATE = re.compile(
    r"(\d{1,4})([-./])(\d{1,2})\2(\d{1,4})(?:[ T,]+(\d{1,2})(?:[:-](\d{2}))?(?:[:-](\d{2}))?[ -]?([AaPp][Mm])?)?"
)
_ORDERS = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}
_FOUR_DIGITS = 4
_NOON = 12


class AmbiguousError(ValueError):
    """Texts with more than one sensible reading. The message says which."""


def with_points(texts: Iterable[str | None]) -> tuple[str, dict[str, str]]:
    """How a file writes numbers, in words ("" for the usual way), and each such text with a point for decimals and nothing for
    thousands. Texts that are no numbers either way are left to whoever reads them. Raises AmbiguousError."""
    written = {text for text in texts if text and ("," in text or "." in text)}
    if not any("," in text for text in written):
        return "", {}
    numbers = {text: text.strip().replace("\u00a0", "") for text in written}
    by_comma = all(_COMMA_DECIMAL.fullmatch(text) for text in numbers.values())
    by_groups = all(_COMMA_GROUPS.fullmatch(text) for text in numbers.values())
    if by_comma and by_groups:
        text = min(text for text in numbers.values() if "," in text)
        raise AmbiguousError(
            f"{text!r} could be {text.replace(',', '')} or {text.replace(',', '.')}; write numbers with a decimal point"
        )
    if by_comma:
        return "decimal comma", {
            raw: text.replace(".", "").replace(",", ".") for raw, text in numbers.items()
        }
    if by_groups:
        return "thousands with a comma", {raw: text.replace(",", "") for raw, text in numbers.items()}
    return "", {}


def dated(texts: Sequence[str]) -> tuple[str, list[int]] | None:
    """Which part of a date comes first, in words, and the times in UTC milliseconds; None where a text is no date of these kinds.
    Raises AmbiguousError where two readings suit alike."""
    found = {order: times for order in _ORDERS if (times := _read(texts, order)) is not None}
    # A day taken for a month makes a leap of a month of every day: the true reading spans the least.
    spans = {order: abs(times[-1] - times[0]) for order, times in found.items()}
    nearest = [order for order in found if spans[order] == min(spans.values())]
    if len({tuple(found[order]) for order in nearest}) > 1:
        raise AmbiguousError(
            f"{texts[0]!r} can be read with the day or the month first; write it as 2022-01-31T00:00Z"
        )
    return (nearest[0], found[nearest[0]]) if nearest else None


def _read(texts: Sequence[str], order: str) -> list[int] | None:
    """The times under one order, None where they are none or do not run in one direction."""
    times = [_moment(text, order) for text in texts]
    whole = [time for time in times if time is not None]
    if len(whole) < len(times):
        return None
    steps = [later - sooner for sooner, later in pairwise(whole)]
    return whole if all(step > 0 for step in steps) or all(step < 0 for step in steps) else None


def _moment(text: str, order: str) -> int | None:
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    parts, mark = (match[1], match[3], match[4]), match[2]
    year, month, day = (parts[place] for place in _ORDERS[order])
    if len(year) != _FOUR_DIGITS or (mark == "." and order == "month first"):
        return None
    hour, minute, second = (int(part or 0) for part in match.group(5, 6, 7))
    half = (match[8] or "").lower()
    if half:
        if not 1 <= hour <= _NOON:
            return None
        hour = hour % _NOON + (_NOON if half == "pm" else 0)
    try:
        moment = datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return round(moment.timestamp() * 1000)
