"""Rows of several symbols in one fit: what is fitted, what a prediction reads, and that one fit for all gives what each alone
gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backtest.commands.book_inputs import given_book
from backtest.engine.history import History
from backtest.engine.pooled_walk import Pool, pooled_walks
from backtest.engine.walkforward import SymbolToWalk, walk_forward
from tests.support.pooled_book import FIRST, SYMBOLS, YOUNG_FROM, pooled_params, three_bars, written_book
from trader.core.errors import ConfigError, DataError
from trader.core.lookahead import poisoned
from trader.core.panel import Panel
from trader.core.training import training_of, usable_rows
from trader.core.types import HOUR_MS, Matrix, parse_hour
from trader.core.windows import refit_of
from trader.forecasters.registry import forecaster_of

AA, BB, CC = three_bars()
START = parse_hour(FIRST)
STOP = START + 60 * HOUR_MS


@pytest.mark.parametrize("family", ["xgboost", "lightgbm"])
def test_one_fit_for_all_gives_what_each_alone_gives(family: str) -> None:
    """P(up) of each symbol over three refits, to the bit: by one fit a window for the book, and by a walk of that symbol whose
    `train_symbols` names them all. A walk of its own bars alone says something else."""
    model = {"family": family, "n_estimators": 10}
    if family == "xgboost":
        model |= {"max_depth": 3, "learning_rate": 0.1}
    params, forecaster = pooled_params(model=model), forecaster_of(family)
    asked = [SymbolToWalk(forecaster, it, params, START, STOP, "made") for it in (AA, BB, CC)]
    told = list(pooled_walks(asked))
    for bars, others, walk in ((AA, (BB, CC), told[0]), (BB, (CC, AA), told[1])):
        own = walk_forward(forecaster, bars, params, START, STOP, source="made", others=others)
        assert own.tobytes() == walk.tobytes()
        alone = params.model_copy(update={"train_symbols": None})
        assert walk_forward(forecaster, bars, alone, START, STOP, source="made").tobytes() != walk.tobytes()
    assert np.isfinite(told[2]).mean() > 0.9


def test_rows_are_those_of_each_symbol_and_say_whose_they_are() -> None:
    """In alphabetical order, each symbol's rows as a fit of it alone has them, its number in the last column; the young one has
    fewer; and the backtest's rows are the bot's."""
    params, traits = pooled_params(), forecaster_of("xgboost").traits
    window = refit_of(params, 0, START)
    training = training_of(BB, window, params, traits, (CC, AA))
    assert training.panel.symbols == SYMBOLS
    whose = training.X[:, -1]
    assert sorted(set(whose.tolist())) == [0, 1, 2]
    for number, bars in enumerate((AA, BB)):
        alone = training_of(bars, window, params.model_copy(update={"train_symbols": None}), traits)
        assert training.X[whose == number, :-1].tobytes() == alone.X.tobytes()
    assert 0 < (whose == 2).sum() < (whose == 0).sum()
    history = History.of(forecaster_of("xgboost"), BB, params, window.train_from, STOP, (AA, CC))
    panel, y = history.training(window, params)
    assert usable_rows(panel, y, window.train_until)[0].tobytes() == training.X.tobytes()


def test_a_prediction_reads_the_model_and_its_own_symbol_alone() -> None:
    """With the bars of all other symbols poisoned after the fit nothing changes; with those within the training another model
    is fitted."""
    params, forecaster = pooled_params(), forecaster_of("xgboost")
    window = refit_of(params, 0, START)
    row = AA.row(START)
    clean = walk_forward(forecaster, AA, params, START, START + 24 * HOUR_MS, source="made", others=(BB, CC))
    later = [poisoned(BB, row), poisoned(CC, row - YOUNG_FROM)]
    for others, same in ((later, True), ([poisoned(BB, row - 100), CC], False)):
        told = walk_forward(forecaster, AA, params, START, START + 24 * HOUR_MS, source="made", others=others)
        assert (told.tobytes() == clean.tobytes()) is same
    assert window.serve_from == START


def test_a_symbol_that_the_fit_did_not_see_is_refused() -> None:
    """By the model, by name; and by the fit where it has no row of a symbol that is listed."""
    params, forecaster = pooled_params(), forecaster_of("xgboost")
    window = refit_of(params, 0, START)
    training = training_of(AA, window, params, forecaster.traits, (BB, CC))
    model = forecaster.load(
        forecaster.fit(training.panel, training.y, params, horizon=1, until=training.until, seed=1), "a model"
    )
    X: Matrix = np.zeros((5, training.X.shape[1] - 1), np.float32)
    for symbol, refused in (("CCUSDT", False), ("DDUSDT", True)):
        panel = Panel.of([replace(AA.rows(0, 5), symbol=symbol)], [X])
        if refused:
            with pytest.raises(
                DataError, match="a model of AAUSDT, BBUSDT, CCUSDT says nothing about DDUSDT"
            ):
                model.predict(panel, panel.close_time)
        else:
            assert np.isfinite(model.predict(panel, panel.close_time).p_up).all()
    with pytest.raises(DataError, match=r"CCUSDT: no hour between .* has a label and every feature"):
        training_of(AA, window, params, forecaster.traits, (BB, CC.rows(245, 400)))


def test_a_delisted_symbol_is_learnt_from_as_long_as_it_reaches_into_the_window() -> None:
    """Its hours are predicted until its bars end; a window that begins later is fitted without it."""
    params, forecaster = pooled_params(look_back_days=10), forecaster_of("xgboost")
    ended = BB.until(START + 30 * HOUR_MS)
    stops = {"AAUSDT": STOP, "BBUSDT": ended.last + HOUR_MS, "CCUSDT": STOP}
    pool = Pool.of(forecaster, params, [AA, ended, CC], START, stops, "made")
    pool.require_trainable("made")
    assert [[it for it, _ in pool.served(window)] for window in pool.windows] == [
        list(SYMBOLS),
        list(SYMBOLS),
        ["AAUSDT", "CCUSDT"],
    ]
    window = refit_of(params, 0, START)
    before = BB.until(window.train_from - HOUR_MS)
    fitted = training_of(AA, window, params, forecaster.traits, (before, CC))
    assert fitted.panel.symbols == ("AAUSDT", "CCUSDT")


def test_a_model_serves_from_its_hour_on_whatever_bars_are_missing() -> None:
    """A refit at START + 24 h needs the bar of the hour before. A quarter past that hour a missing bar is known to be none,
    so the new model serves at once: over an outage, and where the bars of a symbol ended an hour or a day before."""
    params, forecaster = pooled_params(), forecaster_of("xgboost")
    reach = START + 23 * HOUR_MS
    row = BB.row(reach)
    closed = replace(BB, flagged=BB.flagged | ((np.arange(len(BB)) >= row) & (np.arange(len(BB)) < row + 3)))
    for bars in (BB, closed, BB.until(reach - HOUR_MS), BB.until(reach - 24 * HOUR_MS)):
        stops = {it.symbol: STOP for it in (AA, CC)} | {"BBUSDT": min(STOP, bars.last + HOUR_MS)}
        pool = Pool.of(forecaster, params, [AA, bars, CC], START, stops, "made")
        first, second, *_ = pool.windows
        assert first.serve_until == second.serve_from == START + 24 * HOUR_MS
        assert second.train_until == reach - HOUR_MS
        assert pool.history.training(second, params)[0].symbols == SYMBOLS


ERRORS = [
    ({"params": "tft.json"}, "pool = true: a fit of tft does not take rows of several symbols"),
    (
        {"params": "other.json"},
        "train_symbols names AAUSDT, and with pool = true a fit sees the book's own symbols",
    ),
]


@pytest.mark.parametrize(("changes", "says"), ERRORS)
def test_what_cannot_be_pooled_is_said(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    """A family that reads the series, other symbols to train on, and a P.json for single symbols."""
    (tmp_path / "tft.json").write_text('{"model": {"family": "tft"}, "look_back_days": 20}')
    (tmp_path / "other.json").write_text('{"train_symbols": ["AAUSDT"]}')
    path = written_book(tmp_path, **changes)
    with pytest.raises(ConfigError, match=says):
        given_book(path, [tmp_path / "bars"], FIRST, "2021-02-12")
    path.write_text(path.read_text() + '[params_by_symbol]\nAAUSDT = "P.json"\n')
    with pytest.raises(ConfigError, match=r"pool fits one model .*, which has one P.json"):
        given_book(path, [tmp_path / "bars"], FIRST, "2021-02-12")
