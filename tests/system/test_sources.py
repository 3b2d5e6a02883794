"""Bars out of a real PostgreSQL server and Ceph's radosgw: the contract of sources, a live bot, and what a server refuses."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.contracts.source_contract import BTC, ETH, SourceContract, SourceScene
from tests.sources.test_source_contract import mixed_folder
from tests.support.bar_sources import postgresql_of, rows_of, zoned
from tests.support.bars_made import bars_made
from tests.support.rig import command
from tests.support.s3_kit import Bucketry
from tests.support.sourced_bot import HOURS, bars_file, lines_by_rest, lines_by_source
from tests.system.postgresql_served import PASSWORD, postgresql
from tests.system.radosgw import radosgw
from trader.adapters.bar_folder import read_place
from trader.adapters.source_s3 import S3Access
from trader.adapters.sources import span_source
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.types import HOUR_MS, Bars, iso

BARS = bars_made(50)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for the file."""
    with postgresql() as served:
        yield served


class TestPostgresql(SourceContract):
    """Timestamps with a time zone, and exact numerics."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, url: str) -> SourceScene:
        return SourceScene(postgresql_of(url, (BTC, ETH), "bars"))


class TestPostgresqlMilliseconds(SourceContract):
    """Whole milliseconds and doubles, by a query."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, url: str) -> SourceScene:
        postgresql_of(url, (BTC, ETH), "bars_ms", "bigint", "double precision")
        return SourceScene(f"{url}?query=SELECT * FROM public.bars_ms WHERE close > 0&time_unit=ms")  # noqa: S608  # ours


class TestRadosgw(SourceContract):
    """A bucket with files of both kinds."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceScene]:
        with radosgw(tmp_path_factory.mktemp("ceph")) as server:
            bucket = server.bucket()
            for path in mixed_folder(tmp_path_factory.mktemp("up")).iterdir():
                server.client().upload_file(str(path), bucket, f"market/1h/{path.name}")
            with pytest.MonkeyPatch.context() as patch:
                for name, value in Bucketry(server.url, server.key, server.secret).environment.items():
                    patch.setenv(name, value)
                yield SourceScene(f"s3://{bucket}/market/1h", S3Access("us-east-1", server.url, 5.0))


def test_a_bot_trades_the_same_hours_out_of_postgresql(url: str, tmp_path: Path) -> None:
    """A late bar included: byte for byte the hours of a bot that asks the exchange."""
    file = bars_file(tmp_path / "market")
    expected = lines_by_rest(tmp_path / "rest", file)
    address = postgresql_of(url, [], "live")

    def fill(bars: Bars) -> None:
        with psycopg.connect(url) as made, made.cursor() as cursor:
            cursor.executemany("INSERT INTO live VALUES (%s, %s, %s, %s, %s, %s, %s)", rows_of(bars, zoned))

    found = lines_by_source(tmp_path / "source", file, address, fill)
    assert len(found) == HOURS
    assert found == expected


def refused(address: str, kind: type[Exception], told: str) -> None:
    """Reading raises this, and no password is said."""
    with pytest.raises(kind, match=told) as raised:
        read_place(address, "BTCUSDT")
    said = "".join(traceback.format_exception(raised.value))
    assert PASSWORD not in said
    assert "wrong-word" not in said


def test_what_the_server_refuses_is_named_without_the_password(url: str) -> None:
    """A wrong password, a database and a table that are not there are a person's; a server that is gone heals by itself."""
    address = postgresql_of(url, [BARS], "refused")
    refused(address.replace(PASSWORD, "wrong-word"), ConfigError, "password authentication failed")
    refused(address.replace("/postgres?", "/nowhere?"), ConfigError, 'database "nowhere" does not exist')
    refused(
        address.replace("table=refused", "table=nothing"), ConfigError, 'relation "nothing" does not exist'
    )
    at = url.rpartition(":")[0]
    refused(f"{at}:1/postgres?table=bars", Retry, "does not answer: .*try again later")


def test_a_silent_server_is_given_up_after_ten_seconds(url: str) -> None:
    """One that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        refused(
            f"postgresql://me:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/market?table=bars",
            Retry,
            "does not answer",
        )
        assert 8 < time.monotonic() - began < 20


def test_a_query_that_writes_changes_nothing(url: str) -> None:
    """Not by a function, nor by a WITH."""
    postgresql_of(url, [BARS], "written")
    deletes = "WITH gone AS (DELETE FROM written RETURNING *) SELECT * FROM gone"
    refused(f"{url}?query={deletes}", ConfigError, "data-modifying|read-only")
    with psycopg.connect(url) as made:
        body = "INSERT INTO written SELECT * FROM written LIMIT 1 RETURNING symbol"
        made.execute(f"CREATE FUNCTION sly() RETURNS text LANGUAGE sql AS '{body}'")
    refused(f"{url}?query=SELECT sly()", ConfigError, "cannot execute INSERT in a read-only transaction")
    loud = "SELECT set_config('transaction_read_only', 'off', true), sly()"
    refused(f"{url}?query={loud}", ConfigError, "read-only|read-write")
    with psycopg.connect(url) as made:
        found = made.execute("SELECT count(*) FROM written").fetchone()
    assert found == (50,)


def test_times_without_a_zone_are_refused_until_somebody_says_utc(url: str) -> None:
    """Also texts, whose order is that of their letters whatever the server's language."""
    naive = postgresql_of(url, [BARS], "naive", "timestamp")
    refused(naive, DataError, "open_time is without a time zone.*&time_zone=UTC")
    assert read_place(f"{naive}&time_zone=UTC", "BTCUSDT").close.tolist() == BARS.close.tolist()
    with psycopg.connect(url) as made:
        text = 'to_char(open_time, \'YYYY-MM-DD"T"HH24:MI:SS"Z"\') AS open_time'
        select = f"SELECT symbol, {text}, open, high, low, close, volume FROM naive"  # noqa: S608  # ours
        made.execute(f"CREATE TABLE texts AS {select}")
    found = span_source(f"{url}?table=texts").read("BTCUSDT", BARS.first + HOUR_MS, BARS.last)
    assert found.close.tolist() == BARS.close.tolist()[1:-1]


def test_no_password_is_shown_or_stored(url: str, tmp_path: Path) -> None:
    """By `trader config`, a run of `backtest` and its evidence, and a collect."""
    address = postgresql_of(url, [BTC], "shown")
    settings = {"TRADER_DATA_URL": address, "TRADER_VENUE": "testnet", "TRADER_TRACKERS": "none"}
    collected = command("trader", "collect", "--from", iso(BTC.first), cwd=tmp_path, check=True, **settings)
    shown = command("trader", "config", cwd=tmp_path, check=False, **settings)
    words = ("--bars", address, "--symbol", "BTCUSDT", "--from", "2021-02-01", "--to", "2021-02-02")
    (tmp_path / "P.json").write_text('{"model": {"family": "naive"}, "look_back_days": 10}')
    ran = command(
        "backtest",
        "run",
        *words,
        "--params",
        "P.json",
        "--hours-out",
        "hours.jsonl",
        cwd=tmp_path,
        check=False,
    )
    for it in (collected, shown, ran):
        assert PASSWORD not in it.stdout + it.stderr
    assert "127.0.0.1" in shown.stdout
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or PASSWORD.encode() not in file.read_bytes()
    by_host = address.replace(f":{PASSWORD}@", "@")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        assert len(read_place(by_host, "BTCUSDT")) == len(BTC)
