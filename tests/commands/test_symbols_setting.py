"""`symbols` in the settings: a book without a book.toml, and one symbol as it always was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.commands.common import settings_by_symbol, traded
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2021-03-05")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """An exchange of two symbols, 1000 USDT on its account, and a trader.toml that lists both."""
    folder = tmp_path_factory.mktemp("symbols")
    (folder / "made").mkdir()
    made_bars(folder / "made", "2021-02-01", "2021-03-20")
    made_bars(folder / "made", "2021-02-01", "2021-03-20", "ETHUSDT", 1_500.0, 2)
    quick = quick_params(look_back_days=10, allocation_usdt=500)
    (folder / "P.json").write_text(json.dumps(quick))
    (folder / "trader.toml").write_text('symbols = ["ETHUSDT", "BTCUSDT"]\ncapital_usdt = 1000\n')
    names = ("--symbols", "BTCUSDT,ETHUSDT", "--balance", "USDT=1000")
    with venue(folder, folder / "made", START - HOUR_MS, *names) as running:
        yield running


def test_a_list_of_symbols_is_trained_ticked_and_told_as_a_book(account: Venue) -> None:
    """Both symbols share the capital equally, by the parameters of one P.json, which a later retrain keeps."""
    trained = account.trader("retrain", "--params", "P.json").stdout
    assert "2 models of 2 trained" in trained
    account.move_to(START)
    assert "2 of 2 symbols closed" in account.trader("tick").stdout
    told = json.loads(account.trader("status", "--json").stdout)
    assert sorted(told["symbols"]) == ["BTCUSDT", "ETHUSDT"]
    assert float(told["equity_usdt"]) == pytest.approx(1000, rel=0.01)
    line = json.loads(account.trader("journal", "--jsonl").stdout)
    assert line["transfers"] == {"BTCUSDT": "500", "ETHUSDT": "500"}
    again = json.loads(account.trader("retrain", "--json").stdout)
    card = json.loads((account.folder / f"state/models/{again['retrained']['BTCUSDT']}/card").read_text())
    assert card["params"]["look_back_days"] == 10


def test_an_option_and_the_environment_name_the_list_too(account: Venue) -> None:
    """`--symbols` and TRADER_SYMBOLS open the same store; a list of others is refused by name."""
    named = ("status", "--json", "--symbols", "BTCUSDT,ETHUSDT")
    assert json.loads(account.trader(*named).stdout)["book"] == "BTCUSDT, ETHUSDT"
    account.settings["TRADER_SYMBOLS"] = "BTCUSDT,SOLUSDT"
    try:
        done = account.trader("status", check=False)
    finally:
        del account.settings["TRADER_SYMBOLS"]
    assert (done.returncode, "this store is of BTCUSDT, ETHUSDT" in done.stderr) == (2, True), done.stderr


def test_the_list_changes_by_a_persons_reason_alone(account: Venue) -> None:
    """Another list is refused and names the way; with a reason the symbol that would go must have been sold and released; the
    same list with a reason changes nothing, and trains nobody who has a model."""
    words = ("retrain", "--symbols", "BTCUSDT,SOLUSDT")
    done = account.trader(*words, check=False)
    assert (done.returncode, "change the list of this book: trader retrain --reason" in done.stderr) == (
        2,
        True,
    )
    done = account.trader(*words, "--reason", "ETH goes", check=False)
    assert (done.returncode, "ETHUSDT still trades, so it cannot be removed" in done.stderr) == (2, True)
    same = account.trader("retrain", "--reason", "nothing").stdout
    assert "no retrain is due" in same
    done = account.trader("retrain", "--symbols", "BTCUSDT", "--reason", "alone", check=False)
    assert (done.returncode, "--reason and --write-off are of a book" in done.stderr) == (2, True)


def test_a_capital_that_other_commands_would_not_know_is_refused(account: Venue) -> None:
    """Without capital_usdt the allocations of a P.json must add up to what every other command counts on."""
    (account.folder / "lone").mkdir()
    (account.folder / "lone/P.json").write_text((account.folder / "P.json").read_text())
    words = ("retrain", "--symbols", "BTCUSDT,ETHUSDT", "--params", "P.json")
    done = account.run("trader", *words, cwd=account.folder / "lone", check=False, **account.environment)
    assert done.returncode == 2
    assert "allocates 500 USDT to each of 2 symbols, 1000 together" in done.stderr
    assert "capital_usdt = 1000" in done.stderr


def test_two_ways_to_say_what_is_traded_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`symbols` beside `symbol` or `book`, and a capital without symbols, are named with where they come from."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"symbols \(from option\) and book \(from option\) both say"):
        load_settings(symbols="BTCUSDT,ETHUSDT", book=Path("book.toml"))
    Path("trader.toml").write_text('symbol = "BTCUSDT"\n')
    with pytest.raises(ConfigError, match=r"symbols \(from option\) and symbol \(from trader.toml\)"):
        load_settings(symbols="BTCUSDT,ETHUSDT")
    Path("trader.toml").write_text("capital_usdt = 5\n")
    with pytest.raises(ConfigError, match="capital_usdt belongs to symbols"):
        load_settings()
    Path("trader.toml").write_text('symbols = ["BTCUSDT", "btc"]\n')
    with pytest.raises(ConfigError, match="symbols: String should match"):
        load_settings()
    Path("trader.toml").write_text('symbols = ["BTCUSDT", "BTCUSDT"]\n')
    with pytest.raises(ConfigError, match="BTCUSDT more than once"):
        traded(load_settings())


def test_a_list_of_one_is_that_symbol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings are those of `symbol` and no book is opened; a capital takes the place of its allocation."""
    monkeypatch.chdir(tmp_path)
    alone = load_settings(symbols="ETHUSDT")
    assert alone == load_settings(symbol="ETHUSDT")
    assert traded(alone).book is None
    with_capital = traded(load_settings(symbols="ETHUSDT", capital_usdt="250"))
    assert with_capital.book is None
    assert with_capital.settings.symbol == "ETHUSDT"
    assert with_capital.strategy is not None
    assert with_capital.strategy.allocation_usdt == 250
    many = load_settings(symbols="ETHUSDT,BTCUSDT")
    assert [it.symbol for it in settings_by_symbol(many)] == ["BTCUSDT", "ETHUSDT"]
