"""What a study and a rule of retraining write into the evidence ledger; of a single run, `backtest.evidence.looks` says it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from backtest.evidence.ledger import Entry, config_hash
from backtest.evidence.looks import looked_at, now_ms
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.summary import net_sharpe

if TYPE_CHECKING:
    from backtest.lifecycle.market import LifecycleMarket
    from backtest.lifecycle.rules import RuleResult
    from backtest.study.trials import Trial


def of_trial(trial: Trial, start: int, stop: int, by: str) -> list[Entry]:
    """Everything that a trial looked at; Sharpe ratios per hour."""
    return [
        Entry(
            kind,
            config_hash(params),
            start,
            stop,
            None if sharpe is None else sharpe / HOURS_PER_YEAR**0.5,
            by,
            now_ms(),
        )
        for kind, params, sharpe in trial.configurations()
    ]


def of_rule(result: RuleResult, market: LifecycleMarket) -> list[Entry]:
    """A rule of retraining on these hours is one more configuration, and one more look at them."""
    params = market.rules.params
    text = json.dumps([config_hash(params), asdict(result.rule)], sort_keys=True)
    config = hashlib.sha256(text.encode()).hexdigest()[:16]
    sharpe = net_sharpe(result.run.equity, params.allocation_usdt) / HOURS_PER_YEAR**0.5
    return looked_at(config, market.start, market.stop, sharpe, f"backtest lifecycle, {result.rule.name}")
