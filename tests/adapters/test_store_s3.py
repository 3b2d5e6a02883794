"""The bucket store passes the contract on a real server, and survives lost, late, cut and refused answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.store_contract import StoreContract
from tests.support.proxy import Fault, Proxy, proxy_to
from tests.support.s3_kit import Bucketry, moto
from trader.adapters.store_s3 import TRIES, S3Store
from trader.config import load_settings
from trader.core.errors import ConfigError, Retry
from trader.core.ports import Store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucketry]:
    """moto's server."""
    with moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: Bucketry) -> Iterator[Proxy]:
    """A proxy before it."""
    with proxy_to(server.url) as running:
        yield running


@pytest.fixture
def troubled(server: Bucketry, proxy: Proxy) -> Iterator[S3Store]:
    """A store behind the proxy, in a bucket of its own."""
    store = server.store(server.bucket(), "bot", proxy.url)
    proxy.faults.clear()
    proxy.counted()
    yield store
    proxy.faults.clear()


class TestContract(StoreContract):
    """What every store must do, on moto's server."""

    @pytest.fixture
    def store(self, server: Bucketry) -> Store:
        return server.store(server.bucket(), "some/prefix")


# What may happen to a creating PUT that the server carries out, or that it never hears of.
PASSING = [
    Fault("lose", "PUT"),
    Fault("stall", "PUT", seconds=1.5),
    Fault("cut", "PUT"),
    Fault("drop", "PUT"),
    Fault("refuse", "PUT", refuse=503, code="SlowDown"),
    Fault("refuse", "PUT", refuse=409, code="ConditionalRequestConflict"),
    Fault("refuse", "PUT", refuse=412, code="PreconditionFailed"),
    Fault("refuse", "PUT", refuse=500, code="InternalError"),
    Fault("refuse", "PUT", refuse=400, code="RequestTimeout"),
]


def again(fault: Fault, times: int = 1) -> Fault:
    """The same fault, unused."""
    return Fault(**{**fault.__dict__, "times": times})


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.code}")
def test_a_creator_in_doubt_reads_back(server: Bucketry, proxy: Proxy, fault: Fault) -> None:
    """Whatever happens to its PUT, the creator is told True once its bytes are there, and False where another's are."""
    store = server.store(server.bucket(), "bot", proxy.url, timeout_s=0.7)
    proxy.faults[:] = [again(fault)]
    assert store.create("decision", b"token 1") is True
    assert store.get("decision") == b"token 1"
    proxy.faults[:] = [again(fault)]
    assert store.create("decision", b"token 2") is False
    assert store.get("decision") == b"token 1"
    proxy.faults.clear()


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.code}")
def test_put_goes_through_trouble_that_passes(server: Bucketry, proxy: Proxy, fault: Fault) -> None:
    """A page is written in the end."""
    store = server.store(server.bucket(), "bot", proxy.url, timeout_s=0.7)
    proxy.faults[:] = [again(fault)]
    store.put("page", b"x")
    proxy.faults.clear()
    assert store.get("page") == b"x"


@pytest.mark.parametrize(
    "fault", [Fault("drop"), Fault("cut"), Fault("refuse", refuse=503)], ids=lambda fault: fault.kind
)
def test_reads_go_through_trouble_that_passes(troubled: S3Store, proxy: Proxy, fault: Fault) -> None:
    """Objects and listings are read in the end, and never in half."""
    troubled.put("a", b"0123456789" * 100)
    proxy.faults[:] = [again(fault)]
    assert troubled.get("a") == b"0123456789" * 100
    proxy.faults[:] = [again(fault)]
    assert troubled.list("") == ["a"]


def test_trouble_that_lasts_is_a_retry(troubled: S3Store, proxy: Proxy) -> None:
    """After a bounded number of tries every call is a Retry that says so; a create left nothing."""
    proxy.faults[:] = [Fault("refuse", times=1000)]
    for call in (
        lambda: troubled.get("a"),
        lambda: troubled.put("a", b"x"),
        lambda: troubled.create("a", b"x"),
        lambda: troubled.list(""),
    ):
        proxy.counted()
        with pytest.raises(Retry, match=r"no useful answer in 4 tries .*SlowDown.*; nothing was lost"):
            call()
        assert len(proxy.counted()) <= 1 + TRIES
    proxy.faults.clear()
    assert troubled.list("") == []


def test_every_try_lost_and_yet_created(troubled: S3Store, proxy: Proxy) -> None:
    """A writer whose answers are all lost gives up with Retry; it is the creator all the same when it asks again."""
    proxy.faults[:] = [Fault("lose", times=1 + TRIES)]
    with pytest.raises(Retry):
        troubled.create("decision", b"token 1")
    assert troubled.create("decision", b"token 1") is True
    assert troubled.create("decision", b"token 2") is False


def test_nobody_answers() -> None:
    """A server that is not there is a Retry, not a hang and not a traceback."""
    store = S3Store("nobody", endpoint_url="http://127.0.0.1:1", region="us-east-1", _sleep=lambda _: None)
    with pytest.raises(Retry, match="Could not connect"):
        store.get("a")


FOR_A_PERSON = [
    (403, "AccessDenied", {}, "allow s3:GetObject and s3:PutObject"),
    (403, "InvalidAccessKeyId", {}, "correct AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", {}, "correct AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", {}, "set it \\(NTP\\)"),
    (400, "ExpiredToken", {}, "get a new one"),
    (404, "NoSuchBucket", {}, "create it, or correct the store's address"),
    (
        301,
        "PermanentRedirect",
        {"x-amz-bucket-region": "eu-west-1"},
        "another region: set TRADER_S3_REGION=eu-west-1",
    ),
    (400, "AuthorizationHeaderMalformed", {}, "another region"),
    (501, "NotImplemented", {}, "use another server"),
    (418, "Teapot", {}, "the server refuses it: 418 Teapot as the test wants"),
]


@pytest.mark.parametrize(
    ("status", "code", "headers", "way_out"), FOR_A_PERSON, ids=lambda value: str(value)[:12]
)
def test_what_a_person_must_mend(
    troubled: S3Store, proxy: Proxy, status: int, code: str, headers: dict[str, str], way_out: str
) -> None:
    """A refusal that no waiting mends is said at once, with the way out, by every call, and never tried again."""
    for call in (
        lambda: troubled.get("a"),
        lambda: troubled.put("a", b"x"),
        lambda: troubled.create("a", b"x"),
        lambda: troubled.list(""),
    ):
        proxy.faults[:] = [Fault("refuse", times=100, refuse=status, code=code, headers=headers)]
        proxy.counted()
        with pytest.raises(ConfigError, match=way_out):
            call()
        assert len(proxy.counted()) == 1


def test_a_bucket_that_is_not_there(server: Bucketry) -> None:
    """The server's own answer, not a made one."""
    with pytest.raises(ConfigError, match=r"s3://not-there/a: get: there is no such bucket"):
        server.store("not-there").get("a")


def test_no_credentials(server: Bucketry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without credentials the message names the variables."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no credentials; set AWS_ACCESS_KEY_ID"):
        S3Store("bucket", endpoint_url=server.url, region="us-east-1").get("a")


def test_long_listings_are_joined_from_pages(server: Bucketry, monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than are listed at once, a limit in the middle, and a console's folder mark that is no key."""
    monkeypatch.setattr("trader.adapters.store_s3.PAGE", 10)
    bucket = server.bucket()
    client = server.client()
    for n in range(110):
        client.put_object(Bucket=bucket, Key=f"p/k/{n:04d}", Body=b"")
    client.put_object(Bucket=bucket, Key="p/k/", Body=b"")
    client.put_object(Bucket=bucket, Key="other/k/0000", Body=b"")
    store = server.store(bucket, "p")
    names = [f"k/{n:04d}" for n in range(110)]
    assert store.list("", limit=5000) == names
    assert store.list("k/", limit=105) == names[:105]
    assert store.list("k/", after="k/0107") == names[108:]
    assert store.list("k/01", after="k/0104", limit=2) == names[105:107]


def test_two_prefixes_share_a_bucket(server: Bucketry) -> None:
    """Stores beneath different prefixes do not see each other."""
    bucket = server.bucket()
    first, second = server.store(bucket, "a"), server.store(bucket, "a/b")
    first.put("x", b"1")
    second.put("x", b"2")
    assert (first.get("x"), second.get("x")) == (b"1", b"2")
    assert second.list("") == ["x"]


@pytest.mark.parametrize(
    "address", ["s3://", "s3:/bucket", "s3://Bucket", "s3://bucket//x", "s3://bucket/.x", "S3://b"]
)
def test_addresses_that_cannot_be_meant(address: str) -> None:
    """A bucket's address is read strictly: a typo must not become a folder named `s3:`."""
    with pytest.raises(ConfigError, match=r"store: .* write s3://bucket or s3://bucket/prefix"):
        load_settings(store=address)


def test_addresses() -> None:
    """Bucket and prefix are told apart; everything else is a folder."""
    assert load_settings(store="s3://my.bucket/a/b/").bucket == ("my.bucket", "a/b")
    assert load_settings(store="s3://bucket").bucket == ("bucket", "")
    assert load_settings(store=Path("state")).bucket is None
    with pytest.raises(ConfigError, match=r"s3_endpoint_url: .*without a path"):
        load_settings(s3_endpoint_url="http://host/bucket")
    for name in ("s3_endpoint_url", "data_url"):
        for url in ("https://me:pa55word@host", "https://me:pa55word@host/path", "me:pa55word@host"):
            with pytest.raises(ConfigError, match=rf"{name}: .*write http") as caught:
                load_settings(**{name: url})
            assert "pa55word" not in str(caught.value)
