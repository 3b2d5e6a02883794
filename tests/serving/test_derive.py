"""An answer is derived again from the store's model and the bars, and one that was changed is found out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.kit import BARS, NAIVE, START, Stage, hour_text, rows_until, serving
from tests.support.fakes import MemoryMarket
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.core.errors import DataError
from trader.core.features import anchor_of
from trader.core.types import HOUR_MS
from trader.serving.derive import derived, given_of
from trader.serving.sources import Sources, SymbolSource

HOUR = START + 5 * HOUR_MS


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A bot of trees, and a family with quantiles from a day later on."""
    made = Stage()
    made.train()
    made.train(START + 24 * HOUR_MS, model=NAIVE)
    made.at(START + 30 * HOUR_MS)
    return made


def sources_of(stage: Stage) -> Sources:
    """What another process would read."""
    collector = Collector(MemoryMarket(stage.bars, stage.clock), stage.symbol)
    return Sources({stage.symbol: SymbolSource(Journal(stage.store, stage.symbol), collector)}, stage.clock)


def again(stage: Stage, value: Any) -> tuple[str, ...]:
    """What differs, over all answers of a file."""
    found = [derived(it, sources_of(stage)) for it in given_of(json.dumps(value), "answer.json")]
    return tuple(said for it in found for said in it.differences)


def test_every_answer_is_derived_again_to_the_bit(stage: Stage) -> None:
    """Of trees and of quantiles, of other horizons, several at once, and from bars of a request."""
    rows = rows_until(BARS, HOUR, anchor_of(HOUR))
    with serving(stage.service()) as client:
        assert again(stage, client.forecast()) == ()
        assert again(stage, client.forecast(horizon_hours=4)) == ()
        asked = [{"symbol": "BTCUSDT", "hour": hour_text(HOUR)}, {"symbol": "NONE"}]
        assert again(stage, client.post("/v1/forecast", {"requests": asked}).json()) == ()
        request = {"symbol": "BTCUSDT", "bars": rows}
        answer = client.forecast(bars=rows)
        assert again(stage, {"request": request, "answer": answer}) == ()
        with pytest.raises(DataError, match="give both, as"):
            again(stage, answer)


@pytest.mark.parametrize("field", ["p_up", "input_hash", "card_hash", "quantiles"])
def test_a_changed_answer_is_found_out(stage: Stage, field: str) -> None:
    """The field is named with both values."""
    with serving(stage.service()) as client:
        told = client.forecast()
    other = {"p_up": 0.75, "quantiles": [0.0] * 7}.get(field, "0" * 16)
    (said,) = again(stage, {**told, field: other})
    assert said.startswith(f"{field}: the answer says {other}")


def test_what_is_no_answer_is_named(stage: Stage) -> None:
    """A file of something else, another bot's symbol, a model that is not there."""
    with serving(stage.service()) as client:
        told = client.forecast()
    for text in ("", "[]", "{}", '{"answers": 5}', "[" * 100_000):
        with pytest.raises(DataError, match=r"answer\.json holds no answer of /v1/forecast"):
            given_of(text, "answer.json")
    with pytest.raises(DataError, match="is about ETHUSDT, and this store is of BTCUSDT"):
        again(stage, {**told, "symbol": "ETHUSDT"})
    with pytest.raises(DataError, match="models/20200101T00-0 is incomplete"):
        again(stage, {**told, "model_id": "20200101T00-0"})
