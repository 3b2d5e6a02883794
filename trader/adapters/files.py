"""Bar files: Parquet, CSV and the exchange archive's zip in, Parquet out. Every complaint names file, row and way out."""

from __future__ import annotations

import io
import os
import re
import secrets
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath

import numpy as np

from trader.adapters.bar_columns import floats_of, match_columns, milliseconds, one_chunk, times_of
from trader.adapters.files_csv import BAD_ARROW, Columns, csv_columns, first_line, named_in
from trader.core.bar_checks import odd_rows
from trader.core.bars import as_columns, bars_from_columns
from trader.core.errors import ConfigError, DataError
from trader.core.types import Bars
from trader.plain_file import read_plain

Say = Callable[[str], None]

# A whole history of minute bars unpacks to less; more is not a bar file.
_MAX_UNPACKED_BYTES = 1 << 30
# What zipfile and its decompressors raise on broken input: lzma's and bz2's errors are EOFError, OSError, ValueError,
# a password is a RuntimeError, an unknown method a NotImplementedError (itself a RuntimeError).
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
# Names of files that begin with where they come from: Binance_BTCUSDT_1h.csv, BINANCE_BTCUSDT, 60.csv.
_FOREIGN_NAME = re.compile(r"[A-Za-z]+_([A-Z0-9]{5,20})(?:_1h|, 60)(?:\.\w+)?")


def read_bars(path: Path, symbol: str | None = None, say: Say | None = None) -> Bars:
    """Hourly bars of a Parquet file, a CSV (with a header, or the archive's 12 columns without) or a zip with one CSV.

    Times are the bars' open: timestamps, dates in texts (UTC unless they say otherwise), or numbers in seconds, milli-, micro-
    or nanoseconds, told by magnitude. Numbers become the nearest float64; decimal commas and rows that run from new to old are
    read as what they are. symbol: by default the file's name up to the first `-`. say: is told how a file was read that is not
    written the usual way. Optional columns hold NaN where the file has nothing; missing hours are filled and flagged.
    Raises ConfigError if the file cannot be opened, DataError if it does not hold hourly bars or can be read in two ways.
    """
    path = Path(path)
    return bars_of_bytes(read_file(path), path, str(path), symbol, say)


def bars_of_bytes(
    data: bytes, name: PurePath, source: str, symbol: str | None = None, say: Say | None = None
) -> Bars:
    """As `read_bars`, of the bytes of a file that lies anywhere. name: the file's, whose ending says what it is; source: names it
    in messages."""
    columns, named, inner = _columns(data, name, source, symbol)
    return bars_of_columns(columns, named, inner, source, say)


def bars_of_columns(columns: Columns, symbol: str, source: str, place: str, say: Say | None = None) -> Bars:
    """The one way from columns, of a file or of a table, to checked bars. source: names them in complaints, place: in notes.
    Raises DataError as `read_bars` does."""
    times = milliseconds(columns.times, source, columns.rows)
    notes, rows = list(columns.notes), columns.rows
    if (times > columns.times).any():
        notes.append("times in seconds")
    values = columns.values
    if len(times) > 1 and (np.diff(times) < 0).all():
        notes.append("newest row first")
        times, values = times[::-1].copy(), {key: column[::-1].copy() for key, column in values.items()}
        rows = rows[::-1]
    bars = bars_from_columns(symbol, times, values, source, rows)
    if notes and say is not None:
        say(f"{place}: read with {', '.join(notes)}")
    return bars


def read_archived_bars(path: Path, symbol: str, say: Say | None = None) -> Bars:
    """As `read_bars`, of a file that nobody can correct: a proven one of the exchange's archive. Rows that are no hourly bar are
    left out and said, so that their hours are missing like any other; rows may stand in any order.
    """
    path = Path(path)
    return archived_bars_of_bytes(read_file(path), path, str(path), symbol, say)


def archived_bars_of_bytes(
    data: bytes, path: PurePath, place: str, symbol: str, say: Say | None = None
) -> Bars:
    """As `read_archived_bars`, of the bytes of a file that lies anywhere; `place` names it in messages."""
    columns, name, source = _columns(data, path, place, symbol)
    times = milliseconds(columns.times, source, columns.rows, exact=False)
    out, reasons = odd_rows(times, columns.values)
    if out.all() and len(times):
        raise DataError(f"{source}: holds no row of an hour: {'; '.join(reasons)}; leave this file out")
    if reasons and say is not None:
        say(f"{path.name}: rows left out, {'; '.join(reasons)}")
    kept = np.flatnonzero(~out)
    kept = kept[np.argsort(times[kept], kind="stable")]
    values = {key: column[kept] for key, column in columns.values.items()}
    return bars_from_columns(name, times[kept], values, source, [columns.rows[row] for row in kept.tolist()])


def symbol_named(path: PurePath) -> str:
    """The symbol that the name of a file of bars says."""
    named = _FOREIGN_NAME.fullmatch(path.name)
    return named[1] if named else path.name.split("-")[0].split(".")[0]


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


def read_file(path: Path) -> bytes:
    """The bytes of a bar file. Raises ConfigError for one that cannot be opened, DataError for an empty one."""
    try:
        data = read_plain(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path of the bars") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; give one bar file (.parquet, .csv or .zip)") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {reason}; check the path and its permissions") from None
    return data


def _columns(data: bytes, path: PurePath, place: str, symbol: str | None) -> tuple[Columns, str, str]:
    """What a file holds, of which symbol, and its name for messages. Raises DataError where its rows name another symbol."""
    source, name = place, symbol or symbol_named(path)
    if not data.strip():
        raise DataError(f"{place}: is empty; fetch or export it again")
    if data[:4] == b"PAR1":
        columns = _parquet_columns(data, place, name)
    elif path.suffix == ".parquet":
        raise DataError(f"{place}: is not a Parquet file (it does not begin with PAR1); fetch it again")
    else:
        if data[:2] == b"PK":
            data, inner = _unzip(data, place)
            source = f"{place} ({inner})"
        columns = csv_columns(data, name, source)
    require_one_symbol(columns, name, source)
    return columns, name, source


def require_one_symbol(columns: Columns, symbol: str, source: str) -> None:
    """Raises DataError for rows that name another symbol, or several."""
    if len(columns.symbols) > 1:
        found = ", ".join(sorted(columns.symbols)[:5])
        raise DataError(f"{source}: holds bars of several symbols ({found}); keep the rows of one")
    if columns.symbols and columns.symbols != {symbol.upper()}:
        found = min(columns.symbols)
        raise DataError(
            f"{source}: its rows are of {found}, not of {symbol}; name the file so, or give --symbol {found}"
        )


def _parquet_columns(data: bytes, source: str, symbol: str) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        names = list(file.schema_arrow.names)
        found = match_columns(names, source, symbol)
        # One thread: this is 30 ms of work, and a bot's container has one core to give.
        table = file.read(columns=[names[position] for position in found.values()], use_threads=False)
        arrays = {name: one_chunk(table.column(names[position])) for name, position in found.items()}
    except (pa.ArrowException, *BAD_ARROW) as error:
        raise DataError(f"{source}: is a broken Parquet file: {first_line(error)}; fetch it again") from None
    rows = range(1, table.num_rows + 1)
    times, symbols = times_of(arrays.pop("open_time"), source, rows), named_in(arrays.pop("symbol", None))
    values = {name: floats_of(name, array, source, rows) for name, array in arrays.items()}
    return Columns(times, values, rows, symbols)


def _unzip(data: bytes, path: str) -> tuple[bytes, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner = [item for item in archive.infolist() if _is_csv(item.filename)]
            if len(inner) != 1:
                raise DataError(f"{path}: holds {len(inner)} CSV files instead of one; unpack it first")
            with archive.open(inner[0]) as file:
                content = file.read(_MAX_UNPACKED_BYTES + 1)
    except _BAD_ZIP as error:
        raise DataError(f"{path}: is not a whole zip file: {first_line(error)}; fetch it again") from None
    if len(content) > _MAX_UNPACKED_BYTES:
        raise DataError(f"{path}: unpacks to over {_MAX_UNPACKED_BYTES >> 20} MiB; hourly bars take less")
    return content, inner[0].filename


def _is_csv(name: str) -> bool:
    """Whether a member of a zip is a CSV, and not what macOS notes beside one."""
    return name.lower().endswith(".csv") and "__MACOSX" not in name and not Path(name).name.startswith("._")
