"""Bar files that many people have: one sensible reading is taken and said, an ambiguous one is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.adapters.test_files import assert_same
from tests.support.bars_made import bars_made
from trader.adapters.files import read_bars
from trader.core.bars import as_columns
from trader.core.errors import DataError
from trader.core.types import Bars

# From 25 March on, so that days and months can be told apart.
BARS = bars_made(24 * 12, start="2024-03-25")
Row = tuple[datetime, list[float]]


def rows() -> list[Row]:
    """Open time, then open, high, low, close, volume."""
    times, columns = as_columns(BARS)
    return [
        (datetime.fromtimestamp(int(time) / 1000, UTC), [float(column[row]) for column in columns.values()])
        for row, time in enumerate(times)
    ]


def seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))


def csv_of(
    head: str,
    stamp: Callable[[datetime], str],
    *,
    between: str = ",",
    number: Callable[[float], str] = repr,
    order: tuple[int, ...] = (0, 1, 2, 3, 4),
    newest_first: bool = False,
) -> str:
    """A CSV with these lines on top, times by `stamp`."""
    lines = [between.join([stamp(t), *(number(values[i]) for i in order)]) for t, values in rows()]
    return "\n".join([head, *(reversed(lines) if newest_first else lines)]) + "\n"


def german(value: float) -> str:
    return f"{value!r}".replace(".", ",")


def grouped(value: float) -> str:
    return f"{value:,}".replace(",", "_").replace(".", ",").replace("_", ".")


def cdd() -> str:
    """As CryptoDataDownload publishes: whose it is, newest first, volumes named by their unit, times twice."""
    lines = [
        f"{seconds(t)}000,{t:%Y-%m-%d %H:%M:%S},BTCUSDT,{','.join(map(repr, v))},{v[4] * v[3]!r},71809"
        for t, v in rows()
    ]
    head = "https://www.CryptoDataDownload.com\nUnix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount"
    return "\n".join([head, *reversed(lines)]) + "\n"


OHLCV = "open,high,low,close"
SHAPES: dict[str, tuple[str, str, str]] = {
    # name: file name, content, what is said
    "CryptoDataDownload": ("Binance_BTCUSDT_1h.csv", cdd(), "newest row first"),
    "Kaggle": (
        "BTCUSDT-1h.csv",
        csv_of("Timestamp,Open,High,Low,Close,Volume_(BTC)", seconds),
        "times in seconds",
    ),
    "TradingView": ("BINANCE_BTCUSDT, 60.csv", csv_of(f"time,{OHLCV},Volume", seconds), "times in seconds"),
    "German Excel": (
        "BTCUSDT-1h.csv",
        "\ufeff"
        + csv_of(
            f"open_time;{OHLCV};volume".replace(",", ";"),
            lambda t: f"{t:%Y-%m-%d %H:%M}",
            between=";",
            number=german,
        ).replace("\n", "\r\n"),
        "decimal comma",
    ),
    "German dates and thousands": (
        "BTCUSDT-1h.csv",
        csv_of(
            f"Datum;{OHLCV};volume".replace(",", ";").replace("Datum", "Date"),
            lambda t: f"{t:%d.%m.%Y %H:%M}",
            between=";",
            number=grouped,
        ),
        "decimal comma",
    ),
    "American dates": (
        "BTCUSDT-1h.csv",
        csv_of(f"Date,{OHLCV},volume", lambda t: f"{t.month}/{t.day}/{t.year} {t:%I:%M %p}"),
        "",
    ),
    "thousands in quotes": (
        "BTCUSDT-1h.csv",
        csv_of(f"time,{OHLCV},volume", lambda t: f"{t:%Y-%m-%d %H:%M}", number=lambda v: f'"{v:,}"'),
        "thousands with a comma",
    ),
    "Excel's mark and a comment": (
        "BTCUSDT-1h.csv",
        csv_of(f"sep=,\n# my own\n\ntime,{OHLCV},volume", lambda t: t.isoformat()),
        "",
    ),
    "old CryptoDataDownload dates": (
        "BTCUSDT-1h.csv",
        csv_of(f"Date,{OHLCV},Volume BTC", lambda t: f"{t:%Y-%m-%d %I-%p}", newest_first=True),
        "newest row first",
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_with_one_sensible_reading_is_read_and_said(shape: str, encoding: str, tmp_path: Path) -> None:
    """The very bars, to the bit, of the symbol that the name says; how the file was read is told where it is unusual."""
    name, content, note = SHAPES[shape]
    path = tmp_path / name
    path.write_bytes(content.removeprefix("\ufeff" if encoding == "utf-16" else "").encode(encoding))
    said: list[str] = []
    found = read_bars(path, say=said.append)
    same_prices(found)
    assert [note in words for words in said] == [True] * bool(note)


def same_prices(found: Bars) -> None:
    """Equal to the bars that were written, but for optional columns."""
    times, columns = as_columns(found)
    expected = as_columns(BARS)
    assert found.symbol == "BTCUSDT"
    assert times.tolist() == expected[0].tolist()
    for name, values in expected[1].items():
        assert columns[name].tolist() == values.tolist(), name


def test_volumes_of_both_sides_are_told_apart(tmp_path: Path) -> None:
    """`Volume BTC` is the volume of BTCUSDT, `Volume USDT` what it cost, whichever stands first."""
    path = tmp_path / "Binance_BTCUSDT_1h.csv"
    path.write_text(cdd())
    found = read_bars(path)
    assert found.quote_volume is not None
    assert found.quote_volume[5] == found.volume[5] * found.close[5]
    swapped = tmp_path / "BTCUSDT-1h.csv"
    swapped.write_text(cdd().replace("Volume BTC,Volume USDT", "Volume USDT,Volume BTC"))
    other = read_bars(swapped)
    assert (other.volume == found.quote_volume).all()


def test_what_finder_packs_is_one_file(tmp_path: Path) -> None:
    """The resource fork that macOS puts beside a CSV is none; two CSVs still are two."""
    text = csv_of(f"open_time,{OHLCV},volume", lambda t: t.isoformat())
    bare, packed = tmp_path / "BTCUSDT-1h.csv", tmp_path / "BTCUSDT-1h.zip"
    bare.write_text(text)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("BTCUSDT-1h.csv", text)
        archive.writestr("__MACOSX/._BTCUSDT-1h.csv", b"\0\5\26\7")
        archive.writestr("__MACOSX/BTCUSDT-1h.csv", b"\0")
    assert_same(read_bars(packed), read_bars(bare))


REFUSED = {
    "a comma that may be either": (
        f"open_time;{OHLCV};volume\n2024-03-25 00:00;61,937;61,940;61,930;61,931;1,000\n".replace(
            f"{OHLCV}", OHLCV.replace(",", ";")
        ),
        r"'\S+' could be \d+ or \d+\.\d+; write numbers with a decimal point",
    ),
    "days that may be months": (
        f"Date,{OHLCV},volume\n03/04/2024 00:00,1,2,0.5,1.5,10\n",
        "can be read with the day or the month first",
    ),
    "volumes of another symbol": (
        f"unix,{OHLCV},Volume ETH,Volume USD\n1711324800,1,2,0.5,1.5,10,15\n",
        r"has no column volume \(of BTCUSDT, or give --symbol\)",
    ),
    "rows of another symbol": (
        f"unix,symbol,{OHLCV},volume\n1711324800,ETH/USDT,1,2,0.5,1.5,10\n",
        "its rows are of ETHUSDT, not of BTCUSDT",
    ),
    "rows of several symbols": (
        f"unix,symbol,{OHLCV},volume\n1711324800,BTCUSDT,1,2,0.5,1.5,10\n1711328400,ETHUSDT,1,2,0.5,1.5,10\n",
        r"holds bars of several symbols \(BTCUSDT, ETHUSDT\)",
    ),
    "a line of a reversed file": (
        f"unix,{OHLCV},volume\n1711332000,1,2,0.5,1.5,10\n1711328400,1,2,0.5,9,10\n1711324800,1,2,0.5,1.5,10\n",
        r"row 3 .*: close lies outside low..high",
    ),
    "a line below what stands above": (
        f"https://www.CryptoDataDownload.com\nunix,{OHLCV},volume\n1711324800,1,2,0.5,x,10\n",
        "row 3: close is 'x', not a number",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_with_two_readings_is_refused(kind: str, tmp_path: Path) -> None:
    """By its line, with the way out; nothing is guessed."""
    content, problem = REFUSED[kind]
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=problem):
        read_bars(path)
