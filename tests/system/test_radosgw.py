"""The bucket store and the whole bot on Ceph's radosgw: the same tests as on moto's server, and more rounds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.store.conftest import begun, gappy_bars, lived, traded
from tests.contracts.bucket_contract import BotContract, RaceContract
from tests.contracts.store_contract import StoreContract
from tests.support.s3_kit import Bucketry
from tests.system.radosgw import radosgw
from trader.adapters.store_s3 import S3Store
from trader.app.store_care import prove
from trader.core.errors import ConfigError
from trader.core.ports import Store

__all__ = ["begun", "gappy_bars", "lived", "traded"]  # fixtures


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucketry]:
    """radosgw."""
    with radosgw(tmp_path_factory.mktemp("ceph")) as running:
        yield running


class TestContract(StoreContract):
    """What every store must do."""

    @pytest.fixture
    def store(self, server: Bucketry) -> Store:
        return server.store(server.bucket(), "some/prefix")


class TestRace(RaceContract):
    """Creating at once."""


class TestBot(BotContract):
    """Parity, exactly once, restore, counted requests."""

    RACED_HOURS = 20


def test_it_proves_itself(server: Bucketry) -> None:
    """What a store must prove before a bot is begun in it."""
    prove(server.store(server.bucket(), "bot"))


def test_a_wrong_secret_is_for_a_person(server: Bucketry) -> None:
    """The server's own refusal of a signature."""
    stranger = Bucketry(server.url, secret="another")
    store = stranger.store(server.bucket())
    store._made = stranger.client()
    with pytest.raises(ConfigError, match=r"correct AWS_SECRET_ACCESS_KEY \(403 SignatureDoesNotMatch\)"):
        store.get("a")


def test_a_bucket_that_is_not_there(server: Bucketry) -> None:
    """The server's own answer."""
    for call in (S3Store.get, lambda store, key: store.create(key, b"x")):
        with pytest.raises(ConfigError, match="create it, or correct the store's address"):
            call(server.store("not-there"), "a")
