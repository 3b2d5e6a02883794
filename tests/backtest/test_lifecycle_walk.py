"""`backtest lifecycle`: a walk with searches, and the table."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from backtest.commands.lifecycle import lifecycle_table
from backtest.lifecycle.market import LifecycleMarket
from backtest.lifecycle.rules import LifecycleRule, simulate_rule
from backtest.study.trials import Study
from backtest.study.tune import SearchTask, tune
from tests.support.bars_made import bars_made
from tests.support.quick_forecaster import QuickForecaster
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from trader.core.hours import Rules
from trader.core.lifecycle import BreachRule
from trader.core.params import Params, params_of
from trader.core.types import DAY_MS, HOUR_MS, Filters, parse_hour
from trader.terminal import WIDTH

START = parse_hour("2021-08-10")
RULE = BreachRule(hours=48, net_return_below=0.5, hit_rate_below=None, cooldown_hours=96)


def test_a_search_knows_what_the_breach_knew_and_its_choice_serves() -> None:
    """Every study ends where its training does, begins with the serving parameters, and what it looked at is counted;
    what it chose serves from the hour said, and is what the next one begins with."""
    bars = bars_made(5_700, 3)
    rules = Rules(params_of(quick_params(), "tests"), Filters.derived(float(bars.close[bars.row(START)])))
    market = LifecycleMarket(QuickForecaster(), bars, rules, START, START + 12 * DAY_MS, "tests", 180)
    told: list[tuple[Params, int, int, Study]] = []

    def search(serving: Params, serves_from: int, number: int) -> Study:
        known_at = serves_from - serving.gap_hours * HOUR_MS
        known = bars.until(known_at)
        task = SearchTask(
            market.forecaster, known, serving, rules.filters, known_at - 30 * DAY_MS, known_at, "tests"
        )
        found = tune(task, trials=3, seed=number, warm=(serving,))
        told.append((serving, serves_from, number, found))
        return found

    lived = simulate_rule(market, LifecycleRule("on loss", breach=RULE), search)
    assert [(answer.serves_from, n) for n, answer in enumerate(lived.answers, 1)] == [it[1:3] for it in told]
    assert [it[1] for it in told] == [START + (48 + 96 * k + 1) * HOUR_MS for k in range(3)]
    assert told[0][0] == rules.params
    for (*_, found), (serving, *_) in pairwise(told):
        assert serving == found.best.params
    row = lived.row(market)
    assert (row["refits"], row["searches"]) == (3, 3)
    assert row["configurations"] == sum(found.configurations for *_, found in told) > 9
    again = simulate_rule(market, LifecycleRule("on loss", breach=RULE), search)
    assert again.run.track.texts() == lived.run.track.texts()
    only_refits = simulate_rule(market, LifecycleRule("on loss", breach=RULE), None)
    assert only_refits.run.track.texts() != lived.run.track.texts()
    first = 48 + 1  # what is traded before the first answer is the same
    assert only_refits.run.track.texts()[:first] == lived.run.track.texts()[:first]


def test_the_table_of_all_rules(tmp_path: Path) -> None:
    """One row a rule; the calendar's is `backtest run`; every row is one more configuration and one more look."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params(step_days=5)))
    file = made_bars(tmp_path, "2020-12-01", "2021-03-05")
    span = ("--bars", str(file), "--from", "2021-02-05", "--to", "2021-03-01", "--params", "P.json")
    refits = ("--trials", "0", "--loss-below", "-0.005")
    told = json.loads(command("backtest", "lifecycle", *span, *refits, "--json", cwd=tmp_path).stdout)
    (ledger,) = (tmp_path / "evidence").iterdir()
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    run = json.loads(command("backtest", "run", *span, "--json", cwd=tmp_path).stdout)
    rows = {row["rule"]: row for row in told["rules"]}
    assert list(rows) == [
        "calendar", "on loss", "on drift: PSI", "on drift: KS", "on drift: calibration", "on drift: any"
    ]  # fmt: skip  # read as a table
    assert [rows["calendar"][key] for key in ("net_return", "max_drawdown", "orders")] == [
        run[key] for key in ("net_return", "max_drawdown", "orders")
    ]
    assert rows["calendar"]["refits"] == 4
    assert rows["on loss"]["refits"] > 4
    assert {row["searches"] for row in rows.values()} == {0}
    assert [entry["kind"] for entry in entries] == ["run", "look"] * 6
    assert max(map(len, lifecycle_table("a title", told["rules"]).splitlines())) <= WIDTH
    assert len({entry["config"] for entry in entries}) == 6


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--trials", "4"), "or do not search: --trials 0"),
        (("--trials", "0", "--to", "2021-02-05"), "must be later"),
        (("--trials", "0", "--from", "2020-12-10"), "look_back 20 d + gap 1 h needs 481 bars"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    """Too little history for a search, no hours, too little history for a model: the way out, and no traceback."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params(step_days=5)))
    file = made_bars(tmp_path, "2020-12-01", "2021-03-05")
    hours = {
        "--from": "2021-02-05",
        "--to": "2021-02-15",
        **dict(zip(options[::2], options[1::2], strict=True)),
    }
    words = [word for option in hours.items() for word in option]
    done = command(
        "backtest", "lifecycle", "--bars", str(file), "--params", "P.json", *words, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
