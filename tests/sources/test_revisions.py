"""Bars that a source tells otherwise than they were stored: refused with both values, kept, taken when told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.market_contract import require_equal
from tests.support.bar_sources import sqlite_of
from tests.support.bars_made import bars_made
from tests.support.rig import command
from trader.adapters.files import read_bars
from trader.adapters.revisions_file import RevisionsFile
from trader.core.errors import DataError
from trader.core.revisions import BarValues, Revision, known_at
from trader.core.types import HOUR_MS, Bars, iso, parse_time

BARS = bars_made(400, missing=(200,))
ROW = 100
HOUR = int(BARS.close_time[ROW])
STORED, REVISED = float(BARS.volume[ROW]), 3709.03628095
Trader = Callable[..., "tuple[int, str, str]"]


def revise(folder: Path, row: int = ROW, column: str = "volume", value: float = REVISED) -> None:
    """Change a value in the database, as a vendor does."""
    with sqlite3.connect(folder / "bars.db") as made:
        change = f"UPDATE bars SET {column} = ? WHERE open_time = ?"  # noqa: S608  # ours
        made.execute(change, (value, int(BARS.close_time[row]) - HOUR_MS))
    made.close()


@pytest.fixture
def trader(tmp_path: Path) -> Trader:
    """`trader` in a folder whose bars come from a database there; all of them were collected once."""
    url = sqlite_of(tmp_path / "bars.db", [BARS])

    def run(*words: str) -> tuple[int, str, str]:
        done = command(
            "trader",
            *words,
            cwd=tmp_path,
            check=False,
            TRADER_DATA_URL=url,
            TRADER_VENUE="testnet",
            TRADER_TRACKERS="none",
        )
        return done.returncode, done.stdout, done.stderr

    assert run("collect", "--from", "2021-01-01")[0] == 0
    return run


def stored(folder: Path) -> Bars:
    """What was collected."""
    return read_bars(folder / "data" / "BTCUSDT-1h.parquet")


def test_a_revised_bar_is_refused_kept_and_taken_when_told(trader: Trader, tmp_path: Path) -> None:
    """Both values are named and nothing is replaced; the same command says so again and notes it once; accepted, it is stored,
    and what was known before can be had."""
    require_equal(stored(tmp_path), BARS)
    revise(tmp_path)
    for _ in range(2):
        code, _, said = trader("collect")
        assert code == 2
        assert f"{iso(HOUR)}: volume {STORED} -> {REVISED}. Nothing was replaced" in " ".join(said.split())
    require_equal(stored(tmp_path), BARS)
    (noted,) = RevisionsFile(tmp_path / "data").read("BTCUSDT")
    assert (noted.decision, noted.older.volume, noted.newer.volume) == ("noted", STORED, REVISED)
    assert trader("collect", "--accept-revisions")[0] == 0
    assert stored(tmp_path).volume[ROW] == REVISED
    assert trader("collect")[0] == 0
    told = json.loads(trader("collect", "--revisions", "--json")[1])
    assert [(it["decision"], it["older"]["volume"], it["newer"]["volume"]) for it in told] == [
        ("noted", STORED, REVISED),
        ("accepted", STORED, REVISED),
    ]
    assert f"{iso(HOUR)}: volume {STORED} -> {REVISED}" in trader("collect", "--revisions")[1]
    before = iso(parse_time(told[1]["received"]) - 1)
    code, said, _ = trader("collect", "--known-at", before, "--out", "then.parquet")
    assert (code, "1 later revision undone" in said) == (0, True)
    require_equal(read_bars(tmp_path / "then.parquet", "BTCUSDT"), BARS)
    for half in (("--known-at", before), ("--out", "then.parquet")):
        code, _, said = trader("collect", *half)
        assert (code, "--known-at TIME and --out FILE belong together" in " ".join(said.split())) == (2, True)
    trader("collect", "--known-at", "2099-01-01", "--out", "now.parquet")
    assert read_bars(tmp_path / "now.parquet", "BTCUSDT").volume[ROW] == REVISED


def test_a_stored_bar_that_was_decided_for_is_not_asked_about_again(trader: Trader, tmp_path: Path) -> None:
    """Until the source tells something else again."""
    revise(tmp_path)
    assert trader("collect", "--keep-stored")[0] == 0
    assert trader("collect")[0] == 0
    require_equal(stored(tmp_path), BARS)
    revise(tmp_path, value=1.5)
    assert trader("collect")[0] == 2
    code, _, said = trader("collect", "--keep-stored", "--accept-revisions")
    assert (code, "give --accept-revisions or --keep-stored, not both" in said) == (2, True)


def test_a_bar_that_was_missing_is_added(trader: Trader, tmp_path: Path) -> None:
    """A hole that the source fills later is no revision."""
    whole = bars_made(400)
    sqlite_of(tmp_path / "bars.db", [whole.rows(200, 201)])
    assert stored(tmp_path).flagged[200]
    assert trader("collect")[0] == 0
    assert not stored(tmp_path).flagged[200]
    assert stored(tmp_path).close[200] == whole.close[200]


def test_an_unfinished_newest_bar_is_taken_and_its_receipt_kept(trader: Trader, tmp_path: Path) -> None:
    """Case 16: the newest rows of a file may have been written too early; the source decides, and both values stay known."""
    revise(tmp_path, 399, "close", float(BARS.low[399]))
    assert trader("collect")[0] == 0
    assert stored(tmp_path).close[399] == BARS.low[399]
    (kept,) = RevisionsFile(tmp_path / "data").read("BTCUSDT")
    assert (kept.decision, kept.older.close, kept.newer.close) == ("accepted", BARS.close[399], BARS.low[399])


def test_later_revisions_are_undone_newest_first() -> None:
    """A bar that was revised twice has, between the two, the values of the first."""
    values = [BarValues(1, 9, 1, close, 5) for close in (2.0, 3.0, 4.0)]
    made = [
        Revision("BTCUSDT", HOUR, received, values[n], values[n + 1], "accepted")
        for n, received in enumerate((HOUR + 10, HOUR + 20))
    ]
    now = bars_made(400, missing=(200,))
    now.close[ROW] = 4.0
    for time, close in ((HOUR + 5, 2.0), (HOUR + 10, 3.0), (HOUR + 19, 3.0), (HOUR + 20, 4.0)):
        found = known_at(now, made, time)
        assert (found.last, found.close[ROW]) == (HOUR, close)
    assert np.array_equal(known_at(now, [], now.last).close, now.close)
    assert now.close[ROW] == 4.0


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"schema": "revision/1"}', '{"schema": "revision/9", "symbol": "BTCUSDT"}']
)
def test_a_damaged_file_is_named_with_its_line(line: str, tmp_path: Path) -> None:
    """Nothing is decided by lines that nobody wrote so."""
    file = RevisionsFile(tmp_path)
    file.add(
        [
            Revision(
                "BTCUSDT", HOUR, HOUR, BarValues(1, 1, 1, 1, 1), BarValues(1, 2, 1, 1, 1, trades=7), "kept"
            )
        ]
    )
    assert len(file.read("BTCUSDT")) == 1
    with file.path("BTCUSDT").open("a") as made:
        made.write(line + "\n")
    with pytest.raises(
        DataError, match=r"BTCUSDT-1h.revisions.jsonl: line 2: is no revision of a bar of BTCUSDT"
    ):
        file.read("BTCUSDT")
