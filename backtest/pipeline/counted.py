"""What a pipeline writes into the evidence ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest.evidence.ledger import Entry, EvidenceLedger, config_hash
from backtest.evidence.looks import looked_at, now_ms
from trader.core.metrics import HOURS_PER_YEAR

if TYPE_CHECKING:
    from backtest.study.trials import Trial

BY = "backtest pipeline"


def of_trial(trial: Trial, start: int, stop: int) -> list[Entry]:
    """Everything that a trial looked at; Sharpe ratios per hour."""
    return [
        Entry(
            kind,
            config_hash(params),
            start,
            stop,
            None if sharpe is None else sharpe / HOURS_PER_YEAR**0.5,
            f"{BY}, trial {trial.number}",
            now_ms(),
        )
        for kind, params, sharpe in trial.configurations()
    ]


def count_look(evidence: Path, told: Mapping[str, Any]) -> None:
    """A backtest's configuration, and the look at its hours. told: what the stage says of it. Raises ConfigError."""
    ledger = EvidenceLedger(evidence, told["data"])
    ledger.append(looked_at(told["config"], told["start"], told["stop"], told["sharpe"], BY))
