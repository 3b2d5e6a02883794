"""What an address or a key in a setting must be. Nothing that is refused is repeated where it could hold a password."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from trader.core.tags import LEAST_CHARACTERS

# Schemes of sources of bars that are no host of the exchange (docs/sources.md).
SOURCES = ("file", "s3", "sqlite", "duckdb", "postgresql", "postgresql+psycopg")
S3_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)")


def store_address(address: str) -> str:
    """A folder as it was given, or `s3://bucket/prefix` without a trailing slash. Raises ValueError."""
    if address.lower().startswith("s3:"):
        if not S3_ADDRESS.fullmatch(address.rstrip("/")):
            raise ValueError(
                f"{address!r} is no bucket's address; write s3://bucket or s3://bucket/prefix, the prefix of letters, "
                f"digits and . _ = -"
            )
        return address.rstrip("/")
    if "://" in address:
        raise ValueError(f"{address!r} is no store; write a folder, or s3://bucket/prefix")
    return address


def long_enough(key: SecretStr) -> SecretStr:
    """No key, or one that nobody tries out. Raises ValueError, which does not repeat it."""
    if 0 < len(key.get_secret_value().strip()) < LEAST_CHARACTERS:
        raise ValueError(f"it needs {LEAST_CHARACTERS} characters or more, such as: openssl rand -hex 32")
    return key


def bars_address(address: str) -> str:
    """A host without a user, or the address of a source of bars, which is looked at when it is opened. Raises ValueError, which
    repeats nothing."""
    address = address.strip()
    parts = urlsplit(address)
    if parts.scheme not in SOURCES:
        return without_user("bars are public", address)
    if parts.scheme != "postgresql" and "@" in parts.netloc:
        raise ValueError("only the address of a PostgreSQL server has a user")
    return address


def collected_folder(path: Path) -> Path:
    """A folder. Raises ValueError for an address, which `Path` would take for one."""
    if re.match(r"[a-z0-9+]{2,}:/", str(path)):
        raise ValueError(
            "it is the folder that collected bars are kept in, no address; the source of the bars is data_url (TRADER_DATA_URL)"
        )
    return path


def without_user(user: str, url: str, path: str = "") -> str:
    """As `host`, at once."""
    parts = urlsplit(url)
    known = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    if not known or "@" in parts.netloc:
        raise ValueError(f"write http(s)://host[:port] without a user: {user}")
    if path and parts.path.strip("/"):
        raise ValueError(f"write http(s)://host[:port] without a path: {path}")
    return url.rstrip("/")


def host(user: str, path: str = "") -> AfterValidator:
    """Takes http(s)://host[:port] and repeats nothing of what it refuses. user: where a name and a password belong instead;
    path: why there is none, "" where one may be."""

    return AfterValidator(lambda url: without_user(user, url, path))
