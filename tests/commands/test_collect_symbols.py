"""`trader collect` for several symbols: those that are named, that a file of parameters names, that the newest model saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.global_family import params_text, three_symbols, written
from tests.support.rig import Venue, command, venue
from trader.adapters.files import read_bars, write_bars
from trader.core.types import HOUR_MS, iso

BTC, ETH, SOL = three_symbols()
AT = BTC.first + 800 * HOUR_MS
FROM = iso(BTC.first + 400 * HOUR_MS)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Venue]:
    """An exchange that quotes three symbols, and a bot's folder beside it."""
    data, bot = tmp_path / "data", tmp_path / "bot"
    for folder in (data, bot):
        folder.mkdir()
    for bars in (BTC, ETH, SOL):
        write_bars(data / f"{bars.symbol}-1h.parquet", bars)
    written(bot)
    (bot / "trader.toml").write_text('model_module = "pooled.py"\n')
    (bot / "P.json").write_text(json.dumps(params_text()))
    with venue(tmp_path, data, AT) as started:
        started.folder = bot
        yield started


def names(exchange: Venue) -> list[str]:
    """The files of collected bars."""
    return sorted(it.name for it in (exchange.folder / "data").glob("*.parquet"))


ALL = [f"{it}-1h.parquet" for it in ("BTCUSDT", "ETHUSDT", "SOLUSDT")]


def test_symbols_are_collected_beside_the_traded_one(exchange: Venue) -> None:
    """By their names; by the parameters; and, once a model was trained on them, by themselves. Each file holds its own bars."""
    one = exchange.trader("collect", "--from", FROM, "--json")
    assert (json.loads(one.stdout)["symbol"], names(exchange)) == ("BTCUSDT", ALL[:1])
    two = json.loads(exchange.trader("collect", "--symbols", "ethusdt, BTCUSDT", "--json").stdout)
    assert [(it["symbol"], it["first"]) for it in two] == [("ETHUSDT", FROM), ("BTCUSDT", FROM)]
    said = exchange.trader("collect", "--params", "P.json").stdout
    assert names(exchange) == ALL
    assert "SOLUSDT: 201 hours" in said
    mine = read_bars(exchange.folder / "data" / ALL[1])
    assert mine.close.tobytes() == ETH.span(mine.first, mine.last + HOUR_MS).close.tobytes()
    exchange.trader("retrain", "--params", "P.json")
    exchange.move_to(AT + 5 * HOUR_MS)
    told = json.loads(exchange.trader("collect", "--json").stdout)
    assert [(it["symbol"], it["last"]) for it in told] == [
        (it, iso(AT + 5 * HOUR_MS)) for it in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    ]
    other = exchange.trader("collect", "--symbol", "ETHUSDT", "--json")  # the store is another symbol's
    assert json.loads(other.stdout)["symbol"] == "ETHUSDT"
    missing = exchange.trader("collect", "--symbols", "NOPEUSDT", "--from", FROM, check=False)
    assert missing.returncode == 2
    assert names(exchange) == ALL


def test_what_names_no_symbol_is_refused(tmp_path: Path) -> None:
    """With what to write, and nothing is asked for."""
    done = command("trader", "collect", "--symbols", "btc-usdt", "--from", FROM, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "--symbols 'btc-usdt' must name trading pairs, such as BTCUSDT,ETHUSDT" in done.stderr
