"""The same patience and the same single sending over TLS, which every venue but the embedded one speaks."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.adapters.test_binance_http import LONG, PATIENCE_S
from tests.adapters.test_binance_orders import ORDER, REPLY
from tests.support.raw_server import NOW, RawServer, close, drip, http, serving, spot
from trader.adapters.binance_spot import BinanceSpot
from trader.core.errors import Retry


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate for 127.0.0.1, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """A server's context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextmanager
def trusting(server: RawServer, certificate: Path, timeout_s: float = 5.0) -> Iterator[BinanceSpot]:
    """The adapter at a server whose certificate it trusts."""
    with spot(server.url.replace("http:", "https:"), timeout_s) as adapter:
        adapter._api.client.session.pool.ca_certs = str(certificate)
        yield adapter


def test_orders_and_reads_over_tls(tls: ssl.SSLContext, certificate: Path) -> None:
    """Reads share a connection, an order is accepted, and one whose connection breaks is sent once."""
    with (
        serving(tls=tls, order=[http(200, REPLY), close]) as server,
        trusting(server, certificate) as adapter,
    ):
        assert [adapter.time_ms(), adapter.time_ms()] == [NOW, NOW]
        assert adapter.send(ORDER).outcome == "accepted"
        assert adapter.send(ORDER).outcome == "unknown"
        assert len(server.of("/api/v3/order")) == 2


def test_a_drip_over_tls_is_given_up(tls: ssl.SSLContext, certificate: Path) -> None:
    """A byte now and then, each in a record of its own, does not outlast the patience either."""
    slow = drip(LONG, at_once=len(LONG) - 55)
    with (
        serving(tls=tls, time=[slow], order=[slow]) as server,
        trusting(server, certificate, PATIENCE_S) as adapter,
    ):
        assert adapter.send(ORDER).outcome == "unknown"
        with pytest.raises(Retry, match="cannot reach the exchange at"):
            adapter.time_ms()


def test_a_stranger_is_told_nothing(tls: ssl.SSLContext) -> None:
    """A certificate that nobody vouches for ends the request before a byte of it was sent."""
    with serving(tls=tls) as server, spot(server.url.replace("http:", "https:")) as adapter:
        with pytest.raises(Retry, match="SSLError"):
            adapter.balances()
        assert server.heard == []


def test_a_host_that_never_shakes_hands_is_given_up() -> None:
    """TCP answers, TLS does not: the patience covers the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"https://127.0.0.1:{deaf.getsockname()[1]}"
        with spot(address, 0.1) as adapter, pytest.raises(Retry, match="Timeout"):
            adapter.time_ms()
