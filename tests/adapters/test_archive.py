"""The archive's files are fetched once, proven, joined; every failure keeps what is there and says what to do."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.support.rig import command
from trader.adapters.archive import Archive
from trader.adapters.files import read_bars
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.types import DAY_MS, HOUR_MS, Bars, parse_time

DEC, JAN, FEB = (parse_time(f"{month}-01") for month in ("2024-12", "2025-01", "2025-02"))
NOW = parse_time("2025-02-04T12:00")
DECEMBER = "monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-12.zip"
JANUARY = "monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip"


def price(hour: int) -> float:
    """A price that depends on the hour alone, so that files agree where they overlap."""
    return 50_000 + (hour // HOUR_MS) % 997


def packed(first: int, stop: int, missing: tuple[int, ...] = (), add: float = 0.0) -> bytes:
    """A zip as the archive makes it: 12 columns without header, microseconds from 2025 on."""
    rows = []
    for time in range(first, stop, HOUR_MS):
        if time not in missing:
            scale = 1000 if time >= JAN else 1
            p = price(time) + add
            rows.append(
                f"{time * scale},{p},{p + 1},{p - 1},{p},2.5,{(time + HOUR_MS) * scale - 1},100.5,7,1.5,60.25,0"
            )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-1h.csv", "\n".join(rows) + "\n")
    return out.getvalue()


def day_name(day: int) -> str:
    return f"daily/klines/BTCUSDT/1h/BTCUSDT-1h-{np.datetime64(day, 'ms').astype('datetime64[D]')}.zip"


@dataclass
class Server:
    """A plain file server on loopback. `files` maps what stands below /data/spot/; `scripted` answers go first."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    scripted: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    url: str = ""

    def publish(self, name: str, data: bytes, digest: str | None = None) -> None:
        self.files[name] = data
        actual = digest or hashlib.sha256(data).hexdigest()
        self.files[f"{name}.CHECKSUM"] = f"{actual}  {name.rpartition('/')[2]}\n".encode()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.removeprefix("/data/spot/")
        self.asked.append(name)
        status = self.scripted[name].pop(0) if self.scripted.get(name) else 200
        data = self.files.get(name)
        if status == 0:  # the connection breaks in the middle of the body
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            handler.wfile.write((data or b"")[:10])
            return
        status = 404 if status == 200 and data is None else status
        body = data if status == 200 and data is not None else b"<Error/>"
        handler.send_response(status)
        if status == 302:
            handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@dataclass
class StillClock:
    """A clock that stands still and remembers how long it was asked to sleep."""

    slept: list[float] = field(default_factory=list)

    def now_ms(self) -> int:
        return NOW

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def server() -> Iterator[Server]:
    """December and January as months, 1 to 3 February as days."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    state.publish(DECEMBER, packed(DEC, JAN))
    state.publish(JANUARY, packed(JAN, FEB))
    for day in (FEB, FEB + DAY_MS, FEB + 2 * DAY_MS):
        state.publish(day_name(day), packed(day, day + DAY_MS))
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def archive(server: Server, clock: StillClock, tmp_path: Path) -> Archive:
    """An archive whose progress goes to `server.heard`."""
    return Archive(server.url, tmp_path / "cache", read_bars, clock, progress=server.heard.append)


def hours(first: int, stop: int) -> list[int]:
    """Close times of the bars that open from `first` to `stop`, excluded."""
    return list(range(first + HOUR_MS, stop + HOUR_MS, HOUR_MS))


def genuine(bars: Bars) -> list[int]:
    times: list[int] = bars.close_time[~bars.flagged].tolist()
    return times


def test_months_then_days(server: Server, archive: Archive) -> None:
    """Whole months come as one file each, the current month as days up to now, in both units of time."""
    bars = archive.bars("BTCUSDT", DEC + HOUR_MS, FEB + 20 * DAY_MS)
    assert genuine(bars) == hours(DEC, FEB + 3 * DAY_MS)
    assert bars.close.tolist() == [price(time - HOUR_MS) for time in bars.close_time.tolist()]
    assert bars.taker_buy_quote is not None
    assert bars.taker_buy_quote[0] == 60.25
    days = [name for name in server.asked if name.startswith("daily") and not name.endswith("CHECKSUM")]
    assert days == [day_name(FEB + n * DAY_MS) for n in range(4)]


def test_the_span_is_cut_to_the_hour(server: Server, archive: Archive) -> None:
    """Bars are chosen by their close, and only the months that hold them are asked for."""
    start, stop = JAN + 5 * HOUR_MS, JAN + 9 * HOUR_MS
    assert archive.bars("BTCUSDT", start, stop).close_time.tolist() == list(range(start, stop, HOUR_MS))
    assert archive.bars("BTCUSDT", JAN, JAN + HOUR_MS).close_time.tolist() == [JAN]
    assert not [name for name in server.asked if name.startswith("daily")]


def test_what_is_there_is_not_fetched_again(server: Server, archive: Archive, tmp_path: Path) -> None:
    """A second run asks only for what may have appeared, and reports every file all the same; a file that was damaged
    since is fetched anew."""
    span = ("BTCUSDT", DEC + HOUR_MS, FEB + DAY_MS)
    first = archive.bars(*span)
    assert server.heard == [f"BTCUSDT-1h-{label}.zip" for label in ("2024-12", "2025-01", "2025-02-01")]
    server.asked.clear()
    assert archive.bars(*span).close.tolist() == first.close.tolist()
    assert server.asked == ["monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-02.zip"]
    assert server.heard[3:] == server.heard[:3]
    (tmp_path / "cache/BTCUSDT/BTCUSDT-1h-2025-01.zip").write_bytes(b"torn")
    (tmp_path / "cache/BTCUSDT/BTCUSDT-1h-2024-12.zip.CHECKSUM").unlink()
    server.asked.clear()
    archive.bars(*span)
    fetched = [name for name in server.asked if "-02" not in name]
    assert fetched == [DECEMBER, f"{DECEMBER}.CHECKSUM", JANUARY, f"{JANUARY}.CHECKSUM"]


def test_an_interrupted_download_goes_on(server: Server, archive: Archive, clock: StillClock) -> None:
    """When the archive fails for good half-way, the files before are kept and the next run begins behind them."""
    server.scripted[JANUARY] = [503] * 4
    with pytest.raises(Retry, match=r"2025-01\.zip: HTTP 503 in 4 tries; what was fetched before is kept"):
        archive.bars("BTCUSDT", DEC + HOUR_MS, FEB)
    assert clock.slept == [1.0, 2.0, 4.0]
    server.asked.clear()
    assert len(archive.bars("BTCUSDT", DEC + HOUR_MS, FEB + HOUR_MS)) == 62 * 24
    assert DECEMBER not in server.asked


@pytest.mark.parametrize("failure", [0, 408, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(
    failure: int, server: Server, archive: Archive, clock: StillClock
) -> None:
    """A broken connection, overload and server errors cost a wait, not the run."""
    server.scripted[JANUARY] = [failure, failure]
    server.scripted[f"{JANUARY}.CHECKSUM"] = [failure]
    assert len(archive.bars("BTCUSDT", JAN + HOUR_MS, FEB + HOUR_MS)) == 31 * 24
    assert clock.slept == [1.0, 2.0, 1.0]


def test_addresses_that_lead_nowhere(clock: StillClock, tmp_path: Path) -> None:
    """A dead host ends as a retry after so many tries; an address that no client accepts is a setting to correct."""
    with pytest.raises(Retry, match="ConnectionError in 2 tries"):
        Archive("http://127.0.0.1:1", tmp_path, read_bars, clock, attempts=2).bars("BTCUSDT", JAN, FEB)
    with pytest.raises(ConfigError, match=r"is not an address: .*; correct the archive's base URL"):
        Archive("http://[", tmp_path, read_bars, clock).bars("BTCUSDT", JAN, FEB)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 410])
def test_redirects_and_refusals_are_final(
    status: int, server: Server, archive: Archive, clock: StillClock
) -> None:
    """Another host's bytes are never taken for the archive's, and a refusal is not repeated."""
    server.scripted[JANUARY] = [status]
    with pytest.raises(
        ConfigError, match=f"HTTP {status} instead of the file; redirects and refusals are final"
    ):
        archive.bars("BTCUSDT", JAN, FEB)
    assert clock.slept == []
    assert "elsewhere" not in "".join(server.asked)


def test_proxies_from_the_environment_are_ignored(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is asked directly, whatever the shell says."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(archive.bars("BTCUSDT", JAN + HOUR_MS, FEB)) == 31 * 24 - 1


def test_a_wrong_digest_is_never_used(server: Server, archive: Archive, tmp_path: Path) -> None:
    """The error names the file and both digests, the bytes are kept aside, the other files stay, and a mended file is
    taken the next time."""
    data, claimed = packed(JAN, FEB), "0" * 64
    actual = hashlib.sha256(data).hexdigest()
    server.publish(JANUARY, data, claimed)
    with pytest.raises(
        DataError, match=rf"2025-01\.zip: its sha256 is {actual} but its CHECKSUM says {claimed}"
    ):
        archive.bars("BTCUSDT", DEC + HOUR_MS, FEB)
    folder = tmp_path / "cache" / "BTCUSDT"
    assert (folder / "BTCUSDT-1h-2025-01.zip.bad").read_bytes() == data
    assert sorted(path.name for path in folder.iterdir()) == [
        "BTCUSDT-1h-2024-12.zip",
        "BTCUSDT-1h-2024-12.zip.CHECKSUM",
        "BTCUSDT-1h-2025-01.zip.bad",
    ]
    server.publish(JANUARY, data)
    assert len(archive.bars("BTCUSDT", DEC + HOUR_MS, FEB + HOUR_MS)) == 62 * 24


@pytest.mark.parametrize("checksum", [b"", b"<html>", b"\xff\xfe", None])
def test_a_file_without_a_digest_is_not_used(checksum: bytes, server: Server, archive: Archive) -> None:
    """Bytes that cannot be proven are as good as none."""
    server.files[f"{JANUARY}.CHECKSUM"] = checksum
    with pytest.raises(DataError, match="is missing or holds no sha256"):
        archive.bars("BTCUSDT", JAN + HOUR_MS, FEB)


def test_a_proven_but_broken_zip_is_named(server: Server, archive: Archive) -> None:
    """A digest proves the transfer, not the content: the reader's complaint names the file."""
    server.publish(JANUARY, packed(JAN, FEB)[:-30])
    with pytest.raises(DataError, match=r"BTCUSDT-1h-2025-01\.zip: is not a whole zip file"):
        archive.bars("BTCUSDT", JAN + HOUR_MS, FEB)


def test_days_mend_holes_of_a_month(server: Server, archive: Archive) -> None:
    """A month that lacks hours gets them from the days that have them; where no day has them, the gap stays flagged."""
    hole = [JAN + 6 * DAY_MS + n * HOUR_MS for n in (3, 4)]
    real = [JAN + 9 * DAY_MS + n * HOUR_MS for n in (5, 6, 7)]
    server.publish(JANUARY, packed(JAN, FEB, (*hole, *real)))
    server.publish(day_name(JAN + 6 * DAY_MS), packed(JAN + 6 * DAY_MS, JAN + 7 * DAY_MS))
    ninth = JAN + 9 * DAY_MS
    server.publish(day_name(ninth), packed(ninth, ninth + DAY_MS, tuple(real)))
    bars = archive.bars("BTCUSDT", JAN + HOUR_MS, FEB + HOUR_MS)
    assert bars.close_time[bars.flagged].tolist() == [time + HOUR_MS for time in real]
    assert len([name for name in server.asked if name.startswith("daily")]) == 4
    # The missing end of a month is a hole as well.
    (archive._cache / "BTCUSDT" / "BTCUSDT-1h-2025-01.zip").unlink()
    last = FEB - DAY_MS
    server.publish(JANUARY, packed(JAN, last))
    server.publish(day_name(last), packed(last, FEB))
    assert genuine(archive.bars("BTCUSDT", JAN + HOUR_MS, FEB + HOUR_MS)) == hours(JAN, FEB)


def test_a_month_is_never_replaced_by_a_day(server: Server, archive: Archive) -> None:
    """Where both have a row the month's counts, even if the day has been restated."""
    sixth = JAN + 6 * DAY_MS
    server.publish(JANUARY, packed(JAN, FEB, (sixth + HOUR_MS,)))
    server.publish(day_name(sixth), packed(sixth, sixth + DAY_MS, add=10.0))
    bars = archive.bars("BTCUSDT", sixth + HOUR_MS, sixth + 4 * HOUR_MS)
    assert bars.close.tolist() == [price(sixth), price(sixth + HOUR_MS) + 10, price(sixth + 2 * HOUR_MS)]


def test_known_outages_are_not_asked_for(server: Server, archive: Archive) -> None:
    """A hole that the registry lists is no reason to look into the days."""
    april, may = parse_time("2021-04-01"), parse_time("2021-05-01")
    outage = tuple(parse_time("2021-04-25T05:00") + n * HOUR_MS for n in range(3))
    server.publish("monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2021-04.zip", packed(april, may, outage))
    bars = archive.bars("BTCUSDT", april + HOUR_MS, may)
    assert int(bars.flagged.sum()) == 3
    assert not [name for name in server.asked if name.startswith("daily")]


def test_a_young_symbol_begins_where_it_was_listed(server: Server, archive: Archive) -> None:
    """Months before the first file, and the days before its first row, are not asked for day by day."""
    listed = DEC + 10 * DAY_MS
    server.publish(DECEMBER, packed(listed, JAN))
    for start in (parse_time("2024-06-01"), DEC):
        bars = archive.bars("BTCUSDT", start, FEB)
        assert bars.first == listed + HOUR_MS
    assert not [name for name in server.asked if name.startswith("daily")]


def test_a_symbol_of_this_month_has_days_only(server: Server, archive: Archive) -> None:
    """Without any month's file, the days of the last two months are tried."""
    for name in (DECEMBER, JANUARY):
        del server.files[name]
    bars = archive.bars("BTCUSDT", DEC, NOW)
    assert genuine(bars) == hours(FEB, FEB + 3 * DAY_MS)


def test_nothing_at_all(archive: Archive) -> None:
    """A symbol that the archive does not know is refused with the way out."""
    with pytest.raises(DataError, match=r"has no hourly bars of NOSUCH that close from .*; check the symbol"):
        archive.bars("NOSUCH", JAN, FEB)


@pytest.mark.parametrize("symbol", ["", "btcusdt", "BTC/USDT", "../X", "X" * 40])
def test_symbols_are_checked(symbol: str, archive: Archive) -> None:
    """A symbol becomes a part of an address and of a path, so it is checked before either."""
    with pytest.raises(ConfigError, match="is not a symbol of the exchange; write it like BTCUSDT"):
        archive.bars(symbol, JAN, FEB)


@pytest.mark.parametrize("url", ["", "data.binance.vision", "ftp://x", "file:///etc", "http://"])
def test_addresses_are_checked(url: str, tmp_path: Path, clock: StillClock) -> None:
    """Anything but an http(s) address is refused at once."""
    with pytest.raises(ConfigError, match="is not the address of an archive; write one like"):
        Archive(url, tmp_path, read_bars, clock)


def test_a_cache_that_cannot_be_used(server: Server, clock: StillClock, tmp_path: Path) -> None:
    """A file where the cache folder should be is named before anything is lost."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be read: Not a directory; choose another cache folder"):
        Archive(server.url, tmp_path / "file", read_bars, clock).bars("BTCUSDT", JAN, FEB)


def test_the_command_fills_the_file_from_the_archives_address(server: Server, tmp_path: Path) -> None:
    """`trader collect --archive URL` downloads the months of the span, and needs no venue for what they cover."""
    done = command(
        *(
            "trader",
            "collect",
            "--archive",
            server.url,
            "--from",
            "2024-12-10",
            "--to",
            "2025-01-20",
            "--json",
        ),
        cwd=tmp_path,
        TRADER_VENUE_URL="http://127.0.0.1:9",
    )
    said = json.loads(done.stdout)
    assert (said["bars"], said["from_archive"]) == (24 * 41, 24 * 41)
    assert {name.rpartition("/")[2] for name in server.asked if name.endswith(".zip")} >= {
        "BTCUSDT-1h-2024-12.zip",
        "BTCUSDT-1h-2025-01.zip",
    }
    assert (tmp_path / "data" / "archive" / "BTCUSDT" / "BTCUSDT-1h-2025-01.zip").exists()
