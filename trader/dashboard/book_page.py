"""The page of a book: the whole, a row for each of its symbols, and links to their own pages."""

from __future__ import annotations

from collections.abc import Mapping

from trader.core.text import plural
from trader.core.types import HOUR_MS, Json, iso
from trader.dashboard.book_figures import book_figures, spark
from trader.dashboard.book_series import columns_of
from trader.dashboard.page import LIBRARY, filled


def render_book(
    view: Json, book: Json, symbols: Mapping[str, Json], *, public: bool = False, library: str = LIBRARY
) -> str:
    """The page. `view` is what the composition root gathered, with a row for each symbol in `symbols`; `book` and `symbols` are
    the folded series. A public page tells shares, no amounts. Raises ConfigError without the `observability` extra."""
    columns = columns_of(book, symbols) if book["hours"] else None
    if columns is None or not columns.times:
        rows = [{**row, "spark": "", "share": None} for row in view["symbols"]]
        empty = {**view, "symbols": rows}
        return filled("book.html", v=empty, figures=[], span="", public=public, library=library)
    whole = columns.equity[-1]
    rows = [
        {
            **row,
            "spark": spark(columns.linked[row["symbol"]]),
            "share": round(columns.sleeves[row["symbol"]][-1] / whole, 6) if whole else None,
        }
        for row in view["symbols"]
    ]
    first, last = columns.times[0], columns.times[-1]
    span = f"{iso(first)[:16]} to {iso(last)[:16]} UTC, {plural((last - first) // HOUR_MS + 1, 'hour')}"
    drawn = book_figures(columns, book["moves"], view, public)
    full = {**view, "symbols": rows}
    return filled("book.html", v=full, figures=drawn, span=span, public=public, library=library)
