"""The exchange's clock as a port: it moves forward only, and what is no exchange is a trouble of ours."""

from __future__ import annotations

import pytest

from tests.adapters.raw_server import NOW, Answer, close, http, serving
from tests.exchange.venue_kit import AT, running
from trader.adapters.clocks import SimClock
from trader.core.errors import Retry


def test_it_moves_its_exchange_and_never_back() -> None:
    """Sleeping and moving advance the exchange's own clock; moving to the past is nothing."""
    with running() as sim:
        clock = SimClock(sim.exchange.url)
        clock.sleep(1.5)
        assert clock.now_ms() == sim.now() == AT + 1_500
        clock.move_to(AT + 10_000)
        clock.move_to(AT)
        clock.sleep(0)
        assert clock.now_ms() == sim.now() == AT + 10_000
        clock.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (close, "does not answer"),
        (http(200, "hello"), "is no embedded exchange: b'hello'"),
        (http(200, {"serverTime": NOW}), "is no embedded exchange"),
        (http(200, []), "is no embedded exchange"),
        (http(404, {"error": "unknown"}), "refused to move its clock"),
    ],
)
def test_what_is_no_exchange_is_said_in_words(answer: Answer, says: str) -> None:
    """A port where something else listens ends with Retry."""
    with serving(answer) as server, pytest.raises(Retry, match=says):
        SimClock(server.url)
