"""An hour, to the unit: worked examples whose numbers are computed here by plain arithmetic."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest

from trader.core.hours import (
    GAP,
    LINE_KEYS,
    MISSED,
    VENUE_CLOSED,
    WARM_UP,
    HourInputs,
    HourLine,
    HourState,
    Rules,
    decide_hour,
    line_json,
    line_of,
    line_text,
    modelled_fill,
    settle,
)
from trader.core.ledger import Ledger
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.risk import RiskState
from trader.core.types import HOUR_MS, Filters, Quote, parse_hour

T0 = parse_hour("2022-01-01")
FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))


def rules(**changes: Any) -> Rules:
    """The documented defaults with changes."""
    return Rules(params_of({**DEFAULT_PARAMS, **changes}, "a test"), FILTERS)


def quote(price: float) -> Quote:
    """Bid and ask by hand: 1 bp around the price, rounded to the cent away from it."""
    return Quote(
        bid=Decimal(math.floor(round(price * 0.9999 * 100, 6))) / 100,
        ask=Decimal(math.ceil(round(price * 1.0001 * 100, 6))) / 100,
    )


def hour(
    state: HourState,
    rules: Rules,
    n: int,
    close: float,
    opened: float | None,
    p_up: float | None,
    why: str = "",
) -> tuple[HourState, dict[str, Any]]:
    """One hour lived: the state after it and its line. `opened` None is a shut venue."""
    seen = HourInputs(
        T0 + n * HOUR_MS,
        Decimal(repr(close)),
        None if opened is None else quote(opened),
        p_up,
        why,
    )
    decision = decide_hour(state, seen, rules)
    fills = [modelled_fill(decision.order, rules)] if decision.order else []
    after = settle(state, decision, fills)
    return after, line_json(line_of(decision, fills, after, seen.close))


def start(rules: Rules) -> HourState:
    """Flat with the allocation."""
    return HourState.fresh(rules.params.allocation_usdt)


def bought() -> tuple[HourState, dict[str, Any]]:
    """The first hour of most examples: bought at an open of 46,200 with 10,000 USDT."""
    return hour(start(rules()), rules(), 0, 46_216.93, 46_200.0, 0.512)


def test_an_hour_that_enters() -> None:
    """Open 46,200: ask 46,204.62, fill 46,209.25 (46,209.240462 up to the cent). 9,990 buys 0.21619; 0.1 % of it goes
    as commission, rounded up at eight decimals; the equity is marked at the close, not at the fill."""
    _, line = bought()
    qty, price = Decimal("0.21619"), Decimal("46209.25")
    assert qty * price <= 9_990 < (qty + Decimal("0.00001")) * price
    commission = Decimal("0.00021619")
    position = qty - commission
    cash = 10_000 - qty * price
    assert line == {
        "close_time": "2022-01-01T00:00:00Z",
        "p_up": 0.512,
        "target": "long",
        "order_side": "BUY",
        "order_qty": "0.21619",
        "fill_price": "46209.25",
        "fee": str((commission * price).normalize()),
        "position": str(position),
        "equity": str((cash + position * Decimal("46216.93")).normalize()),
        "reason": "enter",
    }


def test_an_hour_that_leaves() -> None:
    """Open 47,000: bid 46,995.30, fill 46,990.60 (46,990.60047 down to the cent). 0.21597 of 0.21597381 is sold, the
    fee of the proceeds is rounded up at eight decimals, and dust remains."""
    state, _ = bought()
    _, line = hour(state, rules(), 1, 47_010.0, 47_000.0, 0.5)
    qty, price = Decimal("0.21597"), Decimal("46990.60")
    proceeds = qty * price
    fee = Decimal(math.ceil(proceeds * Decimal("0.001") * 10**8)) / 10**8
    cash = 10_000 - Decimal("0.21619") * Decimal("46209.25") + proceeds - fee
    dust = Decimal("0.21597381") - qty
    assert (line["order_side"], line["order_qty"], line["fill_price"]) == ("SELL", "0.21597", "46990.6")
    assert Decimal(line["fee"]) == fee
    assert Decimal(line["position"]) == dust
    assert Decimal(line["equity"]) == cash + dust * 47_010
    assert (line["target"], line["reason"]) == ("flat", "leave")


def test_between_the_thresholds_nothing_moves() -> None:
    """P(up) of 0.505 keeps a long and keeps a flat."""
    state, before = bought()
    after, line = hour(state, rules(), 1, 46_300.0, 46_300.0, 0.505)
    assert (line["target"], line["order_side"], line["reason"]) == ("long", None, "hold")
    assert (line["fee"], line["position"]) == ("0", before["position"])
    assert after.ledger == state.ledger
    _, line = hour(start(rules()), rules(), 0, 46_300.0, 46_300.0, 0.505)
    assert (line["target"], line["equity"]) == ("flat", "10000")


def test_a_gap_keeps_the_target_and_says_so() -> None:
    """Without the hour's own bar there is no P(up), no order, and the last close marks."""
    state, _ = bought()
    after, line = hour(state, rules(), 1, 46_216.93, 46_250.0, None, GAP)
    assert (line["p_up"], line["target"], line["order_side"], line["reason"]) == (None, "long", None, "gap")
    assert after.ledger == state.ledger


def test_a_shut_venue_takes_no_order_and_the_target_is_decided_anew() -> None:
    """The line shows what would have been wanted; the next hour decides for itself."""
    state, _ = bought()
    state, line = hour(state, rules(), 1, 46_000.0, None, 0.4)
    assert (line["target"], line["order_side"], line["reason"]) == ("flat", None, VENUE_CLOSED)
    _, line = hour(state, rules(), 2, 46_000.0, 46_000.0, 0.505)
    assert (line["target"], line["reason"]) == ("long", "hold")


def test_a_missed_hour_says_so_even_while_the_venue_is_shut() -> None:
    """Missed comes first: it is why nothing was decided."""
    for opened in (46_000.0, None):
        _, line = hour(start(rules()), rules(), 1, 46_000.0, opened, None, MISSED)
        assert (line["target"], line["reason"]) == ("flat", MISSED)


def test_without_a_prediction_what_is_held_is_kept() -> None:
    """An undefined feature is no reason to trade."""
    state, _ = bought()
    _, line = hour(state, rules(), 1, 46_000.0, 46_000.0, None, WARM_UP)
    assert (line["target"], line["reason"]) == ("long", WARM_UP)


def test_the_hour_of_a_halt_sells_and_all_later_hours_stay_flat() -> None:
    """A close at which the equity is down 20 % sells with reason halt, whatever P(up) says; then nothing enters."""
    state, _ = bought()
    cash = 10_000 - Decimal("0.21619") * Decimal("46209.25")
    limit = (8_000 - cash) / Decimal("0.21597381")
    just_above = math.floor(float(limit) * 100 + 1) / 100
    _, line = hour(state, rules(), 1, just_above, 37_000.0, 0.9)
    assert line["reason"] == "hold"
    state, line = hour(state, rules(), 1, just_above - 0.01, 37_000.0, 0.9)
    assert (line["target"], line["order_side"], line["reason"]) == ("flat", "SELL", "halt")
    assert state.risk.halted_at == T0 + HOUR_MS
    for n in (2, 3):
        state, line = hour(state, rules(), n, 90_000.0, 90_000.0, 0.9)
        assert (line["target"], line["order_side"], line["reason"]) == ("flat", None, "halted")


def test_a_halt_while_the_venue_is_shut_sells_when_it_opens() -> None:
    """The halt is known at once; the sale waits for the venue, then for the hour's own bar."""
    state, _ = bought()
    state, line = hour(state, rules(), 1, 30_000.0, None, 0.5)
    assert (line["target"], line["reason"]) == ("flat", VENUE_CLOSED)
    state, line = hour(state, rules(), 2, 30_000.0, 30_000.0, None, GAP)
    assert (line["order_side"], line["reason"]) == (None, "gap")
    state, line = hour(state, rules(), 3, 30_000.0, 30_000.0, 0.9)
    assert (line["order_side"], line["reason"]) == ("SELL", "halt")


def test_a_halt_without_a_position_says_so_once() -> None:
    """Nothing to sell: the hour of the halt is marked, the next ones are halted."""
    state = HourState(Ledger(Decimal(7_000)), RiskState.fresh(Decimal(10_000)))
    state, line = hour(state, rules(), 0, 46_000.0, 46_000.0, 0.9)
    assert (line["order_side"], line["reason"]) == (None, "halt")
    _, line = hour(state, rules(), 1, 46_000.0, 46_000.0, 0.9)
    assert line["reason"] == "halted"


def test_too_little_cash_is_dust() -> None:
    """4 USDT buy nothing that the exchange takes; the target stays long and the next hour tries again."""
    poor = rules(allocation_usdt=4)
    _, line = hour(start(poor), poor, 0, 46_000.0, 46_000.0, 0.9)
    assert (line["target"], line["order_side"], line["reason"]) == ("long", None, "dust")


def test_a_partial_fill_is_completed() -> None:
    """Half the cash is left: the next hour buys the rest, without a change of target."""
    state = HourState(Ledger(Decimal(5_000), Decimal("0.1")), RiskState.fresh(Decimal(10_000)))
    _, line = hour(state, rules(), 0, 46_000.0, 46_000.0, 0.505)
    assert (line["target"], line["order_side"], line["reason"]) == ("long", "BUY", "complete")
    assert Decimal(line["order_qty"]) * Decimal(line["fill_price"]) <= Decimal(5_000) * Decimal("0.999")


def test_a_drift_of_price_alone_never_trades() -> None:
    """A price ten times as high leaves the position as it is."""
    state, _ = bought()
    _, line = hour(state, rules(), 1, 462_000.0, 462_000.0, 0.505)
    assert (line["order_side"], line["reason"]) == (None, "hold")


def test_a_line_is_written_in_the_order_of_its_keys() -> None:
    """JSON with a space after each comma and colon, money as text, plain notation."""
    line = HourLine(
        T0,
        0.512,
        "long",
        "BUY",
        Decimal("1E-5"),
        Decimal("4.5E+4"),
        Decimal("0.10"),
        Decimal(0),
        Decimal("1.00"),
        "enter",
    )
    text = line_text(line)
    assert list(json.loads(text)) == list(LINE_KEYS)
    assert text.startswith('{"close_time": "2022-01-01T00:00:00Z", "p_up": 0.512, "target": "long", ')
    amounts = ("0.00001", "45000", "0.1", "0", "1")
    assert tuple(json.loads(text).values())[4:9] == amounts
    assert json.loads(text) == line_json(line)


@pytest.mark.parametrize("p_up", [0.5, 0.52])
def test_equal_sight_gives_equal_decisions(p_up: float) -> None:
    """Deciding is pure: asked twice, it answers twice the same and changes nothing."""
    state, _ = bought()
    seen = HourInputs(T0 + HOUR_MS, Decimal(46_000), quote(46_000.0), p_up)
    assert decide_hour(state, seen, rules()) == decide_hour(state, seen, rules())


def test_what_was_entered_is_held_for_the_horizon() -> None:
    """Bought at hour 0 with a horizon of 4: a sell signal is not followed before hour 4, then it is."""
    patient = rules(horizon_hours=4)
    state, line = hour(start(patient), patient, 0, 46_000.0, 46_000.0, 0.9)
    assert line["reason"] == "enter"
    for i in (1, 2, 3):
        state, line = hour(state, patient, i, 46_000.0, 46_000.0, 0.1)
        assert (line["target"], line["order_side"], line["reason"]) == ("long", None, "hold")
    state, line = hour(state, patient, 4, 46_000.0, 46_000.0, 0.1)
    assert (line["target"], line["order_side"], line["reason"]) == ("flat", "SELL", "leave")
    state, line = hour(state, patient, 5, 46_000.0, 46_000.0, 0.9)  # being flat binds nothing
    assert line["reason"] == "enter"
    _, line = hour(state, patient, 8, 46_000.0, 46_000.0, 0.1)
    assert line["reason"] == "hold"


def test_a_halt_does_not_wait_for_the_horizon() -> None:
    """A loss of 30 % an hour after the entry is sold at once."""
    patient = rules(horizon_hours=24)
    state, _ = hour(start(patient), patient, 0, 46_000.0, 46_000.0, 0.9)
    _, line = hour(state, patient, 1, 32_000.0, 32_000.0, 0.9)
    assert (line["target"], line["order_side"], line["reason"]) == ("flat", "SELL", "halt")


def test_an_entry_that_nobody_filled_binds_nothing() -> None:
    """The order expired: the hour of entry is that of the last one that was filled."""
    patient = rules(horizon_hours=4)
    state = start(patient)
    seen = HourInputs(T0, Decimal(46_000), Quote(Decimal(45_995), Decimal(46_005)), 0.9)
    decision = decide_hour(state, seen, patient)
    assert decision.reason == "enter"
    assert settle(state, decision, []).entered_at is None
    assert decision.order is not None
    assert settle(state, decision, [modelled_fill(decision.order, patient)]).entered_at == T0
