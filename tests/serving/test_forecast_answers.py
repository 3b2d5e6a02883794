"""POST /v1/forecast: what the bot says of an hour, from its bars or the request's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.serving.kit import BARS, GAP, NAIVE, START, Client, Stage, hour_text, rows_until, serving, until
from trader.app.bot import loaded
from trader.core.features import anchor_of
from trader.core.forecast import LEVELS, probability_above
from trader.core.model import digest_of
from trader.core.prediction import bars_hash_of, predict
from trader.core.types import HOUR_MS, iso
from trader.forecasters.registry import forecaster_of
from trader.serving.bounds import MOST_BARS, MOST_REQUESTS

NOW = START + 60 * HOUR_MS


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A bot of trees whose clock stands 60 hours after its first model."""
    made = Stage()
    made.train()
    made.at(NOW)
    return made


@pytest.fixture(scope="module")
def client(stage: Stage) -> Iterator[Client]:
    """The server."""
    with serving(stage.service()) as made:
        yield made


def test_an_hour_is_answered_as_the_bot_decides_it(stage: Stage, client: Client) -> None:
    """P(up), bars and card are those of the bot's own function, of the newest hour and of every one before."""
    (event,) = stage.store.list("state/BTCUSDT/champion/")
    model = loaded(stage.journal, forecaster_of, client.forecast()["model_id"])
    assert event
    for hour in (NOW, NOW - HOUR_MS, START, START + 7 * HOUR_MS):
        told = client.forecast(hour=None if hour == NOW else hour_text(hour))
        block = BARS.span(anchor_of(hour), hour + HOUR_MS)
        assert told["hour"] == iso(hour)
        assert told["p_up"] == predict(block, hour, model).p_up
        assert told["input_hash"] == bars_hash_of(block)
        assert told["card_hash"] == digest_of(model.card)
        assert (told["quantiles"], told["reason"], told["source"]) == (None, "", "collected")
        assert (told["model_late"], told["in_sample"], told["serves_from"]) == (False, False, None)


def test_bars_of_the_request_give_the_same_as_the_same_bars_collected(client: Client) -> None:
    """To the bit, with their hash; bars after the hour change nothing."""
    hour = START + 9 * HOUR_MS
    collected = client.forecast(hour=hour_text(hour))
    rows = rows_until(BARS, hour, anchor_of(hour))
    assert client.forecast(bars=rows) == {**collected, "source": "request"}
    later = rows_until(BARS, NOW, anchor_of(hour))
    assert client.forecast(bars=later, hour=hour_text(hour)) == {**collected, "source": "request"}


def test_other_bars_give_another_hash_and_another_forecast(client: Client) -> None:
    """What is answered follows from what was sent."""
    hour = START + 9 * HOUR_MS
    rows = rows_until(BARS, hour, anchor_of(hour))
    moved = [[row[0], *(value * 0.9 for value in row[1:5]), row[5]] for row in rows[-3:]]
    one, other = client.forecast(bars=rows), client.forecast(bars=rows[:-3] + moved)
    assert one["input_hash"] != other["input_hash"]
    assert one["p_up"] != other["p_up"]


def test_an_hour_without_a_bar_has_no_p_up(client: Client) -> None:
    """The exchange was down: null, and why."""
    told = client.forecast(hour=hour_text(GAP))
    assert (told["p_up"], told["reason"]) == (None, "gap")


def test_several_are_answered_in_their_order(client: Client) -> None:
    """What is refused stands in its place with its own status."""
    asked = [{"symbol": "BTCUSDT"}, {"symbol": "XYZ"}, {"symbol": "BTCUSDT", "hour": hour_text(START)}]
    first, refused, last = client.post("/v1/forecast", {"requests": asked}).json()["answers"]
    assert first == client.forecast()
    assert last == client.forecast(hour=hour_text(START))
    assert refused["status"] == 422
    assert "XYZ is not served here; there are BTCUSDT" in refused["error"]


BAR = rows_until(BARS, NOW, NOW)[0]
WHOLE = rows_until(BARS, NOW, anchor_of(NOW))
BAD: dict[str, tuple[Any, str]] = {
    "no body": (b"", "body: Invalid JSON"),
    "not JSON": (b"\xff\x00", "body: Invalid JSON"),
    "a list": ([], "body: Input should be an object"),
    "no symbol": ({}, "symbol: Field required"),
    "an unknown key": ({"symbol": "BTCUSDT", "x": 1}, "x: Extra inputs are not permitted"),
    "an unknown symbol": ({"symbol": "DOGEUSDT"}, "DOGEUSDT is not served here; there are BTCUSDT"),
    "a symbol that is none": ({"symbol": "../BTC"}, "symbol: String should match pattern"),
    "an hour to come": (
        {"symbol": "BTCUSDT", "hour": hour_text(NOW + HOUR_MS)},
        "is not over yet; the newest closed hour is 2021-04-30T05:00:00Z",
    ),
    "an hour before the bot": ({"symbol": "BTCUSDT", "hour": "2017-01-01"}, "the first serves from"),
    "before all time": ({"symbol": "BTCUSDT", "hour": "0001-01-01T00:00+14:00"}, "is before every bar"),
    "half past": ({"symbol": "BTCUSDT", "hour": "2021-04-29T21:30Z"}, "is not on the full hour"),
    "no time": ({"symbol": "BTCUSDT", "hour": "yesterday"}, "is not a date or a time"),
    "a number as hour": ({"symbol": "BTCUSDT", "hour": 5}, "hour: Input should be a valid string"),
    "a text as number": ({"symbol": "BTCUSDT", "horizon_hours": "1"}, "horizon_hours: Input should be"),
    "another horizon": (
        {"symbol": "BTCUSDT", "horizon_hours": 2},
        "(xgboost) answers for horizon_hours 1 alone, not 2",
    ),
    "NaN in bars": (
        f'{{"symbol":"BTCUSDT","bars":[[{BAR[0]},NaN,1,1,1,1]]}}'.encode(),
        "bars.0.1: Input should be a finite number",
    ),
    "infinity in bars": (
        f'{{"symbol":"BTCUSDT","bars":[[{BAR[0]},1e999,1,1,1,1]]}}'.encode(),
        "bars.0.1: Input should be a finite number",
    ),
    "texts in bars": (
        {"symbol": "BTCUSDT", "bars": [[BAR[0], "1", 1, 1, 1, 1]]},
        "bars.0.1: Input should be a valid number",
    ),
    "a short bar": ({"symbol": "BTCUSDT", "bars": [BAR[:5]]}, "bars.0.5: Field required"),
    "no bars": ({"symbol": "BTCUSDT", "bars": []}, "bars: List should have at least 1 item"),
    "too many bars": (
        {"symbol": "BTCUSDT", "bars": [BAR] * (2 * MOST_BARS)},
        "bars: List should have at most 5000 items",
    ),
    "a bar twice": ({"symbol": "BTCUSDT", "bars": [*WHOLE, WHOLE[-1]]}, "appears twice; remove one"),
    "bars backwards": (
        {"symbol": "BTCUSDT", "bars": WHOLE[::-1]},
        "is earlier than the row before; sort by open time",
    ),
    "a bar off the hour": (
        {"symbol": "BTCUSDT", "bars": [[BAR[0] + 60_000, *BAR[1:]]]},
        "does not open on the full hour",
    ),
    "seconds": (
        {"symbol": "BTCUSDT", "bars": [[BAR[0] // 1000, *BAR[1:]]]},
        "is in seconds; this needs milliseconds",
    ),
    "an open time beyond 64 bits": (
        {"symbol": "BTCUSDT", "bars": [[2**70, *BAR[1:]]]},
        "bars.0.0: Input should be less than",
    ),
    "an open time before 1970": (
        {"symbol": "BTCUSDT", "bars": [[-3_600_000, *BAR[1:]]]},
        "bars.0.0: Input should be greater than or equal to 0",
    ),
    "seventy thousand unknown keys": (
        {"symbol": "BTCUSDT", **dict.fromkeys(map(str, range(70_000)), 0)},
        "the body has 70,000 faults; its form is described at /openapi.json",
    ),
    "a negative price": (
        {"symbol": "BTCUSDT", "bars": [[BAR[0], -1, -1, -1, -1, 1]]},
        "is not a positive price",
    ),
    "too few bars": (
        {"symbol": "BTCUSDT", "bars": WHOLE[5:]},
        "Send all: with fewer the numbers would differ from the bot's",
    ),
    "a bar that is not over": (
        {"symbol": "BTCUSDT", "bars": rows_until(BARS, NOW + HOUR_MS, anchor_of(NOW))},
        "leave out what is not over",
    ),
    "an hour without its bar": (
        {"symbol": "BTCUSDT", "hour": hour_text(NOW), "bars": WHOLE[:-1]},
        "send that hour's bar too",
    ),
    "too many requests": (
        {"requests": [{"symbol": "BTCUSDT"}] * (MOST_REQUESTS + 1)},
        "requests: List should have at most 100 items",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_never_answered(client: Client, name: str) -> None:
    """422, the place, and the way out; the next request is answered."""
    body, words = BAD[name]
    status, said = client.refused(body)
    assert status == 422, said
    assert words in said
    assert len(said) < 1_000
    assert client.forecast()["p_up"] is not None


def test_the_newest_hour_waits_for_its_bar(stage: Stage) -> None:
    """Until the exchange shows it: 503, and when to ask again. Then it is answered before anybody asks."""
    late = Stage(bars=stage.bars.until(NOW), store=stage.store)
    late.at(NOW)
    with serving(late.service()) as client:
        assert client.forecast()["hour"] == iso(NOW)
        late.clock.time_ms += HOUR_MS
        reply = client.post("/v1/forecast", {"symbol": "BTCUSDT"})
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        assert f"the bar of {iso(NOW + HOUR_MS)} is not there yet; the newest is {iso(NOW)}" in reply.text
        assert client.forecast(hour=hour_text(NOW))["hour"] == iso(NOW)


def test_a_distribution_has_quantiles_at_every_horizon() -> None:
    """Those of the record at the horizon that is traded; others read off the same distribution, as the fan is."""
    stage = Stage()
    card = stage.train(model=NAIVE, horizon_hours=2)
    stage.at(NOW)
    model = loaded(stage.journal, forecaster_of, card.model_id)
    with serving(stage.service()) as client:
        traded = client.forecast()
        block = BARS.span(model.reads_from(NOW), NOW + HOUR_MS)
        assert tuple(traded["quantiles"]) == predict(block, NOW, model).quantiles
        assert (traded["levels"], traded["horizon_hours"]) == (list(LEVELS), 2)
        ahead = client.forecast(horizon_hours=5)
        wanted = probability_above(np.array([ahead["quantiles"]]), 0.0)[0]
        assert ahead["p_up"] == wanted
        assert ahead["quantiles"] != traded["quantiles"]
        status, said = client.refused({"symbol": "BTCUSDT", "horizon_hours": 7})
        assert (status, "answers for horizon_hours 1 to 6, not 7" in said) == (422, True)
        first = model.reads_from(NOW)
        assert client.forecast(bars=rows_until(BARS, NOW, first)) == {**traded, "source": "request"}


def test_the_metrics_show_the_newest_forecast(stage: Stage, client: Client) -> None:
    """Hour and P(up) as they were answered."""
    told = client.forecast()
    until(lambda: f'trader_serve_p_up{{symbol="BTCUSDT"}} {told["p_up"]}' in client.get("/metrics").text)
    assert f'timestamp_seconds{{symbol="BTCUSDT"}} {NOW / 1000:g}'[:40] in client.get("/metrics").text
