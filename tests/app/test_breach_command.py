"""`trader retrain --if-due` after bad hours, as the schedule calls it: a search by the study, a new champion, once."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.rig import Venue, command, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.adapters.store_local import LocalStore
from trader.app.codec_events import BREACH, CHAMPION
from trader.app.journal import Journal
from trader.app.retrain import load_model
from trader.core.types import HOUR_MS, iso, parse_hour

START = parse_hour("2021-02-01")
# A gain of half the equity in two hours is asked for, so the rule is breached; the search looks at the serving
# parameters and one other.
RULE = {"TRADER_BREACH_HOURS": "2", "TRADER_BREACH_NET_RETURN": "0.5", "TRADER_RETUNE_TRIALS": "2"}


def if_due(made: Venue) -> dict[str, object]:
    """What the command answers."""
    words = ("trader", "retrain", "--if-due", "--workers", "1", "--json")
    found: dict[str, object] = json.loads(
        command(*words, cwd=made.folder, check=True, **made.environment, **RULE).stdout
    )
    return found


def test_a_breach_is_searched_for_and_answered_once(tmp_path: Path) -> None:
    """The event says why, the champion's event and card say that it answers it, the model serves the next hour; the same
    command an hour later finds nothing to do."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    with venue(tmp_path, made_bars(tmp_path, "2019-10-01", "2021-02-05"), START - HOUR_MS) as made:
        made.trader("retrain", "--params", "P.json")
        for hour in (START, START + 2 * HOUR_MS):
            made.move_to(hour)
            made.trader("tick")
        answered, again = if_due(made), if_due(made)
    assert answered["retrained"] is True
    assert answered["valid_from"] == iso(START + 3 * HOUR_MS)
    assert again == {"retrained": False}
    journal = Journal(LocalStore(tmp_path / "state"), "BTCUSDT")
    (breach,) = journal.events(BREACH)
    champion = journal.events(CHAMPION)[-1].content
    assert breach.content.at_ms == START + 2 * HOUR_MS
    assert champion.breach_number == breach.number
    assert champion.message == f"breach 1: {breach.content.reason}"
    assert load_model(journal, champion.model_id)[0].reason == champion.message
