"""The doctor of a book: what is wrong with an account, a list of symbols or a capital is said before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.app.book_doctor import of_each
from trader.app.doctor import Finding
from trader.core.errors import DataError
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2021-03-05")
BOOK: dict[str, Any] = {
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "capital_usdt": 1000,
    "rebalance_hours": 24,
    "params": "P.json",
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """An exchange of two symbols, 1000 USDT on its account."""
    folder = tmp_path_factory.mktemp("doctor-book")
    (folder / "made").mkdir()
    made_bars(folder / "made", "2021-01-01", "2021-03-20")
    made_bars(folder / "made", "2021-02-15", "2021-03-20", "ETHUSDT", 1_500.0, 2)
    (folder / "P.json").write_text(json.dumps(quick_params(look_back_days=10)))
    (folder / "P20.json").write_text(json.dumps(quick_params(look_back_days=20)))
    (folder / "cron-job").write_text("0,1,3,10 * * * *  trader tick\n")
    names = ("--symbols", "BTCUSDT,ETHUSDT", "--balance", "USDT=1000")
    with venue(folder, folder / "made", START - HOUR_MS, *names) as running:
        yield running


def look(at: Venue, store: str, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    """What is not well with a book, by check."""
    book = {**BOOK, **changes}
    (at.folder / "book.toml").write_text("".join(f"{key} = {json.dumps(it)}\n" for key, it in book.items()))
    done = at.trader("doctor", "--json", "--book", "book.toml", "--store", store, check=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout):
        if finding["verdict"] != "pass":
            found.setdefault(finding["check"], []).append(finding)
    return found


def test_a_book_that_could_begin_lacks_its_models_only(account: Venue) -> None:
    """What is of every symbol is said once, with the command that trains the book."""
    found = look(account, "empty")
    assert set(found) == {"model", "hours"}
    (model,) = found["model"]
    assert model["said"].startswith("BTCUSDT, ETHUSDT: ")
    assert model["todo"] == "trader retrain --book book.toml"


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"capital_usdt": 4000}, "account", "missing: 3000 USDT"),
        ({"capital_usdt": 9}, "sleeves", "BTCUSDT: 9 x its share 0.5 is 4.50, and the least order is 5"),
        ({"symbols": ["BTCUSDT", "NOPEUSDT"]}, "filters", "NOPEUSDT: "),
        ({"params": "P20.json"}, "history", "ETHUSDT: look_back 20 d"),
        ({"shares": "hrp", "share_hours": 900}, "history", "ETHUSDT: its share is computed from 900 hours"),
    ],
)
def test_what_a_book_cannot_begin_with_is_named(
    account: Venue, changes: dict[str, Any], check: str, words: str
) -> None:
    """A capital that the account does not cover or that is too small to share, a symbol that is not there or too young."""
    found = look(account, "empty", **changes)
    wrong = [it for it in found[check] if it["verdict"] == "fail"]
    assert [it["said"] for it in wrong if it["said"].startswith(words) or words in it["said"]]
    assert all(it["todo"] for it in wrong)


def test_a_symbol_named_twice_is_refused(account: Venue) -> None:
    """Before the exchange is asked anything: exit 2."""
    (account.folder / "twice.toml").write_text('symbols = ["BTCUSDT", "BTCUSDT"]\ncapital_usdt = 100\n')
    done = account.trader("doctor", "--book", "twice.toml", check=False)
    assert done.returncode == 2
    assert "BTCUSDT more than once" in done.stderr


def test_two_books_on_one_account_are_found(account: Venue) -> None:
    """The second one is told whose orders are there and what the first one has taken, before it has sent anything."""
    look(account, "first")  # writes book.toml
    named = ("--book", "book.toml", "--store", "first")
    account.trader("retrain", *named)
    hour = START
    while not account.ledger():
        account.move_to(hour)
        account.trader("tick", *named)
        hour += HOUR_MS
    mine, other = look(account, "first"), look(account, "second")
    assert "others" not in mine
    assert "account" not in mine
    assert all(it["verdict"] == "fail" for it in other["others"])
    assert "two bots or books of one name" in other["others"][0]["todo"]
    assert other["account"][0]["verdict"] == "fail"


def test_findings_of_many_symbols_are_told_together() -> None:
    """Equal ones once, with their symbols; an error of one is its finding; of those that pass their number."""

    def seen(symbol: str) -> Finding:
        if symbol == "C":
            raise DataError("lost")
        return Finding("bars", "pass" if symbol > "C" else "warn", f"{symbol}: late", "wait")

    assert list(of_each("bars", "ABCDE", seen, "well")) == [
        Finding("bars", "warn", "A, B: late", "wait"),
        Finding("bars", "fail", "C: lost", "remove the cause that the message names, then retry"),
        Finding("bars", "pass", "2 symbols: well"),
    ]
    named = list(of_each("bars", map(str, range(10)), lambda it: Finding("bars", "fail", "gone"), ""))
    assert named == [Finding("bars", "fail", "0, 1, 2, 3, 4, 5, 6, 7 and 2 more: gone")]
