"""Bar files in every accepted shape read to the same bits; everything else is a refusal with a way out."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trader.adapters.bar_columns import ARCHIVE_COLUMNS
from trader.adapters.files import read_bars, write_bars
from trader.core.bars import as_columns, bars_from_columns
from trader.core.types import HOUR_MS, OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Bars, parse_time

START = parse_time("2023-12-01")
HEADER = ["open_time", "open", "high", "low", "close", "volume"]
ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HOURLY_TRADER_DATA", ROOT.parent / "shared" / "data"))


def synthetic(rows: int = 50, optional: bool = True, missing: tuple[int, ...] = (7, 8, 20)) -> Bars:
    """Bars with long decimal tails, a few gaps and, if asked, optional columns with a NaN."""
    random = np.random.default_rng(5)
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 0.01, rows)))
    opened = np.concatenate(([close[0]], close[:-1]))
    raw = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.01,
        "low": np.minimum(opened, close) * 0.99,
        "close": close,
        "volume": random.uniform(0, 9, rows),
    }
    if optional:
        raw |= {name: random.uniform(0, 9, rows) for name in OPTIONAL_COLUMNS}
        raw["trades"][3] = np.nan
    keep = np.setdiff1d(np.arange(rows), missing)
    times = START + np.arange(rows) * HOUR_MS
    return bars_from_columns("BTCUSDT", times[keep], {k: v[keep] for k, v in raw.items()}, "made up")


def assert_same(left: Bars, right: Bars) -> None:
    """Equal to the bit, NaN in the same places."""
    assert left.symbol == right.symbol
    for name in ("close_time", "flagged", *REQUIRED_COLUMNS, *OPTIONAL_COLUMNS):
        a, b = getattr(left, name), getattr(right, name)
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_array_equal(a, b, err_msg=name)


def rows_of(bars: Bars, stamp: Callable[[int], object]) -> list[list[object]]:
    """Genuine rows as CSV cells: numbers in their shortest exact text, empty for NaN."""
    times, columns = as_columns(bars)
    cells = [
        ["" if np.isnan(value) else repr(float(value)) for value in column] for column in columns.values()
    ]
    return [[stamp(int(time)), *row] for time, row in zip(times, zip(*cells, strict=True), strict=True)]


def csv_text(rows: list[list[object]], header: list[str] | None, delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([*([header] if header else []), *rows])
    return out.getvalue()


def archive_text(bars: Bars, scale: int = 1) -> str:
    """The archive's own layout: 12 columns, no header, times times `scale`."""
    rows = rows_of(bars, lambda time: time * scale)
    return csv_text([[*row[:6], int(str(row[0])) + HOUR_MS * scale - 1, *row[6:], 0] for row in rows], None)


def text(stamp: Callable[[int], object], header: list[str] | None = None, delimiter: str = ",") -> str:
    names = header or [*HEADER, *OPTIONAL_COLUMNS]
    return csv_text(rows_of(synthetic(), stamp), names, delimiter)


def moment(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1000, UTC)


FOREIGN = ["Open time", "Open", "High", "Low", "Close", "Volume", "Quote asset volume", "Number of trades"]
FOREIGN += ["Taker buy base asset volume", "Taker buy quote asset volume"]
CSV_SHAPES = {
    "milliseconds": text(str),
    "microseconds": text(lambda time: time * 1000),
    "nanoseconds": text(lambda time: time * 10**6),
    "float milliseconds": text(lambda time: f"{time}.0"),
    "exponent": text(lambda time: f"{time / 1e12!r}e12"),
    "iso": text(lambda time: moment(time).isoformat()),
    "iso with Z": text(lambda time: moment(time).strftime("%Y-%m-%dT%H:%M:%SZ")),
    "iso without zone": text(lambda time: moment(time).strftime("%Y-%m-%d %H:%M:%S")),
    "iso to the minute": text(lambda time: moment(time).strftime("%Y-%m-%d %H:%M")),
    "mixed units": text(lambda time: time * 1000 if time > START + 9 * HOUR_MS else time),
    "mixed texts": text(lambda time: str(time) if time % 2**24 < 2**23 else moment(time).isoformat()),
    "foreign names": text(str, FOREIGN),
    "timestamp": text(str, ["timestamp", *HEADER[1:], *OPTIONAL_COLUMNS]),
    "date": text(lambda time: moment(time).isoformat(), ["Date", *HEADER[1:], *OPTIONAL_COLUMNS]),
    "semicolons": text(str, delimiter=";"),
    "tabs": text(str, delimiter="\t"),
    "windows": "\ufeff" + text(str).replace("\n", "\r\n"),
    "archive, milliseconds": archive_text(synthetic()),
    "archive, microseconds": archive_text(synthetic(), 1000),
}


@pytest.mark.parametrize("shape", CSV_SHAPES)
@pytest.mark.parametrize("zipped", [False, True])
def test_csv_shapes_read_to_the_same_bits(shape: str, zipped: bool, tmp_path: Path) -> None:
    """Whatever unit, name, delimiter or wrapping, the same bars come out."""
    path = tmp_path / ("BTCUSDT-1h.zip" if zipped else "BTCUSDT-1h.csv")
    if zipped:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("BTCUSDT-1h-2023-12.csv", CSV_SHAPES[shape])
    else:
        path.write_text(CSV_SHAPES[shape], encoding="utf-8", newline="")
    assert_same(read_bars(path), synthetic())


def parquet_of(bars: Bars, times: Callable[[np.ndarray], pa.Array], name: str = "open_time") -> pa.Table:
    open_time, columns = as_columns(bars)
    return pa.table({name: times(open_time)} | columns)


def stamped(unit: str, zone: str | None) -> Callable[[np.ndarray], pa.Array]:
    return lambda times: (
        pa.array(times).cast(pa.timestamp("ms")).cast(pa.timestamp(unit)).cast(pa.timestamp(unit, tz=zone))
    )


PARQUET_SHAPES = {
    **{f"{unit} {zone}": stamped(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")},
    "another zone": lambda times: pa.array(times).cast(pa.timestamp("ms", tz="Asia/Tokyo")),
    "integers": pa.array,
    "integer microseconds": lambda times: pa.array(times * 1000),
    "floats": lambda times: pa.array(times.astype(float)),
    "texts": lambda times: pa.array([moment(int(time)).isoformat() for time in times]),
}


@pytest.mark.parametrize("shape", PARQUET_SHAPES)
def test_parquet_times_of_every_type(shape: str, tmp_path: Path) -> None:
    """Timestamps of any unit, zoned or naive, integers, floats and texts all mean the same hour."""
    path = tmp_path / "BTCUSDT-1h.parquet"
    pq.write_table(parquet_of(synthetic(), PARQUET_SHAPES[shape]), path)
    assert_same(read_bars(path), synthetic())


def test_parquet_numbers_of_every_type(tmp_path: Path) -> None:
    """Texts and decimals become the nearest float64; several row groups are one series."""
    bars = synthetic(optional=False)
    exact = {
        name: [Decimal(f"{value:.8f}") for value in values] for name, values in as_columns(bars)[1].items()
    }
    nearest = {name: np.array([float(value) for value in values]) for name, values in exact.items()}
    times = as_columns(bars)[0]
    expected = bars_from_columns("BTCUSDT", times, nearest, "made up")
    decimals = {name: pa.array(values, pa.decimal128(28, 8)) for name, values in exact.items()}
    texts = {name: [str(value) for value in values] for name, values in exact.items()}
    for columns in (decimals, texts):
        path = tmp_path / "BTCUSDT-1h.parquet"
        pq.write_table(pa.table({"open_time": times} | columns), path, row_group_size=11)
        assert_same(read_bars(path), expected)


@given(st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_the_nearest_float(tmp_path: Path, prices: list[float]) -> None:
    """A price in text becomes the float64 that Python itself would read, from 17 digits as from the shortest."""
    for form in (repr, "{:.17g}".format, "{:.25f}".format):
        rows = [[START + row * HOUR_MS, *[form(price)] * 4, form(price)] for row, price in enumerate(prices)]
        path = tmp_path / "X-1h.csv"
        path.write_text(csv_text(rows, HEADER))
        if any(float(form(price)) <= 0 for price in prices):
            continue
        assert read_bars(path).close.tolist() == [float(form(price)) for price in prices]


def real_files() -> list[Path]:
    """A real file where the data folder is there; nothing otherwise (the synthetic case always runs)."""
    return [path for name in ("BTCUSDT", "AAVEUSDT") if (path := DATA / f"{name}-1h.parquet").exists()]


@pytest.mark.parametrize(
    "source", [None, *real_files()], ids=lambda source: source.stem if source else "synthetic"
)
def test_round_trip_is_bit_for_bit(source: Path | None, tmp_path: Path) -> None:
    """What is written is read back equal, from Parquet and from the exchange's CSV layout alike."""
    bars = read_bars(source) if source else synthetic()
    path = tmp_path / f"{bars.symbol}-1h.parquet"
    write_bars(path, bars)
    assert_same(read_bars(path), bars)
    assert pq.read_schema(path).field("open_time").type == pa.timestamp("ms", tz="UTC")
    assert pq.read_metadata(path).num_rows == int((~bars.flagged).sum())
    plain = tmp_path / f"{bars.symbol}-1h.csv"
    head = bars.until(bars.first + 500 * HOUR_MS)
    times, columns = as_columns(head)
    names = ["open_time", *columns]
    plain.write_text(csv_text(rows_of(head, str), names))
    assert_same(read_bars(plain), bars_from_columns(bars.symbol, times, columns, "again"))


def test_symbol_comes_from_the_name_or_the_caller(tmp_path: Path) -> None:
    """The file name up to the first `-` is the symbol, unless one is given."""
    for name in ("ETHUSDT-1h.parquet", "ETHUSDT.parquet", "ETHUSDT-1h-2023-12.parquet"):
        write_bars(tmp_path / name, synthetic())
        assert read_bars(tmp_path / name).symbol == "ETHUSDT"
        assert read_bars(tmp_path / name, "SOLUSDT").symbol == "SOLUSDT"


def test_reading_and_writing_stay_light(tmp_path: Path) -> None:
    """Neither direction imports pandas: a tick's start-up and memory are what it would cost."""
    path = tmp_path / "BTCUSDT-1h.parquet"
    write_bars(path, synthetic())
    code = (
        "import sys\nfrom pathlib import Path\nfrom trader.adapters.files import read_bars, write_bars\n"
        "assert 'pyarrow' not in sys.modules\n"
        "path = Path(sys.argv[1]); write_bars(path, read_bars(path))\nassert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_archive_columns_match_the_exchange() -> None:
    """The headerless layout is the exchange's: 12 columns, the open first."""
    assert len(ARCHIVE_COLUMNS) == 12
    assert set(REQUIRED_COLUMNS) | set(OPTIONAL_COLUMNS) < set(ARCHIVE_COLUMNS)
