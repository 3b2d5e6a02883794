"""What a pipeline's search writes into the evidence ledger is what `backtest tune` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.evidence.ledger import EvidenceLedger, data_hash
from backtest.executors.futures import InProcess
from backtest.pipeline.output_names import BARS
from backtest.pipeline.stage_inputs import Given, Work
from backtest.pipeline.stages_fitted import tune_stage
from backtest.pipeline.tables import bars_bytes
from tests.support.bars_made import bars_made
from tests.support.quick_epochs import QuickEpochs
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.forecasters import registry


def test_a_halved_trial_is_counted_with_its_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a family that learns in epochs each entry says how many a trial learnt, and why it ended."""
    monkeypatch.setattr(registry, "forecaster_of", lambda _: QuickEpochs())
    bars = bars_made(5_200, 4)
    settings = {
        "symbol": "BTCUSDT",
        "params": params_of({**DEFAULT_PARAMS, "step_days": 2}, "a test").as_json(),
        "trials": 4,
        "seed": 5,
        "objective": "net_sharpe",
        "decisions": ["enter_edge"],
        "from": "2021-07-12",
        "to": "2021-07-20",
    }
    given = Given(Given.arrays_of({BARS: bars_bytes(bars)}), settings)
    tune_stage(given, Work(InProcess(), tmp_path / "work", tmp_path / "evidence"))
    entries = EvidenceLedger(tmp_path / "evidence", data_hash(given.bars())).entries()
    pruned = [it.by for it in entries if it.kind == "pruned"]
    assert pruned
    assert all(it.startswith("backtest pipeline, seed 5, trial ") and " epoch" in it for it in pruned)
