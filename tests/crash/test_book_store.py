"""`trader store verify` in the store of a book: every symbol's hours with their transfers, and the book's own records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.book_crew import HOUR, SYMBOLS, BookScene
from tests.support.rig import command, quick_params
from trader.app.book_halts import halt_book, resume_book
from trader.app.book_journal import hour_key
from trader.app.book_store_check import check_book
from trader.app.book_tick import tick_book
from trader.app.journal import hour_folder
from trader.app.layout import BOOK
from trader.app.store_check import check
from trader.core.types import HOUR_MS


def problems(made: BookScene) -> list[str]:
    """Everything that is wrong with the store of a book."""
    found = check_book([made.journal(it) for it in SYMBOLS])
    assert found[BOOK].hours or found[BOOK].problems
    return [problem for it in found.values() for problem in it.problems]


def test_a_book_that_lived_through_everything_holds_together(fresh_book: BookScene) -> None:
    """Transfers, a symbol that is late, a missed hour, a halt that keeps and one that sells, resumes, an open hour."""
    shut = {"path": "/api/*", "symbol": "SOLUSDT", "action": "reply", "status": 503}
    fresh_book.sim("/sim/faults", [shut])
    with fresh_book.book() as book:
        tick_book(book)
    assert problems(fresh_book) == []
    fresh_book.sim("/sim/faults", [])
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    fresh_book.finish(HOUR + 2 * HOUR_MS)
    for i, freeze in ((3, True), (5, False)):
        halt_book(fresh_book.journal(BOOK), HOUR + i * HOUR_MS - 60_000, freeze=freeze, message="maintenance")
        fresh_book.move_to(HOUR + i * HOUR_MS)
        fresh_book.finish(HOUR + i * HOUR_MS)
        resume_book(
            fresh_book.journal(BOOK), [fresh_book.journal(it) for it in SYMBOLS], HOUR + i * HOUR_MS, "over"
        )
        fresh_book.move_to(HOUR + (i + 1) * HOUR_MS)
        fresh_book.finish(HOUR + (i + 1) * HOUR_MS)
    fresh_book.check_money(HOUR + 6 * HOUR_MS)
    assert problems(fresh_book) == []
    for symbol in SYMBOLS:
        assert check(fresh_book.journal(symbol)).problems == []


def edited(made: BookScene, key: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change an object of the store by hand."""
    path = made.store / key
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


DECIDED = f"{hour_folder('BTCUSDT', HOUR)}/decision"
CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "a transfer": (
        hour_key(HOUR),
        lambda it: it["transfers"].update(BTCUSDT="84.23"),
        "another book record",
    ),
    "the reserve": (hour_key(HOUR), lambda it: it.update(reserve_usdt="9.03"), "another book record"),
    "a decision's transfer": (
        DECIDED,
        lambda it: it.update(transfer_usdt="84.23"),
        "the book record says 83.23",
    ),
    "a decision's hash of it": (DECIDED, lambda it: it.update(book="0f" * 32), "another book record"),
    "the equity of an hour without decisions": (
        hour_key(HOUR + HOUR_MS),
        lambda it: it.update(equity_usdt="29000"),
        "records add up to",
    ),
    "the reserve of an hour without decisions": (
        hour_key(HOUR + HOUR_MS),
        lambda it: it.update(reserve_usdt="1000"),
        "after its transfers",
    ),
    "the peak of an hour without decisions": (
        hour_key(HOUR + HOUR_MS),
        lambda it: it.update(peak_equity_usdt="99000"),
        "peak_equity_usdt is 99000",
    ),
    "a halt of an hour without decisions": (
        hour_key(HOUR + HOUR_MS),
        lambda it: it.update(halted_at_ms=HOUR, halt_reason="person", reason="halted"),
        "it is halted (person), and nobody has halted the book",
    ),
    "a halt without a loss": (
        hour_key(HOUR + HOUR_MS),
        lambda it: it.update(
            halted_at_ms=HOUR + HOUR_MS,
            halt_reason="drawdown",
            peak_equity_usdt=it["equity_usdt"],
            reason="halt",
        ),
        "peak_equity_usdt is",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_by_hand_is_named(fresh_book: BookScene, what: str) -> None:
    """An amount or a hash of a closed hour, or of an hour of which there is only a book record."""
    key, change, said = CHANGES[what]
    fresh_book.finish()
    fresh_book.move_to(HOUR + HOUR_MS)
    with fresh_book.book() as book:
        book.record_hour(HOUR + HOUR_MS)
    assert problems(fresh_book) == []
    edited(fresh_book, key, change)
    assert [it for it in problems(fresh_book) if said in it]


def test_a_lost_book_record_is_named(fresh_book: BookScene) -> None:
    """A book record of a past hour is gone: its symbols' decisions say so."""
    fresh_book.finish()
    (fresh_book.store / hour_key(HOUR - HOUR_MS)).unlink()
    assert [it for it in problems(fresh_book) if "another book record" in it]


def test_the_command_checks_the_book_or_one_symbol(fresh_book: BookScene, tmp_path: Path) -> None:
    """With --book all of it, a line for each symbol and one for the book; with --symbol one of them."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    names = ", ".join(f'"{it}"' for it in SYMBOLS)
    (tmp_path / "book.toml").write_text(f'symbols = [{names}]\ncapital_usdt = 30000\nparams = "P.json"\n')
    verify = ("trader", "store", "verify", "--store", str(fresh_book.store), "--json")
    whole = json.loads(command(*verify, "--book", "book.toml", cwd=tmp_path).stdout)
    assert sorted(whole) == sorted([*SYMBOLS, BOOK])
    assert [it["problems"] for it in whole.values()] == [[]] * 4
    one = json.loads(command(*verify, "--symbol", "ETHUSDT", cwd=tmp_path).stdout)
    assert (one["hours"], one["problems"]) == (12, [])
    (fresh_book.store / hour_key(HOUR - HOUR_MS)).unlink()
    done = command(*verify, "--book", "book.toml", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "another book record" in done.stdout
