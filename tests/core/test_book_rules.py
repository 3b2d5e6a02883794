"""A book's rules: cash moves and is never made, transfers are no gain and no loss, the whole halts, a late symbol waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.app.book_journal import BOOK_HOUR
from trader.app.layout import BOOK
from trader.core.book import BookHour, BookRules, PendingTransfer, book_hour, missed_book_hour
from trader.core.book_limits import SleeveStanding
from trader.core.book_line import SleeveHour, book_line, book_line_text
from trader.core.book_params import BookParams, parse_book
from trader.core.errors import ConfigError
from trader.core.hours import HourState
from trader.core.ledger import Ledger
from trader.core.risk import RiskState
from trader.core.shares import Shares
from trader.core.transfers import transfers, with_transfer
from trader.core.types import HOUR_MS

START = 1_000 * 24 * HOUR_MS
HALF = Decimal("0.5")
CENT = Decimal("0.01")
amounts = st.decimals(0, 10**7, places=4)
weights = st.lists(st.decimals(0, 1, places=6), min_size=2, max_size=5)


def rules_of(**changes: Any) -> BookRules:
    """A book of two with 1,000 USDT that moves cash every four hours."""
    values = {"symbols": ["A1", "B1"], "capital_usdt": 1_000, "rebalance_hours": 4, **changes}
    return BookRules(BookParams.model_validate(values), START)


def halves(symbols: Sequence[str]) -> Shares:
    """The same for each of these symbols."""
    return Shares(dict.fromkeys(symbols, Decimal(1) / len(symbols)), "hash")


def never(_: Sequence[str]) -> Shares:
    """Shares that nobody may ask for."""
    raise AssertionError("shares were asked for")


def stood(
    symbol: str, hour: int, equity: str, cash: str | None = None, halted: bool = False
) -> SleeveStanding:
    """A sleeve whose newest record is the one of `hour` hours after the start."""
    return SleeveStanding(
        symbol, START + hour * HOUR_MS, Decimal(equity), Decimal(equity if cash is None else cash), halted
    )


def begun(rules: BookRules) -> BookHour:
    """The book's first hour."""
    fresh = [SleeveStanding("A1"), SleeveStanding("B1")]
    return book_hour(rules, START, rules.before_first(), fresh, halves)


@settings(max_examples=40)
@given(weights=weights, data=st.data(), reserve=amounts)
def test_no_money_is_made_or_lost(weights: list[Decimal], data: st.DataObject, reserve: Decimal) -> None:
    """Over any equities, cash and shares: what is given is taken or stays the book's, nobody gives more than its cash or falls
    below its share, none takes beyond its share, the book never owes; in cents, alphabetical."""
    total = sum(weights) or Decimal(1)
    shares = Shares(
        {f"S{i}": (it / total).quantize(Decimal("1e-6"), "ROUND_DOWN") for i, it in enumerate(weights)}, ""
    )
    standings = []
    for symbol in shares.weights:
        equity = data.draw(amounts)
        cash = equity * data.draw(st.sampled_from([Decimal(0), HALF, Decimal(1)]))
        standings.append(SleeveStanding(symbol, START - HOUR_MS, equity, cash))
    equity = reserve + sum((it.equity_usdt for it in standings), Decimal(0))
    moved = transfers(equity, reserve, standings[::-1], shares)
    assert list(moved) == sorted(moved)
    assert reserve - sum(moved.values()) >= 0
    for it in standings:
        amount = moved.get(it.symbol, Decimal(0))
        goal = shares.weights[it.symbol] * equity
        assert amount == amount.quantize(CENT)
        assert amount >= -it.cash_usdt
        if amount > 0:
            assert it.equity_usdt + amount <= goal
        if amount < 0:
            assert it.equity_usdt + amount >= goal - CENT


def test_where_cash_does_not_reach_all_get_the_same_share_of_what_they_want() -> None:
    """Two want 300 and 100; there are 200."""
    standings = [stood("A1", -1, "0"), stood("B1", -1, "200"), stood("C1", -1, "700", cash="200")]
    shares = Shares({"A1": Decimal("0.3"), "B1": Decimal("0.3"), "C1": Decimal("0.4")}, "")
    moved = transfers(
        Decimal(1_000),
        Decimal(0),
        standings,
        shares,
    )
    assert moved == {"A1": Decimal("150"), "B1": Decimal("50"), "C1": Decimal("-200")}


@settings(max_examples=60)
@given(
    cash=st.decimals(0, 10**6, places=8),
    position=st.decimals(0, 100, places=5),
    mark=st.decimals("0.01", 10**5, places=2),
    base=st.decimals(1, 10**6, places=8),
    over=st.decimals(1, 3, places=4),
    share=st.decimals("-1", 3, places=4),
)
def test_a_transfer_is_no_gain_and_no_loss(
    cash: Decimal, position: Decimal, mark: Decimal, base: Decimal, over: Decimal, share: Decimal
) -> None:
    """Base and peak move in proportion, to 8 decimals: return and drawdown of the risk epoch stay what they were, and so does a
    halt."""
    ledger = Ledger(cash, position)
    equity = ledger.equity(mark)
    amount = (cash * share).quantize(CENT, "ROUND_DOWN")
    risk = RiskState(base, base * over, START, "drawdown")
    after = with_transfer(HourState(ledger, risk), amount, mark)
    assert after.ledger == replace(ledger, cash=cash + amount)
    assert (after.risk.halted_at, after.risk.halt_reason) == (START, "drawdown")
    if not amount:
        assert after.risk == risk
        return
    if not equity:
        assert after.risk.base_equity == after.risk.peak_equity == amount
        return
    for before, now in (
        (risk.base_equity, after.risk.base_equity),
        (risk.peak_equity, after.risk.peak_equity),
    ):
        assert now == now.quantize(Decimal("1e-8"))
        assert abs(now * equity - before * (equity + amount)) <= Decimal("0.5000001e-8") * equity


def test_the_first_hour_gives_each_symbol_its_share() -> None:
    """Half of 1,000 each, said with the weights and the hash; nothing is left, and no record is named."""
    said = begun(rules_of())
    assert said.reason == "rebalance"
    assert said.transfers == {"A1": Decimal(500), "B1": Decimal(500)}
    assert (said.reserve_usdt, said.bars_hash, said.records) == (0, "hash", {})


def test_shares_are_asked_for_at_rebalance_hours_only() -> None:
    """Between them the book marks and says nothing; at the fourth hour what A1 gained goes to B1."""
    rules = rules_of()
    said = begun(rules)
    for i in (1, 2, 3):
        standings = [stood("A1", i - 1, "600"), stood("B1", i - 1, "500")]
        said = book_hour(rules, START + i * HOUR_MS, said, standings, never)
        assert (said.reason, said.equity_usdt, said.transfers) == ("", 1_100, {})
    said = book_hour(rules, START + 4 * HOUR_MS, said, [stood("A1", 3, "600"), stood("B1", 3, "500")], halves)
    assert said.transfers == {"A1": Decimal(-50), "B1": Decimal(50)}


def test_a_book_that_missed_its_first_hour_begins_with_the_next() -> None:
    """Shares are given as soon as somebody can; a missed rebalance hour later on is not made up for."""
    rules = rules_of()
    missed = missed_book_hour(START, rules.before_first())
    fresh = [SleeveStanding("A1"), SleeveStanding("B1")]
    said = book_hour(rules, START + HOUR_MS, missed, fresh, halves)
    assert said.transfers == {"A1": Decimal(500), "B1": Decimal(500)}
    later = missed_book_hour(START + 4 * HOUR_MS, said)
    assert (later.reason, later.transfers, later.records) == ("missed", {}, {})
    standings = [stood("A1", 4, "600"), stood("B1", 4, "500")]
    assert book_hour(rules, START + 5 * HOUR_MS, later, standings, never).transfers == {}


def test_a_transfer_that_no_record_holds_is_part_of_the_equity() -> None:
    """B1's exchange closes at the hour that gave it 500: the book is worth 1,000 all the same and does not halt, also over a
    missed hour; B1 takes nothing again. With the record of that hour nothing is pending."""
    rules = rules_of(rebalance_hours=1, halt_drawdown="0.01")
    said = begun(rules)
    pending = {"B1": PendingTransfer(START, Decimal(500))}

    def of_one(symbols: Sequence[str]) -> Shares:
        assert list(symbols) == ["A1"]
        return halves(symbols)

    for hour in (1, 2):
        standings = [stood("A1", hour - 1, "500"), SleeveStanding("B1")]
        said = book_hour(rules, START + hour * HOUR_MS, said, standings, of_one)
        assert (said.equity_usdt, said.halted, said.transfers) == (1_000, False, {})
        assert said.pending == pending
    said = missed_book_hour(START + 3 * HOUR_MS, said)
    assert said.pending == pending
    said = book_hour(rules, START + 4 * HOUR_MS, said, [stood("A1", 3, "500"), stood("B1", 3, "500")], halves)
    assert (said.equity_usdt, said.pending) == (1_000, {})


def test_the_whole_halts_and_gives_nothing_afterwards() -> None:
    """At the hour whose records reach the limit; the reason is `halt` there and `halted` after it, and cash rests."""
    rules = rules_of(halt_cumulative_return="-0.1", rebalance_hours=1)
    said = begun(rules)
    said = book_hour(rules, START + HOUR_MS, said, [stood("A1", 0, "400.01"), stood("B1", 0, "500")], halves)
    assert not said.halted
    worse = [stood("A1", 1, "399.99"), stood("B1", 1, "500")]
    said = book_hour(rules, START + 2 * HOUR_MS, said, worse, never)
    assert (said.halted, said.reason, said.risk.halted_at) == (True, "halt", START + 2 * HOUR_MS)
    better = [stood("A1", 2, "900"), stood("B1", 2, "500")]
    said = book_hour(rules, START + 3 * HOUR_MS, said, better, never)
    assert (said.halted, said.reason, said.transfers) == (True, "halted", {})


def test_the_books_line_is_after_the_fills() -> None:
    """Equity and cash of all and the book's own, the exposure between them, the drawdown from the epoch's peak."""
    said = replace(begun(rules_of()), reserve_usdt=Decimal("100"))
    line = book_line(said, [SleeveHour(Decimal(500), Decimal(200)), SleeveHour(Decimal(300), Decimal(300))])
    assert book_line_text(line) == (
        '{"close_time": "1972-09-27T00:00:00Z", "equity": "900", "cash": "600", "exposure": "0.333333", "drawdown": "0.1", '
        '"halted": false, "transfers": {"A1": "500", "B1": "500"}}'
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("symbols = [", "book.toml is not valid TOML"),
        ('symbols = ["A1"]', "'capital_usdt' is missing"),
        ('symbols = ["A1", "A1"]\ncapital_usdt = 1', "names A1 more than once"),
        ('symbols = ["A1"]\ncapital_usdt = 1\n[cap]\nB1 = 0.5', "cap names B1, which symbols does not"),
        (
            'symbols = ["A1", "B1"]\ncapital_usdt = 1\n[cap]\nA1 = 0.5\nB1 = 0.3',
            "0.2 of capital_usdt would never",
        ),
        ('symbols = ["A1"]\ncapital_usdt = 0', "'capital_usdt': input should be greater than 0, not '0'"),
        ('symbols = ["A1"]\ncapital_usdt = 1\nshares = "most"', "'shares': input should be"),
        (
            'symbols = ["A1"]\ncapital_usdt = 1\nrebalance = 4',
            "unknown key 'rebalance'; the keys are symbols, capital",
        ),
    ],
)
def test_a_wrong_book_is_refused_with_the_key(text: str, says: str) -> None:
    """And what is wrong with it."""
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        parse_book(text, "book.toml")


def test_a_book_of_few_words_has_its_defaults() -> None:
    """Symbols alphabetical, equal shares moved once a week, a halt at a fifth lost; numbers exact."""
    book = parse_book('symbols = ["B1", "A1"]\ncapital_usdt = 1000.10', "book.toml")
    assert book.symbols == ("A1", "B1")
    assert book.capital_usdt == Decimal("1000.10")
    assert (book.shares, book.rebalance_hours, book.halt_drawdown) == ("equal", 168, None)
    assert book.halt_cumulative_return == Decimal("-0.2")


def test_a_symbol_that_cannot_move_is_left_out_of_the_sharing() -> None:
    """At a rebalance hour a halted symbol keeps its 400; the others share the 600 that they have, by the shares among them."""
    rules = rules_of(symbols=["A1", "B1", "C1"])
    said = begun(rules)
    standings = [stood("A1", 3, "500"), stood("B1", 3, "100"), stood("C1", 3, "400", halted=True)]
    asked: list[list[str]] = []

    def shares(symbols: Sequence[str]) -> Shares:
        asked.append(list(symbols))
        return halves(symbols)

    later = book_hour(rules, START + 4 * HOUR_MS, said, standings, shares)
    assert asked == [["A1", "B1"]]
    assert later.transfers == {"A1": Decimal(-200), "B1": Decimal(200)}


def test_a_released_symbol_gives_all_its_cash_to_the_book_and_takes_none() -> None:
    """A person releases B1, which is late since hour 1: its cash of 300 is the book's from the next record on, and at the next
    rebalance A1 may have it. B1's position stays where it is, and the book's equity is the same before and after."""
    rules = rules_of()
    said = begun(rules)
    standings = [stood("A1", 2, "500"), stood("B1", 1, "500", cash="300")]
    said = book_hour(rules, START + 3 * HOUR_MS, said, standings, never, {"B1"})
    assert (said.transfers, said.reserve_usdt, said.equity_usdt) == ({"B1": Decimal(-300)}, 300, 1_000)
    said = book_hour(
        rules,
        START + 4 * HOUR_MS,
        said,
        [stood("A1", 3, "500"), standings[1]],
        halves,
    )
    assert (said.transfers, said.reserve_usdt, said.equity_usdt) == ({"A1": Decimal(300)}, 0, 1_000)
    assert said.pending == {"B1": PendingTransfer(START + 3 * HOUR_MS, Decimal(-300))}


def test_two_transfers_on_their_way_are_counted_one_by_one() -> None:
    """B1 is released while 500 are on their way to it: both transfers wait, each until the record of its own hour. Closed up to
    the first only, B1 has the 500 and the second still takes them: the book is worth 1,000 in every hour."""
    rules = rules_of()
    said = begun(rules)
    a1, closed = stood("A1", 0, "500"), SleeveStanding("B1")
    said = book_hour(rules, START + HOUR_MS, said, [a1, closed], never, {"B1"})
    assert (said.transfers, said.reserve_usdt, said.equity_usdt) == ({"B1": Decimal(-500)}, 500, 1_000)
    first, second = PendingTransfer(START, Decimal(500)), PendingTransfer(START + HOUR_MS, Decimal(-500))
    said = book_hour(rules, START + 2 * HOUR_MS, said, [stood("A1", 1, "500"), closed], never)
    assert (said.pending, said.equity_usdt) == ({"B1": replace(second, earlier=(first,))}, 1_000)
    half_closed = [stood("A1", 2, "500"), stood("B1", 0, "500")]
    half = book_hour(rules, START + 3 * HOUR_MS, said, half_closed, never)
    assert (half.pending, half.equity_usdt) == ({"B1": second}, 1_000)
    whole = book_hour(rules, START + 3 * HOUR_MS, said, [stood("A1", 2, "500"), stood("B1", 1, "0")], never)
    assert (whole.pending, whole.equity_usdt) == ({}, 1_000)


def test_two_transfers_on_their_way_are_stored_and_read() -> None:
    """The earlier one lies beside the later; a single one is stored as it always was."""
    first, second = PendingTransfer(START, Decimal(500)), PendingTransfer(START + HOUR_MS, Decimal(-500))
    both = replace(begun(rules_of()), pending={"B1": replace(second, earlier=(first,)), "A1": first})
    content = BOOK_HOUR.content(both)
    assert content["pending"]["A1"] == {"hour": START, "amount_usdt": "500"}
    assert BOOK_HOUR.decode("book", BOOK_HOUR.encode(both, "0" * 16), BOOK) == both
