"""Bar files: Parquet, CSV and the exchange archive's zip in, Parquet out. Every complaint names file, row and way out."""

from __future__ import annotations

import io
import os
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from trader.adapters.bar_columns import (
    ARCHIVE_COLUMNS,
    NUMBER,
    floats_of,
    match_columns,
    milliseconds,
    one_chunk,
    times_of,
)
from trader.core.bars import as_columns, bars_from_columns
from trader.core.errors import ConfigError, DataError
from trader.core.types import REQUIRED_COLUMNS, Bars, Floats, Ints
from trader.plain_file import read_plain

if TYPE_CHECKING:
    import pyarrow as pa

# A whole history of minute bars unpacks to less; more is not a bar file.
_MAX_UNPACKED_BYTES = 1 << 30
# What zipfile and its decompressors raise on broken input: lzma's and bz2's errors are EOFError, OSError, ValueError,
# a password is a RuntimeError, an unknown method a NotImplementedError (itself a RuntimeError).
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
# Beside Arrow's own errors: broken names, sizes and nested types surface as these.
_BAD_ARROW = (OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)


def read_bars(path: Path, symbol: str | None = None) -> Bars:
    """Hourly bars of a Parquet file, a CSV (with a header, or the archive's 12 columns without) or a zip with one CSV.

    Times are the bars' open: timestamps, ISO texts (UTC unless they say otherwise), or numbers in milliseconds, micro- or
    nanoseconds, told by magnitude. Numbers become the nearest float64. symbol: by default the file name up to the
    first `-`. Optional columns hold NaN where the file has nothing; missing hours are filled and flagged.
    Raises ConfigError if the file cannot be opened, DataError if it does not hold hourly bars.
    """
    path = Path(path)
    data = _read_file(path)
    name = symbol or path.name.split("-")[0].split(".")[0]
    if data[:4] == b"PAR1":
        return _bars(name, *_parquet_columns(data, path), str(path), 1)
    if path.suffix == ".parquet":
        raise DataError(f"{path}: is not a Parquet file (it does not begin with PAR1); fetch it again")
    if data[:2] == b"PK":
        data, inner = _unzip(data, path)
        return _csv_bars(data, name, f"{path} ({inner})")
    return _csv_bars(data, name, str(path))


def write_bars(path: Path, bars: Bars) -> None:
    """Writes the genuine rows as Parquet that `read_bars` gives back bit for bit; flagged rows are left out.

    Atomic: readers see the old file or the whole new one. Raises DataError without a genuine row, ConfigError if the
    file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    open_time, columns = as_columns(bars)
    if not len(open_time):
        raise DataError(f"{path}: {bars.symbol} has no genuine bar to write")
    # From buffers, since `pa.array` imports pandas.
    stamp, size = pa.timestamp("ms", tz="UTC"), len(open_time)
    times = pa.Array.from_buffers(stamp, size, [None, pa.py_buffer(open_time)])
    floats = [pa.Array.from_buffers(pa.float64(), size, [None, pa.py_buffer(x)]) for x in columns.values()]
    table = pa.Table.from_arrays([times, *floats], names=["open_time", *columns])
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    _replace(path, buffer.getbuffer())


def _replace(path: Path, data: memoryview) -> None:
    try:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}; choose an existing folder that you "
            "may write to, with free space"
        ) from None


def _read_file(path: Path) -> bytes:
    try:
        data = read_plain(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path of the bars") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; give one bar file (.parquet, .csv or .zip)") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {reason}; check the path and its permissions") from None
    if not data.strip():
        raise DataError(f"{path}: is empty; fetch or export it again")
    return data


def _bars(symbol: str, times: Ints, columns: dict[str, Floats], source: str, first_row: int) -> Bars:
    return bars_from_columns(symbol, milliseconds(times, source, first_row), columns, source, first_row)


def _parquet_columns(data: bytes, path: Path) -> tuple[Ints, dict[str, Floats]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        names = list(file.schema_arrow.names)
        found = match_columns(names, str(path))
        # One thread: this is 30 ms of work, and a bot's container has one core to give.
        table = file.read(columns=[names[position] for position in found.values()], use_threads=False)
        arrays = {name: one_chunk(table.column(names[position])) for name, position in found.items()}
    except (pa.ArrowException, *_BAD_ARROW) as error:
        raise DataError(f"{path}: is a broken Parquet file: {_first_line(error)}; fetch it again") from None
    times = times_of(arrays.pop("open_time"), str(path), 1)
    return times, {name: floats_of(name, array, str(path), 1) for name, array in arrays.items()}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _csv_bars(data: bytes, symbol: str, source: str) -> Bars:
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    head = _head(data, source)
    delimiter = max(",;\t", key=head.count)
    names = [name.strip().strip("\"'") for name in head.split(delimiter)]
    headless = NUMBER.fullmatch(names[0]) is not None
    if headless and len(names) != len(ARCHIVE_COLUMNS):
        raise DataError(
            f"{source}: has no header line and {len(names)} columns; without a header it must have the "
            f"{len(ARCHIVE_COLUMNS)} columns of the exchange's archive. Put a header on top: "
            f"open_time,{','.join(REQUIRED_COLUMNS)}"
        )
    found = match_columns(ARCHIVE_COLUMNS if headless else names, source)
    first_row = 1 if headless else 2  # the file's own line numbers
    table = _csv_texts(data, delimiter, len(names), list(found.values()), first_row, source)
    arrays = {name: one_chunk(column) for name, column in zip(found, table.columns, strict=True)}
    times = times_of(arrays.pop("open_time"), source, first_row)
    columns = {name: floats_of(name, array, source, first_row) for name, array in arrays.items()}
    return _bars(symbol, times, columns, source, first_row)


def _csv_texts(
    data: bytes, delimiter: str, width: int, wanted: list[int], first_row: int, source: str
) -> pa.Table:
    """Some of a CSV's `width` columns, by position and in that order, as texts: what is no number is told by its line."""
    import pyarrow as pa
    import pyarrow.csv

    labels = [str(position) for position in range(width)]
    try:
        return pa.csv.read_csv(
            io.BytesIO(data),
            read_options=pa.csv.ReadOptions(use_threads=False, column_names=labels, skip_rows=first_row - 1),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter),
            convert_options=pa.csv.ConvertOptions(
                include_columns=[labels[position] for position in wanted],
                column_types={labels[position]: pa.string() for position in wanted},
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, *_BAD_ARROW) as error:
        raise DataError(f"{source}: is not a readable CSV: {_first_line(error)}; correct that line") from None


def _head(data: bytes, source: str) -> str:
    line = data[:10_000].splitlines()[0] if data.strip() else b""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = ""
    if "\0" in text or not any(mark in text for mark in ",;\t"):
        raise DataError(
            f"{source}: is not a bar file; give hourly bars as Parquet, CSV, or a zip with one CSV"
        )
    return text


def _unzip(data: bytes, path: Path) -> tuple[bytes, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner = [item for item in archive.infolist() if item.filename.lower().endswith(".csv")]
            if len(inner) != 1:
                raise DataError(f"{path}: holds {len(inner)} CSV files instead of one; unpack it first")
            with archive.open(inner[0]) as file:
                content = file.read(_MAX_UNPACKED_BYTES + 1)
    except _BAD_ZIP as error:
        raise DataError(f"{path}: is not a whole zip file: {_first_line(error)}; fetch it again") from None
    if len(content) > _MAX_UNPACKED_BYTES:
        raise DataError(f"{path}: unpacks to over {_MAX_UNPACKED_BYTES >> 20} MiB; hourly bars take less")
    return content, inner[0].filename
