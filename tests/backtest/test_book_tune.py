"""A study of a book: the objective is the book's own, resumed as if nothing had happened, counted on every symbol's hours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.commands.book_inputs import given_book, search_of
from backtest.engine.book import Sleeve, simulate_book
from backtest.engine.ideal_book import IdealBook
from backtest.evidence.ledger import EvidenceLedger, count, data_hash
from backtest.executors.registry import Setup, open_executor
from backtest.study.book_context import BookSearchTask
from backtest.study.trials import Study, Trial
from backtest.study.tune import tune
from tests.support.bars_made import bars_made
from tests.support.quick_forecaster import QuickForecaster, QuickPredictor
from tests.support.rig import command, quick_params
from tests.support.tuned import contents
from trader.adapters.files import read_bars, write_bars
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.types import HOUR_MS, Matrix, parse_hour

SYMBOLS = ("AAUSDT", "BBUSDT", "CCUSDT")
SPAN = ("2021-07-10", "2021-07-14")


@dataclass(frozen=True, slots=True)
class NamedPredictor(QuickPredictor):
    """One that keeps the symbols that it was fitted on."""

    symbols: tuple[str, ...] = ()


class NamedForecaster(QuickForecaster):
    """The quick family, for one symbol or for several."""

    def train(self, X: Matrix, y: Any, params: Any, seed: int, symbols: Sequence[str]) -> NamedPredictor:
        """Equal rows and parameters give an equal predictor."""
        own = super().train(X, y, params, seed, symbols)
        return NamedPredictor(own.lean, own.noise, own.column, tuple(symbols))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year of bars of three symbols before the hours, one of which ends within them; books with and without a pool."""
    place = tmp_path_factory.mktemp("book")
    (place / "bars").mkdir()
    for seed, symbol in enumerate(SYMBOLS):
        bars = bars_made(5_000, seed + 1, symbol=symbol, price=20.0 * 9**seed, decimals=4)
        write_bars(place / "bars" / f"{symbol}-1h.parquet", bars.rows(0, 4_620 if seed == 1 else 5_000))
    (place / "P.json").write_text(json.dumps(quick_params(step_days=2)))
    for name, more in (("plain", 'shares = "inverse_volatility"\n'), ("pooled", "pool = true\n")):
        text = f'symbols = {json.dumps(SYMBOLS)}\ncapital_usdt = 3_000\nrebalance_hours = 24\nparams = "P.json"\n'
        (place / f"{name}.toml").write_text(text + more)
    return place


def quick_task(folder: Path, book: str) -> BookSearchTask:
    """The search of a book, by the quick family."""
    task = search_of(given_book(folder / f"{book}.toml", [folder / "bars"], *SPAN), book)
    return replace(task, symbols=tuple(replace(it, forecaster=NamedForecaster()) for it in task.symbols))


def studied(task: BookSearchTask, folder: Path, **more: Any) -> Study:
    """Four trials in batches of two."""
    return tune(task, trials=4, seed=3, batch=2, folder=folder, **more)


@pytest.mark.parametrize("book", ["plain", "pooled"])
def test_a_study_that_was_cut_short_goes_on_to_the_same_bytes(
    folder: Path, tmp_path: Path, book: str
) -> None:
    """Ended within the second batch, then resumed with two workers: every file is that of a study in one go."""
    task = quick_task(folder, book)
    studied(task, tmp_path / "whole")
    ended: list[Trial] = []

    def dies(trial: Trial) -> None:
        if len(ended) == 3:
            raise KeyboardInterrupt
        ended.append(trial)

    with pytest.raises(KeyboardInterrupt):
        studied(task, tmp_path / "cut", on_trial=dies)
    fits = QuickForecaster.fits
    with open_executor("local", Setup(2), print) as executor:
        told = studied(task, tmp_path / "cut", executor=executor)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert QuickForecaster.fits - fits < 4 * 2 * (1 if book == "pooled" else 3)
    assert {it.state for it in told.trials} <= {"complete", "pruned"}
    other = replace(
        task, rules=replace(task.rules, params=task.rules.params.model_copy(update={"rebalance_hours": 12}))
    )
    with pytest.raises(ConfigError, match="was begun with book"):
        studied(other, tmp_path / "cut")


def test_the_best_is_worth_what_the_book_is_worth_with_it(folder: Path) -> None:
    """From the command line, by XGBoost on the rows of all symbols: the study's best is what a run of the book with its P.json
    gives, fees, transfers and all; each symbol's hours count everything that was tried."""
    words = ("--bars", "bars", "--from", "2021-07-11", "--to", "2021-07-13", "--json")
    study = (
        "--trials",
        "2",
        "--study",
        "study",
        "--objective",
        "net_return",
        "--workers",
        "1",
        "--seed",
        "5",
    )
    told = json.loads(command("backtest", "tune", "--book", "pooled.toml", *words, *study, cwd=folder).stdout)
    text = (folder / "pooled.toml").read_text().replace('"P.json"', '"study/P.json"')
    (folder / "tuned.toml").write_text(text)
    run = json.loads(command("backtest", "run", "--book", "tuned.toml", *words, cwd=folder).stdout)
    assert told["best"]["value"] == pytest.approx(run["net_return"], abs=1e-12)
    assert told["best"]["params"]["train_symbols"] == list(SYMBOLS)
    for symbol in SYMBOLS:
        bars = read_bars(folder / "bars" / f"{symbol}-1h.parquet", symbol)
        counted = count(EvidenceLedger(folder / "evidence", data_hash(bars)).entries(), 0, 2**62)
        assert counted.configurations >= told["configurations"]
        assert counted.looks == 1


def test_the_quick_comparison_is_near_the_book(folder: Path) -> None:
    """With signals that stay a while, the equity that configurations are compared by ends within 1 % of the traded one's."""
    task = quick_task(folder, "plain")
    start, stop = parse_hour(SPAN[0]), parse_hour(SPAN[1])
    hours = (stop - start) // HOUR_MS
    noise = np.random.default_rng(4).normal(size=(3, hours // 8 + 1))
    p_up = np.clip(0.5 + 0.1 * np.repeat(noise, 8, axis=1)[:, :hours], 0, 1).astype(np.float32)
    bars = [it.bars.extended_to(stop) for it in task.symbols]
    p_up[1, (task.symbols[1].stop - start) // HOUR_MS :] = np.nan
    filters = [it.filters for it in task.symbols]
    strategies = [task.base] * 3
    quick = IdealBook.of(bars, strategies, task.rules, hours).equity(strategies, p_up)
    sleeves = [
        Sleeve(it, Rules(task.base, own), row) for it, own, row in zip(bars, filters, p_up, strict=True)
    ]
    exact = np.array([float(line.equity) for line in simulate_book(sleeves, task.rules, stop).lines])
    assert abs(exact[-1] / 3_000 - 1) > 0.005
    assert quick == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        (
            '\n[params_by_symbol]\nAAUSDT = "P.json"\n',
            (),
            "searches one P.json for all symbols, and params_by_symbol names",
        ),
        ("", ("--objective", "sum_of_returns"), "sum_of_returns adds up the returns of one symbol"),
        ("", ("--symbol", "AAUSDT"), "--symbol is an option of one symbol"),
    ],
)
def test_what_cannot_be_searched_is_said(folder: Path, text: str, more: tuple[str, ...], says: str) -> None:
    """Exit code 2, with the way out."""
    (folder / "other.toml").write_text((folder / "plain.toml").read_text() + text)
    words = ("--bars", "bars", "--from", SPAN[0], "--to", SPAN[1], "--trials", "1", *more)
    done = command("backtest", "tune", "--book", "other.toml", *words, cwd=folder, check=False)
    assert done.returncode == 2
    assert says in done.stderr
