"""What a pipeline writes into the evidence ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backtest.evidence.ledger import EvidenceLedger
from backtest.evidence.looks import looked_at

BY = "backtest pipeline"


def count_look(evidence: Path, told: Mapping[str, Any]) -> None:
    """A backtest's configuration, and the look at its hours. told: what the stage says of it. Raises ConfigError."""
    ledger = EvidenceLedger(evidence, told["data"])
    ledger.append(looked_at(told["config"], told["start"], told["stop"], told["sharpe"], BY))
