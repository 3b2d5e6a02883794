"""What breaks while a source is read: a query without an end, a query that is wrong, an address with blanks around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.market_contract import require_equal
from tests.support.bar_sources import csv_text, duckdb_of, sqlite_of
from tests.support.bars_made import bars_made
from trader.adapters.bar_folder import read_place
from trader.adapters.sources import span_source, table_of
from trader.core.errors import ConfigError, Retry
from trader.core.types import HOUR_MS
from trader.settings.addresses import bars_address

BARS = bars_made(50)
ENDLESS = "WITH RECURSIVE r(open_time) AS (SELECT 0 UNION ALL SELECT open_time FROM r) SELECT count(*) FROM r"
SHORT_S = 0.2


@pytest.mark.parametrize("made", [sqlite_of, duckdb_of])
def test_a_query_that_never_ends_is_ended(made: Any, tmp_path: Path) -> None:
    """A tick that reads it ends with Retry, as for a server that does not answer; the same database can be read afterwards."""
    url = made(tmp_path / "bars.db", [BARS])
    source = table_of(url)
    database: Any = replace(source.database, query_s=SHORT_S)  # type: ignore[type-var]  # both are dataclasses
    with (
        pytest.raises(
            Retry,
            match=r"the query was ended after 0.2 s; give a table, or a query that ends; try again later",
        ),
        database.opened() as connection,
    ):
        connection.table(ENDLESS)
    require_equal(read_place(url, "BTCUSDT"), BARS)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM bars --",
        "SELECT * FROM bars WHERE",
        "SELECT nothing FROM bars",
        "SELECT * FROM bars GROUP BY 99",
    ],
)
def test_a_query_that_is_wrong_is_a_persons_to_mend(query: str, tmp_path: Path) -> None:
    """Exit 2, not "try again later"."""
    at = sqlite_of(tmp_path / "bars.db", [BARS]).partition("?")[0]
    with pytest.raises(ConfigError, match=r"bars.db\?query cannot be read: "):
        read_place(f"{at}?query={query}", "BTCUSDT")


@pytest.mark.parametrize(
    "blanks", [(" ", ""), ("", " "), ("\t", "\r\n")], ids=["before", "after", "a line of a file"]
)
def test_blanks_around_an_address_are_nothing(blanks: tuple[str, str], tmp_path: Path) -> None:
    """At --bars, in the setting, and for the bot's own reads: of a database, a bucket and a folder."""
    before, after = blanks
    url = before + sqlite_of(tmp_path / "bars.db", [BARS]) + after
    require_equal(read_place(url, "BTCUSDT"), BARS)
    require_equal(span_source(url).read("BTCUSDT", int(BARS.first), int(BARS.last) + HOUR_MS), BARS)
    assert bars_address(url) == url.strip()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "BTCUSDT-1h.csv").write_text(csv_text(BARS))
    require_equal(read_place(f"{before}file://{tmp_path}/data{after}", "BTCUSDT"), BARS)
    with pytest.raises(ConfigError, match=r"^s3:// names no bucket"):
        read_place(f"{before}s3://{after}", "BTCUSDT")
