"""A search leaves every configuration it looked at in the store, once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.observers.conftest import START, Told
from tests.support.crew import PARAMS
from trader.app.codec_events import STUDY
from trader.commands.search import _keep
from trader.core.params import Params, params_of
from trader.core.study import best_trial, searched, study_key


@dataclass
class Trial:
    """What a study's trial shows to everybody."""

    number: int
    value: float | None
    params: Params


def test_a_study_and_its_event_are_written_once(told: Told) -> None:
    """Saved twice, as after a crash between the two writes, there is one study and one event."""
    trials = [
        Trial(
            n, None if n == 4 else n / 10, params_of({**PARAMS.as_json(), "look_back_days": 20 + n}, "a test")
        )
        for n in range(10)
    ]
    study: Any = SimpleNamespace(trials=trials, best=trials[-1])
    for _ in range(2):
        journal = told.journal
        bot: Any = SimpleNamespace(journal=journal, symbol="BTCUSDT")
        _keep(bot, study, START, seed=3)
    events = told.journal.events(STUDY)
    assert len(events) == 2, "the one of the fixture, and this"
    data = told.journal.store.get(study_key(events[-1].content.study_id))
    assert data is not None
    report = json.loads(data)
    assert [trial["value"] for trial in report["trials"]] == [trial.value for trial in trials]
    assert best_trial(report)["params"] == trials[-1].params.as_json()
    assert searched(report) == ["look_back_days"]
    assert (report["seed"], report["serve_from"], report["best"]) == (3, START, 9)
    assert sum(report["importance"].values()) in (0, 1)
