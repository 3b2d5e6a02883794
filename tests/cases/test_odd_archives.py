"""An archive that is proven and still odd: its odd rows are left out and their hours asked for elsewhere; a person decides
what two sources tell differently."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.test_collect_archive import collect, same
from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock, MemoryMarket
from tests.support.venue_kit import running
from trader.adapters.archive_files import downloaded_bars
from trader.adapters.files import read_archived_bars, read_bars, write_bars
from trader.app.collect import Collector
from trader.core.bars import as_columns
from trader.core.errors import DataError
from trader.core.types import HOUR_MS, iso, parse_hour

BARS = bars_made(24 * 31, start="2024-01-01")
NAMES = ("open", "high", "low", "close", "volume")
AT = 61  # the row that is odd
Rows = list[list[str]]


def month(folder: Path, spoil: Callable[[Rows], object] = lambda _: None) -> Path:
    """January of 2024 as the archive publishes it, changed a little."""
    times, columns = as_columns(BARS)
    rows = [
        [str(time), *(repr(float(columns[name][row])) for name in NAMES), str(time + HOUR_MS - 1), *"00000"]
        for row, time in enumerate(map(int, times))
    ]
    spoil(rows)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("BTCUSDT-1h-2024-01.csv", "".join(",".join(row) + "\n" for row in rows))
    path = folder / "BTCUSDT-1h-2024-01.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    return path


def off_hour(rows: Rows) -> None:
    """As in the exchange's own month of 2018-02, whose rows open at 28 minutes past after an outage."""
    rows[AT][0] = str(int(rows[AT][0]) + 28 * 60_000 + 14_789)


def off_hour_in_microseconds(rows: Rows) -> None:
    for row in rows:
        row[0] += "000"
    rows[AT][0] = str(int(rows[AT][0]) + 1)


def told_twice(rows: Rows) -> None:
    rows.insert(AT, [*rows[AT][:5], "7.5", *rows[AT][6:]])


def high_below_low(rows: Rows) -> None:
    rows[AT][2] = "1.0"


def empty_close(rows: Rows) -> None:
    rows[AT][4] = ""


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (off_hour, "does not open on the full hour"),
        (off_hour_in_microseconds, "does not open on the full hour"),
        (told_twice, "appears twice with other values"),
        (high_below_low, "high is below low"),
        (empty_close, "close is missing"),
    ],
)
def test_an_odd_row_is_left_out_said_and_asked_for(
    spoil: Callable[[Rows], None], reason: str, tmp_path: Path
) -> None:
    """No month is refused for a row that nobody can correct: its hour is a gap, and the market fills it."""
    said: list[str] = []
    stock = downloaded_bars([month(tmp_path, spoil)], "BTCUSDT", partial(read_archived_bars, say=said.append))
    (words,) = said
    assert words.startswith("BTCUSDT-1h-2024-01.zip: rows left out, ")
    assert reason in words
    assert stock.flagged.nonzero()[0].tolist() == [AT]
    collector = Collector(MemoryMarket(BARS, FakeClock(BARS.last)), "BTCUSDT")
    collector.add(stock)
    same(collector.known, BARS)


def test_rows_out_of_order_and_repeated_are_the_month(tmp_path: Path) -> None:
    """What is told twice alike is told once, and the order of rows says nothing."""

    def shuffled(rows: Rows) -> None:
        rows[:] = [*rows[400:], *rows[:400], rows[7]]

    said: list[str] = []
    same(read_archived_bars(month(tmp_path, shuffled), "BTCUSDT", said.append), BARS)
    assert "appears twice" in said[0]
    with pytest.raises(DataError, match="is earlier than the row before"):
        read_bars(month(tmp_path, shuffled))


def test_a_month_without_a_row_of_an_hour_is_refused(tmp_path: Path) -> None:
    """A file of another interval is not an empty month."""

    def none(rows: Rows) -> None:
        for row in rows:
            row[0] = str(int(row[0]) + 1)

    with pytest.raises(DataError, match=r"holds no row of an hour: 744 .*does not open on the full hour"):
        read_archived_bars(month(tmp_path, none), "BTCUSDT")


def restated(rows: Rows) -> None:
    rows[AT][5] = "3709.5"


def test_a_person_decides_between_two_sources(tmp_path: Path) -> None:
    """One bar has another volume in the archive: without a word both are listed and nothing is written; --prefer decides."""
    month(tmp_path / "arch", restated)
    hour = parse_hour("2024-01-01") + (AT + 1) * HOUR_MS
    with running(bars=BARS, at_ms=BARS.last - HOUR_MS) as sim:
        data = tmp_path / "data"
        collect(sim, data, "--from", "2024-01-01T01:00Z", "--to", "2024-01-20")
        before = (data / "BTCUSDT-1h.parquet").read_bytes()
        whole = ("--from", "2024-01-01T01:00Z", "--to", "2024-01-30", "--archive", str(tmp_path / "arch"))
        code, said = collect(sim, data, *whole, check=False)
        assert code == 2
        assert f"two sources disagree on 1 bar: {iso(hour)}: volume is " in said
        assert "3709.5 in the newer one" in said
        assert "--prefer market" in said
        assert "--prefer archive" in said
        assert (data / "BTCUSDT-1h.parquet").read_bytes() == before
        collect(sim, data, *whole, "--prefer", "market")
        kept = read_bars(data / "BTCUSDT-1h.parquet")
        assert kept.volume[kept.row(hour)] == BARS.volume[AT]
        collect(sim, data, *whole, "--prefer", "archive")
        kept = read_bars(data / "BTCUSDT-1h.parquet")
        assert kept.volume[kept.row(hour)] == 3709.5


def test_collect_goes_on_from_what_is_there(tmp_path: Path) -> None:
    """Without --from the file is extended to now; where nothing is there the first hour is asked for."""
    data = tmp_path / "data"
    with running(bars=BARS, at_ms=BARS.last - HOUR_MS) as sim:
        code, said = collect(sim, data, check=False)
        assert (code, "say the first hour: trader collect --from" in said) == (2, True)
        data.mkdir(exist_ok=True)
        write_bars(data / "BTCUSDT-1h.parquet", BARS.rows(24, 200))
        told = collect(sim, data)
    assert (told["first"], told["last"]) == (iso(BARS.close_time[24].item()), iso(BARS.last - HOUR_MS))
    same(read_bars(data / "BTCUSDT-1h.parquet"), BARS.rows(24, len(BARS) - 1))
