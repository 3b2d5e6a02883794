"""A walk whose fits see several symbols: the panels of the bot, predictions for the traded symbol from its own bars alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backtest.commands.inputs import given
from backtest.engine.history import History
from backtest.engine.lookahead import examine
from backtest.engine.walkforward import _tasks, folds, walk_forward
from backtest.study.space import Space, TrialPlan
from backtest.study.trial_context import SearchTask, TrialContext
from backtest.study.tune import StudySettings
from tests.support.global_family import known, params_text, pooled_params, three_symbols
from trader.adapters.files import write_bars
from trader.core.errors import ConfigError, DataError
from trader.core.hours import Rules
from trader.core.lookahead import poisoned
from trader.core.ports import Forecaster
from trader.core.training import training_of
from trader.core.types import HOUR_MS, Bars, Filters, iso
from trader.core.windows import refits
from trader.forecasters.registry import forecaster_of

BTC, ETH, SOL = three_symbols()
START, STOP = BTC.first + 800 * HOUR_MS, BTC.first + 910 * HOUR_MS


@pytest.fixture(autouse=True)
def pooled(tmp_path: Path) -> Iterator[Forecaster]:
    """The family."""
    with known(tmp_path):
        yield forecaster_of("pooled")


def test_every_window_is_fitted_on_the_panel_of_the_bot(pooled: Forecaster) -> None:
    """Window by window what `training_of` gives, up to the last label: the same symbols, bars and labels, to the bit."""
    params = pooled_params()
    todo = folds(pooled, BTC, params, START, STOP, "made", others=(SOL, ETH))
    assert len(todo) == 3
    for fold, window in zip(todo, refits(params, START, STOP), strict=True):
        bot = training_of(BTC, window, params, pooled.traits, (ETH, SOL))
        panel, y = fold.history.training(window, params)
        n = len(panel)
        assert panel.symbols == bot.panel.symbols
        for ours, its in zip(panel.bars, bot.panel.bars, strict=True):
            for name in ("close_time", "open", "high", "low", "close", "volume", "flagged"):
                assert getattr(ours, name).tobytes() == getattr(its, name)[:n].tobytes()
        assert y.tobytes() == bot.y[:, :n].tobytes()


def test_a_prediction_reads_no_other_symbol(pooled: Forecaster) -> None:
    """With the others poisoned from the last fit on, nothing changes; poisoned within a window, what it serves does."""
    params = pooled_params()
    told = walk_forward(pooled, BTC, params, START, STOP, source="made", others=(ETH, SOL))
    last = refits(params, START, STOP)[-1]
    after = [poisoned(it, it.row(last.train_until + HOUR_MS) + 1) for it in (ETH, SOL)]
    assert (
        walk_forward(pooled, BTC, params, START, STOP, source="made", others=after).tobytes()
        == told.tobytes()
    )
    within = [poisoned(it, it.row(last.train_until - 40 * HOUR_MS)) for it in (ETH, SOL)]
    changed = walk_forward(pooled, BTC, params, START, STOP, source="made", others=within)
    served = (last.serve_from - START) // HOUR_MS
    assert changed[:served].tobytes() == told[:served].tobytes()
    assert changed[served:].tobytes() != told[served:].tobytes()


def test_a_task_holds_every_symbol_and_its_key_follows_from_all(pooled: Forecaster) -> None:
    """Arrays and settings give the history back; one other bar of any symbol gives other keys, and so does a symbol less."""
    params = pooled_params()

    def keys(*others: Bars, **changes: object) -> list[str]:
        chosen = pooled_params(**changes)
        todo = folds(pooled, BTC, chosen, START, STOP, "made", others=others)
        return [task.key for task in _tasks(todo, chosen)]

    [fold, *_] = folds(pooled, BTC, params, START, STOP, "made", others=(ETH, SOL))
    history = fold.history
    installed = {
        "forecaster": "trader.forecasters.naive:NaiveForecaster"
    }  # a file's own class is no module's
    back = History.of_arrays(history.arrays(), history.settings() | installed)
    assert [it.symbol for it in back.others] == ["ETHUSDT", "SOLUSDT"]
    assert back.others[1].close.tobytes() == fold.history.others[1].close.tobytes()
    assert back.y.tobytes() == fold.history.y.tobytes()
    first = keys(ETH, SOL)
    volume = SOL.volume.copy()
    volume[-200] += 1
    assert set(first).isdisjoint(keys(ETH, replace(SOL, volume=volume)))
    assert set(first).isdisjoint(keys(ETH, train_symbols=["BTCUSDT", "ETHUSDT"]))
    assert first == keys(SOL, ETH)


def test_a_kept_fold_is_named_by_every_symbol(pooled: Forecaster) -> None:
    """The name of a fit's predictions changes with a bar of any symbol within its window, and a study knows which it was begun
    on."""
    params = pooled_params()
    plan = TrialPlan(0, params, (1,), None)
    filters = Filters.derived(30_000.0)
    long = three_symbols(6_000)
    start = long[0].first + 5_700 * HOUR_MS

    def context(*others: Bars) -> TrialContext:
        task = SearchTask(pooled, long[0], params, filters, start, start + 96 * HOUR_MS, "made", others)
        return TrialContext.of(task, Space(), "net_sharpe", None)

    def names(it: TrialContext) -> list[str]:
        return [it.key(plan, it.window(plan, k)) for k in range(it.windows)]

    one = context(*long[1:])
    close = long[1].close.copy()
    close[one.task.bars.row(start) - 30] *= 1.01
    other = context(replace(long[1], close=close), long[2])
    assert set(names(one)).isdisjoint(names(other))
    identities = [StudySettings(0).identity(it.task, it) for it in (one, other)]
    assert identities[0]["others"].keys() == {"ETHUSDT", "SOLUSDT"}
    assert identities[0] != identities[1]


def test_what_is_not_listed_or_too_young_is_said_before_anything_is_fitted(pooled: Forecaster) -> None:
    """With the file, the symbol and the way out."""
    params = pooled_params()
    for others, says in (
        ((ETH, SOL.rows(SOL.row(START), len(SOL))), r"SOLUSDT: there are no bars up to .*or begin later"),
        ((ETH, SOL.rows(150, 400)), r"made: SOLUSDT: \d+ hours of bars .*needs 98"),
        ((ETH,), "names SOLUSDT, whose bars are not there"),
    ):
        with pytest.raises(DataError, match=says):
            folds(pooled, BTC, params, START, STOP, "made", others=others)


def test_nothing_looks_ahead_through_another_symbol(pooled: Forecaster) -> None:
    """`backtest lookahead` spoils the future of all of them: where all go on, where one ends and another has an outage over the
    hours at which models are trained, and where one ended before every window. (A family of rows: tests/parity draws it.)"""
    rules = Rules(pooled_params(), Filters.derived(30_000.0))
    shut = SOL.flagged | ((SOL.close_time >= START - 3 * HOUR_MS) & (SOL.close_time < START + 5 * HOUR_MS))
    ended = ETH.until(START + HOUR_MS)
    for others in ((ETH, SOL), (ended, replace(SOL, flagged=shut)), (ETH.until(START - 500 * HOUR_MS), SOL)):
        found = examine(pooled, BTC, rules, START, STOP, "made", others)
        assert [it.found for it in found if it.what != "features as an hour is served"] == [(), (), (), ()]


def folder_of(path: Path, *series: Bars) -> Path:
    """Files as `trader collect` keeps them."""
    path.mkdir()
    for bars in series:
        write_bars(path / f"{bars.symbol}-1h.parquet", bars)
    return path


def test_a_folder_gives_the_bars_that_a_fit_sees(tmp_path: Path) -> None:
    """So do several files, of which the first is traded; a symbol without a file is named with the command that gets it."""
    folder = folder_of(tmp_path / "data", BTC, ETH, SOL)
    (tmp_path / "P.json").write_text(json.dumps(params_text()))
    span = (iso(START), iso(STOP), tmp_path / "P.json")
    one = given([str(folder)], *span, symbol="BTCUSDT")
    assert one.bars.symbol == "BTCUSDT"
    assert [it.symbol for it in one.others] == ["ETHUSDT", "SOLUSDT"]
    assert one.source == str(folder / "BTCUSDT-1h.parquet")
    files = [str(folder / f"{it}-1h.parquet") for it in ("BTCUSDT", "SOLUSDT", "ETHUSDT")]
    other = given(files, *span)
    assert other.bars.symbol == "BTCUSDT"
    assert [it.symbol for it in other.others] == ["ETHUSDT", "SOLUSDT"]
    with pytest.raises(
        ConfigError, match=r"holds bars of BTCUSDT, ETHUSDT, SOLUSDT: say which is traded, with --symbol"
    ):
        given([str(folder)], *span)
    with pytest.raises(ConfigError, match=r"no bars of SOLUSDT .*trader collect --symbols SOLUSDT"):
        given(files[:1] + files[2:], *span)
    with pytest.raises(
        ConfigError, match=r"names BTCUSDT, ETHUSDT, SOLUSDT and not XRPUSDT, which is traded"
    ):
        given([str(folder_of(tmp_path / "other", replace(BTC, symbol="XRPUSDT")))], *span)
    with pytest.raises(ConfigError, match="holds no file of bars"):
        given([str(folder_of(tmp_path / "empty"))], *span)


def test_a_local_family_refuses_several_symbols(tmp_path: Path) -> None:
    """Before anything is read or fitted."""
    folder = folder_of(tmp_path / "data", BTC)
    text = params_text(model={"family": "naive"}, train_symbols=["BTCUSDT", "ETHUSDT"])
    (tmp_path / "P.json").write_text(json.dumps(text))
    with pytest.raises(ConfigError, match="'naive' is fitted on one symbol, and train_symbols names 2"):
        given([str(folder)], iso(START), iso(STOP), tmp_path / "P.json")
