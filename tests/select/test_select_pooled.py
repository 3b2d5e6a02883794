"""A global family in a selection: one model a window for all series, scored on each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from backtest.commands.many_bars import bars_files
from backtest.executors.futures import at_once
from backtest.executors.protocol import Task
from backtest.select.candidates import candidates_of
from backtest.select.folder import SelectionFolder
from backtest.select.publish import publish, summary_of
from backtest.select.selection import Selection
from backtest.select.spec import SelectionSpec, common_stop, facts_of
from backtest.select.winners import winners_of
from tests.support.bars_made import bars_made
from tests.support.global_family import known, params_text
from trader.adapters.files import write_bars
from trader.core.params import params_of
from trader.core.training import training_of
from trader.core.types import Bars
from trader.core.windows import refits
from trader.forecasters.registry import forecaster_of

BARS = {name: bars_made(40 * 24, seed, symbol=name) for seed, name in enumerate(("ONE", "TWO"), start=1)}
YOUNG = bars_made(15 * 24, 5, symbol="YOUNG", start="2021-01-26")


@pytest.fixture(autouse=True)
def pooled(tmp_path: Path) -> Iterator[None]:
    """The family of a user's own file, known as a command knows it."""
    with known(tmp_path):
        yield


class Counting:
    """An executor that computes at once, and keeps what it was given."""

    capacity = 1

    def __init__(self) -> None:
        self.given: list[Task] = []

    def submit(self, task: Task) -> Future[bytes]:
        """Done when it returns."""
        self.given.append(task)
        return at_once(task)

    def close(self) -> None:
        """There is nothing to end."""


def selection(folder: Path, *series: Bars, score: str = "net_sharpe") -> Selection:
    """Pooled beside naive, over two windows of two days that end on 9 February 2021."""
    place = folder / "bars"
    place.mkdir(exist_ok=True)
    for bars in series:
        write_bars(place / f"{bars.symbol}-1h.parquet", bars)
    base = params_of({**params_text(), "train_symbols": None, "model": {"family": "naive"}}, "a test")
    out = SelectionFolder(folder / "out")
    files = bars_files([place])
    with out.held():
        facts = facts_of(out, files)
    spec = SelectionSpec("1h", score, 2, base.step_days, common_stop(facts, "1h", None))  # type: ignore[arg-type]  # one of two
    return Selection(out, spec, candidates_of(["pooled"], base, "1h", forecaster_of), files, facts)


def test_one_model_a_window_is_scored_on_every_series(tmp_path: Path) -> None:
    """One task for the family, a row a series; the winner's parameters name all symbols, and a training by them, of any of them,
    gives the very model that was scored."""
    made, executor = selection(tmp_path, *BARS.values()), Counting()
    rows = made.run(executor)
    assert [it.label for it in executor.given] == ["naive on ONE", "naive on TWO", "pooled on ONE TWO"]
    assert {row["state"] for row in rows.values()} == {"complete"}
    assert rows["ONE", "pooled"]["sharpe"] != rows["TWO", "pooled"]["sharpe"]
    best = {(name, it): row for (name, it), row in rows.items() if it == "pooled"}
    won = winners_of(
        {**best, **{(name, "naive"): {**row, "sharpe": -99.0} for (name, _), row in best.items()}},
        "net_sharpe",
    )
    publish(made, won, summary_of(made, won), "")
    for name in BARS:
        params = params_of(json.loads((tmp_path / "out" / "best" / f"{name}.json").read_text()), "best")
        assert params.train_symbols == ("ONE", "TWO")
        family = forecaster_of("pooled")
        window = refits(params, *made.spec.span)[-1]
        others = [it for it in BARS.values() if it.symbol != name]
        taught = training_of(BARS[name], window, params, family.traits, others)
        fitted = family.fit(
            taught.panel,
            taught.y,
            params,
            horizon=params.horizon_hours,
            until=window.train_until,
            seed=params.seed,
        )
        assert (tmp_path / "out" / "models" / name).read_bytes() == fitted


def test_a_series_that_cannot_be_fitted_says_so_and_the_others_are_one_fit(tmp_path: Path) -> None:
    """One that begins too late, with the numbers; the rest learn without it. A repeat computes nothing; another series is
    another fit for all."""
    rows = selection(tmp_path, *BARS.values(), YOUNG).run()
    assert rows["YOUNG", "pooled"]["state"] == "failed"
    assert "look_back 15 d" in rows["YOUNG", "pooled"]["reason"]
    assert rows["ONE", "pooled"]["train_symbols"] == ["ONE", "TWO"]
    again = selection(tmp_path)
    assert again.run() == rows
    assert again.computed == 0
    more = selection(tmp_path, bars_made(40 * 24, 7, symbol="MORE"))
    more.run()
    assert more.computed == 1 + 4, "naive on it, and the family on all"


def test_by_pinball_loss_too(tmp_path: Path) -> None:
    """The losses of each series by the pooled quantiles; a family that fits one series alone is one model a series."""
    rows = selection(tmp_path, *BARS.values(), score="pinball").run()
    assert rows["ONE", "pooled"]["loss"] > 0
    assert rows["ONE", "pooled"]["loss"] != rows["TWO", "pooled"]["loss"]
    (tmp_path / "bars" / "TWO-1h.parquet").unlink()
    alone = selection(tmp_path, score="pinball").run()
    assert "train_symbols" not in alone["ONE", "pooled"]
