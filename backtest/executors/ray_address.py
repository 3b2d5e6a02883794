"""The address of a Ray cluster, and whether one answers there: Ray itself would wait for a minute."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from trader.core.errors import ConfigError

_PATIENCE_S = 5
_CLIENT = "ray://"
_PORTS = {False: 6379, True: 10001}
# How a client of HTTP/2, on which gRPC stands, begins (RFC 9113, 3.4): these words, and an empty SETTINGS frame.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4
_TLS_ALERT = 21


@dataclass(frozen=True, slots=True)
class RayAddress:
    """client: from a machine outside the cluster, through a server of Ray's on its head."""

    host: str
    port: int
    client: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_CLIENT if self.client else ''}{host}:{self.port}"


def ray_address(text: str) -> RayAddress:
    """HOST:PORT or ray://HOST:PORT; without a port Ray's own. Raises ConfigError for anything else."""
    client = text.startswith(_CLIENT)
    rest = text.removeprefix(_CLIENT)
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(_PORTS[client])
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"--ray-address {text!r} is no address of a Ray cluster. Give HOST:PORT as `ray start --head` printed it, such "
            f"as 10.0.0.1:6379, or ray://HOST:10001 from a machine outside the cluster"
        )
    return RayAddress(host, int(port), client)


def require_answer(address: RayAddress) -> None:
    """Raises ConfigError where nothing answers within ten seconds, or what answers is not Ray."""
    try:
        with socket.create_connection((address.host, address.port), _PATIENCE_S) as connection:
            connection.settimeout(_PATIENCE_S)
            heard = _heard(connection)
    except OSError as error:
        raise ConfigError(
            f"nothing answers at --ray-address {address} ({error}). Is the cluster up (`ray status` on its head), and is "
            f"this the address that `ray start --head` printed?"
        ) from None
    # A Ray with certificates of its own hangs up on who shows none, or sends an alert: Ray itself shall say what is wrong.
    if heard and heard[0] != _TLS_ALERT and (len(heard) < 4 or heard[3] != _SETTINGS):
        raise ConfigError(
            f"what answers at --ray-address {address} is not Ray. Give the address that `ray start --head` printed: port "
            f"{_PORTS[False]} by default, {_PORTS[True]} with ray://; 8265 is its dashboard"
        )


def _heard(connection: socket.socket) -> bytes:
    """The first bytes of the answer, none from who hangs up."""
    try:
        connection.sendall(_HELLO)
        return connection.recv(9)
    except (ConnectionResetError, BrokenPipeError):
        return b""
