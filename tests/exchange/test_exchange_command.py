"""`trader exchange`: what its help says, its ready line, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked
from tests.support.venue_kit import AT, BOOK, command
from trader.adapters.files import write_bars
from trader.core.types import HOUR_MS, Filters, iso
from trader.exchange.filters import symbol_row

WORDS = (
    "--bars",
    "--synthetic",
    "--symbol",
    "--symbols",
    "--filters",
    "--balance",
    "--fee-rate",
    "--half-spread-bps",
)
MORE_WORDS = ("--slippage-bps", "--at", "--port", "--speed", "--state", "--faults", "--json")


def trader(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return forked.run(
        ("trader", "exchange", *words), folder, {"COLUMNS": "200", "TERM": "dumb"}, timeout_s=60
    )


def test_the_help_names_every_option_and_the_control_channel(tmp_path: Path) -> None:
    """An author of another bot finds the options, an example, and where to read on."""
    said = trader(tmp_path, "--help").stdout
    assert [word for word in (*WORDS, *MORE_WORDS) if word not in said] == []
    for name in ("Example: trader exchange", "/sim/clock", "/sim/faults", "/sim/ledger", "docs/exchange.md"):
        assert name in said


def test_now_is_the_time_of_the_wall(tmp_path: Path) -> None:
    """With `--at now --speed 1` the exchange's clock is the wall's, between hours that are past and hours to come."""
    with command(tmp_path / "stderr", "--synthetic", "7", "--at", "now", "--speed", "1") as ready:
        assert set(ready) == {"url", "api_key", "api_secret"}
        with urllib.request.urlopen(f"{ready['url']}/sim/clock", timeout=20) as answer:
            clock = json.load(answer)
    assert clock["open"]
    assert clock["speed"] == 1
    assert abs(clock["now"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--at", "now", "--bars", "x.parquet"), "give --synthetic SEED instead of --bars"),
        (("--at", "2010-01-01", "--synthetic", "7"), "outside the bars"),
        (("--synthetic", "7", "--bars", "x.parquet"), "not both"),
        (("--synthetic", "7", "--balance", "USDT"), "USDT=10000"),
        (("--synthetic", "7", "--symbols", "BTCUSDT,ETHUSDT", "--symbol", "BTCUSDT"), "not both"),
        (("--synthetic", "7", "--symbols", "BTCUSDT,BTCUSDT"), "names BTCUSDT twice"),
        (("--synthetic", "7", "--symbols", "BTCUSDT,"), "has an empty name"),
        (("--synthetic", "7", "--symbols", "BTCUSDT,ETHBTC"), "BTCUSDT in USDT, ETHBTC in BTC were named"),
        (("--bars", "x.parquet", "--symbols", "BTCUSDT,ETHUSDT"), "holds one symbol, --symbols names 2"),
        (("--synthetic", "7", "--speed", "fast"), "is not a number"),
        (("--synthetic", "7", "--speed", "121"), "above 120: the ten minutes within which an hour's order"),
    ],
)
def test_what_cannot_be_served_is_said_with_the_way_out(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    """Exit code 2 and one line, no traceback."""
    done = trader(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def asked(url: str) -> Any:
    """What is answered there."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with bars of three symbols, SOLUSDT's from an hour before AT on."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for it in BOOK:
        bars = it.bars.rows(300, 600) if it.base == "SOL" else it.bars
        write_bars(folder / f"{it.name}-1h.parquet", bars)
    return folder


def test_symbols_of_a_folder_are_traded_and_the_rest_is_quoted(tmp_path: Path, folder: Path) -> None:
    """Each with its own row of the file of filters; the account begins with 10,000 of their quote asset."""
    rows = [
        symbol_row(it.name, it.base, it.quote, Filters.derived(price))
        for it, price in zip(BOOK, (1, 2, 3), strict=True)
    ]
    (tmp_path / "info.json").write_text(json.dumps({"timezone": "UTC", "symbols": rows}))
    words = ("--bars", str(folder), "--symbols", "ETHUSDT, BTCUSDT", "--at", iso(AT))
    with command(tmp_path / "stderr", *words, "--filters", str(tmp_path / "info.json")) as ready:
        info = asked(f"{ready['url']}/api/v3/exchangeInfo")["symbols"]
        balances = asked(f"{ready['url']}/sim/balances")
    assert [row["symbol"] for row in info] == ["ETHUSDT", "BTCUSDT", "SOLUSDT"]
    assert [row["filters"] for row in info[:2]] == [rows[1]["filters"], rows[0]["filters"]]
    assert {asset: float(pair["free"]) for asset, pair in balances.items()} == {
        "ETH": 0,
        "USDT": 10_000,
        "BTC": 0,
    }


def test_each_symbol_of_a_seed_is_a_market_of_its_own(tmp_path: Path) -> None:
    """The market that `--symbol` alone would get."""
    words = ("--synthetic", "7", "--at", "2022-01-01")
    with command(tmp_path / "one", *words, "--symbol", "ETHUSDT") as ready:
        alone = asked(f"{ready['url']}/api/v3/klines?symbol=ETHUSDT&interval=1h&limit=3")
    with command(tmp_path / "two", *words, "--symbols", "BTCUSDT,ETHUSDT") as ready:
        page = f"{ready['url']}/api/v3/klines?interval=1h&limit=3&symbol="
        assert asked(f"{page}ETHUSDT") == alone != asked(f"{page}BTCUSDT")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--symbols", "BTCUSDT,SOLUSDT", "--at", iso(AT - 2 * HOUR_MS)),
            "outside the bars of SOLUSDT, 2022-01-13",
        ),
        (
            ("--symbols", "BTCUSDT,XRPUSDT"),
            "there are no bars of XRPUSDT (there are BTCUSDT, ETHUSDT, SOLUSDT)",
        ),
        (
            ("--symbols", "BTCUSDT,ETHUSDT", "--at", iso(AT), "--filters", "row.json"),
            "row.json has no row of ETHUSDT",
        ),
    ],
)
def test_symbols_that_a_folder_cannot_serve_are_said(
    words: tuple[str, ...], says: str, tmp_path: Path, folder: Path
) -> None:
    """A symbol whose bars begin later, one without bars, one without a row of filters: exit code 2 and one line."""
    row = symbol_row("BTCUSDT", "BTC", "USDT", Filters.derived(1))
    (tmp_path / "row.json").write_text(json.dumps(row))
    done = trader(tmp_path, "--bars", str(folder), "--port", "0", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("text", "says"), [("{", "not JSON"), ("[{}]", "needs an 'action'")])
def test_a_broken_file_of_faults_is_said(tmp_path: Path, text: str, says: str) -> None:
    """Neither half a file nor a fault without an action starts an exchange."""
    (tmp_path / "faults.json").write_text(text)
    done = trader(tmp_path, "--synthetic", "7", "--port", "0", "--faults", str(tmp_path / "faults.json"))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
