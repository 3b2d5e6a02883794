"""Signal and venue must speak of the same market: else nothing is sent, and a close is no mark until it is confirmed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from trader.core.hours import (
    GAP,
    MISSED,
    PRICE_BAND,
    HourDecision,
    HourInputs,
    HourState,
    Rules,
    decide_hour,
    line_of,
    settle,
)
from trader.core.ledger import Ledger
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.risk import RiskState
from trader.core.sanity import UnconfirmedClose, doubt_of, mid, out_of_band, price_gap
from trader.core.types import HOUR_MS, Filters, Quote, parse_hour

T0 = parse_hour("2022-01-01")
CLOSE = Decimal(50_000)
QUOTE = Quote(Decimal(49_995), Decimal(50_005))
APART = Quote(Decimal(50_990), Decimal(51_010))  # a mid of 51,000: two per cent above
FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))
BAND = Decimal("0.02")
BUYING = HourInputs(T0, CLOSE, QUOTE, 0.6)
# Worth 10,000 at 50,000, of which half is in cash.
HOLDING = HourState(Ledger(Decimal(5_000), Decimal("0.1")), RiskState.fresh(Decimal(10_000)))


def rules(**changes: Any) -> Rules:
    """The documented defaults with a band of 2 %, nothing completed, and changes."""
    return Rules(
        params_of({**DEFAULT_PARAMS, "price_band": 0.02, "rebalance_band": 1, **changes}, "a test"), FILTERS
    )


def hours(state: HourState, seen: list[dict[str, Any]], by: Rules) -> tuple[list[HourDecision], HourState]:
    """Hours in a row, each an honest one with P(up) at a half but for what is given. No order is filled."""
    decisions, before = [], CLOSE
    for n, changes in enumerate(seen):
        made = replace(
            HourInputs(T0 + n * HOUR_MS, CLOSE, QUOTE, 0.505, close_before=before),
            **{"gap": False, **changes},
        )
        decision = decide_hour(state, made, by)
        state, before = settle(state, decision, []), made.close
        decisions.append(decision)
    return decisions, state


def closing(factor: float) -> dict[str, Any]:
    """An hour whose bar closes at a multiple of the price, while the venue quotes what it did."""
    return {"close": CLOSE * Decimal(repr(factor))}


@pytest.mark.parametrize(
    ("price", "gap"), [(51_000, "0.02"), (49_000, "0.02"), (50_000, "0"), (25_000, "0.5")]
)
def test_the_gap_is_a_prices_distance_from_the_close(price: int, gap: str) -> None:
    """Above or below, as a share of the close."""
    assert price_gap(CLOSE, Decimal(price)) == Decimal(gap)
    assert mid(Quote(Decimal(price - 10), Decimal(price + 10))) == price


def test_the_band_holds_its_own_edge() -> None:
    """At the band prices agree, beyond it they do not; no band and no price are no gap."""
    assert not out_of_band(CLOSE, mid(APART), BAND)
    assert out_of_band(CLOSE, mid(APART), Decimal("0.0199"))
    assert not out_of_band(CLOSE, mid(APART), None)
    assert not out_of_band(CLOSE, None, Decimal("0.01"))


FIRST = UnconfirmedClose(Decimal(25), Decimal(50))  # a close of 25 after one of 50
SECOND = UnconfirmedClose(Decimal(25), None)  # and another of 25


@pytest.mark.parametrize(
    ("before", "close", "book", "gap", "wanted"),
    [
        (None, 50, 50, False, None),
        (None, 25, 50, False, FIRST),
        (None, 25, None, False, None),
        (FIRST, 50, 50, False, None),
        (FIRST, 25, 50, False, SECOND),
        (FIRST, 25, 25, False, None),
        (FIRST, 25, None, False, None),
        (FIRST, 99, 50, False, UnconfirmedClose(Decimal(99), Decimal(50))),
        (FIRST, 25, None, True, FIRST),
        (FIRST, 25, 50, True, FIRST),
        (FIRST, 25, 25, True, None),
        (SECOND, 25, 50, False, SECOND),
        (SECOND, 25, 50, True, SECOND),
        (SECOND, 99, 50, False, UnconfirmedClose(Decimal(99), Decimal(25))),
    ],
)
def test_a_close_is_doubted_until_the_book_or_a_second_bar_confirms_it(
    before: UnconfirmedClose | None, close: int, book: int | None, gap: bool, wanted: UnconfirmedClose | None
) -> None:
    """Every case by hand: the close before was 50. A gap repeats an earlier close, so it confirms nothing; an hour whose
    price nobody knows cannot be compared."""
    price = None if book is None else Decimal(book)
    assert doubt_of(before, Decimal(50), Decimal(close), price, BAND, gap=gap) == wanted
    assert doubt_of(before, Decimal(50), Decimal(close), price, None, gap=gap) is None


def test_the_first_hour_has_no_earlier_close() -> None:
    """Its own marks the cash that is all it has; it is unconfirmed all the same, so nothing is sent."""
    doubt = doubt_of(None, None, Decimal(25), Decimal(50), BAND, gap=False)
    assert doubt == UnconfirmedClose(Decimal(25), Decimal(25))
    seen = HourInputs(T0, Decimal(25), Quote(Decimal(1), Decimal(25)), 0.9)
    assert decide_hour(HourState.fresh(Decimal(10_000)), seen, rules()).reason == PRICE_BAND


def test_beyond_the_band_an_hour_decides_and_sends_nothing() -> None:
    """The line keeps P(up) and target; the order that would have left is not there, and the reason says why."""
    state, by = HourState.fresh(Decimal(10_000)), rules(price_band=0.0199)
    assert decide_hour(state, BUYING, by).order is not None
    made = decide_hour(state, replace(BUYING, quote=APART), by)
    assert (made.p_up, made.target, made.order, made.reason) == (0.6, "long", None, PRICE_BAND)


@pytest.mark.parametrize(("p_up", "state"), [(0.6, HourState.fresh(Decimal(10_000))), (0.4, HOLDING)])
def test_the_side_that_is_traded_is_compared(p_up: float, state: HourState) -> None:
    """A bid of 0.3 and an ask of 1.7 times the price have the price as their middle: neither a purchase nor a sale leaves."""
    wide = Quote(CLOSE * Decimal("0.3"), CLOSE * Decimal("1.7"))
    assert not out_of_band(CLOSE, mid(wide), BAND)
    made = decide_hour(state, replace(BUYING, p_up=p_up, quote=wide), rules())
    assert (made.order, made.reason, made.doubt) == (None, PRICE_BAND, None)
    assert decide_hour(state, replace(BUYING, p_up=p_up), rules()).order is not None


def test_a_bad_print_halts_nothing_and_sells_nothing() -> None:
    """A bar closes at half its price while the position is held: the equity stays where it was, no limit fires, and the next
    honest hour holds on."""
    (bad, honest), after = hours(HOLDING, [closing(0.5), {}], rules(halt_drawdown=0.1))
    assert (bad.equity_before, bad.risk, bad.reason) == (10_000, HOLDING.risk, PRICE_BAND)
    assert bad.doubt == UnconfirmedClose(CLOSE / 2, CLOSE)
    assert (honest.order, honest.reason, honest.doubt) == (None, "hold", None)
    assert (after.risk, after.doubt) == (HOLDING.risk, None)
    written = line_of(bad, [], settle(HOLDING, bad, []), CLOSE / 2)
    assert (written.equity, written.reason) == (10_000, PRICE_BAND)


def test_a_print_at_three_times_the_price_raises_no_peak() -> None:
    """No later hour halts for a drawdown from a peak that never was."""
    decisions, after = hours(HOLDING, [closing(3.0), {}, {}], rules(halt_drawdown=0.1))
    assert after.risk == HOLDING.risk
    assert [made.reason for made in decisions] == [PRICE_BAND, "hold", "hold"]


def test_without_a_band_every_close_is_a_mark() -> None:
    """The same print halts, as it did."""
    (bad, *_), _ = hours(HOLDING, [closing(0.5)], rules(price_band=None))
    assert (bad.halts, bad.doubt, bad.equity_before) == (True, None, 7_500)


def test_two_hours_in_a_row_are_a_price() -> None:
    """The second bar at half the price counts, though the book still disagrees: the halt fires, its sale waits for the book,
    and leaves in the first hour in which the two agree."""
    again = [closing(0.5), closing(0.505), closing(0.5), {}]
    (first, second, third, honest), _ = hours(HOLDING, again, rules())
    assert (first.halts, second.halts) == (False, True)
    assert second.equity_before == 5_000 + Decimal("0.1") * 25_250
    assert second.doubt == UnconfirmedClose(CLOSE * Decimal("0.505"), None)
    assert [made.reason for made in (first, second, third)] == [PRICE_BAND] * 3
    assert third.equity_before == 7_500
    assert honest.order is not None
    assert (honest.order.side, honest.reason) == ("SELL", "halt")


def test_another_print_does_not_confirm_the_one_before() -> None:
    """Half the price and then twice the price: the last confirmed close still marks both."""
    decisions, after = hours(HOLDING, [closing(0.5), closing(2.0)], rules())
    assert [made.equity_before for made in decisions] == [10_000, 10_000]
    assert after.mark(CLOSE * 2) == CLOSE


def test_a_crash_that_the_book_shares_counts_at_once() -> None:
    """Bar and book fall together: the halt fires and sells in that very hour."""
    half = {**closing(0.5), "quote": Quote(Decimal(24_995), Decimal(25_005))}
    (made,), _ = hours(HOLDING, [half], rules())
    assert made.halts
    assert made.order is not None
    assert (made.order.side, made.reason) == ("SELL", "halt")


def test_a_halts_sale_needs_an_honest_bid_only() -> None:
    """A book without offers, and so with an absurd middle, delays the sale by the hour in which a second bar confirms the
    close, and no longer."""
    thin = {"quote": Quote(Decimal(49_995), Decimal(150_000))}
    halted = replace(HOLDING, risk=replace(HOLDING.risk, halted_at=T0 - HOUR_MS, halt_reason="drawdown"))
    decisions, _ = hours(halted, [thin, thin], rules())
    assert [made.reason for made in decisions] == [PRICE_BAND, "halt"]
    frozen = replace(halted, risk=replace(halted.risk, frozen=True))
    assert [made.reason for made in hours(frozen, [thin, {}], rules())[0]] == [PRICE_BAND, "halted"]


def test_a_missed_hour_is_compared_with_the_open_of_its_next_bar() -> None:
    """Nobody asked the book in time: the open at T stands for it. Without that bar the close counts."""
    missed = {"quote": None, "p_up": None, "no_p_up": MISSED, **closing(0.5)}
    (late,), _ = hours(HOLDING, [{**missed, "price_after": CLOSE}], rules())
    assert (late.reason, late.halts, late.equity_before) == (MISSED, False, 10_000)
    (shut,), _ = hours(HOLDING, [missed], rules())
    assert (shut.reason, shut.halts, shut.equity_before) == (MISSED, True, 7_500)


def test_a_gap_keeps_its_reason_and_the_doubt() -> None:
    """An hour without a bar after a bad print: neither a line's reason nor the mark comes from what is not there."""
    hole = {"p_up": None, "no_p_up": GAP, "gap": True, **closing(0.5)}
    (_, open_, shut, honest), after = hours(
        HOLDING, [closing(0.5), hole, {**hole, "quote": None}, {}], rules()
    )
    assert [made.equity_before for made in (open_, shut, honest)] == [10_000] * 3
    assert (open_.reason, shut.reason, honest.reason) == (GAP, "venue_closed", "hold")
    assert after.risk == HOLDING.risk


def test_parameters_come_before_the_setting() -> None:
    """The band of the parameters decides; without one, that of the setting; without either there is none."""
    setting = Decimal("0.01")
    own, none = rules(price_band=0.05), rules(price_band=None)
    assert replace(own, price_band=setting).band == Decimal("0.05")
    assert replace(none, price_band=setting).band == setting
    assert none.band is None
