"""The journal's lines as tables for people: CSV for a spreadsheet, Parquet for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, TextIO

from trader.core.book_line import BookLine, book_line_json
from trader.core.errors import ConfigError, DataError
from trader.core.hours import LINE_KEYS, HourLine, line_json
from trader.core.text import write_csv_rows
from trader.core.types import plain

# Exact amounts of a line, in base or quote; what Parquet's readers know has 38 digits.
AMOUNTS = ("order_qty", "fill_price", "fee", "position", "equity")
DIGITS, SCALE = 38, 18
# Of a book's line; its transfers are a column a symbol.
BOOK_KEYS = ("close_time", "equity", "cash", "exposure", "drawdown", "halted")


def write_csv(file: TextIO, lines: Sequence[HourLine]) -> None:
    """Lines with a header, in the order of LINE_KEYS; what is unknown is empty, and no text is a formula."""
    write_csv_rows(file, [LINE_KEYS, *(line_json(line).values() for line in lines)])


def write_parquet(path: Path, lines: Sequence[HourLine]) -> None:
    """Lines as a table with one schema: close_time a timestamp in UTC, p_up a double, amounts decimal128 and never rounded,
    target, order_side and reason texts. Raises ConfigError where the file cannot be written."""
    import pyarrow as pa

    kinds = {"close_time": pa.timestamp("ms", "UTC"), "p_up": pa.float64()}
    columns = {}
    for key in LINE_KEYS:
        values = [getattr(line, key) for line in lines]
        if key in AMOUNTS:
            columns[key] = _decimals(values)
        else:
            columns[key] = pa.array(values, kinds.get(key, pa.string()))
    _write_table(path, columns)


def write_book_csv(file: TextIO, lines: Sequence[BookLine], symbols: Sequence[str]) -> None:
    """A book's lines with a header: BOOK_KEYS, then a column a symbol with the cash that it was given, empty where none moved."""
    head = [*BOOK_KEYS, *(f"transfer_{it}" for it in symbols)]
    write_csv_rows(file, [head, *(_book_row(line, symbols) for line in lines)])


def _book_row(line: BookLine, symbols: Sequence[str]) -> list[Any]:
    values = book_line_json(line)
    moved = values["transfers"]
    return [*(values[key] for key in BOOK_KEYS), *(moved.get(it) for it in symbols)]


def write_book_parquet(path: Path, lines: Sequence[BookLine], symbols: Sequence[str]) -> None:
    """The same as a table: close_time a timestamp in UTC, amounts and shares decimal128 and never rounded, null where no cash
    moved. Raises ConfigError where the file cannot be written."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "close_time": pa.array([line.close_time for line in lines], pa.timestamp("ms", "UTC"))
    }
    for key in BOOK_KEYS[1:-1]:
        columns[key] = _decimals([getattr(line, key) for line in lines])
    columns["halted"] = pa.array([line.halted for line in lines], pa.bool_())
    for symbol in symbols:
        columns[f"transfer_{symbol}"] = _decimals([line.transfers.get(symbol) for line in lines])
    _write_table(path, columns)


def _write_table(path: Path, columns: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(dict(columns)), path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}. Choose another folder") from None


def _decimals(values: Sequence[Decimal | None]) -> Any:
    """Amounts as decimal128(38, SCALE); with more digits after the point where one needs them, such as the average price of a
    fill. Raises DataError for an amount of more than 38 digits."""
    import pyarrow as pa

    needed = max((len(plain(value).partition(".")[2]) for value in values if value is not None), default=0)
    scale = max(SCALE, needed)
    with localcontext() as context:
        context.prec = 2 * DIGITS
        unit = Decimal(1).scaleb(-scale)
        exact = [None if value is None else value.quantize(unit) for value in values]
    try:
        return pa.array(exact, pa.decimal128(DIGITS, scale))
    except pa.ArrowException as error:
        raise DataError(
            f"an amount has more than {DIGITS} digits ({error}); write lines instead: --jsonl"
        ) from None
