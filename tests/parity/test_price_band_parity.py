"""Wrong prints, crashes and gaps under a price band: the bot and the backtest doubt the same hours and write the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.bars_made import START, bars_made
from tests.support.rig import quick_params
from tests.support.twins import Twins
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.app.store_check import check
from trader.core.hours import Rules
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Filters, parse_time, plain

FIRST, HOURS = 600, 30
# Long from the first hour that predicts a rise, and nothing but a limit sells.
HOLDS = {
    "model": {"family": "naive"},
    "enter_edge": 0.0,
    "exit_edge": 0.49,
    "step_days": 2,
    "look_back_days": 10,
    "halt_drawdown": 0.2,
    "price_band": 0.02,
}


@dataclass(frozen=True)
class Case:
    """Prints and jumps by the hour of the run, hours without a bar, and what must follow: the unconfirmed hours, the hour of
    the halt, the hour of its sale, and the hours in which the band spoke."""

    prints: Mapping[int, float] = field(default_factory=dict)
    jumps: Mapping[int, float] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    unconfirmed: tuple[int, ...] = ()
    halts_at: int | None = None
    sells_at: int | None = None
    banded: tuple[int, ...] = ()


CASES = {
    "prints, alone, in pairs that differ, around a gap": Case(
        {12: 0.5, 14: 3.0, 18: 0.5, 19: 3.0, 23: 0.5, 28: 3.0},
        missing=(25, 26, 27),
        unconfirmed=(12, 14, 18, 19, 23, 28),
        banded=(12, 14, 18, 19, 23, 28),
    ),
    "two in a row": Case({12: 0.5, 13: 0.505}, unconfirmed=(12,), halts_at=13, sells_at=14, banded=(12, 13)),
    "a crash between two bars": Case(
        jumps={13: 0.5}, unconfirmed=(12,), halts_at=13, sells_at=13, banded=(12,)
    ),
    "a crash within a bar": Case({12: 0.5}, {13: 0.5}, halts_at=12, sells_at=12),
    "a crash over a gap": Case(
        jumps={16: 0.5}, missing=(13, 14, 15), unconfirmed=(15,), halts_at=16, sells_at=16
    ),
}


def twins_of(case: Case) -> Twins:
    """Thirty hours under a limit that a bad print would reach. Hour n is the close of bar FIRST + n."""
    prints, jumps = ({FIRST + n: by for n, by in given.items()} for given in (case.prints, case.jumps))
    missing = tuple(FIRST + n for n in case.missing)
    bars = bars_made(FIRST + HOURS + 10, 3, prints=prints, jumps=jumps, missing=missing)
    rules = Rules(params_of(quick_params(**HOLDS), "tests"), Filters.derived(30_000.0))
    start = parse_time(START) + (FIRST + 1) * HOUR_MS
    return Twins(bars, rules, start, start + HOURS * HOUR_MS)


@pytest.mark.parametrize("name", CASES)
def test_both_hosts_doubt_the_same_hours(tmp_path: Path, name: str) -> None:
    """The lines are equal to the byte; the band speaks, the limit fires and the sale leaves in the hours that a person would
    name; and the journal's totals follow from line to line."""
    case, twins = CASES[name], twins_of(CASES[name])
    backtest = twins.backtest()
    assert twins.replay(tmp_path) == backtest
    lines = [json.loads(line) for line in backtest]
    assert [i for i, line in enumerate(lines) if line["reason"] == "price_band"] == [*case.banded]
    assert [i for i, line in enumerate(lines) if line["order_side"] == "SELL"] == there(case.sells_at)
    journal = Journal(LocalStore(tmp_path), "BTCUSDT")
    assert check(journal).problems == []
    records = [*journal.records()]
    assert [i for i, it in enumerate(records) if it.risk.halted_at == it.close_time] == there(case.halts_at)
    assert [i for i, it in enumerate(records) if it.unconfirmed] == [*case.unconfirmed]
    for i in case.unconfirmed:
        assert float(lines[i]["position"]) > 0
        assert lines[i]["equity"] == plain(records[i].ledger.equity(records[i].mark))
        assert records[i].mark == records[i - 1].mark
        assert records[i].risk == records[i - 1].risk
    highest = max(float(line["equity"]) for line in lines)
    assert float(records[-1].risk.peak_equity) == pytest.approx(max(highest, 10_000.0))


def there(hour: int | None) -> list[int]:
    """That hour alone, or none."""
    return [] if hour is None else [hour]
