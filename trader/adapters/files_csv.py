"""CSV files of hourly bars as people have them: the archive's, exports of charts and spreadsheets, published collections.

Every complaint names its source, line and way out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trader.adapters.bar_columns import (
    ARCHIVE_COLUMNS,
    NUMBER,
    floats_of,
    match_columns,
    one_chunk,
    times_of,
)
from trader.adapters.number_texts import AmbiguousError, with_points
from trader.core.errors import DataError
from trader.core.text import plural
from trader.core.types import REQUIRED_COLUMNS, Floats, Ints
from trader.plain_file import NotTextError, text_of

if TYPE_CHECKING:
    import pyarrow as pa

# Other exceptions that pyarrow raises for malformed files.
BAD_ARROW = (OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)
# Lines above a header: an address (CryptoDataDownload), Excel's `sep=`, a comment, an empty line.
_PREAMBLE = re.compile(r'\s*|"?https?://\S*|sep=.|#.*', re.IGNORECASE)
_UNEVEN = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_MOST_PREAMBLE_LINES = 20
_LONGEST_HEAD = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What a file holds, unchecked. times: (n,) in any unit. rows: the number of each row in the file; in a text that of its
    line, as an editor shows it. symbols: the distinct values of a symbol column, empty without one. notes: how the file was
    read where it is not the usual way."""

    times: Ints
    values: dict[str, Floats]
    rows: Sequence[int]
    symbols: frozenset[str]
    notes: tuple[str, ...] = ()


def csv_columns(data: bytes, symbol: str, source: str) -> Columns:
    """The columns of a CSV. Raises DataError for one that cannot be read, or could be read in two ways."""
    data, above = _without_preamble(_utf8(data, source))
    head = _head(data, source)
    delimiter = max(",;\t", key=head.count)
    names = [name.strip().strip("\"'") for name in head.split(delimiter)]
    headless = NUMBER.fullmatch(names[0]) is not None
    if headless and len(names) != len(ARCHIVE_COLUMNS):
        raise DataError(
            f"{source}: has no header line and {plural(len(names), 'column')}; without a header it must have the "
            f"{len(ARCHIVE_COLUMNS)} columns of the exchange's archive. Put a header on top: "
            f"open_time,{','.join(REQUIRED_COLUMNS)}"
        )
    found = match_columns(ARCHIVE_COLUMNS if headless else names, source, symbol)
    skipped = 0 if headless else 1
    lines = _lines(data, above)
    table = _texts(data, delimiter, len(names), list(found.values()), skipped, lines, source)
    rows = lines[skipped:][: table.num_rows]
    arrays = {name: one_chunk(column) for name, column in zip(found, table.columns, strict=True)}
    times = times_of(arrays.pop("open_time"), source, rows)
    symbols = named_in(arrays.pop("symbol", None))
    written, arrays = _with_decimal_points(arrays, source) if _odd_numbers(data, delimiter) else ("", arrays)
    values = {name: floats_of(name, array, source, rows) for name, array in arrays.items()}
    return Columns(times, values, rows, symbols, (written,) if written else ())


def named_in(array: Any) -> frozenset[str]:
    """The symbols that a column names, as the exchange writes them: BTC/USDT and BTC-USDT are BTCUSDT."""
    if array is None:
        return frozenset()
    texts = {str(text) for text in array.to_pylist() if text}
    return frozenset(re.sub(r"[^A-Z0-9]", "", text.upper().rpartition(":")[2]) for text in texts)


def first_line(error: BaseException) -> str:
    """What a foreign library says, short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _utf8(data: bytes, source: str) -> bytes:
    """The same text in UTF-8, without a byte order mark. Decoded only where a mark says UTF-16 or UTF-32: other encodings
    agree on what numbers are made of."""
    if not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return data.removeprefix(b"\xef\xbb\xbf")
    try:
        return text_of(data).encode()
    except (NotTextError, UnicodeEncodeError) as error:
        raise DataError(f"{source}: {error}") from None


def _without_preamble(data: bytes) -> tuple[bytes, int]:
    """The file from its header on, and how many lines stand above."""
    above = 0
    while above < _MOST_PREAMBLE_LINES:
        line, end, rest = data.partition(b"\n")
        if not end or not _PREAMBLE.fullmatch(line[:_LONGEST_HEAD].decode("latin-1").rstrip("\r")):
            break
        data, above = rest, above + 1
    return data, above


def _lines(data: bytes, above: int) -> list[int]:
    """The numbers of the lines that hold something, from the header on; Arrow passes over the others."""
    return [number for number, line in enumerate(data.splitlines(), above + 1) if line]


def _head(data: bytes, source: str) -> str:
    line = data[:_LONGEST_HEAD].splitlines()[0] if data.strip() else b""
    text = line.decode("utf-8", "replace")
    if "\0" in text or not any(mark in text for mark in ",;\t"):
        raise DataError(
            f"{source}: is not a bar file; give hourly bars as Parquet, CSV, or a zip with one CSV"
        )
    return text


def _odd_numbers(data: bytes, delimiter: str) -> bool:
    """Whether a number may hold a comma: where it separates no columns, or stands in quotes."""
    return b'"' in data if delimiter == "," else b"," in data


def _with_decimal_points(arrays: dict[str, Any], source: str) -> tuple[str, dict[str, Any]]:
    """How the file writes its numbers, and its columns with decimal points. Raises DataError where that is ambiguous."""
    import pyarrow as pa

    texts = {name: array.to_pylist() for name, array in arrays.items()}
    try:
        written, said = with_points(text for column in texts.values() for text in column)
    except AmbiguousError as error:
        raise DataError(f"{source}: {error}") from None
    if not written:
        return "", arrays
    return written, {
        name: pa.array([said.get(text, text) for text in column], pa.string())
        for name, column in texts.items()
    }


def _texts(
    data: bytes, delimiter: str, width: int, wanted: list[int], skipped: int, lines: list[int], source: str
) -> pa.Table:
    """Some of a CSV's `width` columns, by position and in that order, as texts, so that an error can name the line of what is
    no number. Raises DataError, by its number in `lines`, for a row of another width."""
    import pyarrow as pa
    import pyarrow.csv

    labels = [str(position) for position in range(width)]
    try:
        return pa.csv.read_csv(
            io.BytesIO(data),
            read_options=pa.csv.ReadOptions(use_threads=False, column_names=labels, skip_rows=skipped),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter),
            convert_options=pa.csv.ConvertOptions(
                include_columns=[labels[position] for position in wanted],
                column_types={labels[position]: pa.string() for position in wanted},
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, *BAD_ARROW) as error:
        problem = _by_line(first_line(error), lines)
        raise DataError(f"{source}: is not a readable CSV: {problem}; correct the file") from None


def _by_line(problem: str, lines: list[int]) -> str:
    """What Arrow says, which counts rows without blank lines and those above; of a row of another width in our words."""
    uneven = _UNEVEN.search(problem)
    if uneven is None or int(uneven[1]) > len(lines):
        return problem
    row, width, found = (int(number) for number in uneven.groups())
    return f"row {lines[row - 1]} has {plural(found, 'column')} instead of {width}"
