"""What families offer, measured: figures by hand, one model or many, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from backtest.cli import main
from backtest.evidence.ledger import EvidenceLedger, data_hash
from backtest.select.candidates import candidates_of
from backtest.select.choices import Choice, Stretch, measured
from backtest.select.tasks import daily_closes
from tests.support.bars_made import bars_made
from tests.support.global_family import known, params_text
from trader.adapters.files import write_bars
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import DAY_MS, Bars
from trader.forecasters.naive import rolling_quantiles
from trader.forecasters.registry import forecaster_of, installed

BARS = [bars_made(84 * 24 + 2, seed, symbol=name) for seed, name in enumerate(("AUSDT", "BUSDT"), start=1)]
STOP = BARS[0].last // DAY_MS * DAY_MS
HOURS = Stretch("1h", STOP - 2 * DAY_MS, STOP, 20, 12)


def choice_of(family: str, stretch: Stretch = HOURS, bars: list[Bars] = BARS) -> Choice:
    """One family on both series."""
    base = params_of({**DEFAULT_PARAMS, "model": {"family": "naive"}}, "a test")
    candidate = candidates_of([family], base, stretch.freq, forecaster_of, stretch.steps)[-1]
    return measured(candidate, bars, stretch)


def test_the_loss_on_days_is_that_of_the_quantiles_by_hand() -> None:
    """Of the naive forecast: from every day that was held back, over the days ahead whose outcome is known by the end."""
    stretch = Stretch("1d", STOP - 6 * DAY_MS, STOP, 60, 3)
    found = choice_of("naive", stretch, BARS[:1])
    days = daily_closes(BARS[0], STOP)
    levels, losses = np.array([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]), []
    for day in range(6):
        row = len(days) - 1 - 6 + day
        for h in range(1, min(3, 6 - day) + 1):
            quantiles = rolling_quantiles(days.until(stretch.start + day * DAY_MS), np.array([row]), h)[0]
            miss = days.log_close[row + h] - days.log_close[row] - quantiles
            losses.append(np.mean(np.where(miss < 0, levels - 1, levels) * miss))
    assert found.pinball == pytest.approx(np.mean(losses))
    assert (found.ahead, found.models, found.reasons, found.horizon) == ("one pass", 1, "none", 168)


def test_a_global_family_is_one_model_and_a_local_one_is_many(tmp_path: Path) -> None:
    """Of two series, with the bytes of what is kept; trees are direct, give no distribution, and say what each feature adds."""
    with known(tmp_path):
        base = params_of({**params_text(), "train_symbols": None}, "a test")
        pooled = measured(candidates_of(["pooled"], base, "1h", forecaster_of)[-1], BARS, HOURS)
    assert (pooled.models, pooled.scope, pooled.reason) == (1, "global", "")
    local, trees = choice_of("naive"), choice_of("xgboost")
    assert (local.models, trees.models, trees.ahead, trees.pinball) == (2, 2, "direct", None)
    assert "TreeSHAP" in trees.reasons
    assert trees.model_bytes > local.model_bytes
    assert 0.1 < (trees.brier or 0) < 0.5
    assert min(trees.fit_seconds or 0, trees.predict_ms or 0) > 0


def test_what_a_family_refuses_is_its_reason() -> None:
    """A constant series on days; the other families are not hindered."""
    flat = bars_made(84 * 24 + 2, 3)
    five = np.full(len(flat), 5.0)
    flat = Bars("FLAT", flat.close_time, five, five, five, five, flat.volume, flat.flagged)
    found = choice_of("naive", Stretch("1d", STOP - 6 * DAY_MS, STOP, 50, 3), [flat])
    assert "closes are equal" in found.reason
    assert found.pinball is None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of both series, and the place where commands are run."""
    (tmp_path / "bars").mkdir()
    for bars in BARS:
        write_bars(tmp_path / "bars" / f"{bars.symbol}-1h.parquet", bars)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `backtest` with these words."""
    monkeypatch.setattr(sys, "argv", ["backtest", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_table_is_of_a_screen_and_every_family_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """80 columns; a look of each family that was fitted at each series' bars; one that is not installed says how it would be."""
    assert ask("choices --bars bars --families xgboost --days 20 --hours 12", monkeypatch) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert "which no fit saw" in " ".join(shown.split())
    entries = EvidenceLedger(folder / "evidence", data_hash(BARS[1])).entries()
    assert [entry.kind for entry in entries] == ["run", "look"] * 2
    assert "arima" not in installed()
    words = "choices --bars bars --families arima,xgboost --freq 1d --days 48 --hours 3 --json"
    assert ask(words, monkeypatch) == 0
    naive, arima, trees = json.loads(capsys.readouterr().out)["families"]
    assert (naive["skill"], naive["reason"]) == (0.0, "")
    assert "pip install" in arima["install"]
    assert "reads hours, not days" in trees["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--days 90", "AUSDT begins at 2021-01-01"),
        ("--families nothing", "there is no 'nothing'"),
        ("--freq 1w", "choose 1h or 1d"),
    ],
)
def test_what_cannot_be_compared_ends_with_a_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """With the numbers, and exit 2."""
    assert ask(f"choices --bars bars {words}", monkeypatch) == 2
    assert said in " ".join(capsys.readouterr().err.split())
