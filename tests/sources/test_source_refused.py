"""What a source may do wrong: each is refused with what, where and the way out, and no password is ever said."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.bar_sources import csv_text, duckdb_of, sqlite_of
from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock
from trader.adapters.bar_folder import read_place
from trader.adapters.files import write_bars
from trader.adapters.source_market import SourceMarket
from trader.adapters.sources import span_source, table_of
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.types import HOUR_MS, iso

BARS = bars_made(50)
CANARY = "canary-of-the-bars"


def made(
    path: Path, *rows: tuple[Any, ...], columns: str = "symbol, open_time, open, high, low, close, volume"
) -> str:
    """A database with these rows behind those of BARS, and its URL."""
    url = sqlite_of(path / "bars.db", [BARS], columns=columns)
    with sqlite3.connect(path / "bars.db") as written:
        written.executemany("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    written.close()
    return url


def row(hours: int = 0, **changes: Any) -> tuple[Any, ...]:
    """A row whose hour is this many after the newest bar."""
    values = {
        "symbol": "BTCUSDT",
        "open_time": BARS.last + hours * HOUR_MS,
        "open": 2.0,
        "high": 3.0,
        "low": 1.0,
        "close": 2.0,
        "volume": 1.0,
    }
    return tuple({**values, **changes}.values())


ODD_ROWS = {
    "twice": (row(-1), r"appears twice; remove one of the two rows"),
    "off the hour": (
        row(open_time=BARS.last + 60_000),
        r"does not open on the full hour; resample to 1 h bars in UTC",
    ),
    "no price": (
        row(close=None),
        r"row 51 .*: close is missing or not a finite number; correct the row or remove it",
    ),
    "a negative price": (row(low=-1.0), r"low is not a positive price"),
    "a word": (row(close="n/a"), r"row 51: close is 'n/a', not a number; correct it"),
    "a contradiction": (row(high=1.5), r"open lies outside low..high|high is below|outside low"),
    "no time": (row(open_time=None), r"open_time is empty; correct the row or remove it"),
}


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_a_row_that_is_no_bar_is_named(odd: str, tmp_path: Path) -> None:
    """As of a file: by the same code."""
    values, told = ODD_ROWS[odd]
    with pytest.raises(DataError, match=told):
        read_place(made(tmp_path, values), "BTCUSDT")


def test_rows_in_any_order_are_one_series(tmp_path: Path) -> None:
    """A table has no order of its own."""
    whole, url = bars_made(60), sqlite_of(tmp_path / "bars.db", [])
    for part in (whole.rows(30, 60), whole.rows(0, 30)):
        sqlite_of(tmp_path / "bars.db", [part])
    assert read_place(url, "BTCUSDT").close.tolist() == whole.close.tolist()


def test_columns_that_are_missing_are_named_with_those_there_are(tmp_path: Path) -> None:
    """Also one that a person named, and a table that does not say whose bars it holds."""
    url = made(tmp_path, columns="symbol, open_time, open, high, low, close, vol")
    with pytest.raises(
        DataError,
        match=r"has no column volume; it has: symbol, open_time, .*, vol; name them in the URL, such as &time=",
    ):
        read_place(url, "BTCUSDT")
    assert len(read_place(f"{url}&volume=vol", "BTCUSDT")) == len(BARS)
    with pytest.raises(DataError, match=r"has no column ts; it has: symbol, open_time"):
        read_place(f"{url}&volume=vol&time=ts", "BTCUSDT")
    own = sqlite_of(tmp_path / "own.db", [BARS], columns="note, open_time, open, high, low, close, volume")
    with pytest.raises(
        DataError, match=r"no column says whose bars these are; .*&symbol=COLUMN, .*&holds=BTCUSDT"
    ):
        read_place(own, "BTCUSDT")
    assert len(read_place(f"{own}&holds=BTCUSDT")) == len(BARS)
    with pytest.raises(DataError, match=r"holds bars of BTCUSDT, not of ETHUSDT"):
        span_source(f"{own}&holds=BTCUSDT").read("ETHUSDT", BARS.first, BARS.last)


def test_a_table_of_another_symbol_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    """Neither is taken for a market that was closed."""
    with pytest.raises(ConfigError, match=r"no bars of ETHUSDT \(there are BTCUSDT\)"):
        read_place(made(tmp_path), "ETHUSDT")
    with pytest.raises(DataError, match=r"bars.db\?table=bars: has no row of ETHUSDT; it has: BTCUSDT"):
        span_source(f"sqlite:///{tmp_path}/bars.db?table=bars").read("ETHUSDT", BARS.first, BARS.last)
    empty = sqlite_of(tmp_path / "empty.db", [])
    with pytest.raises(DataError, match=r"is empty; write bars into it first"):
        span_source(empty).read("BTCUSDT", BARS.first, BARS.last)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_times_without_a_zone_are_refused_until_somebody_says_utc(kind: str, tmp_path: Path) -> None:
    """The way out is in the message; other zones are not taken."""
    if kind == "sqlite":
        url = sqlite_of(tmp_path / "bars.db", [BARS], lambda it: iso(it).replace("T", " ").removesuffix("Z"))
    else:
        url = duckdb_of(tmp_path / "bars.duckdb", [BARS], "TIMESTAMP")
    with pytest.raises(
        DataError,
        match=r"open_time is .*without a time zone.*If they are UTC say so in the URL, &time_zone=UTC",
    ):
        read_place(url, "BTCUSDT")
    assert read_place(f"{url}&time_zone=UTC", "BTCUSDT").close.tolist() == BARS.close.tolist()
    assert (
        span_source(f"{url}&time_zone=UTC").read("BTCUSDT", BARS.first + HOUR_MS, BARS.last).last
        == BARS.last - HOUR_MS
    )
    with pytest.raises(ConfigError, match=r"time_zone=Europe/Berlin is not known; bars are hours of UTC"):
        read_place(f"{url}&time_zone=Europe/Berlin", "BTCUSDT")


@pytest.mark.parametrize(("unit", "factor"), [("s", 0.001), ("ms", 1), ("us", 1000), ("", 1000), ("", 0.001)])
def test_numbers_are_in_the_unit_that_is_said_or_seen(unit: str, factor: float, tmp_path: Path) -> None:
    """Seconds, milli- and microseconds; a span has the same rows."""
    url = sqlite_of(tmp_path / "bars.db", [BARS], lambda it: round(it * factor)) + (
        f"&time_unit={unit}" if unit else ""
    )
    assert read_place(url, "BTCUSDT").close_time.tolist() == BARS.close_time.tolist()
    found = span_source(url).read("BTCUSDT", BARS.first + 5 * HOUR_MS, BARS.first + 9 * HOUR_MS)
    assert found.close_time.tolist() == BARS.close_time[5:9].tolist()


def test_exact_decimals_are_rounded_once(tmp_path: Path) -> None:
    """Texts and decimals become the nearest float64, as of a file."""
    url = made(tmp_path, row(close="2.34567890123456789"), row(1, close="0.1e1"))
    assert read_place(url, "BTCUSDT").close.tolist()[-2:] == [2.34567890123456789, 1.0]


def test_only_a_select_is_taken_and_nothing_is_written(tmp_path: Path) -> None:
    """By its words, and by a database that is opened to be read."""
    made(tmp_path)
    at = f"sqlite:///{tmp_path}/bars.db"
    for query in ("DELETE FROM bars", "SELECT 1; DROP TABLE bars", "PRAGMA writable_schema=1", "selected"):
        with pytest.raises(ConfigError, match=r"query= must be one SELECT; bars are only read"):
            read_place(f"{at}?query={query}", "BTCUSDT")
    database = table_of(f"{at}?table=bars").database
    with (
        pytest.raises(ConfigError, match=r"attempt to write a readonly database"),
        database.opened() as connection,
    ):
        connection.table("DELETE FROM bars RETURNING close")
    duck = duckdb_of(tmp_path / "bars.duckdb", [BARS])
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = f"SELECT * FROM read_csv('{tmp_path}/secret.csv')"  # noqa: S608  # what must not be read
    for query in (secret, "SELECT * FROM 's3://bucket/x.parquet'"):
        with pytest.raises(ConfigError, match=r"cannot be read: .*(disabled|not exist|Permission)"):
            read_place(f"{duck.partition('?')[0]}?query={query}", "BTCUSDT")
    assert len(read_place(f"{at}?table=bars", "BTCUSDT")) == len(BARS)


ADDRESSES = {
    f"postgresql://me:{CANARY}@host/market": r"say table=NAME or query=SELECT",
    f"postgresql://me:{CANARY}@host": r"names no database",
    f"postgresql://me:{CANARY}/x@host/market?table=b": r"cannot be read, and is not repeated here",
    f"postgresql://me:{CANARY}?x@host/market?table=b": r"cannot be read, and is not repeated|is no option|names no database",
    f"postgresql://host/market?table=b&password={CANARY}": r"or in PGUSER and PGPASSWORD, not among the options",
    f"postgresql://me:{CANARY}@host/market?table=b&tabel=c": r"'tabel' is no option; options are: table, query",
    f"postgresql://me:{CANARY}@host/market?table=b&table=c": r"'table' is given twice",
    f"postgresql://me:{CANARY}@host/market?table=b&time_unit=h": r"time_unit=h is not known; it is s, ms or us",
    f"sqlite://me:{CANARY}@host/bars.db?table=b": r"a file has no host; write sqlite:///bars.db",
    "sqlite:///:memory:?table=b": r"names no database",
    "sqlite:///nowhere.db?table=b": r"there is no file nowhere.db; check the path \(four slashes",
    "duckdb:///nowhere.duckdb?table=b": r"there is no file nowhere.duckdb",
    "sqlite:///x.db?table=b&holds=btc-usdt": r"holds=btc-usdt is no symbol; write it as BTCUSDT",
    f"mysql://me:{CANARY}@host/market?table=b": r"begins with mysql:// is not known; give a file, a folder, s3://",
    "s3://": r"names no bucket; write s3://bucket/prefix",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_names_no_bars_is_refused(address: str) -> None:
    """And what could hold a password is not repeated, not even in a traceback's message."""
    with pytest.raises(ConfigError, match=ADDRESSES[address]) as refused:
        read_place(address, "BTCUSDT")
    assert CANARY not in "".join(traceback.format_exception_only(refused.value))


def test_what_a_database_says_is_passed_on(tmp_path: Path) -> None:
    """A table that is not there, and a file that is no database."""
    made(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be read: no such table: candles"):
        read_place(f"sqlite:///{tmp_path}/bars.db?table=candles", "BTCUSDT")
    (tmp_path / "text.db").write_text("no database, but a text of some length\n" * 100)
    for kind in ("sqlite", "duckdb"):
        with pytest.raises(
            ConfigError, match=r"text.db\?table=bars cannot be read: .*not a.* [dD]ata[bB]ase"
        ):
            read_place(f"{kind}:///{tmp_path}/text.db?table=bars", "BTCUSDT")


def test_a_database_that_is_written_to_is_asked_again(tmp_path: Path) -> None:
    """Another process's lock passes: Retry, not a person's fault."""
    url = duckdb_of(tmp_path / "bars.duckdb", [BARS])
    opened = f"import duckdb, sys; c = duckdb.connect({str(tmp_path / 'bars.duckdb')!r})"
    child = f"{opened}; print('held', flush=True); sys.stdin.read()"
    held = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None
        held.stdout.readline()
        with pytest.raises(Retry, match=r"is being written by another process: .*; try again later"):
            read_place(url, "BTCUSDT")
    finally:
        held.communicate()
    assert len(read_place(url, "BTCUSDT")) == len(BARS)


def test_two_files_of_a_folder_that_disagree_are_refused(tmp_path: Path) -> None:
    """With the row and both values, and the names of both files."""
    write_bars(tmp_path / "BTCUSDT-1h.parquet", BARS)
    volume = float(BARS.volume[45])
    (tmp_path / "BTCUSDT-1h-later.csv").write_text(
        csv_text(BARS.rows(40, 50)).replace(f",{volume!r}", ",7.25")
    )
    hour = iso(int(BARS.close_time[45]))
    told = rf"1h-later.csv and .*1h.parquet disagree on 1 bar: {hour}: volume is 7.25 in the one and {volume} in the other"
    with pytest.raises(DataError, match=told):
        read_place(tmp_path, "BTCUSDT")


def test_parquet_with_nested_columns_or_words_is_refused(tmp_path: Path) -> None:
    """Numbers in texts are numbers; structures and words are not."""
    times = pa.array([int(it) - HOUR_MS for it in BARS.close_time], pa.timestamp("ms", "UTC"))
    plain = {name: pa.array(getattr(BARS, name)) for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "BTCUSDT-1h.parquet"
    pq.write_table(
        pa.table(
            {"open_time": times, **plain, "close": pa.array(map(repr, BARS.close.tolist()), pa.string())}
        ),
        path,
    )
    assert read_place(path).close.tolist() == BARS.close.tolist()
    for odd in (pa.array([{"usd": 1.0}] * 50), pa.array([[1.0]] * 50), pa.array(["dear"] * 50)):
        pq.write_table(pa.table({"open_time": times, **plain, "close": odd}), path)
        with pytest.raises(DataError, match=r"row 1: close is .*, not a number; correct it"):
            read_place(path)


def test_a_huge_table_is_read_by_the_span_alone(tmp_path: Path) -> None:
    """Of 40,000 rows an hour's question reads the hours around it: the rows that leave the database are counted."""
    url = sqlite_of(tmp_path / "bars.db", [BARS])
    with sqlite3.connect(tmp_path / "bars.db") as written:
        others = ((f"S{n}USDT", int(BARS.last) + hour * HOUR_MS) for n in range(20) for hour in range(2_000))
        written.executemany("INSERT INTO bars VALUES (?, ?, 2, 3, 1, 2, 1)", others)
    written.close()
    source, read = table_of(url), []

    class Counted:
        """The database, each of whose answers is counted."""

        @contextmanager
        def opened(self) -> Iterator[Any]:
            """A connection that counts rows."""
            with source.database.opened() as connection:

                class Counting:
                    """The connection."""

                    text_order = connection.text_order

                    def table(self, sql: str) -> Any:
                        """What it says."""
                        found = connection.table(sql)
                        read.append(found.num_rows)
                        return found

                yield Counting()

    market = SourceMarket(type(source)(source.address, Counted()), FakeClock(int(BARS.last)))
    assert market.bars("BTCUSDT", int(BARS.last) - 3 * HOUR_MS, int(BARS.last) + HOUR_MS).last == BARS.last
    assert sum(read) <= 8


@pytest.mark.parametrize(
    ("library", "url", "extra"),
    [
        ("sqlalchemy", "sqlite:///bars.db?table=bars", "sql"),
        ("duckdb", "duckdb:///bars.duckdb?table=bars", "sql"),
        ("psycopg", f"postgresql://me:{CANARY}@host/market?table=bars", "postgresql"),
    ],
)
def test_an_extra_that_is_missing_is_named(
    library: str, url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ConfigError, match=rf"is not installed: in the checkout, python -m pip install '.\[{extra}\]'"
    ):
        read_place(url, "BTCUSDT")
