"""A bot that has traded two days, and S3 servers to keep it in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.store.old_program import old_bars, old_store, unpacked
from tests.support.life import START, address, begin, exchange, live, settings_of
from tests.support.rig_bars import made_bars
from tests.support.s3_kit import Bucketry, moto
from trader.core.types import HOUR_MS


@pytest.fixture(scope="session")
def gappy_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars with outages."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2020-12-01", "2021-03-20")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucketry]:
    """moto's server."""
    with moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(scope="session")
def traded(gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a bot that has traded two days with orders, an outage, a halt, a resume and a second model."""
    store = tmp_path_factory.mktemp("traded") / "store"
    with exchange(gappy_bars, START - HOUR_MS) as served:
        live(settings_of(served.url, store=store))
    return store


@pytest.fixture(scope="session")
def begun(gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The store of a bot that has begun and not traded its first hour, which buys; and that hour."""
    folder = tmp_path_factory.mktemp("begun")
    hour = begin(gappy_bars, folder)
    return folder / f"{hour}", hour


@pytest.fixture
def life(traded: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(traded, tmp_path / "life")
    return tmp_path / "life"


@pytest.fixture(scope="module")
def lived(server: Bucketry, gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A bucket in which a bot has lived the same two days, its host's files gone; and what the exchange remembers."""
    bucket, folder = server.bucket(), tmp_path_factory.mktemp("lived")
    with exchange(gappy_bars, START - HOUR_MS, folder / "venue.json") as served:
        live(settings_of(served.url, **address(server, bucket), bars=folder / "host"))
    shutil.rmtree(folder / "host", ignore_errors=True)
    return bucket, folder / "venue.json"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of version 0.1.0."""
    return unpacked(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="session")
def old_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bars that the store of version 0.1.0 was made on."""
    return old_bars(tmp_path_factory.mktemp("old-bars"))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with the store of version 0.1.0 (`state`), what its exchange remembers, and its parameters."""
    return old_store(tmp_path / "old").parent
