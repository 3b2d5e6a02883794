"""The URL of a database with bars: which table or query, whose column is which. No password is ever repeated.

sqlite:///bars.db?table=bars
duckdb:///bars.duckdb?table=bars&time=ts&symbol=pair
postgresql://reader@host/market?query=SELECT ts, o, h, l, c, v, pair FROM bars&time=ts&open=o&high=h&low=l&close=c&volume=v
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from trader.core.errors import ConfigError
from trader.core.types import OPTIONAL_COLUMNS, REQUIRED_COLUMNS

Kind = Literal["sqlite", "duckdb", "postgresql"]
TimeUnit = Literal["", "s", "ms", "us"]

_SCHEMES: Mapping[str, Kind] = MappingProxyType(
    {"sqlite": "sqlite", "duckdb": "duckdb", "postgresql": "postgresql", "postgresql+psycopg": "postgresql"}
)
_UNITS: Mapping[str, TimeUnit] = MappingProxyType({"s": "s", "ms": "ms", "us": "us"})
# What the URL calls a column that holds one of ours.
_COLUMNS = {"time": "open_time", "symbol": "symbol"} | {
    it: it for it in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
}
_OWN = ("table", "query", "holds", "time_zone", "time_unit")
# What PostgreSQL's client may be told beside.
_OF_THE_CLIENT = ("sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "connect_timeout")
_SELECTS = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Z0-9]{2,20}")
# How long a query may take, in seconds; that of one symbol's hours takes less.
QUERY_S = 60.0
EXAMPLE = "such as sqlite:///bars.db?table=bars, duckdb:///bars.duckdb?table=bars or postgresql://USER@HOST/DATABASE?table=bars"


@dataclass(frozen=True, slots=True)
class TableAddress:
    """A table or a query of a database. said: names it in messages, without user, password and options; address: opens it
    again, without the password. columns: theirs by ours, those that a person named. holds: the one symbol of a table without
    a column of symbols. utc: times without a zone are UTC. client: options of PostgreSQL's own client."""

    kind: Kind
    said: str
    address: str
    host: str
    port: int | None
    user: str
    password: str
    database: str
    table: str
    query: str
    columns: Mapping[str, str]
    holds: str
    utc: bool
    unit: TimeUnit
    client: Mapping[str, str]

    def __repr__(self) -> str:
        """Without the password."""
        return f"TableAddress({self.said!r})"


def is_database(text: str) -> bool:
    """Whether a place is the URL of a database that is known."""
    return text.partition(":")[0].lower() in _SCHEMES


def table_address(text: str) -> TableAddress:
    """Raises ConfigError, which repeats nothing that could hold a password, for a URL that names no table."""
    parts, port = _split(text)
    kind = _SCHEMES[parts.scheme]
    given = _options(parts, kind)
    database = unquote(parts.path[1:])
    at = f"{parts.hostname or ''}{f':{port}' if port else ''}"
    said = f"{kind}://{at}/{database}"
    if not database or database == ":memory:":
        raise ConfigError(f"{said} names no database; {EXAMPLE}")
    if kind != "postgresql" and (at or parts.username):
        raise ConfigError(
            f"{said}: a file has no host; write {kind}:///{database} (four slashes before an absolute path)"
        )
    table, query = given.get("table", ""), given.get("query", "").strip().rstrip(";")
    if bool(table) == bool(query):
        raise ConfigError(f"{said}: say table=NAME or query=SELECT ... in the URL, one of them; {EXAMPLE}")
    if query and (not _SELECTS.match(query) or ";" in query):
        raise ConfigError(f"{said}: query= must be one SELECT; bars are only read")
    said = f"{said}?{f'table={table}' if table else 'query'}"
    user = unquote(parts.username or "")
    return TableAddress(
        kind=kind,
        said=said,
        address=_without_password(parts, at, user),
        host=parts.hostname or "",
        port=port,
        user=user,
        password=unquote(parts.password or ""),
        database=database,
        table=table,
        query=query,
        columns={ours: given[name] for name, ours in _COLUMNS.items() if name in given},
        holds=_holds(given.get("holds", ""), said),
        utc=_is_utc(given.get("time_zone"), said),
        unit=_unit(given.get("time_unit"), said),
        client={name: given[name] for name in _OF_THE_CLIENT if name in given},
    )


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if not parts.scheme or "@" in parts.path or parts.fragment:
        raise ConfigError(
            "the address of the bars cannot be read, and is not repeated here since it may hold a password. Write @ / : ? # % in "
            f"a password as %40 %2F %3A %3F %23 %25, and # in a query as %23; {EXAMPLE}"
        )
    return parts._replace(scheme=parts.scheme.lower()), port


def _options(parts: SplitResult, kind: Kind) -> dict[str, str]:
    """The options of the URL. Raises ConfigError for one that is unknown, or there twice."""
    known = (*_OWN, *_COLUMNS, *(_OF_THE_CLIENT if kind == "postgresql" else ()))
    found: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("password", "user"):
            raise ConfigError(
                "the address of the bars: user and password stand before the host, or in PGUSER and PGPASSWORD, not among the "
                "options"
            )
        if name not in known or not value or name in found:
            what = "is given twice" if name in found else "is empty" if name in known else "is no option"
            raise ConfigError(
                f"the address of the bars: {name[:30]!r} {what}; options are: {', '.join(known)}"
            )
        found[name] = value
    return found


def _without_password(parts: SplitResult, at: str, user: str) -> str:
    netloc = f"{parts.netloc.rpartition('@')[0].partition(':')[0]}@{at}" if user else at
    return f"{parts.scheme}://{netloc}{parts.path}{f'?{parts.query}' if parts.query else ''}"


def _holds(symbol: str, said: str) -> str:
    if symbol and not _NAME.fullmatch(symbol):
        raise ConfigError(f"{said}: holds={symbol} is no symbol; write it as BTCUSDT")
    return symbol


def _is_utc(zone: str | None, said: str) -> bool:
    if zone not in (None, "UTC"):
        raise ConfigError(
            f"{said}: time_zone={zone} is not known; bars are hours of UTC, so store UTC and say time_zone=UTC"
        )
    return zone is not None


def _unit(unit: str | None, said: str) -> TimeUnit:
    if unit is not None and unit not in _UNITS:
        raise ConfigError(f"{said}: time_unit={unit} is not known; it is s, ms or us")
    return _UNITS[unit] if unit else ""
