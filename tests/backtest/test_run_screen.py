"""What `backtest run` and `tune` show: trades, why nothing was traded, parameters by option, complete trials only."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.commands.inputs import given as read_inputs
from backtest.commands.run import write_trades
from backtest.commands.tune_screen import show_trials
from backtest.engine.no_order import why_no_order
from backtest.engine.simulate import Run, simulate
from backtest.study.trials import Study, Trial
from tests.support.bars_made import bars_made
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.trades import TRADE_KEYS
from trader.core.types import HOUR_MS, Filters
from trader.terminal import WIDTH

BARS = bars_made(400, 8, symbol="=1+1", missing=(40, 41))
START, STOP = BARS.first + 10 * HOUR_MS, BARS.last - 5 * HOUR_MS
FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))


def run_of(p_up: float | None, **changes: Any) -> tuple[Run, Rules]:
    """A run over probabilities within a thousandth of `p_up`, or over none."""
    rules = Rules(params_of({**DEFAULT_PARAMS, **changes}, "a test"), FILTERS)
    n = (STOP - START) // HOUR_MS
    drawn = np.random.default_rng(1).uniform(-0.001, 0.001, n) + (np.nan if p_up is None else p_up)
    return simulate(BARS, drawn.astype(np.float32), rules, START, STOP), rules


@pytest.mark.parametrize(
    ("p_up", "changes", "said"),
    [
        (0.505, {}, "never reached an entry threshold; the highest was 0.5060 (2021-"),
        (0.505, {}, "a long needs 0.5100"),
        (0.495, {"exposure": "long_short"}, "the lowest was 0.4940"),
        (
            0.52,
            {"allocation_usdt": 4},
            "below the minimum order (381 h); the exchange was closed (1 h). The minimum order",
        ),
        (0.52, {"price_band": 1e-9}, "the price lay beyond the price band"),
        (None, {}, "no hour has a prediction"),
    ],
)
def test_a_run_without_an_order_says_why(p_up: float | None, changes: dict[str, Any], said: str) -> None:
    """The highest P(up) beside the threshold, or what refused the orders, with numbers."""
    run, rules = run_of(p_up, **changes)
    assert run.state.ledger.orders == 0
    assert said in (why_no_order(run, rules) or "")


def test_a_run_with_an_order_needs_no_reason() -> None:
    """Nothing is said."""
    assert why_no_order(*run_of(0.52)) is None


def test_a_model_that_says_one_thing_only_is_named() -> None:
    """Trees that never split, and a random walk, give the same P(up) in every hour; few values are said too."""
    rules = Rules(params_of(DEFAULT_PARAMS, "a test"), FILTERS)
    p_up = np.full((STOP - START) // HOUR_MS, 0.5, np.float32)
    told = why_no_order(simulate(BARS, p_up, rules, START, STOP), rules) or ""
    assert "P(up) was 0.5000 in every hour, a long needs 0.5100. To this model all hours are alike" in told
    p_up[:50] = 0.49
    assert "only 2 values of P(up)" in (why_no_order(simulate(BARS, p_up, rules, START, STOP), rules) or "")


def test_trades_are_written_for_a_spreadsheet(tmp_path: Path) -> None:
    """A row a trade, money as exact decimals that sum to the fees of the run, the open trade without an exit; a symbol that
    is a formula stays text."""
    rng = np.random.default_rng(3)
    rules = Rules(params_of({**DEFAULT_PARAMS, "halt_cumulative_return": None}, "a test"), FILTERS)
    p_up = rng.normal(0.5, 0.02, (STOP - START) // HOUR_MS).astype(np.float32)
    p_up[-3:] = 0.6
    run = simulate(BARS, p_up, rules, START, STOP)
    write_trades(tmp_path / "t.csv", run, BARS.symbol, rules)
    head, *rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert tuple(head) == ("symbol", *TRADE_KEYS)
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert {row["symbol"] for row in told} == {"'=1+1"}
    assert sum(Decimal(row["fees_usdt"]) for row in told) == run.track.fees_usdt
    assert [row["exit_time"] == "" for row in told] == [False] * (len(told) - 1) + [True]
    assert all(row["net_profit_usdt"][:1] in "-0123456789" for row in told)


def test_a_run_tells_its_trades(tmp_path: Path) -> None:
    """The command: figures of trades in the table and in --json, which also says that there was an order; the file has as
    many closed trades as the figures count; every line is within 80 columns."""
    made_bars(tmp_path, "2020-12-01", "2021-04-01")
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    words = (
        "--bars",
        "BTCUSDT-1h.parquet",
        "--from",
        "2021-03-05",
        "--to",
        "2021-03-08",
        "--params",
        "P.json",
    )
    done = command("backtest", "run", *words, "--trades-out", "t.csv", cwd=tmp_path)
    for name in ("Sharpe ratio", "win rate of trades", "profit factor", "average holding time"):
        assert name in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    summary = json.loads(command("backtest", "run", *words, "--json", cwd=tmp_path).stdout)
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert summary["trades"] == sum(row["exit_time"] != "" for row in rows) > 0
    assert (
        summary["win_rate"] == sum(float(row["net_profit_usdt"] or 0) > 0 for row in rows) / summary["trades"]
    )
    assert summary["why_no_order"] is None


def test_options_win_over_the_parameters_of_the_file(tmp_path: Path) -> None:
    """--features, --horizon-hours and --label, of every verb that reads hours; a value out of range and a preset that nobody
    defined are refused."""
    bars = made_bars(tmp_path, "2021-01-01", "2021-02-01")
    (tmp_path / "P.json").write_text(json.dumps(quick_params(horizon_hours=2)))
    hours = ([str(bars)], "2021-01-10", "2021-01-12", tmp_path / "P.json")
    assert read_inputs(*hours).rules.params.horizon_hours == 2
    changed = read_inputs(*hours, horizon_hours=4, label="direction_beyond_cost").rules.params
    assert (changed.horizon_hours, changed.label, changed.features) == (
        4,
        "direction_beyond_cost",
        "reference",
    )
    assert read_inputs(*hours, features="seed").rules.params.horizon_hours == 2
    with pytest.raises(ConfigError, match="horizon_hours"):
        read_inputs(*hours, horizon_hours=25)
    with pytest.raises(ConfigError, match="no preset 'mine'"):
        read_inputs(*hours, features="mine")


def trial(number: int, state: str, value: float, windows: int) -> Trial:
    """A trial of that state."""
    params = params_of(DEFAULT_PARAMS, "a test")
    whole = state == "complete"
    return Trial(
        number, state, value, value, params, windows, (), (), 0.1 if whole else None, 3 if whole else 0, ""
    )


def test_scores_of_pruned_trials_do_not_stand_among_complete_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """The table holds the complete trials, best first; the others are counted, with the windows they ran."""
    trials = [trial(0, "complete", 1.5, 10), trial(1, "pruned", 9.75, 2), trial(2, "complete", 2.5, 10)]
    trials += [trial(3, "pruned", 8.25, 4), trial(4, "failed", 0.0, 1)]
    show_trials("a title", Study(trials), "net_sharpe", None)
    out = capsys.readouterr().out
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("trial")] == [
        ["trial", "2", "2.5"],
        ["trial", "0", "1.5"],
    ]
    assert "9.75" not in out
    assert "8.25" not in out
    assert "2 trials pruned after 2 to 4 windows, 1 trial failed after 1 window" in out
    assert "best of 5 configurations: trial 2, net Sharpe, a year 2.5" in out
