"""Sources on the command line: the same hours from a database as from a file, and no password in what is shown or kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backtest.commands.many_bars import bars_files
from tests.support.bar_sources import sqlite_of
from tests.support.bars_made import bars_made
from tests.support.rig import command
from trader.adapters.files import write_bars
from trader.config import load_settings
from trader.core.errors import ConfigError

BARS = bars_made(24 * 20, missing=(300,))
CANARY = "canary-of-the-bars"
HOURS = ("--from", "2021-01-16", "--to", "2021-01-16T08:00Z", "--params", "P.json", "--hours-out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bars in a file and in a database."""
    write_bars(tmp_path / "BTCUSDT-1h.parquet", BARS)
    sqlite_of(tmp_path / "bars.db", [BARS])
    (tmp_path / "P.json").write_text('{"model": {"family": "naive"}, "look_back_days": 10}')
    return tmp_path


def test_a_run_and_a_replay_write_the_same_hours_from_a_database(folder: Path) -> None:
    """Byte for byte; the exchange of the replay is given a copy."""
    for number, place in enumerate(
        (["BTCUSDT-1h.parquet"], ["sqlite:///bars.db?table=bars", "--symbol", "BTCUSDT"])
    ):
        command("backtest", "run", "--bars", *place, *HOURS, f"run-{number}.jsonl", cwd=folder)
    command("trader", "replay", "--bars", *place, *HOURS, "replay.jsonl", cwd=folder, TRADER_TRACKERS="none")
    written = [(folder / name).read_bytes() for name in ("run-0.jsonl", "run-1.jsonl", "replay.jsonl")]
    assert written[0]
    assert written == [written[0]] * 3


def test_many_symbols_of_a_database_are_listed_and_told_by_their_values(folder: Path) -> None:
    """As `backtest select` reads them: a card keeps an address that opens the bars again."""
    eth = bars_made(100, symbol="ETHUSDT")
    url = sqlite_of(folder / "many.db", [BARS, eth])
    files = bars_files([url])
    assert [it.symbol for it in files] == ["BTCUSDT", "ETHUSDT"]
    assert files[0].address == url
    (other,) = bars_files([sqlite_of(folder / "other.db", [BARS])])
    assert other.sha256 == files[0].sha256 != files[1].sha256
    assert other.load().close.tolist() == BARS.close.tolist()


def config(folder: Path, url: str) -> tuple[str, str]:
    """The value of data_url that `trader config` shows, and what it says besides."""
    done = command(
        "trader", "config", "--json", cwd=folder, check=False, TRADER_DATA_URL=url, TRADER_TRACKERS="none"
    )
    assert CANARY not in done.stdout + done.stderr
    rows = {it["name"]: it["value"] for it in json.loads(done.stdout)["settings"]}
    return str(rows["data_url"]), " ".join(done.stderr.split())


def test_settings_show_where_bars_come_from_without_the_password(folder: Path) -> None:
    """Of an address that is wrong the fault alone."""
    shown, _ = config(folder, f"postgresql://me:{CANARY}@db.host:5433/market?table=bars&time=ts")
    assert shown == "postgresql://db.host:5433/market?table=bars"
    for wrong, told in (
        (f"postgresql://me:{CANARY}@db.host/market?table=bars&password={CANARY}", "in PGUSER and PGPASSWORD"),
        (f"postgresql://me:{CANARY}@db.host/market", "say table=NAME or query=SELECT"),
        (f"postgresql://me:{CANARY}/2@db.host/market?table=bars", "is not repeated here"),
        (f"mysql://me:{CANARY}@db.host/market?table=bars", "without a user"),
        (f"s3://me:{CANARY}@bucket/prefix", "only the address of a PostgreSQL server has a user"),
    ):
        shown, said = config(folder, wrong)
        assert told in said, wrong


def test_the_folder_of_collected_bars_is_no_address(folder: Path) -> None:
    """An address there would make a folder called `sqlite:`."""
    with pytest.raises(
        ConfigError,
        match=r"bars: it is the folder that collected bars are kept in, no address; .*TRADER_DATA_URL",
    ):
        load_settings(bars="sqlite:///bars.db?table=bars")
    done = command(
        "trader",
        "retrain",
        "--bars",
        "postgresql://host/db?table=bars",
        cwd=folder,
        check=False,
        TRADER_TRACKERS="none",
    )
    assert (done.returncode, "is data_url" in " ".join(done.stderr.split())) == (2, True)
