"""Signal and venue must speak of the same market, or nothing is sent."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from trader.core.hours import PRICE_BAND, Rules, Seen, State, decide_hour
from trader.core.ledger import Ledger
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.risk import RiskState
from trader.core.sanity import out_of_band, price_gap
from trader.core.types import Filters, Quote, parse_hour

CLOSE = Decimal(50_000)
QUOTE = Quote(Decimal(50_990), Decimal(51_010))  # a mid of 51,000: two per cent above
RULES = Rules(
    params_of(DEFAULT_PARAMS, "a test"),
    Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001")),
)
BUYING = Seen(parse_hour("2022-01-01"), CLOSE, QUOTE, 0.6)


@pytest.mark.parametrize(("mid", "gap"), [(51_000, "0.02"), (49_000, "0.02"), (50_000, "0"), (25_000, "0.5")])
def test_the_gap_is_the_mids_distance_from_the_close(mid: int, gap: str) -> None:
    """Above or below, as a share of the close."""
    assert price_gap(CLOSE, Quote(Decimal(mid - 10), Decimal(mid + 10))) == Decimal(gap)


def test_the_band_holds_its_own_edge() -> None:
    """At the band prices agree, beyond it they do not; no band and no quote are no gap."""
    assert not out_of_band(CLOSE, QUOTE, Decimal("0.02"))
    assert out_of_band(CLOSE, QUOTE, Decimal("0.0199"))
    assert not out_of_band(CLOSE, QUOTE, None)
    assert not out_of_band(CLOSE, None, Decimal("0.01"))


def test_beyond_the_band_an_hour_decides_and_sends_nothing() -> None:
    """The line keeps P(up) and target; the order that would have left is not there, and the reason says why."""
    state = State.fresh(Decimal(10_000))
    assert decide_hour(state, BUYING, RULES).order is not None
    decision = decide_hour(state, replace(BUYING, refused=PRICE_BAND), RULES)
    assert (decision.p_up, decision.target, decision.order, decision.reason) == (
        0.6,
        "long",
        None,
        PRICE_BAND,
    )


def test_a_halt_sells_once_prices_agree_again() -> None:
    """The hour that reaches the limit cannot sell beyond the band: it halts and says price_band; the next one sells."""
    risk = RiskState(base_equity=Decimal(10_000), peak_equity=Decimal(10_000))
    state = State(Ledger(Decimal(0), Decimal("0.1")), risk)
    halting = decide_hour(state, replace(BUYING, refused=PRICE_BAND), RULES)
    assert (halting.halts, halting.order, halting.reason) == (True, None, PRICE_BAND)
    after = State(state.ledger, halting.risk)
    sold = decide_hour(after, replace(BUYING, close_time=BUYING.close_time + 3_600_000), RULES)
    assert sold.order is not None
    assert (sold.order.side, sold.reason) == ("SELL", "halt")
