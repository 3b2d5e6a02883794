"""Killed at every step of everything else that decides: halts, a second store, orders in doubt, trainings."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.crew import PARAMS, WORK, Begun, Scene, run_trapped
from trader.app.codec_events import DEPLOYMENT, FORMATS
from trader.app.halts import announce
from trader.app.retrain import champions, load_model
from trader.app.tick import tick
from trader.core.errors import Halt, OrderInDoubt
from trader.core.types import DAY_MS, HOUR_MS
from trader.exchange.scenarios import SCENARIOS

MOST_STEPS = 60


def tick_to(made: Scene, hour: int) -> None:
    """Trade the hours before `hour`, and set the clock to it."""
    with made.bot() as bot:
        for before in range(made.start, hour, HOUR_MS):
            made.sim("/sim/clock", {"to": before})
            tick(bot)
    made.sim("/sim/clock", {"to": hour})


def at_a_limit(made: Scene, begun: Begun) -> None:
    """It holds what has just lost too much."""
    tick_to(made, begun.halt_hour)


def told_to_halt(made: Scene, begun: Begun) -> None:
    """It holds, and a person has said halt."""
    tick_to(made, begun.hour + HOUR_MS)
    announce(made.journal(), made.start, "person", freeze=False, by="person")


def another_store(made: Scene, begun: Begun) -> None:
    """A bot of the same name with a store of its own has bought in this hour."""
    with made.bot() as bot:
        tick(bot)
    shutil.rmtree(made.store)
    shutil.copytree(begun.store, made.store)
    birth = made.store / "state" / "store"
    birth.write_text(birth.read_text().replace(f'"id":"{made.journal().store_id()}"', '"id":"0e0e"'))


def in_doubt(made: Scene, lost: str) -> None:
    """Its order was sent, the reply was lost and no query was answered; a minute has passed."""
    silent = {"path": "/api/v3/*", "since": lost, "action": "reply", "status": 503}
    made.sim("/sim/faults", [*SCENARIOS[lost], silent])
    with made.bot() as bot, pytest.raises(OrderInDoubt):
        tick(bot)
    made.sim("/sim/clock", {"to": made.start + 60_000})


def in_doubt_and_executed(made: Scene, begun: Begun) -> None:
    """The order was executed."""
    in_doubt(made, "rst_after_commit")


def in_doubt_and_absent(made: Scene, begun: Begun) -> None:
    """The order never arrived."""
    in_doubt(made, "rst_before_commit")


def nothing_yet(made: Scene, begun: Begun) -> None:
    """An empty store."""
    shutil.rmtree(made.store)


def before_the_calendar(made: Scene, begun: Begun) -> None:
    """It trades, and an hour from now its next model must serve."""
    tick_to(made, begun.hour + 3 * HOUR_MS)
    made.sim("/sim/clock", {"to": begun.hour + PARAMS.step_days * DAY_MS - HOUR_MS})


def after_bad_hours(made: Scene, begun: Begun) -> None:
    """Its last hours breach the rule."""
    tick_to(made, begun.hour + 4 * HOUR_MS)


@dataclass(frozen=True)
class Case:
    """Work that dies after this preparation; `writes` of it at least, so that the test cannot pass by dying too early."""

    work: str
    prepare: Callable[[Scene, Begun], None]
    writes: int


CASES = [
    Case("tick", at_a_limit, 5),
    Case("tick", told_to_halt, 4),
    Case("tick", another_store, 1),
    Case("tick", in_doubt_and_executed, 2),
    Case("tick", in_doubt_and_absent, 4),
    Case("begin", nothing_yet, 4),
    Case("refit", before_the_calendar, 3),
    Case("refit", after_bad_hours, 4),
]


def do(made: Scene, work: str) -> None:
    """The same work to its end, and once more as a schedule does."""
    for _ in range(2):
        with made.bot() as bot, suppress(Halt):
            WORK[work](bot)


def told(made: Scene) -> dict[str, Any]:
    """Everything that the journal decides by, without what differs from writer to writer."""
    journal = made.journal()
    events = {name: [event.content for event in journal.events(form)] for name, form in FORMATS.items()}
    return {
        **events,
        "lines": [record.line for record in journal.records()],
        "orders": [(order["side"], order["executedQty"]) for order in made.executed()],
    }


@pytest.mark.parametrize("case", CASES, ids=[case.prepare.__name__ for case in CASES])
@pytest.mark.parametrize("kind", ["write", "request"])
@pytest.mark.parametrize("when", ["after", pytest.param("before", marks=pytest.mark.long)])
def test_killed_at_every_step_and_done_again(
    case: Case, kind: str, when: str, begun: Begun, tmp_path: Path
) -> None:
    """SIGKILL just after every write and every request; the same work again ends as if nothing had been: the same halts,
    champions, breaches, lines and orders, each once. (Just before one is just after the one before it.)"""
    ready = replace(begun, folder=tmp_path / "ready")
    with begun.again(ready.folder) as made:
        case.prepare(made, begun)
    with ready.again(tmp_path / "clean") as made:
        do(made, case.work)
        clean = told(made)
    killed = 0
    for n in range(1, MOST_STEPS):
        ended = killed_and_done_again(ready, tmp_path, case, kind, n, when)
        if ended is None:
            break
        killed += 1
        assert ended == clean, n
    else:
        pytest.fail("this work has more steps than this test tries")
    assert killed >= (case.writes if kind == "write" else 1)


def killed_and_done_again(
    ready: Begun, folder: Path, case: Case, kind: str, n: int, when: str
) -> dict[str, Any] | None:
    """What the journal and the exchange tell after a kill at a step and a second try; None if there is no such step."""
    with ready.again(folder / f"{n}-{when}") as made:
        if not run_trapped(made, kind, n, when, case.work):
            return None
        do(made, case.work)
        if case.prepare is not another_store:  # there the order is the other store's
            made.check_books()
        check_models(made)
        return told(made)


def check_models(made: Scene) -> None:
    """The bot has begun once, and every champion's model is whole."""
    journal = made.journal()
    assert len(journal.events(DEPLOYMENT)) == 1
    for champion in champions(journal):
        card, _ = load_model(journal, champion.model_id)
        assert (card.model_id, card.valid_from) == (champion.model_id, champion.valid_from)
