"""The contract of sources over files, folders, SQLite, DuckDB and a bucket: equal bars, to the bit, from everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.source_contract import BTC, ETH, SourceContract, SourceScene
from tests.support.bar_sources import csv_text, duckdb_of, sqlite_of, zoned
from tests.support.s3_kit import Bucketry, moto
from trader.adapters.bar_folder import BarSources
from trader.adapters.files import write_bars
from trader.adapters.source_s3 import S3Access
from trader.adapters.sources import span_source
from trader.core.errors import ConfigError, Retry

BOTH = (BTC, ETH)


def parquet_folder(folder: Path) -> Path:
    """As `trader collect` keeps them."""
    folder.mkdir(exist_ok=True)
    for bars in BOTH:
        write_bars(folder / f"{bars.symbol}-1h.parquet", bars)
    return folder


def mixed_folder(folder: Path) -> Path:
    """BTC in a Parquet file and two CSV files, one of which repeats some hours; ETH in a CSV; and other things."""
    folder.mkdir(exist_ok=True)
    write_bars(folder / "BTCUSDT-1h.parquet", BTC.rows(0, 700))
    (folder / "BTCUSDT-1h-later.csv").write_text(csv_text(BTC.rows(1_220, 1_500)))
    (folder / "BTCUSDT-1h-newest.csv").write_text(csv_text(BTC.rows(1_450, 2_000)))
    (folder / "ETHUSDT.csv").write_text(csv_text(ETH))
    (folder / "notes.csv").write_text("no bars")
    (folder / "BTCUSDT-4h.csv").write_text("other bars")
    return folder


class TestParquetFolder(SourceContract):
    """What `trader collect` writes."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        return SourceScene(parquet_folder(tmp_path_factory.mktemp("parquet")))


class TestMixedFolder(SourceContract):
    """Several files of one symbol, of both kinds, are one series."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        return SourceScene(f"file://{mixed_folder(tmp_path_factory.mktemp('mixed'))}")


class TestSqlite(SourceContract):
    """Whole milliseconds in a table of several symbols."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        return SourceScene(sqlite_of(tmp_path_factory.mktemp("sqlite") / "bars.db", BOTH))


class TestSqliteTexts(SourceContract):
    """ISO texts with an offset, as pandas and SQLAlchemy write them."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        return SourceScene(sqlite_of(tmp_path_factory.mktemp("sqlite") / "bars.db", BOTH, zoned))


class TestSqliteQuery(SourceContract):
    """A SELECT with a map of columns, over a table of seconds with names of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        path = tmp_path_factory.mktemp("sqlite") / "bars.db"
        sqlite_of(path, BOTH, lambda time: time // 1000, "ohlcv", columns="s, ts, o, h, l, c, v")
        named = "&symbol=s&time=ts&time_unit=s&open=o&high=h&low=l&close=c&volume=v"
        return SourceScene(f"sqlite:///{path}?query=SELECT * FROM ohlcv WHERE c > 0{named}")  # noqa: S608  # a test's own


class TestDuckdb(SourceContract):
    """Timestamps with a time zone, and exact decimals."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        path = tmp_path_factory.mktemp("duckdb") / "bars.duckdb"
        return SourceScene(duckdb_of(path, BOTH, price="DECIMAL(20, 8)"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucketry]:
    """moto's server."""
    with moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


class TestBucket(SourceContract):
    """The mixed folder's files, beneath a prefix."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, server: Bucketry, tmp_path_factory: pytest.TempPathFactory) -> SourceScene:
        bucket = server.bucket()
        for path in mixed_folder(tmp_path_factory.mktemp("up")).iterdir():
            server.client().upload_file(str(path), bucket, f"market/1h/{path.name}")
        return SourceScene(f"s3://{bucket}/market/1h", S3Access("us-east-1", server.url, 5.0))


def test_objects_that_are_not_there_are_named(server: Bucketry) -> None:
    """One that vanishes between the list and its bytes passes; what was never there is a person's fault."""
    bucket = server.bucket()
    server.client().put_object(Bucket=bucket, Key="a/BTCUSDT-1h.csv", Body=csv_text(ETH).encode())
    access = S3Access("us-east-1", server.url, 5.0)

    def sources(place: str) -> BarSources:
        return BarSources.of([place], "BTCUSDT", access=lambda: access)

    one, listed = sources(f"s3://{bucket}/a/BTCUSDT-1h.csv"), sources(f"s3://{bucket}/a")
    assert len(one.read("BTCUSDT")) == len(ETH)
    server.client().delete_object(Bucket=bucket, Key="a/BTCUSDT-1h.csv")
    with pytest.raises(Retry, match=r"a/BTCUSDT-1h.csv vanished while it was read; try again"):
        listed.read("BTCUSDT")
    with pytest.raises(ConfigError, match=r"BTCUSDT-1h.csv: there is no such object; check the address"):
        sources(f"s3://{bucket}/a/BTCUSDT-1h.csv")
    with pytest.raises(
        ConfigError, match=r"/a/: holds no file of bars; they are named like BTCUSDT-1h.parquet"
    ):
        sources(f"s3://{bucket}/a")
    with pytest.raises(ConfigError, match=r"bars: s3://no-such-bucket/.*: list: there is no such bucket"):
        sources("s3://no-such-bucket/a")


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """A folder as the bot's source: of an unchanged file nothing is parsed, and a newer bar is there at the next question."""
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text(csv_text(BTC.rows(0, 30)))
    source = span_source(f"file://{tmp_path}")
    span = BTC.first, BTC.last
    first = source.read("BTCUSDT", *span)
    assert np.shares_memory(first.close, source.read("BTCUSDT", *span).close)
    path.write_text(csv_text(BTC.rows(0, 35)))
    assert source.read("BTCUSDT", *span).last == BTC.close_time[34]
