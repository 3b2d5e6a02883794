"""`trader collect --archive`: downloaded months fill the file before the venue is asked, and only holes are asked for."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bars_made import bars_made
from tests.support.rig import command
from tests.support.venue_kit import Sim, running
from trader import wiring
from trader.adapters.archive_files import downloaded_bars
from trader.adapters.files import read_bars, write_bars
from trader.config import load_settings
from trader.core.bars import as_columns, gaps
from trader.core.errors import ConfigError, DataError
from trader.core.types import HOUR_MS, Bars, iso, no_bars, parse_hour

# January to mid-April 2024, with an outage on 3 March.
OUT = (parse_hour("2024-03-03T05:00") - parse_hour("2024-01-01")) // HOUR_MS
BARS = bars_made(24 * 105, start="2024-01-01", missing=(OUT, OUT + 1))
NAMES = ("open", "high", "low", "close", "volume")


def zip_of(folder: Path, label: str, bars: Bars, symbol: str = "BTCUSDT", checksum: str = "") -> Path:
    """A file as the archive publishes it: twelve columns, no header."""
    times, columns = as_columns(bars)
    rows = [
        ",".join(
            [
                str(time),
                *(repr(float(columns[name][i])) for name in NAMES),
                str(time + HOUR_MS - 1),
                "0,0,0,0,0",
            ]
        )
        for i, time in enumerate(times)
    ]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{symbol}-1h-{label}.csv", "\n".join(rows) + "\n")
    path = folder / f"{symbol}-1h-{label}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    digest = checksum or hashlib.sha256(out.getvalue()).hexdigest()
    path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path


def month(number: int) -> Bars:
    """The bars that open in a month of 2024."""
    start, stop = parse_hour(f"2024-{number:02}-01"), parse_hour(f"2024-{number + 1:02}-01")
    return BARS.span(start + HOUR_MS, stop + HOUR_MS)


def day(label: str) -> Bars:
    """The bars that open on a day."""
    start = parse_hour(label) + HOUR_MS
    return BARS.span(start, start + 24 * HOUR_MS)


def same(found: Bars, expected: Bars) -> None:
    """Equal to the bit, the outage included."""
    for name in ("close_time", "flagged", *NAMES):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_months_and_days_become_one_series(tmp_path: Path) -> None:
    """Folders are searched to their depth; days add what a month lacks; other symbols and files are left alone."""
    zip_of(tmp_path / "monthly", "2024-01", month(1))
    zip_of(tmp_path / "monthly", "2024-02", month(2).rows(0, 24 * 20))
    for label in [*(f"2024-02-{d}" for d in range(20, 30)), "2024-03-01"]:
        zip_of(tmp_path / "daily", label, day(label))
    zip_of(tmp_path / "monthly", "2024-01", bars_made(50, start="2024-01-01", symbol="ETHUSDT"), "ETHUSDT")
    (tmp_path / "notes.zip").write_bytes(b"PK")
    found = downloaded_bars([tmp_path, tmp_path / "monthly"], "BTCUSDT", read_bars)
    same(found, BARS.span(BARS.first, parse_hour("2024-03-02") + HOUR_MS))


def test_a_month_is_never_overruled_by_a_day(tmp_path: Path) -> None:
    """A day that was published anew with another price changes no row of its month."""
    other = bars_made(24, seed=9, start="2024-01-05")
    zip_of(tmp_path, "2024-01", month(1))
    zip_of(tmp_path, "2024-01-05", other)
    same(downloaded_bars([tmp_path], "BTCUSDT", read_bars), month(1))


def test_archives_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    """No such path, an empty folder, a file of another symbol, a wrong digest, a broken zip, months that contradict."""
    path = zip_of(tmp_path / "good", "2024-01", month(1))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="none: is not there"):
        downloaded_bars([tmp_path / "none"], "BTCUSDT", read_bars)
    with pytest.raises(
        ConfigError, match=r"empty: holds no archive file of BTCUSDT; .*BTCUSDT-1h-2024-01.zip"
    ):
        downloaded_bars([tmp_path / "good", tmp_path / "empty"], "BTCUSDT", read_bars)
    with pytest.raises(ConfigError, match="is no archive file of ETHUSDT"):
        downloaded_bars([path], "ETHUSDT", read_bars)
    wrong = zip_of(tmp_path / "wrong", "2024-01", month(1), checksum="0" * 64)
    with pytest.raises(DataError, match=f"CHECKSUM says {'0' * 64}; fetch both again"):
        downloaded_bars([wrong], "BTCUSDT", read_bars)
    torn = tmp_path / "torn" / path.name
    torn.parent.mkdir()
    torn.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="is not a whole zip file"):
        downloaded_bars([torn], "BTCUSDT", read_bars)
    other = zip_of(tmp_path / "other", "2024-01", bars_made(24 * 31, seed=5, start="2024-01-01"))
    with pytest.raises(DataError, match="two sources disagree"):
        downloaded_bars([path, other], "BTCUSDT", read_bars)


def collect(sim: Sim, folder: Path, *options: str, check: bool = True) -> Any:
    """`trader collect --json` against an exchange; its answer, or its message where it refused."""
    done = command(
        *("trader", "collect", "--bars", str(folder), "--json", *options),
        cwd=folder.parent,
        check=check,
        TRADER_VENUE_URL=sim.exchange.url,
        TRADER_TIMEOUT_S="5",
    )
    return json.loads(done.stdout) if done.returncode == 0 else (done.returncode, done.stderr)


def asked(sim: Sim) -> int:
    """How many pages of klines the exchange was asked for, and forget them."""
    count: int = sum(row["path"] == "/api/v3/klines" for row in sim.sim("requests"))
    sim.exchange.venue.requests.clear()
    return count


def test_collect_uses_the_archive_first(tmp_path: Path) -> None:
    """January and March lie here, February and April do not: the file becomes whole, and a second run only compares."""
    zip_of(tmp_path / "zips", "2024-01", month(1))
    march = zip_of(tmp_path / "zips", "2024-03", month(3))
    data = tmp_path / "data"
    span = ("--from", iso(BARS.first), "--to", iso(BARS.last))
    with running(bars=BARS, at_ms=BARS.last - HOUR_MS) as sim:
        said = collect(sim, data, *span, "--archive", str(tmp_path / "zips"))
        assert said["from_archive"] == 24 * 62 - 2
        assert said["bars"] == len(BARS) - 1
        assert [gap["hours"] for gap in said["gaps"]] == [2]
        same(read_bars(data / "BTCUSDT-1h.parquet"), BARS.span(BARS.first, BARS.last))
        with_holes = asked(sim)
        assert collect(sim, data, *span)["from_archive"] == 0
        assert asked(sim) == 1  # for the newest rows of the file, which are compared
        fresh = tmp_path / "fresh"
        collect(sim, fresh, *span)
        assert 0 < with_holes <= asked(sim) + 2  # February, April, and the outage that nobody lists
        # A month alone needs no venue at all.
        only = tmp_path / "only"
        inside = ("--from", "2024-03-05", "--to", "2024-03-09")
        assert collect(sim, only, *inside, "--archive", str(march))["bars"] == 96
        assert (asked(sim), gaps(read_bars(only / "BTCUSDT-1h.parquet"))) == (0, [])
        code, message = collect(sim, only, *span, "--archive", str(tmp_path / "nowhere"), check=False)
        assert (code, "Traceback" in message) == (2, False)
        assert "nowhere: is not there" in message


def test_collecting_later_hours_keeps_the_earlier_ones(tmp_path: Path) -> None:
    """A span that begins after what is there fills the hours between, and the file loses nothing."""
    data = tmp_path / "data"
    data.mkdir()
    write_bars(data / "BTCUSDT-1h.parquet", month(1))
    with running(bars=BARS, at_ms=BARS.last - HOUR_MS) as sim:
        collect(sim, data, "--from", "2024-03-20", "--to", "2024-03-25")
    same(read_bars(data / "BTCUSDT-1h.parquet"), BARS.span(BARS.first, parse_hour("2024-03-25")))


class Asked:
    """A market without a bar that remembers which hours it was asked for."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """None."""
        self.spans.append((start, stop))
        return no_bars(symbol)


@pytest.mark.parametrize(("hour", "asks"), [(5, 0), (50, 1)], ids=["of a known outage", "of another hour"])
def test_only_a_hole_that_nothing_explains_is_asked_for(hour: int, asks: int) -> None:
    """As the bot's collector is wired: the exchange was shut on 25 April 2021 from 4 to 9 o'clock, and not later."""
    market = Asked()
    collector = wiring.make_collector(load_settings(), market, keep=False)
    collector.add(bars_made(72, start="2021-04-25", missing=(hour,)))
    hole = parse_hour("2021-04-25") + (hour + 1) * HOUR_MS
    assert market.spans == [(hole, hole + HOUR_MS)] * asks
