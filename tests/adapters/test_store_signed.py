"""The signed store passes the contract of stores, and gives no object that somebody else wrote, changed or moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.store_contract import StoreContract
from tests.support.fakes import MemoryStore
from trader.adapters.store_local import LocalStore
from trader.adapters.store_signed import SignedStore
from trader.app.store_care import sync
from trader.app.store_sign import sign
from trader.config import load_settings
from trader.core.errors import ConfigError, DataError
from trader.core.ports import Store
from trader.core.tags import LENGTH, Signer

SIGNER = Signer(b"a key of the tests, long enough for one")
KEY = "journal/BTCUSDT/2021/03/06T00/decision"
OTHER = "journal/BTCUSDT/2021/03/06T01/decision"


class TestContract(StoreContract):
    """Around a folder, with every object tagged."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """Empty."""
        return SignedStore(LocalStore(tmp_path, durable=False), SIGNER, lambda key: True)


def signed(inner: MemoryStore, signer: Signer = SIGNER) -> SignedStore:
    """A signed store that holds one decision."""
    store = SignedStore(inner, signer)
    store.create(KEY, b"as it was")
    return store


def flip(inner: MemoryStore) -> None:
    """One bit of the content."""
    inner.objects[KEY] = b"As it was" + inner.objects[KEY][9:]


def move(inner: MemoryStore) -> None:
    """Another hour's decision, with its tag."""
    SignedStore(inner, SIGNER).create(OTHER, b"another")
    inner.objects[KEY] = inner.objects[OTHER]


def strip(inner: MemoryStore) -> None:
    """The content alone."""
    inner.objects[KEY] = inner.objects[KEY][:-LENGTH]


def foreign(inner: MemoryStore) -> None:
    """Whoever knows no key, or another one."""
    inner.objects[KEY] = b"foreign" + Signer(b"x" * 32).tag(KEY, b"foreign")


def borrowed(inner: MemoryStore) -> None:
    """A tag of its own that belongs to other content."""
    strip(inner)
    inner.objects[f"tags/{KEY}"] = SIGNER.tag(OTHER, b"as it was")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "is not what its tag says: its bytes were changed, or it was moved here"),
        (move, "is not what its tag says: its bytes were changed, or it was moved here"),
        (strip, "carries no tag: .*trader store sign"),
        (foreign, "was tagged with another key .*Set the right one"),
        (borrowed, "is not what its tag says"),
    ],
)
def test_an_object_without_its_tag_is_refused(damage: Callable[[MemoryStore], None], said: str) -> None:
    """A changed byte, a moved object, a missing tag, another key: reading and creating name the object and the way out."""
    inner = MemoryStore()
    store = signed(inner)
    assert store.get(KEY) == b"as it was"
    damage(inner)
    with pytest.raises(DataError, match=f"^{KEY} {said}"):
        store.get(KEY)
    with pytest.raises(DataError, match=f"^{KEY} {said}"):
        store.create(KEY, b"mine")


def test_a_tag_costs_no_request_and_a_page_has_none() -> None:
    """An object is one object; what people read is the bytes that were written; a cache of somebody else is none."""
    inner = MemoryStore()
    store = signed(inner)
    store.put("results/BTCUSDT/2021/results.csv", b"time\n")
    store.put("caches/BTCUSDT/recent.json", b"{}")
    assert inner.objects["results/BTCUSDT/2021/results.csv"] == b"time\n"
    assert store.get("caches/BTCUSDT/recent.json") == b"{}"
    assert len(inner.objects) == 3
    inner.objects["caches/BTCUSDT/recent.json"] = b'{"forged": 1}'
    assert store.get("caches/BTCUSDT/recent.json") is None


def test_a_store_of_before_is_signed_once() -> None:
    """Each object gets a tag beside it, killed or repeated; nothing is overwritten, and what is damaged later is found."""
    inner = MemoryStore()
    before = {KEY: b"one", OTHER: b"two", "models/m/model": b"\0\xff", "state/store": b"{}", "pages/x": b"p"}
    inner.objects = dict(before)
    assert sign(inner, SIGNER, make=False).wrong != []
    assert (sign(inner, SIGNER).made, sign(inner, SIGNER).made) == (4, 0)
    assert {key: inner.objects[key] for key in before} == before
    store = SignedStore(inner, SIGNER)
    assert {key: store.get(key) for key in before} == before
    assert store.create(KEY, b"one") is True
    assert store.create(KEY, b"other") is False
    store.create("journal/BTCUSDT/2021/03/06T02/decision", b"three")
    inner.objects[OTHER] = b"2"
    done = sign(inner, SIGNER)
    assert (done.made, done.there) == (0, 4)
    assert [line.split()[0] for line in done.wrong] == [OTHER]


def test_a_copy_carries_its_tags() -> None:
    """`store sync` copies bytes as they lie there, tags of both kinds among them."""
    source, target = MemoryStore(), MemoryStore()
    source.objects = {OTHER: b"two", "state/store": b"{}"}
    sign(source, SIGNER)
    signed(source)
    sync(source, target)
    store = SignedStore(target, SIGNER)
    assert (store.get(KEY), store.get(OTHER)) == (b"as it was", b"two")
    assert target.objects.items() >= source.objects.items()


def test_the_key_is_long_stands_in_the_environment_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short one and one in a file are refused, and neither is repeated; settings print it masked."""
    monkeypatch.chdir(tmp_path)
    canary = "canary-0123456789-canary-0123456789"
    monkeypatch.setenv("TRADER_STORE_HMAC_KEY", canary[:31])
    with pytest.raises(ConfigError, match=r"store_hmac_key: .*32 characters or more") as short:
        load_settings()
    monkeypatch.setenv("TRADER_STORE_HMAC_KEY", canary)
    settings = load_settings()
    assert settings.signer is not None
    seen = f"{settings} {settings!r} {settings.signer} {settings.signer.name} {settings.model_dump_json()} {short.value}"
    assert "canary" not in seen
    monkeypatch.delenv("TRADER_STORE_HMAC_KEY")
    assert load_settings().signer is None
    (tmp_path / "trader.toml").write_text(f'store_hmac_key = "{canary}"')
    with pytest.raises(ConfigError, match="store_hmac_key belongs in the environment") as filed:
        load_settings()
    assert "canary" not in str(filed.value)
