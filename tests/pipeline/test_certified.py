"""What a pipeline publishes has passed the certificate of `trader check`; what fails is named, and its findings are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backtest.certificate import live
from backtest.engine.lookahead import Check
from backtest.pipeline import stage_check, stages_judged
from backtest.pipeline.stage_inputs import Given
from backtest.pipeline.stage_publish import publish_stage
from tests.pipeline.kit import Kitchen
from trader.core.certificate import PARTS
from trader.core.errors import DataError
from trader.core.fan import FanForecast, fan_forecast
from trader.core.training import Training, training_of
from trader.core.types import Floats


def test_a_certificate_stands_beside_what_is_published(finished: Kitchen) -> None:
    """It names every part, is about the published model, and is dated by the hour from which that serves: equal inputs give
    equal bytes."""
    outputs = finished.outputs()
    told = json.loads(outputs["publish/certificates/BTCUSDT-naive.json"])
    assert [it["part"] for it in told["parts"]] == list(PARTS)
    assert all(check["passed"] for part in told["parts"] for check in part["checks"])
    card = json.loads(outputs["train/BTCUSDT/naive/card.json"])
    model = json.loads(outputs["publish/models/BTCUSDT-naive.json"])
    assert told["model_id"] == card["model_id"]
    assert model["model_sha256"] == card["model_sha256"]
    assert model["certificate"] == "../certificates/BTCUSDT-naive.json"
    assert told["made_at_ms"] == told["known_until"] == card["valid_from"]


def test_a_look_ahead_publishes_nothing(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is named with what was found; once nothing is found the findings go, and it is published."""
    monkeypatch.setattr(stage_check, "examine", lambda *_: [Check("decisions", 1, ("hour 5 changes",))])
    code, err = kitchen.fails()
    assert code == 2
    assert "stage check/BTCUSDT/naive failed" in err
    assert "BTCUSDT by naive fails its check, so nothing is published: decisions: hour 5 changes" in err
    assert not (kitchen.out / "current" / "publish").exists()
    refused = kitchen.out / "refused" / "check" / "BTCUSDT" / "naive"
    assert json.loads((refused / "check.json").read_text())["checks"][0]["found"] == ["hour 5 changes"]
    monkeypatch.undo()
    assert kitchen.run() == ["check/BTCUSDT/naive", "publish"]
    assert not refused.exists()


def test_a_model_that_fails_its_certificate_is_not_published(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels an hour off in the training: the walk-forward, which fits the model again, predicts otherwise."""

    def an_hour_off(*given: Any) -> Training:
        right = training_of(*given)
        return replace(right, y=np.roll(right.y, 1, axis=1))

    kitchen.write(families=("xgboost",))
    monkeypatch.setattr(stages_judged, "training_of", an_hour_off)
    code, err = kitchen.fails()
    assert code == 2
    assert (
        "BTCUSDT by xgboost fails its check, so nothing is published: its certificate failed: production (live path"
        in err
    )
    assert "All findings: out/refused/check/BTCUSDT/xgboost." in err
    told = json.loads((kitchen.out / "refused/check/BTCUSDT/xgboost/certificate.json").read_text())
    failed = {it["part"] for it in told["parts"] if not all(check["passed"] for check in it["checks"])}
    assert failed == {"production"}
    assert not (kitchen.out / "current" / "publish").exists()


AHEAD = "\n[model.naive]\nforecast_hours = 3\n"


def test_hours_ahead_that_are_shown_otherwise_are_not_published(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function that `trader forecast` shows swaps two hours ahead that nobody trades: the walk-forward says otherwise, the
    certificate names hour and quantile, and nothing is published. Without the fault they are compared, and published."""

    def swapped(*given: Any) -> FanForecast:
        right = fan_forecast(*given)
        return replace(right, prices=right.prices[[0, 2, 1]])

    kitchen.write(AHEAD)
    monkeypatch.setattr(live, "fan_forecast", swapped)
    code, err = kitchen.fails()
    assert code == 2
    assert (
        "BTCUSDT by naive fails its check, so nothing is published: its certificate failed: production" in err
    )
    told = json.loads((kitchen.out / "refused/check/BTCUSDT/naive/certificate.json").read_text())
    words = [row["words"] for part in told["parts"] for row in part["checks"] if not row["passed"]]
    assert len(words) == 1
    assert "the quantile 0.025 of the close 2 hours ahead is shown as" in words[0]
    assert not (kitchen.out / "current" / "publish").exists()
    monkeypatch.undo()
    (kitchen.out / "journal.jsonl").unlink()  # what the fault has made is not known to be wrong
    assert "check/BTCUSDT/naive" in kitchen.run()
    certificate = (kitchen.out / "current/check/BTCUSDT/naive/certificate.json").read_text()
    assert "with their quantiles 3 hours ahead are equal to the bit" in certificate


def test_a_forecast_that_the_bot_would_not_show_is_not_published(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training writes the hours ahead in another order beside a sound model: the check names the first that differs."""
    kitchen.write(AHEAD)

    def rolled(*given: Any) -> Floats:
        right = live.shown_ahead(*given)
        assert right is not None
        return np.roll(right, 1, axis=0)

    monkeypatch.setattr(stages_judged, "shown_ahead", rolled)
    code, err = kitchen.fails()
    assert code == 2
    assert "nothing is published: the published forecast: 1 hour ahead it gives" in err
    assert "2021-03-12T01:00:00Z, the bot would show" in err
    assert not (kitchen.out / "current" / "publish").exists()


@pytest.mark.parametrize("what", ["a failed one", "another model's"])
def test_publish_asks_for_a_certificate_that_was_passed(what: str, finished: Kitchen) -> None:
    """The stage itself reads the certificate: a failed one, and that of another model, are refused."""
    outputs = finished.outputs()
    stages = {"backtest": ("summary.json", "P.json"), "train": ("model", "card.json", "forecast.json")}
    stages["check"] = ("check.json", "certificate.json")
    files = {
        f"BTCUSDT-naive/{name}": outputs[f"{stage}/BTCUSDT/naive/{name}"]
        for stage, names in stages.items()
        for name in names
    }
    told = json.loads(files["BTCUSDT-naive/certificate.json"])
    if what == "a failed one":
        told["parts"][1]["checks"][0]["passed"] = False
    else:
        told["model_id"] = "20210312T00-000000000000"
    settings = {"pairs": [["BTCUSDT", "naive"]], "hours": 1}
    publish_stage(Given.arrays_of(files), settings)
    files["BTCUSDT-naive/certificate.json"] = json.dumps(told).encode()
    said = (
        "failed: newest .* it is not published"
        if what == "a failed one"
        else "is the certificate of 20210312T00-0000"
    )
    with pytest.raises(DataError, match=said):
        publish_stage(Given.arrays_of(files), settings)
