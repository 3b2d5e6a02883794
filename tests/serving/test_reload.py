"""A new champion is loaded beside the old one: no request is dropped, and a broken model changes nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from tests.serving.kit import NAIVE, PATIENT, START, Client, Stage, hour_text, serving, until
from trader.app.journal import Journal
from trader.app.models import card_of, roll_back
from trader.core.types import HOUR_MS, iso
from trader.serving import served

SECOND = START + 24 * HOUR_MS


@pytest.fixture
def stage() -> Stage:
    """A bot of trees at its first hour."""
    made = Stage()
    made.train()
    return made


def asked_without_end(client: Client, over: threading.Event, told: list[Any]) -> threading.Thread:
    """A thread that asks about the newest hour until `over`, and keeps every status and answer."""

    def ask() -> None:
        while not over.is_set():
            reply = client.post("/v1/forecast", {"symbol": "BTCUSDT", "hour": hour_text(SECOND)})
            told.append((reply.status_code, reply.json()))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_new_champion_answers_from_its_hour_on_and_no_request_is_dropped(stage: Stage) -> None:
    """The old model answers until the new one is loaded; earlier hours stay the old one's."""
    stage.at(SECOND)
    old = card_of(stage.journal, "").model_id
    with serving(stage.service()) as client:
        told: list[Any] = []
        over = threading.Event()
        threads = [asked_without_end(client, over, told) for _ in range(3)]
        until(lambda: len(told) > 20)
        new = stage.train(SECOND, model=NAIVE).model_id
        until(lambda: told[-1][1].get("model_id") == new)
        over.set()
        for thread in threads:
            thread.join()
        assert {status for status, _ in told} == {200}
        assert {answer["model_id"] for _, answer in told} == {old, new}
        assert client.forecast(hour=hour_text(SECOND - HOUR_MS))["model_id"] == old
        info = [
            it for it in client.get("/metrics").text.splitlines() if it.startswith("trader_serve_model_info")
        ]
        assert len(info) == 1
        assert new in info[0]
        assert 'trader_serve_reloads_total{outcome="ok",symbol="BTCUSDT"} 2.0' in client.get("/metrics").text


def test_a_model_that_serves_later_is_loaded_before_its_hour(stage: Stage) -> None:
    """At its hour it answers at once; until then it is the challenger."""
    old = card_of(stage.journal, "").model_id
    new = stage.train(SECOND, model=NAIVE).model_id
    with serving(stage.service()) as client:
        assert client.forecast()["model_id"] == old
        assert set(client.service.models["BTCUSDT"].published.models) == {old, new}
        stage.at(SECOND)
        assert client.forecast()["model_id"] == new


def test_the_challenger_is_what_was_published_and_does_not_trade_yet(stage: Stage) -> None:
    """Its answers say from when on it trades; where nothing waits the way out is said."""
    with serving(stage.service("challenger")) as client:
        assert client.refused({"symbol": "BTCUSDT"})[0] == 503
        assert client.get("/readyz").status_code == 503
        assert "there is no challenger" in client.get("/readyz").text
        new = stage.train(SECOND, model=NAIVE).model_id
        until(lambda: client.get("/readyz").status_code == 200)
        told = client.forecast()
        assert (told["model_id"], told["serves_from"]) == (new, iso(SECOND))


def test_a_model_by_its_id_answers_hours_that_it_does_not_trade(stage: Stage) -> None:
    """Also those it was trained on, which the answer says; not those before them."""
    card = card_of(stage.journal, "")
    stage.train(SECOND, model=NAIVE)
    stage.at(SECOND)
    with serving(stage.service(card.model_id[:-4])) as client:
        told = client.forecast()
        assert (told["model_id"], told["in_sample"]) == (card.model_id, False)
        assert client.forecast(hour=hour_text(card.train_until))["in_sample"] is True
        before = hour_text(card.train_from - HOUR_MS)
        status, said = client.refused({"symbol": "BTCUSDT", "hour": before})
        assert (status, "is before what" in said) == (422, True)


@pytest.mark.parametrize("part", ["model", "card"])
def test_a_model_that_was_swapped_on_disk_does_not_answer(
    stage: Stage, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes and card are compared with each other and with the id: the old model answers on and says that it is late, and what
    is wrong is told; restored, the new one answers."""
    monkeypatch.setattr(served, "RETRY_LOAD_S", 0.1)
    stage.at(SECOND)
    old = card_of(stage.journal, "").model_id
    with serving(stage.service(bounds=replace(PATIENT, refresh_s=0.5))) as client:
        new = stage.train(SECOND, model=NAIVE).model_id
        key = f"models/{new}/{part}"
        right = stage.store.objects[key]
        stage.store.objects[key] = right.replace(b"6", b"7", 1)
        until(lambda: new in client.get("/readyz").text)
        told = client.forecast()
        assert (told["model_id"], told["model_late"]) == (old, True)
        assert client.get("/readyz").status_code == 200
        assert f"{new} cannot be loaded" in client.get("/readyz").text
        assert 'trader_serve_reloads_total{outcome="failed",symbol="BTCUSDT"}' in client.get("/metrics").text
        assert any("cannot be loaded, and does not answer" in it for it in stage.said)
        stage.store.objects[key] = right
        until(lambda: client.forecast()["model_id"] == new)
        assert client.forecast()["model_late"] is False


def test_without_a_model_it_says_how_to_train_one_and_then_answers() -> None:
    """503 on /readyz and of every request; alive all the while."""
    stage = Stage()
    with serving(stage.service()) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert client.get("/v2/health/ready").json() == {"ready": False}
        status, said = client.refused({"symbol": "BTCUSDT"})
        assert (status, "train one with: trader retrain" in said) == (503, True)
        stage.train()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.forecast()["hour"] == iso(START)
        assert client.get("/v2/health/ready").json() == {"ready": True}


def test_a_roll_back_is_followed(stage: Stage) -> None:
    """The champion event of a person is one like any other."""
    card = card_of(stage.journal, "")
    stage.train(SECOND, model=NAIVE)
    stage.at(SECOND + HOUR_MS)
    with serving(stage.service()) as client:
        assert client.forecast()["model_id"] != card.model_id
        roll_back(Journal(stage.store, "BTCUSDT"), card, SECOND + HOUR_MS, "tests")
        until(lambda: client.forecast()["model_id"] == card.model_id)
