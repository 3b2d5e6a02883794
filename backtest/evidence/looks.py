"""What is written into the evidence ledger of a run: its configuration, by whom it was tried, and the look at its hours."""

from __future__ import annotations

from pathlib import Path

from backtest.evidence.ledger import Entry, EvidenceLedger, config_hash, data_hash, now_ms
from backtest.evidence.significance import Moments
from trader.core.metrics import hourly_returns
from trader.core.params import Params
from trader.core.types import Bars, Floats


def ledger_in(folder: Path, bars: Bars) -> EvidenceLedger:
    """The ledger of these bars. A folder that cannot be written is found before the work; raises ConfigError."""
    ledger = EvidenceLedger(folder, data_hash(bars))
    ledger.append([])
    return ledger


def of_run(params: Params, start: int, stop: int, equity: Floats, by: str) -> list[Entry]:
    """A configuration that a person ran, and the look at its hours. equity: (n,) after each hour."""
    returns = hourly_returns(equity, float(params.allocation_usdt))
    return looked_at(config_hash(params), start, stop, Moments.of(returns).sharpe, by)


def looked_at(config: str, start: int, stop: int, sharpe: float | None, by: str) -> list[Entry]:
    """A configuration that was run on hours start <= T < stop (UTC ms), and the look at them. sharpe: per hour, None where
    nothing was traded."""
    now = now_ms()
    return [
        Entry("run", config, start, stop, sharpe, by, now),
        Entry("look", config, start, stop, None, by, now),
    ]
