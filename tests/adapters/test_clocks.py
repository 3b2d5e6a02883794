"""The exchange's clock as a port: it moves forward only, and what is no exchange is a trouble of ours."""

from __future__ import annotations

import pytest

from tests.support.raw_server import NOW, Answer, close, http, serving
from tests.support.venue_kit import AT, running
from trader.adapters.clocks import ExchangeClock, SimClock, WallClock, rate_of
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


@pytest.mark.parametrize(("speed", "rate"), [(50.0, 50.0), (0.0, 1.0)])
def test_it_follows_its_exchange_at_its_speed(speed: float, rate: float) -> None:
    """Time and spans are the exchange's; where its clock stands still, spans are the wall's."""
    with running(speed=speed) as sim:
        clock = ExchangeClock(sim.exchange.url)
        assert (clock.speed, clock.rate, rate_of(clock)) == (speed, rate, rate)
        before = clock.now_ms()
        assert AT <= before <= AT + 60_000
        clock.sleep(0.5)
        assert 490 <= clock.now_ms() - before <= 60_000
        sim.to(AT + 7_200_000)
        assert clock.follow()
        assert abs(clock.now_ms() - sim.now()) < 60_000


def test_it_never_runs_ahead_of_its_exchange() -> None:
    """What is stamped with it lies in the exchange's past by a round trip, for a time in its future is refused."""
    with running(speed=1000.0) as sim:
        clock = ExchangeClock(sim.exchange.url)
        for _ in range(20):
            assert clock.now_ms() <= sim.now()
            clock.follow()


def test_without_an_exchange_it_is_the_walls_until_one_answers() -> None:
    """Nobody there, or something else there: the time of this machine, and no error. A clock of the wall has its rate."""
    with serving(http(200, {"serverTime": NOW})) as server:
        clocks = ExchangeClock("http://127.0.0.1:9"), ExchangeClock(server.url)
    for clock in clocks:
        assert clock.speed is None
        assert not clock.follow()
        assert abs(clock.now_ms() - WallClock().now_ms()) < 5_000
    assert rate_of(WallClock()) == 1.0
