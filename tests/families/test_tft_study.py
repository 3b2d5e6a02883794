"""A study of Temporal Fusion Transformers by successive halving, and what a report says of what its model looked at."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.engine.weighing import weighed
from backtest.executors.futures import InProcess
from backtest.executors.registry import Setup, open_executor
from backtest.report.make import EvaluatedSpan, made_report, written
from backtest.study.tune import SearchTask, tune
from tests.support.bars_made import bars_made
from tests.support.tuned import contents, end, tuned, until_files
from trader.adapters.files import write_bars
from trader.core.errors import DataError
from trader.core.hours import Rules
from trader.core.long_training import LearnsInEpochs
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, HOUR_MS, Bars, Filters, iso
from trader.core.weights import SaysWeights
from trader.forecasters.tft import TFTForecaster

DAYS = 190
SMALL = {"family": "tft", "encoder_hours": 24, "forecast_hours": 3, "hidden_size": 8, "attention_heads": 2}
SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def params_for(**model: Any) -> Params:
    """Four days of two symbols, two days served."""
    chosen = {**SMALL, "epochs": 3, "batch_size": 64, **model}
    values = {**DEFAULT_PARAMS, "model": chosen, "look_back_days": 4, "step_days": 2}
    return params_of({**values, "train_symbols": SYMBOLS}, "the test")


@pytest.fixture(scope="module")
def markets() -> list[Bars]:
    """Two made markets of the same hours."""
    return [replace(bars_made(DAYS * 24, seed), symbol=symbol) for seed, symbol in enumerate(SYMBOLS, 3)]


@pytest.fixture(scope="module")
def span(markets: list[Bars]) -> EvaluatedSpan:
    """The newest two days."""
    stop = markets[0].last - 12 * HOUR_MS
    rules = Rules(params_for(epochs=1), Filters.derived(float(markets[0].close[-1])))
    return EvaluatedSpan(markets[0], rules, stop - 2 * DAY_MS, stop, "made bars", (markets[1],))


@pytest.mark.timeout(900)  # three processes import torch: on a machine that others use, minutes
def test_six_trials_are_halved_alike_by_one_and_two_workers(
    markets: list[Bars], span: EvaluatedSpan, tmp_path: Path
) -> None:
    """Six networks of several widths, contexts and rates: after an epoch three go on, after two one, and it alone is traded.
    All files are equal bytes. Two processes import torch: above two seconds."""
    six = [
        params_for(learning_rate=rate, dropout=dropout, hidden_size=width, encoder_hours=hours)
        for rate, dropout, width, hours in (
            (0.001, 0.0, 8, 24), (0.01, 0.1, 8, 24), (0.003, 0.2, 16, 24),
            (0.0003, 0.0, 8, 30), (0.02, 0.0, 16, 30), (0.005, 0.3, 8, 36),
        )
    ]  # fmt: skip  # three a line
    task = SearchTask(
        TFTForecaster(),
        span.bars,
        params_for(),
        span.rules.filters,
        span.start,
        span.stop,
        "made bars",
        span.others,
    )
    for workers in (1, 2):
        with open_executor("local", Setup(workers)) as executor:
            found = tune(task, trials=6, seed=1, warm=six, folder=tmp_path / str(workers), executor=executor)
    for name in ("study.json", "journal.jsonl", "trials.jsonl", "P.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert sorted((trial.state, trial.epochs) for trial in found.trials) == [
        ("complete", 3), ("pruned", 1), ("pruned", 1), ("pruned", 1), ("pruned", 2), ("pruned", 2),
    ]  # fmt: skip  # as they ended
    assert all(0 < loss < 2 for trial in found.trials for loss in trial.losses)
    assert json.loads((tmp_path / "1" / "study.json").read_text())["halving"] == [1, 2, 3]


def test_a_training_in_parts_gives_the_bytes_of_one_that_is_whole(markets: list[Bars]) -> None:
    """From no state, from the state of epoch 1, and by `fit`: one model, one loss. Bytes that are no state are refused."""
    forecaster, panel = (
        TFTForecaster(),
        Panel.of([bars.span(bars.last - 6 * DAY_MS, bars.last) for bars in markets]),
    )
    assert isinstance(forecaster, LearnsInEpochs)
    params, y = params_for(dropout=0.2), np.zeros((2, len(panel)))
    asked: dict[str, Any] = {"horizon": 1, "until": panel.close_time[-2], "seed": 7}
    assert forecaster.most_epochs(params) == 3
    first = forecaster.learn(panel, y, params, **asked, epochs=1)
    parts = forecaster.learn(panel, y, params, **asked, epochs=3, state=first.state)
    whole = forecaster.learn(panel, y, params, **asked, epochs=3)
    assert (first.epochs, parts.epochs) == (1, 3)
    assert parts.state == whole.state
    assert parts.loss == whole.loss
    assert parts.model == whole.model == forecaster.fit(panel, y, params, **asked)
    with pytest.raises(DataError, match="state of a training cannot be read"):
        forecaster.learn(panel, y, params, **asked, epochs=3, state=first.state[:-9])


@pytest.mark.filterwarnings("ignore:AutoDateLocator")  # two days are few for its axis
def test_a_report_says_what_the_newest_model_looked_at(span: EvaluatedSpan, tmp_path: Path) -> None:
    """The section's numbers are those that `weights` gives of the same model; a dozen fits: above two seconds."""
    made = made_report(span, InProcess(), tmp_path / "evidence", by="a test")
    page, figures = tmp_path / "report.html", written(made.report, tmp_path / "report.html")
    told = json.loads(figures.read_text())["weights"]
    found = weighed(
        TFTForecaster(), span.bars, span.rules.params, span.start, span.stop, source="x", others=span.others
    )
    assert found is not None
    assert (found.stop, found.stop - found.start) == (span.stop, 2 * DAY_MS)
    weights = found.weights
    assert told["past"] == pytest.approx(weights.past, abs=1e-6)
    assert told["future"] == pytest.approx(weights.future, abs=1e-6)
    assert told["attention"] == pytest.approx(weights.attention.tolist(), abs=1e-6)
    assert sum(told["past"].values()) == pytest.approx(1, abs=1e-4)
    assert (weights.before, len(weights.attention)) == (24, 24 + 3)
    text = page.read_text()
    name, share = next(iter(told["past"].items()))
    assert f"{share * 100:.1f} % of the weight lay on {name}" in text
    assert f"{share:.1%}</text>" in text
    assert f"{told['attention_before'] * 100:.1f} % of the attention went to the 24 hours up to now" in text


def test_the_weights_are_those_of_a_model_of_the_window(span: EvaluatedSpan) -> None:
    """Fitted here by hand on the same hours, and asked about the same: equal to the last bit."""
    from backtest.engine.walkforward import folds

    params = span.rules.params
    found = weighed(TFTForecaster(), span.bars, params, span.start, span.stop, source="x", others=span.others)
    fold = folds(TFTForecaster(), span.bars, params, span.start, span.stop, "x", others=span.others)[-1]
    model = fold.history.fit(fold.window, params)
    assert isinstance(model, SaysWeights)
    hours = np.arange(span.start, span.stop, HOUR_MS, dtype=np.int64)
    alone = model.weights(Panel.of([span.bars]), hours)
    assert found is not None
    assert alone.past == found.weights.past
    assert np.array_equal(alone.attention, found.weights.attention)


@pytest.mark.timeout(900)  # three processes import torch: on a machine that others use, minutes
def test_a_halved_study_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(
    markets: list[Bars], span: EvaluatedSpan, tmp_path: Path
) -> None:
    """kill -9 of `backtest tune` within its first rung; the same command learns no kept rung again, and every file equals that
    of a study that nobody killed. Three processes import torch."""
    for bars in markets:
        write_bars(tmp_path / f"{bars.symbol}-1h.parquet", bars)
    (tmp_path / "P.json").write_text(params_for().model_dump_json())
    words = [
        *(sys.executable, "-m", "backtest.cli", "tune", "--bars", "."),
        *("--symbol", SYMBOLS[0], "--params", "P.json", "--seed", "3", "--json"),
        *("--from", iso(span.start), "--to", iso(span.stop), "--trials", "3", "--workers", "1"),
    ]
    cut, learnt = tmp_path / "cut", "folds/??/" + "?" * 64  # without the states on the way
    process = tuned(tmp_path, [*words, "--study", "cut"])
    try:
        until_files(learnt, cut, 2)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        end(process)
    written = {it: it.stat().st_mtime_ns for it in cut.glob(learnt)}
    for name in ("cut", "whole"):
        process = tuned(tmp_path, [*words, "--study", name])
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    assert all(it.stat().st_mtime_ns == at for it, at in written.items())
    assert len(list(cut.glob(learnt))) > len(written) >= 2
    assert json.loads((cut / "study.json").read_text())["halving"] == [1, 2, 3]
    assert contents(cut) == contents(tmp_path / "whole")
